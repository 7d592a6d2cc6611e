//! The model of a case, with its inputs, passes and updates.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use pipeline::Normalization;
use tch::{Kind, Tensor, nn::VarStore};

use super::names::own_name;
use crate::{
    encoder::{self, Norming, amdim::Embeddings},
    feed::Normalizer,
    method::amdim::{Amdim, Config, Parts},
    network::{Both, OnlineProbe},
    optim::{self, Optimizer, Schedule},
    selftest::golden::case::Case,
    world::World,
};

/// Tensors by their names in this program.
pub(super) type State = BTreeMap<String, Tensor>;

/// A model in the initial state of a case, with its optimizer.
pub(super) struct Model {
    vars: VarStore,
    pub(super) amdim: Amdim,
    pub(super) probe: OnlineProbe,
    adam: Optimizer,
    schedule: Schedule,
    world: World,
}

impl Model {
    pub(super) fn new(case: &Case, state: &State, kind: Kind, world: World) -> Result<Self> {
        let config = |key| case.int(&["config", key]);
        let use_bn = case.fact(&["config", "use_bn"]).as_bool().context("`use_bn` is not a boolean")?;
        let [ndf, n_rkhs, n_depth] = [config("ndf")?, config("n_rkhs")?, config("n_depth")?];
        let encoder = encoder::amdim::Config { ndf, n_rkhs, n_depth, use_bn };
        let method = Config { tclip: case.number(&["config", "tclip"])?, ..Config::default() };
        let mut vars = VarStore::new(case.device);
        let amdim = Amdim::new(&vars.root(), config("encoder_size")? as u32, &encoder, &method);
        let probe = OnlineProbe::new(&vars.root(), n_rkhs, config("n_classes")?, 0.0);
        encoder::set_float_kind(&mut vars, kind);
        copy_state(case, &vars, state)?;
        let schedule = Schedule::new(&optim::Config::default(), 1_000_000, 10_000.0);
        let adam = Optimizer::new(&vars, &optim::Config::default());
        Ok(Self { vars, amdim, probe, adam, schedule, world })
    }

    pub(super) fn variables(&self) -> State {
        self.vars.variables().into_iter().collect()
    }

    /// Returns the pass of a batch, of which each process embeds its share.
    pub(super) fn forward(&self, inputs: &Inputs, update: u64) -> Result<Pass> {
        let world = self.world;
        let views = inputs.views.each_ref().map(|view| world.own(view, 0));
        let norming = Norming { world, ..Norming::WHOLE };
        let [one, two] = self.amdim.embed_views(&Tensor::stack(&views, 0), norming);
        let cells = world.own(&inputs.cells.get(update as i64), 1);
        let parts = self.amdim.parts(&one, &two, &cells, world);
        let [one, two] = [one, two].map(|view| Embeddings {
            r1: world.gather(&view.r1, 0),
            r5: world.gather(&view.r5, 0),
            r7: world.gather(&view.r7, 0),
        });
        let features = Tensor::cat(&[&one.r1, &two.r1], 0).flatten(1, 3);
        let logits = self.probe.logits(&features, true);
        let labels = Tensor::cat(&[&inputs.labels, &inputs.labels], 0);
        let probe = OnlineProbe::losses(&logits, &labels);
        let outputs = vec![
            ("r1_x1", one.r1),
            ("r5_x1", one.r5),
            ("r7_x1", one.r7),
            ("r1_x2", two.r1),
            ("r5_x2", two.r5),
            ("r7_x2", two.r7),
            ("lgt_mlp", logits.mlp),
            ("lgt_lin", logits.linear),
        ];
        let Parts { task_1t5, task_1t7, task_5t5, penalty } = &parts;
        let own = [task_1t5, task_1t7, task_5t5, penalty].map(|term| term.double_value(&[]));
        let of_all = world.numbers(own)?;
        let mean =
            |number: usize| of_all.iter().map(|of_rank| of_rank[number]).sum::<f64>() / of_all.len() as f64;
        Ok(Pass { outputs, parts, tasks_and_penalty: std::array::from_fn(mean), probe })
    }

