//! Updates of Exemplar-CNN with its own network and with a ResNet.

use amdim_stream::{
    encoder::{Encoder, Mode, exemplar, resnet::ResNet, set_float_kind},
    method::{Method, exemplar::Exemplar},
    views::Views,
};
use shards::Position;
use tch::{Device, Tensor, nn::VarStore};

use super::{
    frame::{self, Pass, Subject},
    resnet,
};
use crate::golden::{Fixture, case::Precision};

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

    fn evaluated(&self) -> Vec<(&'static str, Tensor)> {
        let features = self.exemplar.encoder().features(&self.views.images().get(0), Mode::Evaluation);
        vec![("logits", self.exemplar.logits(&features, false))]
    }

    fn pass(&mut self, _number: i64) -> Pass {
        let feature = tch::no_grad(|| self.exemplar.embedder().embed(self.views.images(), false))[0].get(0);
        let logits = tch::no_grad(|| self.exemplar.logits(&feature, true));
        let loss = frame::backward(&self.exemplar, &self.views);
        Pass {
            outputs: vec![("feature", feature), ("logits", logits)],
            losses: vec![("loss", loss.total.double_value(&[]))],
        }
    }
}

/// Builds the network of a case.
fn encoder(case: &Fixture, path: &tch::nn::Path, side: i64) -> Box<dyn Encoder> {
    let widths = &case.facts["config"]["widths"];
    if widths.is_null() {
        let (depth, config) = resnet::config(case);
        return Box::new(ResNet::new(path, depth, [3, side], &config));
    }
    let config = exemplar::Config { widths: serde_json::from_value(widths.clone()).unwrap() };
    Box::new(exemplar::ExemplarNet::new(path, side as u32, &config))
}

/// Compares every case on the device. The references have no dropout.
pub(crate) fn agree(device: Device, precision: Precision) {
    for mut case in Fixture::all("exemplar_case", device) {
        let int = |key| case.int(&["config", key]);
        let (side, kind) = (int("size"), precision.kind());
        let mut vars = VarStore::new(device);
        let encoder = encoder(&case, &(vars.root() / "encoder"), side);
        let samples: Vec<_> = (0..int("classes") as u64).collect();
        let exemplar = Exemplar::new(&vars.root(), encoder, (side as u32, &samples), 0.0);
        set_float_kind(&mut vars, kind);
        let images = frame::images(&mut case, "in/x1_u8", kind).unsqueeze(0);
        let indices = case.take("in/y");
        let views =
            Views { groups: vec![images], labels: indices.zeros_like(), indices, next: Position::default() };
        frame::check(case, &mut Network { vars, exemplar, views }, precision);
    }
}
