//! What is typed: flags, subcommands, and how flags become settings.

mod habits;
mod leftovers;
mod manual;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use pipeline::{BadSampleBudget, DecodeMode, Preset};
use shards::Shuffle;
use toml::{Table, Value};

pub(crate) use self::habits::explained;
pub use self::manual::{Completions, Man};
pub use crate::commands::eval::EvalCommand;
use crate::{
    commands::{doctor, embed, export, import, pack, replay, show, synth, verify},
    config::{self, Layers, Metric},
    numbers,
    optim::Drops,
    run::unattended::Unattended,
};
use torchkit::{DeviceChoice, GraphChoice, Precision};

/// Trains image encoders without labels, from sharded tar datasets
///
/// Without a subcommand it trains: amdim-stream --shards 'data/train-<000..999>.tar'. The same command line resumes an
/// interrupted run.
#[derive(Debug, Parser)]
#[command(
    name = "amdim-stream",
    version,
    args_conflicts_with_subcommands = true,
    allow_negative_numbers = true
)]
pub struct Cli {
    /// Print results as JSON on a terminal, too; elsewhere they always are
    #[arg(long, global = true)]
    pub json: bool,
    /// Anything but training.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings of a training run.
    #[command(flatten)]
    pub train: TrainArgs,
}

/// What the program does beside training.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print what lets a shell complete this program's flags
    Completions(Completions),
    /// Judge the encoder of a run
    #[command(subcommand)]
    Eval(EvalCommand),
    /// Look over this machine before a run is left alone on it: versions, GPU, limits, the run folder, the clock
    Doctor(doctor::Args),
    /// Write the features of all samples, shard by shard
    Embed(embed::Args),
    /// Write a checkpoint's encoder to a file that other tools open
    Export(export::Args),
    /// Make a run folder of an export, or of a checkpoint of the reference implementation
    Import(import::Args),
    /// Write the manual pages
    Man(Man),
    /// Make shards from an image folder, CIFAR or STL-10 files
    Pack(pack::Args),
    /// Say what a run with these settings will come to, without making it
    ///
    /// It takes every flag of a run; of the unattended ones it looks at --if-changed, --gate and --quiet.
    Plan(Box<PlanArgs>),
    /// Make the step again that a run failed at
    Replay(replay::Args),
    /// Draw an image and the views that training sees of it
    Show(show::Args),
    /// What is typed by habit: training needs no subcommand
    #[command(hide = true, aliases = ["fit", "pretrain", "training", "run"])]
    Train {
        /// The settings of the run.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        settings: Vec<String>,
    },
    /// Make a labelled synthetic dataset of JPEGs
    Synth(synth::Args),
    /// Read all of a set, say what is wrong with it, and write shards without that
    Verify(verify::Args),
}

/// Settings of a training run; what is not given comes from --config, else from the preset.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Settings from a file, e.g. the config.toml of another run; flags win over it
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    length: LengthArgs,
    #[command(flatten)]
    run: RunArgs,
    /// How this start behaves when nobody watches.
    #[command(flatten)]
    pub unattended: Unattended,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
