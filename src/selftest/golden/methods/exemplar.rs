//! Updates of Exemplar-CNN with its own network and with a ResNet.

use anyhow::Result;
use shards::Position;
use tch::{Device, nn::VarStore};

use super::{
    frame::{self, Named, Pass, Subject},
    resnet,
};
use crate::{
    encoder::{Encoder, Mode, Norming, exemplar, resnet::ResNet, set_float_kind},
    method::{Method, exemplar::Exemplar},
    selftest::golden::{case::Case, cases::Cases, precision::Precision},
    views::Views,
};

struct Network {
    vars: VarStore,
    exemplar: Exemplar,
    views: Views,
}

impl Subject for Network {
    fn vars(&self) -> &VarStore {
        &self.vars
    }

    fn own_name(&self, reference: &str) -> String {
        let is_own = ["encoder.", "classifier."].iter().any(|prefix| reference.starts_with(prefix));
        if is_own { reference.to_owned() } else { format!("encoder.{reference}") }
    }

    fn added(&self) -> &[&str] {
        &["surrogate_classes"]
    }

    fn evaluated(&self) -> Result<Named> {
        let features = self.exemplar.encoder().features(&self.views.images().get(0), Mode::Evaluation);
        Ok(vec![("logits", self.exemplar.logits(&features, false))])
    }

    fn pass(&mut self, _number: i64) -> Result<Pass> {
        let feature =
            tch::no_grad(|| self.exemplar.embedder().embed(self.views.images(), Norming::WHOLE.kept()))[0]
                .get(0);
        let logits = tch::no_grad(|| self.exemplar.logits(&feature, true));
        let loss = frame::backward(&self.exemplar, &self.views)?;
        Ok(Pass {
            outputs: vec![("feature", feature), ("logits", logits)],
            losses: vec![("loss", loss.total.double_value(&[]))],
        })
    }
}

/// Builds the network of a case.
fn encoder(case: &Case, path: &tch::nn::Path, side: i64) -> Result<Box<dyn Encoder>> {
    let widths = &case.facts["config"]["widths"];
    if widths.is_null() {
        let (depth, config) = resnet::config(case)?;
        return Ok(Box::new(ResNet::new(path, depth, [3, side], &config)));
    }
    let config = exemplar::Config { widths: serde_json::from_value(widths.clone())? };
    Ok(Box::new(exemplar::ExemplarNet::new(path, side as u32, &config)))
}

/// Compares every case on the device. The references have no dropout.
pub(super) fn agree(cases: &Cases, device: Device, precision: Precision) -> Result<usize> {
    cases.each("exemplar_case", device, |case| compare(case, precision))
}

fn compare(mut case: Case, precision: Precision) -> Result<()> {
    let int = |key| case.int(&["config", key]);
    let (side, kind) = (int("size")?, precision.kind());
    let mut vars = VarStore::new(case.device);
    let encoder = encoder(&case, &(vars.root() / "encoder"), side)?;
    let samples: Vec<_> = (0..int("classes")? as u64).collect();
    let exemplar = Exemplar::new(&vars.root(), encoder, (side as u32, &samples), 0.0);
    set_float_kind(&mut vars, kind);
    let images = frame::images(&mut case, "in/x1_u8", kind)?.unsqueeze(0);
    let indices = case.take("in/y")?;
    let views =
        Views { groups: vec![images], labels: indices.zeros_like(), indices, next: Position::default() };
    frame::check(case, &mut Network { vars, exemplar, views }, precision)
}