    /// Returns the learning rate of the update that follows this many.
    pub(super) fn rate(&self, updates_before: u64) -> f64 {
        self.schedule.at(updates_before)
    }

    pub(super) fn update(&mut self, pass: &Pass, updates_before: u64) -> Result<()> {
        self.adam.forget_gradients()?;
        let loss = pass.parts.total() + &pass.probe.mlp + &pass.probe.linear;
        loss.backward();
        self.world.average(|| self.adam.gradients())?;
        let skipped = self.adam.step(self.rate(updates_before), &loss)?;
        ensure!(skipped.double_value(&[]) < 0.5, "an update was skipped: numbers are not finite");
        Ok(())
    }
}

/// Copies the initial state of a case, whose names must be those of the model.
fn copy_state(case: &Case, vars: &VarStore, state: &State) -> Result<()> {
    let variables: State = vars.variables().into_iter().collect();
    ensure!(variables.keys().eq(state.keys()), "{}: names of the state", case.name);
    for (name, mut tensor) in variables {
        ensure!(tensor.size() == state[&name].size(), "{}: shape of {name}", case.name);
        tch::no_grad(|| tensor.copy_(&state[&name]));
    }
    Ok(())
}

/// Takes the initial state of a case.
pub(super) fn state(case: &mut Case) -> Result<State> {
    let stored = case.take_all("state/")?;
    Ok(stored.into_iter().map(|(name, tensor)| (own_name(&name), tensor)).collect())
}

/// A forward pass in training mode.
pub(super) struct Pass {
    pub(super) outputs: Vec<(&'static str, Tensor)>,
    /// The terms of this process.
    parts: Parts,
    /// Their means over all processes.
    tasks_and_penalty: [f64; 4],
    probe: Both<Tensor>,
}

impl Pass {
    /// Returns the loss terms, under the names of the reference implementation.
    pub(super) fn terms(&self) -> Vec<(&'static str, f64)> {
        let value = |tensor: &Tensor| tensor.double_value(&[]);
        let [task_1t5, task_1t7, task_5t5, penalty] = self.tasks_and_penalty;
        let tasks = task_1t5 + task_1t7 + task_5t5;
        let (mlp, linear) = (value(&self.probe.mlp), value(&self.probe.linear));
        vec![
            ("g2l_1t5", task_1t5),
            ("g2l_1t7", task_1t7),
            ("g2l_5t5", task_5t5),
            ("lgt_reg", penalty),
            ("loss_g2l", tasks),
            ("loss_inf", tasks + penalty),
            ("loss_cls", mlp + linear),
            ("loss_opt", tasks + penalty + mlp + linear),
            ("xent_mlp", mlp),
            ("xent_lin", linear),
        ]
    }
}

/// The batch of a case, which all updates have.
pub(super) struct Inputs {
    pub(super) views: [Tensor; 2],
    labels: Tensor,
    /// The drawn cells of each update.
    cells: Tensor,
}

impl Inputs {
    pub(super) fn take(case: &mut Case, kind: Kind) -> Result<Self> {
        let normalizer = Normalizer::new(&Normalization { mean: [128.0; 3], std: [64.0; 3] }, case.device);
        let mut view = |name| -> Result<Tensor> {
            let pixels = case.take(name)?.to_kind(Kind::Float).permute([0, 2, 3, 1]).contiguous();
            normalizer.normalize(&pixels);
            Ok(pixels.permute([0, 3, 1, 2]).contiguous().to_kind(kind))
        };
        let views = [view("in/x1_u8")?, view("in/x2_u8")?];
        Ok(Self { views, labels: case.take("in/labels")?, cells: case.take("in/src5")? })
    }
}