struct DataArgs {
    /// Shards to train on: 'train-<000..999>.tar', '{000..999}', '{a,b}', globs, @list.txt; several may be given
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    shards: Vec<String>,
    /// Shards to validate the online probes on
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    val_shards: Vec<String>,
    /// Augmentation, image size and schedule: c10 (32 px), stl10 (64 px) or in128 (128 px) [default: in128]
    #[arg(long)]
    preset: Option<Preset>,
    /// global (any order, for local SSDs), window:N (neighbours read together, then N samples mixed; for disks and
    /// remote stores) or none [default: window:16384]
    #[arg(long, value_name = "HOW")]
    shuffle: Option<Shuffle>,
    /// How JPEGs are decoded: exact (as Pillow, to the bit) or fast (chroma resized as the file holds it) [default: exact]
    #[arg(long, value_name = "MODE")]
    decode: Option<DecodeMode>,
    /// Samples that may be unreadable: a share such as 1% (held against a run after 1000 samples), or a number [default: 1%]
    #[arg(long, value_name = "BUDGET")]
    max_bad: Option<BadSampleBudget>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
struct ModelArgs {
    /// Channels of the first layer [default: 128]
    #[arg(long, value_name = "N", value_parser = numbers::CHANNELS.parser::<u32>())]
    ndf: Option<u32>,
    /// Channels of the embeddings [default: 1024]
    #[arg(long, value_name = "N", value_parser = numbers::EMBEDDING.parser::<u32>())]
    n_rkhs: Option<u32>,
    /// Residual layers in each block [default: 3]
    #[arg(long, value_name = "N", value_parser = numbers::DEPTH.parser::<u32>())]
    n_depth: Option<u32>,
    /// Batch norms inside the trunk
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    use_bn: Option<bool>,
    /// Scores are clipped softly to ± this [default: 20]
    #[arg(long, value_name = "X", value_parser = numbers::LIMIT.parser())]
    tclip: Option<f64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
struct LengthArgs {
    /// Samples in a step [default: 200; on the CPU 64, with in128 32; never more than there are]
    #[arg(long, value_name = "N", value_parser = numbers::BATCH.parser::<u32>())]
    batch_size: Option<u32>,
    /// auto, f32, tf32 (on the CPU the same) or bf16: what the encoder is computed in; scores, losses and the optimizer's
    /// state are f32 always [default: auto, bf16 where the device has instructions for it, else f32]
    #[arg(long, value_name = "KIND")]
    precision: Option<Precision>,
    /// Encode a batch in so many parts, one after the other: less memory, more time. Negatives are those of the whole batch;
    /// batch norms see each part by itself, and their running statistics move once for each [default: 1]
    #[arg(long, value_name = "N", value_parser = numbers::PARTS.parser::<u32>())]
    accumulate: Option<u32>,
    /// Compute what happens inside of a block again on the way back instead of keeping it: the same results, less memory,
    /// more time
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    checkpoint_blocks: Option<bool>,
    /// Begin with the encoder of this run, import or checkpoint; or with that of the run that lay in the run folder before (see
    /// --if-changed): last, or best for its best checkpoint. Probes and optimizer begin anew
    #[arg(long, value_name = "last|best|DIR")]
    warm_start: Option<String>,
    /// Largest norm of the gradients, which are scaled down to it [default: none]
    #[arg(long, value_name = "X", value_parser = numbers::LIMIT.parser())]
    clip_norm: Option<f64>,
    /// Learning rate after the warm-up [default: 2e-4]
    #[arg(long, value_name = "X", value_parser = numbers::RATE.parser())]
    lr: Option<f64>,
    /// Steps over which the learning rate rises [default: 500, a tenth of the run at most]
    #[arg(long, value_name = "N", value_parser = numbers::COUNT_OR_NONE.parser::<u32>())]
    warmup_steps: Option<u32>,
    /// When the learning rate drops: published (after the shares of the run that the paper has) or reference (one epoch later, as the
    /// reference implementation counts: after 251 and 281 of 300 epochs, 31 and 46 of 50) [default: published]
    #[arg(long, value_name = "WHEN", value_enum, hide_possible_values = true)]
    schedule: Option<Drops>,
    /// Passes over the samples [default: 50 with in128, else 300]
    #[arg(long, value_name = "X", conflicts_with = "steps", value_parser = numbers::EPOCHS.parser())]
    epochs: Option<f64>,
    /// Updates, instead of epochs
    #[arg(long, value_name = "N", value_parser = numbers::COUNT.parser::<u32>())]
    steps: Option<u32>,
    /// What all randomness derives from [default: 0]
    #[arg(long, value_name = "N", value_parser = numbers::SEED.parser::<u32>())]
    seed: Option<u32>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
struct RunArgs {
    /// Run folder: configuration, metrics, checkpoints [default: runs/amdim-PRESET]
    #[arg(long, value_name = "DIR")]
    out: Option<String>,
    /// auto, cpu, cuda or cuda:N [default: auto]
    #[arg(long)]
    device: Option<DeviceChoice>,
    /// auto, on or off: queue a step as one CUDA graph instead of kernel by kernel. Where none can be recorded the run goes on
    /// without, and says why [default: auto]
    #[arg(long, value_name = "CHOICE")]
    cuda_graph: Option<GraphChoice>,
    /// Decoding threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = numbers::THREADS.parser::<u32>())]
    workers: Option<u32>,
    /// Threads that libtorch computes with on the CPU [default: its share of the cores, by what a sample costs to decode and to
    /// train on]
    #[arg(long, value_name = "N", value_parser = numbers::THREADS.parser::<u32>())]
    threads: Option<u32>,
    /// Steps between log records [default: 10]
    #[arg(long, value_name = "STEPS", value_parser = numbers::COUNT.parser::<u32>())]
    log_every: Option<u32>,
    /// Steps between checkpoints [default: 500]
    #[arg(long, value_name = "STEPS", value_parser = numbers::COUNT.parser::<u32>())]
    checkpoint_every: Option<u32>,
    /// Latest checkpoints that are kept [default: 3]
    #[arg(long, value_name = "N", value_parser = numbers::COUNT.parser::<u32>())]
    keep: Option<u32>,
    /// Keep also the checkpoints whose step is a multiple of this [default: 0, none]
    #[arg(long, value_name = "STEPS", value_parser = numbers::COUNT_OR_NONE.parser::<u32>())]
    keep_every: Option<u32>,
    /// Epochs between validations [default: 1]
    #[arg(long, value_name = "EPOCHS", value_parser = numbers::COUNT.parser::<u32>())]
    validate_every: Option<u32>,
    /// Epochs between votes of the 20 nearest neighbours among 5,000 training samples, each in a validation [default: 0, none]
    #[arg(long, value_name = "EPOCHS", value_parser = numbers::COUNT_OR_NONE.parser::<u32>())]
    knn_every: Option<u32>,
    /// Keep the checkpoint that does best in validations, as checkpoints/best: linear, mlp or knn [default: none]
    #[arg(long, value_name = "METRIC", value_enum)]
    best: Option<Metric>,
}

/// The settings of a run, and how much of it to try out.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Make steps of three sizes, on made-up images, for their memory as a function of the batch
    #[arg(long)]
    pub gpu: bool,
    /// Count only: load nothing, make no step, foretell no time
    #[arg(long, conflicts_with = "gpu")]
    pub no_measure: bool,
    /// The settings of the run.
    #[command(flatten)]
    pub train: TrainArgs,
}

impl TrainArgs {
    /// What was asked for: the flags over the file.
    pub fn asked(&self) -> Result<Table> {
        Ok(self.layers()?.merged())
    }

