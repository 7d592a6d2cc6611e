//! The average of gradients over processes, which begins while they are computed.

use std::cell::RefCell;

use anyhow::Result;
use tch::Tensor;
use torchkit::Reducer;

use crate::{method::Stage, optim::Optimizer, world::World};

/// The average of gradients over processes.
///
/// Two steps that update nothing precede the first one: one shows which parameters get gradients, and where; in the
/// other one the reducer finds the order in which they come, by which it divides them into messages. So each step that
/// counts adds gradients in the same order, also after a resumption.
#[derive(Debug)]
pub(super) struct Averaging {
    /// Averages the gradients of the parameters of the encoder and its heads.
    reducer: Reducer,
    /// The parameters that only the objective uses, where the batch is encoded in parts. They get their gradients before
    /// the others, and are averaged last.
    of_objective: Vec<Tensor>,
    /// All parameters whose gradients are not the reducer's.
    others: Vec<Tensor>,
}

/// The parameters that got gradients in a step.
#[derive(Debug, Default)]
pub(super) struct Trained {
    /// Those that had them after the objective, before parts were encoded a second time.
    of_objective: RefCell<Vec<Tensor>>,
}

impl Trained {
    /// Notes the parameters that have gradients at a stage of a step.
    pub(super) fn note(&self, stage: Stage, parameters: &[Tensor]) {
        if stage == Stage::AfterObjective {
            let with_gradients = parameters.iter().filter(|parameter| parameter.grad().defined());
            self.of_objective.replace(with_gradients.map(Tensor::shallow_clone).collect());
        }
    }
}

impl Averaging {
    /// Returns the average for the parameters that have gradients now.
    ///
    /// # Errors
    ///
    /// If another process is lost, or trains other parameters.
    pub(super) fn new(world: World, optimizer: &Optimizer, trained: Trained) -> Result<Option<Self>> {
        let of_objective = trained.of_objective.into_inner();
        let is_among =
            |all: &[Tensor], one: &Tensor| all.iter().any(|other| other.data_ptr() == one.data_ptr());
        let (reduced, others): (Vec<_>, Vec<_>) = optimizer
            .parameters()
            .partition(|parameter| parameter.grad().defined() && !is_among(&of_objective, parameter));
        let reducer = world.reducer(&reduced)?;
        Ok(reducer.map(|reducer| Self { reducer, of_objective, others }))
    }

    /// Begins a step: sets all gradients to zero.
    pub(super) fn begin(&self) -> Result<()> {
        self.reducer.zero()?;
        torchkit::forget_gradients(&self.others.iter().collect::<Vec<_>>())?;
        Ok(self.reducer.prepare_forward()?)
    }

    /// Lets the averages begin with the last backward pass.
    pub(super) fn reach(&self, stage: Stage) -> Result<()> {
        if stage == Stage::BeforeLastPass { Ok(self.reducer.prepare_backward()?) } else { Ok(()) }
    }

    /// Ends the backward passes of a step, and returns the gradients that are not averaged yet.
    pub(super) fn finish(&self) -> Result<Vec<Tensor>> {
        self.reducer.finish()?;
        Ok(self.of_objective.iter().map(Tensor::grad).collect())
    }
}
