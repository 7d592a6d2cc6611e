//! Updates of CMC with its two encoders, their heads and their memory banks.

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor, nn::VarStore};

use super::{
    frame::{self, Named, Pass, Subject},
    npid::{begin_bank, draws},
    resnet,
};
use crate::{
    encoder::{
        Encoder, Mode, Norming,
        resnet::{self as networks, Split, SplitNetwork},
        set_float_kind,
    },
    method::{
        Method, TrainingSet,
        bank::BankLoss,
        cmc::{Cmc, Config},
    },
    selftest::golden::{case::Case, cases::Cases, precision::Precision},
};

/// An encoder of images whose channels are L, a and b, normalized.
#[derive(Debug)]
struct OfChannels(SplitNetwork);

impl Encoder for OfChannels {
    fn features(&self, images: &Tensor, mode: Mode) -> Tensor {
        self.0.features_of(&[images.narrow(1, 0, 1).contiguous(), images.narrow(1, 1, 2).contiguous()], mode)
    }

    fn elements(&self) -> i64 {
        self.0.elements()
    }

    fn width(&self) -> i64 {
        self.0.width()
    }

    fn layers(&self) -> &'static [&'static str] {
        self.0.layers()
    }

    fn pooled(&self, images: &Tensor, layer: &str) -> Tensor {
        self.0.pooled(images, layer)
    }

    fn macs(&self) -> u64 {
        self.0.macs()
    }
}

struct Network {
    vars: VarStore,
    method: Cmc,
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
        let is_head = reference.contains(".fc.");
        if is_head { reference.to_owned() } else { format!("encoder.{reference}") }
    }

    fn is_state(&self, name: &str) -> bool {
        name.starts_with("memory") || name.starts_with('z')
    }

    fn evaluated(&self) -> Result<Named> {
        let [_, projections] = self.method.network().forward(&self.images, Mode::Evaluation);
        let [l, ab] = Cmc::halves(&projections);
        Ok(vec![("feature_l", l), ("feature_ab", ab)])
    }

    fn pass(&mut self, number: i64) -> Result<Pass> {
        let drawn = self.drawn.as_ref().map(|drawn| drawn.get(number));
        let embeddings = self.method.embedder().embed(&self.images.unsqueeze(0), Norming::WHOLE);
        let projections = embeddings[1].get(0);
        let [l, ab] = Cmc::halves(&projections.detach());
        let objective = self.method.objective_of(&projections, &self.numbers, drawn.as_ref());
        objective.total.backward();
        let mut losses = vec![("loss", objective.loss.double_value(&[]))];
        let (of_halves, z) = objective.parts.split_at(2);
        let halves = ["loss_l", "loss_ab"].into_iter().zip(of_halves);
        losses.extend(halves.map(|(name, (_, part))| (name, part.double_value(&[]))));
        let mut outputs = vec![("feature_l", l.shallow_clone()), ("feature_ab", ab.shallow_clone())];
        losses.extend(["Z_l", "Z_ab"].into_iter().zip(z).map(|(name, (_, z))| (name, z.double_value(&[]))));
        let halves = [("scores_l", l), ("scores_ab", ab)].into_iter().zip(self.method.contrasts());
        for (number, ((name, feature), contrast)) in halves.enumerate() {
            let scores = contrast.scores(&feature, drawn.as_ref());
            outputs.push((
                name,
                z.get(number).map_or_else(|| scores.shallow_clone(), |(_, z)| scores.exp() / z),
            ));
        }
        Ok(Pass { outputs, losses })
    }

    fn finish(&mut self) {
        self.method.after_step(&Tensor::zeros([], (Kind::Float, self.images.device())));
    }

    fn state(&self) -> Named {
        let variables = self.vars.variables();
        let bank = |name: &str| variables[name].shallow_clone();
        vec![("bank#/memory_l", bank("memory_l")), ("bank#/memory_ab", bank("memory_ab"))]
    }
}

/// Compares every case on the device.
pub(super) fn agree(cases: &Cases, device: Device, precision: Precision) -> Result<usize> {
    cases.each("cmc_case", device, |case| compare(case, precision))
}

fn compare(mut case: Case, precision: Precision) -> Result<()> {
    let (depth, encoder) = resnet::config(&case)?;
    let encoder = networks::Config { split: Split::Lab, ..encoder };
    let side = case.int(&["config", "size"])?;
    let softmax = case.fact(&["config", "softmax"]).as_bool().context("`softmax` is not a boolean")?;
    let config = Config {
        loss: if softmax { BankLoss::Softmax } else { BankLoss::Nce },
        dim: case.int(&["config", "dim"])?,
        temperature: case.number(&["config", "T"])?,
        bank_momentum: case.number(&["config", "m"])?,
        ..Config::default()
    };
    let mut vars = VarStore::new(case.device);
    let encoder = SplitNetwork::new(&(vars.root() / "encoder"), depth, side, &encoder);
    let set = TrainingSet {
        side: side as u32,
        views: vec![side as u32],
        samples: case.int(&["config", "N"])? as u64,
        seed: 0,
    };
    let method = Cmc::new(&vars.root(), Box::new(OfChannels(encoder)), set, &config);
    let kind = precision.kind();
    set_float_kind(&mut vars, kind);
    for name in ["memory_l", "memory_ab"] {
        begin_bank(&mut case, &vars, name)?;
    }
    let images = case.take("in/x")?.to_kind(kind);
    let rgb = case.take("in/rgb_u8")?.to_kind(Kind::Double) / 255.0;
    let [l, ab] = Split::Lab.channels(&rgb);
    case.close("in/x", &Tensor::cat(&[l, ab], 1), &images, 1.0, 1e-6)?;
    let (numbers, drawn) = draws(&mut case)?;
    frame::check(case, &mut Network { vars, method, images, numbers, drawn }, precision)
}
