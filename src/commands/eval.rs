//! `amdim-stream eval`: the flags of the evaluations.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::{
    eval::{
        self,
        classifier::{HeadKind, Protocol},
        finetune::Finetune,
        knn::Vote,
    },
    numbers,
    optim::Decay,
    servers::ServerArgs,
    usage,
};
use torchkit::DeviceChoice;

/// An evaluation of an encoder.
#[derive(Debug, Subcommand)]
pub enum EvalCommand {
    /// Fit a linear classifier on frozen features
    Linear(LinearArgs),
    /// Fit a classifier with a hidden layer on frozen features
    Mlp(ClassifierArgs),
    /// Let the nearest training samples vote
    Knn(KnnArgs),
    /// Fit encoder and classifier to few labels
    Finetune(FinetuneArgs),
}

impl EvalCommand {
    /// Splits the flags into the options of every evaluation and the settings of this one.
    ///
    /// # Errors
    ///
    /// If one flag would make another one ineffective.
    pub fn parts(self) -> Result<(eval::Options, eval::Evaluation)> {
        Ok(match self {
            Self::Linear(args) => args.parts()?,
            Self::Mlp(args) => args.parts(HeadKind::Mlp)?,
            Self::Finetune(args) => args.parts(),
            Self::Knn(KnnArgs { eval, k, temperature, memory_mb, cache_features }) => {
                let vote = Vote { k, temperature, memory: memory_mb << 20 };
                (eval.options(), eval::Evaluation::Knn { vote, cache: cache_features })
            }
        })
    }

    /// Returns the folder that features are kept in.
    pub(crate) fn cache(&self) -> Option<PathBuf> {
        match self {
            Self::Linear(LinearArgs { classifier, .. }) | Self::Mlp(classifier) => {
                classifier.cache_features.clone()
            }
            Self::Knn(args) => args.cache_features.clone(),
            Self::Finetune(_) => None,
        }
    }
}

/// The flags of every evaluation.
#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// A run folder, or one of its checkpoints/step-… folders
    #[arg(long, value_name = "DIR")]
    checkpoint: PathBuf,
    /// Shards to fit on [default: those of the run]
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    shards: Vec<String>,
    /// Shards to evaluate on [default: those of the run]
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    val_shards: Vec<String>,
    /// Evaluate a freshly initialized encoder, too, after averaging the running statistics of its norms over
    /// training images
    #[arg(long)]
    baseline: bool,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Decoding threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = numbers::THREADS.parser::<usize>())]
    workers: Option<usize>,
    /// Seed that all randomness of the evaluation derives from
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = numbers::SEED.parser::<u32>())]
    seed: u32,
    #[command(flatten)]
    servers: ServerArgs,
}

impl EvalArgs {
    fn options(self) -> eval::Options {
        let Self { checkpoint, shards, val_shards, baseline, device, workers, seed, servers } = self;
        let seed = seed.into();
        eval::Options { checkpoint, shards, val_shards, baseline, device, workers, seed, servers }
    }
}

/// The flags of a classifier on frozen features.
#[derive(Debug, Args)]
pub struct ClassifierArgs {
    #[command(flatten)]
    eval: EvalArgs,
    /// frozen (the encoder in evaluation mode, with a warm-up) or reference (as in the reference
    /// implementation: encoder in training mode, no warm-up, drops one epoch late, norms updated on 50
    /// batches of validation images) [default: frozen]
    #[arg(long, value_name = "WHOSE", value_enum, hide_possible_values = true)]
    protocol: Option<Protocol>,
    /// Passes over the samples [default: 30 with in128 and in224, else 120]
    #[arg(long, value_name = "X", value_parser = numbers::EPOCHS.parser())]
    epochs: Option<f64>,
    /// Learning rate after the warm-up [default: 0.0002]
    #[arg(long, value_name = "X", value_parser = numbers::RATE.parser())]
    lr: Option<f64>,
    /// Steps over which the learning rate rises [default: 500, but at most a tenth of all steps; 0 with
    /// --protocol reference]
    #[arg(long, value_name = "N", value_parser = numbers::COUNT_OR_NONE.parser::<u64>())]
    warmup_steps: Option<u64>,
    /// How the learning rate falls after the warm-up: published (it drops after 80 and 110 of 120 epochs, 15
    /// and 25 of 30, else in proportion), reference (one epoch later, as the reference implementation counts),
    /// cosine (to 0 at the end) or constant [default: published; with --protocol reference reference]
    #[arg(long, value_name = "HOW", value_enum, hide_possible_values = true)]
    schedule: Option<Decay>,
    /// Samples in a step [default: 200]
    #[arg(long, value_name = "N", value_parser = numbers::BATCH.parser::<u32>())]
    batch_size: Option<u32>,
    /// Compute the features of un-augmented images once and keep them in this folder, instead of those of an
    /// augmented view of each sample in every epoch: much faster, and reused by later evaluations of the same
    /// encoder
    #[arg(long, value_name = "DIR")]
    cache_features: Option<PathBuf>,
}

