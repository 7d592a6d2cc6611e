//! Contrastive losses and their gradients for embeddings of very different lengths.

use amdim_stream::loss::{self, unit};
use tch::{Device, Kind, Tensor};

use super::{
    Fixture, absmax,
    case::{TENSOR, loss_bound},
};

/// The embeddings, banks and draws of a case.
struct Inputs {
    z1: Tensor,
    z2: Tensor,
    queue: Tensor,
    bank: Tensor,
    numbers: Tensor,
    drawn: Tensor,
    z: f64,
}

impl Inputs {
    fn take(case: &mut Fixture) -> Self {
        let [z1, z2] = ["in/z1", "in/z2"].map(|name| case.take(name).set_requires_grad(true));
        let [queue, bank, numbers, drawn] =
            ["in/queue", "in/bank", "in/y", "in/idx"].map(|name| case.take(name));
        Self { z1, z2, queue, bank, numbers, drawn, z: case.number(&["Z_of_nce"]) }
    }

    /// Returns the loss of this name.
    fn loss(&self, name: &str, temperature: f64) -> Tensor {
        let (one, two) = (unit(&self.z1), unit(&self.z2));
        match name {
            "nt_xent" => loss::nt_xent(&one, &two, temperature).into_iter().sum(),
            "info_nce" => {
                let scores = loss::queue_scores(&one, &two.detach(), &self.queue, temperature);
                loss::softmax_of_drawn(&scores)
            }
            "nce" => {
                let rows = self.bank.index_select(0, &self.drawn.flatten(0, 1));
                let rows = rows.view([self.drawn.size()[0], self.drawn.size()[1], -1]);
                let scores = rows.bmm(&one.unsqueeze(-1)).squeeze_dim(-1) / temperature;
                let z = Tensor::full([0; 0], self.z, (Kind::Double, scores.device()));
                loss::noise_contrastive(&scores, &z, self.bank.size()[0])
            }
            "full_softmax" => {
                let scores = one.matmul(&self.bank.transpose(0, 1)) / temperature;
                loss::full_softmax(&scores, &self.numbers)
            }
            other => panic!("unknown loss `{other}`"),
        }
    }
}

/// Compares losses and gradients in f64.
pub(crate) fn agree(device: Device) {
    for mut case in Fixture::all("methods_loss_only", device) {
        let mut inputs = Inputs::take(&mut case);
        let losses = case.facts["losses"].as_object().expect("losses by name and temperature").clone();
        for (what, golden) in losses {
            let (name, temperature) = what.rsplit_once("_T").expect("a name and a temperature");
            let loss = inputs.loss(name, temperature.parse().unwrap());
            let golden = golden.as_f64().unwrap();
            let off = (loss.double_value(&[]) - golden).abs() / golden.abs();
            assert!(off < loss_bound(device).max(1e-9), "{}: {what} is off by {off:.2e}", case.name);
            loss.backward();
            let leaves = [("grad_1", &mut inputs.z1), ("grad_2", &mut inputs.z2)];
            for (gradient, leaf) in leaves.into_iter().take(if name == "nt_xent" { 2 } else { 1 }) {
                let gradient = format!("{what}/{gradient}");
                let golden = case.take(&gradient);
                case.close(&gradient, &leaf.grad(), &golden, absmax(&golden), TENSOR);
                leaf.zero_grad();
            }
        }
        assert!(case.tensors.is_empty(), "{}: not checked: {:?}", case.name, case.tensors.keys());
    }
}
