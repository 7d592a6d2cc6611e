//! Updates of SimCLR with its encoder and its head.

use anyhow::{Result, bail};
use shards::Position;
use tch::{Device, Kind, Tensor, nn::VarStore};

use super::{
    frame::{self, Named, Pass, Subject},
    resnet,
};
use crate::{
    encoder::{Mode, Norming, resnet::ResNet, set_float_kind},
    loss,
    method::{
        ComputeOptions, Method, backward,
        simclr::{Config, Head, Simclr},
    },
    selftest::golden::{case::Case, cases::Cases, precision::Precision},
    views::Views,
};

struct Network {
    vars: VarStore,
    simclr: Simclr,
    views: Views,
}

impl Network {
    fn all_views(&self) -> Tensor {
        self.views.images().flatten(0, 1)
    }
}

impl Subject for Network {
    fn vars(&self) -> &VarStore {
        &self.vars
    }

    fn evaluated(&self) -> Result<Named> {
        let [h, z_raw] = self.simclr.network().forward(&self.all_views(), Mode::Evaluation);
        Ok(vec![("h", h), ("z_raw", z_raw)])
    }

    fn pass(&mut self, _number: i64) -> Result<Pass> {
        let embeddings =
            tch::no_grad(|| self.simclr.embedder().embed(self.views.images(), Norming::WHOLE.kept()));
        let [h, z_raw] = [0, 1].map(|number: usize| embeddings[number].flatten(0, 1));
        let computed = backward(&self.simclr, &self.views, ComputeOptions::PLAIN)?;
        let value = |tensor: &Tensor| tensor.double_value(&[]);
        let part = |number: usize| value(&computed.parts[number].1);
        let losses = vec![
            ("loss_a", part(0)),
            ("loss_b", part(1)),
            ("total", value(&computed.total)),
            ("mean", value(&computed.loss)),
        ];
        let z = loss::unit(&z_raw);
        Ok(Pass { outputs: vec![("h", h), ("z_raw", z_raw), ("z", z)], losses })
    }
}

/// Compares every case on the device.
pub(super) fn agree(cases: &Cases, device: Device, precision: Precision) -> Result<usize> {
    cases.each("simclr_case", device, |case| compare(case, precision))
}

fn compare(mut case: Case, precision: Precision) -> Result<()> {
    let (depth, encoder) = resnet::config(&case)?;
    let facts = case.facts["config"].clone();
    let side = case.int(&["config", "size"])?;
    let head = match (facts["head"].as_str(), facts["head_layers"].as_i64()) {
        (Some("bn"), Some(2)) => Head::Bn2,
        (Some("bn"), Some(3)) => Head::Bn3,
        (Some("plain"), _) => Head::Plain,
        other => bail!("{}: head {other:?}", case.name),
    };
    let kind = precision.kind();
    let temperature = case.number(&["config", "T"])?;
    let config = Config {
        head,
        hidden: facts["hidden"].as_i64(),
        dim: case.int(&["config", "dim"])?,
        temperature,
        ..Config::default()
    };
    let mut vars = VarStore::new(case.device);
    let encoder = ResNet::new(&(vars.root() / "encoder"), depth, [3, side], &encoder);
    let simclr = Simclr::new(&vars.root(), Box::new(encoder), &[side as u32; 2], &config);
    set_float_kind(&mut vars, kind);
    let images = frame::two_views(&mut case, kind)?;
    let none = || Tensor::zeros([images[0].size()[0]], (Kind::Int64, case.device));
    let views = Views {
        groups: vec![Tensor::stack(&images, 0)],
        labels: none(),
        indices: none(),
        next: Position::default(),
    };
    frame::check(case, &mut Network { vars, simclr, views }, precision)
}
