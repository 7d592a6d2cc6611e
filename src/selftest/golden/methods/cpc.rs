//! Updates of CPC with its encoder and its context network.

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor, nn::VarStore};

use super::frame::{self, Named, Pass, Subject};
use crate::{
    encoder::{Norming, cpc, set_float_kind},
    method::{
        Method,
        cpc::{Config, Cpc},
    },
    selftest::golden::{case::Case, cases::Cases, precision::Precision},
};

struct Network {
    vars: VarStore,
    cpc: Cpc,
    /// Images (1, n, 3, h, w).
    views: Tensor,
    /// The drawn rows of each step, by update.
    drawn: Vec<Vec<Tensor>>,
}

impl Subject for Network {
    fn vars(&self) -> &VarStore {
        &self.vars
    }

    fn evaluated(&self) -> Result<Named> {
        Ok(vec![])
    }

    fn pass(&mut self, number: i64) -> Result<Pass> {
        let embeddings = self.cpc.embedder().embed(&self.views, Norming::WHOLE);
        let [z, c] = [&embeddings[0], &embeddings[1]].map(|grid| grid.get(0));
        let losses = self.cpc.losses(&z, &c, |step, _| self.drawn[number as usize][step].shallow_clone());
        let loss = losses.iter().sum::<Tensor>() / losses.len() as f64;
        loss.backward();
        Ok(Pass {
            outputs: vec![("z", z.detach()), ("context", c.detach())],
            losses: vec![("loss", loss.double_value(&[]))],
        })
    }
}

/// Checks that the case's masks leave what this program computes: all but the lowest row of 3×3 kernels.
fn check_masks(case: &mut Case) -> Result<()> {
    for (name, is_vertical) in [("vertical_conv", true), ("horizontal_conv", false)] {
        let mask = case.take(&format!("state/autoregressor.stack.layers.0.{name}.mask"))?;
        let expected = mask.ones_like();
        if is_vertical {
            let _ = expected.narrow(2, 2, 1).zero_();
        }
        ensure!(mask.equal(&expected), "{}: mask of {name}", case.name);
    }
    Ok(())
}

/// Compares every case on the device.
pub(super) fn agree(cases: &Cases, device: Device, precision: Precision) -> Result<usize> {
    cases.each("cpc_case", device, |case| compare(case, precision))
}

fn compare(mut case: Case, precision: Precision) -> Result<()> {
    check_masks(&mut case)?;
    let int = |key| case.int(&["config", key]);
    let encoder = cpc::Config {
        width: int("base")?,
        bottleneck: int("depth")? == 50,
        stages: serde_json::from_value(case.facts["config"]["blocks"].clone())?,
        patch: Some(int("patch")?),
    };
    let config = Config {
        prediction_steps: int("steps")?,
        negatives: int("neg")?,
        context_layers: int("context_layers")?,
    };
    let mut vars = VarStore::new(case.device);
    let cpc = Cpc::new(&vars.root(), int("size")? as u32, &encoder, &config);
    set_float_kind(&mut vars, precision.kind());
    let updates = case.int(&["n_updates"])?;
    let mut drawn = |update| -> Result<Vec<Tensor>> {
        let of_step = |step| Ok(case.take(&format!("in/neg{step}_{update}"))?.to_kind(Kind::Int64));
        (1..=config.prediction_steps).map(of_step).collect()
    };
    let drawn = (0..updates).map(&mut drawn).collect::<Result<_>>()?;
    let views = frame::images(&mut case, "in/x1_u8", precision.kind())?.unsqueeze(0);
    frame::check(case, &mut Network { vars, cpc, views, drawn }, precision)
}
