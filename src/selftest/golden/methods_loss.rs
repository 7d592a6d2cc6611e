//! Contrastive losses and their gradients for embeddings of very different lengths.

use anyhow::{Context, Result, bail, ensure};
use tch::{Device, Kind, Tensor};

use super::{
    case::{Case, absmax},
    cases::Cases,
    precision::{TENSOR, loss_bound},
};
use crate::loss::{self, unit};

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
    fn take(case: &mut Case) -> Result<Self> {
        Ok(Self {
            z1: case.take("in/z1")?.set_requires_grad(true),
            z2: case.take("in/z2")?.set_requires_grad(true),
            queue: case.take("in/queue")?,
            bank: case.take("in/bank")?,
            numbers: case.take("in/y")?,
            drawn: case.take("in/idx")?,
            z: case.number(&["Z_of_nce"])?,
        })
    }

    /// Returns the loss of this name.
    fn loss(&self, name: &str, temperature: f64) -> Result<Tensor> {
        let (one, two) = (unit(&self.z1), unit(&self.z2));
        Ok(match name {
            "nt_xent" => loss::nt_xent(&one, &two, temperature).into_iter().sum(),
            "info_nce" => loss::queued(&one, &two.detach(), &self.queue, temperature).loss,
            "nce" => {
                let rows = self.bank.index_select(0, &self.drawn.flatten(0, 1));
                let rows = rows.view([self.drawn.size()[0], self.drawn.size()[1], -1]);
                let scores = rows.bmm(&one.unsqueeze(-1)).squeeze_dim(-1) / temperature;
                let z = Tensor::full([0; 0], self.z, (Kind::Double, scores.device()));
                loss::noise_contrastive(&scores, &z, self.bank.size()[0])
            }
            "full_softmax" => loss::full_softmax(&one, &self.bank, &self.numbers, temperature),
            other => bail!("unknown loss `{other}`"),
        })
    }
}

/// Compares losses and gradients of every case in f64.
///
/// # Errors
///
/// If a case cannot be read, or a number is beyond its tolerance.
pub fn agree(cases: &Cases, device: Device) -> Result<usize> {
    cases.each("methods_loss_only", device, check)
}

fn check(mut case: Case) -> Result<()> {
    let mut inputs = Inputs::take(&mut case)?;
    for (what, golden) in case.numbers(&["losses"])? {
        let (name, temperature) = what.rsplit_once("_T").context("a loss has no temperature")?;
        let loss = inputs.loss(name, temperature.parse()?)?;
        let off = (loss.double_value(&[]) - golden).abs() / golden.abs();
        ensure!(off < loss_bound(case.device).max(1e-9), "{}: {what} is off by {off:.2e}", case.name);
        loss.backward();
        let leaves = [("grad_1", &mut inputs.z1), ("grad_2", &mut inputs.z2)];
        for (gradient, leaf) in leaves.into_iter().take(if name == "nt_xent" { 2 } else { 1 }) {
            let gradient = format!("{what}/{gradient}");
            let golden = case.take(&gradient)?;
            case.close(&gradient, &leaf.grad(), &golden, absmax(&golden), TENSOR)?;
            leaf.zero_grad();
        }
    }
    case.finish()
}
