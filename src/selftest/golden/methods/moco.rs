//! Updates of `MoCo` with both encoders and the queue.

use anyhow::Result;
use shards::Position;
use tch::{Device, Kind, Tensor, nn::VarStore};

use super::{
    frame::{self, Named, Pass, Subject},
    resnet,
};
use crate::{
    encoder::{Moves, resnet::ResNet, set_float_kind},
    method::{
        self, ComputeOptions, Method,
        moco::{Config, GroupRule, Groups, Moco},
    },
    selftest::golden::{case::Case, cases::Cases, precision::Precision},
    views::Views,
};

struct Network {
    vars: VarStore,
    moco: Moco,
    views: Views,
    /// The order in which keys are put into groups, (updates, views, n).
    shuffles: Tensor,
    /// The number of processes that the reference ran in.
    ranks: i64,
    compute: ComputeOptions,
}

impl Subject for Network {
    fn vars(&self) -> &VarStore {
        &self.vars
    }

    fn own_name(&self, reference: &str) -> String {
        let own = reference.replace("encoder_k.", "key.encoder_q.");
        own.replace("encoder_q.fc.", "head.fc.").replace("encoder_q.", "encoder.")
    }

    fn evaluated(&self) -> Result<Named> {
        Ok(vec![])
    }

    fn pass(&mut self, number: i64) -> Result<Pass> {
        let shuffles = self.shuffles.get(number);
        let mut given = (0..shuffles.size()[0]).map(|view| shuffles.get(view));
        self.moco.encode_keys(&self.views, self.compute, |_| given.next())?;
        let embeddings =
            tch::no_grad(|| self.moco.embedder().embed(self.views.images(), self.compute.norming(0).kept()));
        let q_raw = embeddings[1].get(0);
        let scores = tch::no_grad(|| self.moco.scores(0, &q_raw));
        let loss = method::backward(&self.moco, &self.views, self.compute)?;
        let value = |tensor: &Tensor| tensor.double_value(&[]);
        let mut losses = vec![("loss", value(&loss.total)), ("acc1", value(&loss.parts[0].1))];
        if self.ranks > 1 {
            let names = ["loss_rank0", "loss_rank1", "loss_rank2", "loss_rank3"].into_iter();
            let of_rank = |scores: &Tensor| value(&crate::loss::softmax_of_drawn(scores));
            losses.extend(names.zip(scores.chunk(self.ranks, 0).iter().map(of_rank)));
        }
        let outputs =
            if shuffles.size()[0] == 1 { vec![("q_raw", q_raw), ("logits", scores)] } else { vec![] };
        Ok(Pass { outputs, losses })
    }

    fn finish(&mut self) {
        self.moco.after_step(&Tensor::from(0.0f32));
    }
}

/// Returns the settings of a case, and the groups of its batch norms with their number.
fn config(case: &Case) -> Result<(Config, Groups, i64)> {
    let facts = &case.facts["config"];
    let (ranks, splits) = (facts["ranks"].as_i64(), facts["splits"].as_i64());
    let config = Config {
        mlp: facts["mlp"] == true,
        dim: case.int(&["config", "dim"])?,
        queue: case.int(&["config", "K"])?,
        key_momentum: case.number(&["config", "m"])?,
        temperature: Some(case.number(&["config", "T"])?),
        symmetric: facts["symmetric"] == true,
        ..Config::default()
    };
    let groups = Groups {
        most: None,
        rule: if splits.is_some() { GroupRule::Interleaved } else { GroupRule::Consecutive },
        moves: if ranks.is_some() { Moves::ByFirst } else { Moves::ByMean },
    };
    Ok((config, groups, ranks.or(splits).unwrap_or(1)))
}

/// Compares every case on the device.
pub(super) fn agree(cases: &Cases, device: Device, precision: Precision) -> Result<usize> {
    cases.each("moco_case", device, |case| compare(case, precision))
}

fn compare(mut case: Case, precision: Precision) -> Result<()> {
    let (depth, encoder) = resnet::config(&case)?;
    let (config, groups, norm_groups) = config(&case)?;
    let (side, kind) = (case.int(&["config", "size"])?, precision.kind());
    let mut vars = VarStore::new(case.device);
    let build = |path: &tch::nn::Path| {
        let encoder = ResNet::new(&(path / "encoder"), depth, [3, side], &encoder);
        config.network(path, Box::new(encoder))
    };
    let moco = Moco::new(&vars.root(), side as u32, build, &config, groups);
    set_float_kind(&mut vars, kind);
    let images = frame::two_views(&mut case, kind)?;
    let n = images[0].size()[0];
    let none = || Tensor::zeros([n], (Kind::Int64, case.device));
    let views = Views {
        groups: vec![Tensor::stack(&images, 0)],
        labels: none(),
        indices: none(),
        next: Position::default(),
    };
    let shuffles = case.take("in/shuffle")?.view([case.int(&["n_updates"])?, -1, n]);
    let ranks = case.facts["config"]["ranks"].as_i64().unwrap_or(1);
    let compute = ComputeOptions { norm_groups, ..ComputeOptions::PLAIN };
    frame::check(case, &mut Network { vars, moco, views, shuffles, ranks, compute }, precision)
}
