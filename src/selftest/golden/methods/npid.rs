//! Updates of instance discrimination with its encoder, its head and its memory bank.

use anyhow::{Context, Result, bail};
use tch::{Device, Kind, Tensor, nn::VarStore};

use super::{
    frame::{self, Named, Pass, Subject},
    resnet,
};
use crate::{
    encoder::{Mode, Norming, resnet::ResNet, set_float_kind},
    loss,
    method::{
        Method, TrainingSet,
        bank::BankLoss,
        instdisc::{Config, Instdisc},
    },
    selftest::golden::{case::Case, cases::Cases, precision::Precision},
};

struct Network {
    vars: VarStore,
    method: Instdisc,
    images: Tensor,
    numbers: Tensor,
    /// The drawn rows of each update; `None` if samples are compared with all rows.
    drawn: Option<Tensor>,
}

impl Subject for Network {
    fn vars(&self) -> &VarStore {
        &self.vars
    }

    fn own_name(&self, reference: &str) -> String {
        match reference.strip_prefix("net.").unwrap_or(reference) {
            head if head.starts_with("fc.") => head.to_owned(),
            name => format!("encoder.{name}"),
        }
    }

    fn is_state(&self, name: &str) -> bool {
        name.starts_with("memory") || name.starts_with('z')
    }

    fn evaluated(&self) -> Result<Named> {
        let [_, projections] = self.method.network().forward(&self.images, Mode::Evaluation);
        Ok(vec![("feature", loss::unit(&projections))])
    }

    fn pass(&mut self, number: i64) -> Result<Pass> {
        let drawn = self.drawn.as_ref().map(|drawn| drawn.get(number));
        let embeddings = self.method.embedder().embed(&self.images.unsqueeze(0), Norming::WHOLE);
        let projections = embeddings[1].get(0);
        let feature = loss::unit(&projections).detach();
        let scores = self.method.contrast().scores(&feature, drawn.as_ref());
        let objective = self.method.objective_of(&projections, &self.numbers, drawn.as_ref());
        objective.total.backward();
        let mut losses = vec![("loss", objective.loss.double_value(&[]))];
        let scores = match objective.parts.as_slice() {
            [("z", z)] => {
                losses.push(("Z", z.double_value(&[])));
                scores.exp() / z
            }
            _ => scores,
        };
        Ok(Pass { outputs: vec![("feature", feature), ("scores", scores)], losses })
    }

    fn finish(&mut self) {
        self.method.after_step(&Tensor::zeros([], (Kind::Float, self.images.device())));
    }

    fn state(&self) -> Named {
        vec![("bank#/memory", self.vars.variables()["memory"].shallow_clone())]
    }
}

/// Replaces a bank by the one of a case.
pub(super) fn begin_bank(case: &mut Case, vars: &VarStore, name: &str) -> Result<()> {
    let rows = case.take(&format!("in/{name}"))?;
    vars.variables().get_mut(name).with_context(|| format!("no bank `{name}`"))?.copy_(&rows);
    Ok(())
}

/// Takes the numbers of the samples and the rows (updates, n, 1 + k) that are drawn for them.
pub(super) fn draws(case: &mut Case) -> Result<(Tensor, Option<Tensor>)> {
    let numbers = case.take("in/y")?;
    let has_draws = !case.fact(&["config", "K"]).is_null();
    let drawn = if has_draws { Some(case.take("in/idx")?) } else { None };
    if let Some(drawn) = &drawn {
        drawn.select(2, 0).copy_(&numbers.unsqueeze(0).expand_as(&drawn.select(2, 0)));
    }
    Ok((numbers, drawn))
}

/// Compares every case on the device.
pub(super) fn agree(cases: &Cases, device: Device, precision: Precision) -> Result<usize> {
    cases.each("npid_case", device, |case| compare(case, precision))
}

fn compare(mut case: Case, precision: Precision) -> Result<()> {
    let (depth, encoder) = resnet::config(&case)?;
    let side = case.int(&["config", "size"])?;
    let config = Config {
        loss: match case.fact(&["config", "loss"]).as_str() {
            Some("nce") => BankLoss::Nce,
            Some("softmax" | "full_softmax") => BankLoss::Softmax,
            other => bail!("{}: loss {other:?}", case.name),
        },
        dim: case.int(&["config", "dim"])?,
        temperature: case.number(&["config", "T"])?,
        bank_momentum: case.number(&["config", "m"])?,
        ..Config::default()
    };
    let mut vars = VarStore::new(case.device);
    let encoder = ResNet::new(&(vars.root() / "encoder"), depth, [3, side], &encoder);
    let set = TrainingSet {
        side: side as u32,
        views: vec![side as u32],
        samples: case.int(&["config", "N"])? as u64,
        seed: 0,
    };
    let method = Instdisc::new(&vars.root(), Box::new(encoder), set, &config);
    let kind = precision.kind();
    set_float_kind(&mut vars, kind);
    begin_bank(&mut case, &vars, "memory")?;
    let images = frame::images(&mut case, "in/x1_u8", kind)?;
    let (numbers, drawn) = draws(&mut case)?;
    frame::check(case, &mut Network { vars, method, images, numbers, drawn }, precision)
}