    /// What was asked for, flags and file apart.
    pub fn layers(&self) -> Result<Layers> {
        let file = match &self.config {
            Some(path) => config::read(path)?,
            None => Table::new(),
        };
        Ok(Layers { file, flags: self.flags() })
    }

    /// The flags that were given, by the keys that they set.
    fn flags(&self) -> Table {
        let Self { data, model, length, run, config: _, unattended: _ } = self;
        let integer = |value: Option<u32>| value.map(|value| Value::from(i64::from(value)));
        let text = |value: Option<String>| value.map(Value::from);
        let patterns = |values: &[String]| (!values.is_empty()).then(|| Value::from(values.to_vec()));
        let settings = [
            ("preset", text(data.preset.map(|preset| preset.to_string()))),
            ("out", text(run.out.clone())),
            ("seed", integer(length.seed)),
            ("data.shards", patterns(&data.shards)),
            ("data.val_shards", patterns(&data.val_shards)),
            ("data.shuffle", text(data.shuffle.map(|shuffle| shuffle.to_string()))),
            ("data.decode", text(data.decode.map(|mode| mode.to_string()))),
            ("encoder.ndf", integer(model.ndf)),
            ("encoder.n_rkhs", integer(model.n_rkhs)),
            ("encoder.n_depth", integer(model.n_depth)),
            ("encoder.use_bn", model.use_bn.map(Value::from)),
            ("method.tclip", model.tclip.map(Value::from)),
            ("train.batch_size", integer(length.batch_size)),
            ("train.epochs", length.epochs.map(Value::from)),
            ("train.steps", integer(length.steps)),
            ("train.precision", text(length.precision.map(|precision| precision.to_string()))),
            ("train.accumulate", integer(length.accumulate)),
            ("train.checkpoint_blocks", length.checkpoint_blocks.map(Value::from)),
            ("train.warm_start", text(length.warm_start.clone())),
            ("optim.clip_norm", length.clip_norm.map(Value::from)),
            ("optim.lr", length.lr.map(Value::from)),
            ("optim.warmup_steps", integer(length.warmup_steps)),
            ("optim.schedule", text(length.schedule.map(|drops| drops.name().to_owned()))),
            ("run.device", text(run.device.map(|device| device.to_string()))),
            ("run.cuda_graph", text(run.cuda_graph.map(|choice| choice.to_string()))),
            ("run.workers", integer(run.workers)),
            ("run.threads", integer(run.threads)),
            ("run.log_every", integer(run.log_every)),
            ("run.checkpoint_every", integer(run.checkpoint_every)),
            ("run.keep", integer(run.keep)),
            ("run.keep_every", integer(run.keep_every)),
            ("run.validate_every", integer(run.validate_every)),
            ("run.knn_every", integer(run.knn_every)),
            ("run.best", text(run.best.map(|metric| metric.name().to_owned()))),
            ("run.max_bad", text(data.max_bad.map(|budget| budget.to_string()))),
        ];
        let mut table = Table::new();
        for (key, value) in settings {
            if let Some(value) = value {
                set(&mut table, key, value);
            }
        }
        table
    }
}

/// Sets a key given by its dotted path.
fn set(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            set(inner.as_table_mut().expect("sections hold tables"), rest, value);
        }
    }
}