impl ClassifierArgs {
    fn parts(self, head: HeadKind) -> Result<(eval::Options, eval::Evaluation)> {
        let protocol = self.protocol.unwrap_or_default();
        if protocol == Protocol::Reference && self.cache_features.is_some() {
            return Err(usage!(
                "--protocol reference augments the images anew in every epoch, so --cache-features cannot hold their features";
                "leave out one of the two"
            ));
        }
        let probe = eval::Probe {
            head,
            protocol,
            epochs: self.epochs,
            lr: self.lr.unwrap_or(2e-4),
            batch_size: self.batch_size.unwrap_or(200) as usize,
            warmup_steps: self.warmup_steps,
            schedule: self.schedule,
            cache: self.cache_features,
        };
        Ok((self.eval.options(), eval::Evaluation::Classifier(probe)))
    }

    /// Returns the flags about optimizer steps that were given.
    fn step_flags(&self) -> Vec<&'static str> {
        let given = [
            ("--protocol", self.protocol.is_some()),
            ("--epochs", self.epochs.is_some()),
            ("--lr", self.lr.is_some()),
            ("--warmup-steps", self.warmup_steps.is_some()),
            ("--schedule", self.schedule.is_some()),
            ("--batch-size", self.batch_size.is_some()),
        ];
        given.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect()
    }
}

/// The solver that fits a linear classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Solver {
    /// Adam, with steps on batches.
    Adam,
    /// L-BFGS, to convergence.
    Lbfgs,
}

/// The flags of a linear classifier.
#[derive(Debug, Args)]
pub struct LinearArgs {
    #[command(flatten)]
    classifier: ClassifierArgs,
    /// adam (steps on batches) or lbfgs (multinomial logistic regression to convergence, on standardized
    /// features of un-augmented images; the strength of its L2 penalty is chosen by a fifth of the training
    /// samples, then all are fitted)
    #[arg(long, value_name = "HOW", value_enum, default_value = "adam", hide_possible_values = true)]
    solver: Solver,
}

impl LinearArgs {
    fn parts(self) -> Result<(eval::Options, eval::Evaluation)> {
        let Self { classifier, solver } = self;
        if solver == Solver::Adam {
            return classifier.parts(HeadKind::Linear);
        }
        if let [flag, ..] = classifier.step_flags()[..] {
            return Err(
                usage!("--solver lbfgs makes no steps on batches, so {flag} has no effect"; "leave out {flag}"),
            );
        }
        let cache = classifier.cache_features;
        Ok((classifier.eval.options(), eval::Evaluation::Logistic { cache }))
    }
}

/// The flags of a vote of nearest neighbours.
#[derive(Debug, Args)]
pub struct KnnArgs {
    #[command(flatten)]
    eval: EvalArgs,
    /// Neighbours that vote; a result for each
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "20,200", value_parser = numbers::NEIGHBOURS.parser::<i64>())]
    k: Vec<i64>,
    /// A vote weighs exp(cosine / temperature)
    #[arg(long, value_name = "X", default_value_t = 0.07, value_parser = numbers::TEMPERATURE.parser())]
    temperature: f64,
    /// Memory for comparing features, in MiB; the features themselves are in files
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = numbers::MEBIBYTES.parser::<u64>())]
    memory_mb: u64,
    /// Keep the features in this folder, for later evaluations of the same encoder
    #[arg(long, value_name = "DIR")]
    cache_features: Option<PathBuf>,
}

/// The flags of fine-tuning.
#[derive(Debug, Args)]
pub struct FinetuneArgs {
    #[command(flatten)]
    eval: EvalArgs,
    /// Share of the labelled training samples whose labels are used, the same number of each class; 1 means
    /// all samples
    #[arg(long, value_name = "X", default_value_t = 0.1, value_parser = numbers::SHARE.parser())]
    label_fraction: f64,
    /// Share of those samples that is held out and decides when to stop
    #[arg(long, value_name = "X", default_value_t = 0.2, value_parser = numbers::HALF.parser())]
    held_out: f64,
    /// Learning rate of the encoder after the warm-up
    #[arg(long, value_name = "X", default_value_t = 2e-4, value_parser = numbers::RATE.parser())]
    lr_encoder: f64,
    /// Learning rate of the classifier after the warm-up
    #[arg(long, value_name = "X", default_value_t = 2e-3, value_parser = numbers::RATE.parser())]
    lr_head: f64,
    /// Steps over which both learning rates rise [default: 500, but at most a tenth of all steps]
    #[arg(long, value_name = "N", value_parser = numbers::COUNT_OR_NONE.parser::<u64>())]
    warmup_steps: Option<u64>,
    /// Maximum number of steps [default: 30 epochs, but at least 500]
    #[arg(long, value_name = "N", value_parser = numbers::COUNT.parser::<u64>())]
    steps: Option<u64>,
    /// Stop after this many evaluations of the held-out samples (one each epoch, or each 25 steps) without a
    /// gain
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = numbers::COUNT.parser::<u32>())]
    patience: u32,
    /// Samples in a step
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = numbers::BATCH.parser::<u32>())]
    batch_size: u32,
}

impl FinetuneArgs {
    fn parts(self) -> (eval::Options, eval::Evaluation) {
        let options = self.eval.options();
        let settings = Finetune {
            label_fraction: self.label_fraction,
            held_out: self.held_out,
            lr_encoder: self.lr_encoder,
            lr_head: self.lr_head,
            warmup_steps: self.warmup_steps,
            steps: self.steps,
            patience: self.patience,
            batch_size: self.batch_size as usize,
            seed: options.seed,
        };
        (options, eval::Evaluation::Finetune(settings))
    }
}
