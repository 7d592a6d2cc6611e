//! The model whose steps are timed.

use std::str::FromStr;

use amdim_stream::{config::Config, encoder, optim::Schedule, train::Trainer, world::World};
use anyhow::{Context, Result};
use clap::Args;
use pipeline::Preset;
use tch::Device;
use torchkit::{Choice, Piece, Precision};

/// A method with its encoder, and how its steps are computed.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// Channels of AMDIM's first layer
    #[arg(long, required_unless_present = "settings")]
    ndf: Option<i64>,
    /// Channels of AMDIM's embeddings
    #[arg(long, required_unless_present = "settings")]
    n_rkhs: Option<i64>,
    /// Residual layers in each of AMDIM's blocks
    #[arg(long, required_unless_present = "settings")]
    n_depth: Option<i64>,
    /// Any model, as settings of a configuration file: "method.name = 'simclr'"
    #[arg(long, value_name = "TOML", conflicts_with_all = ["ndf", "n_rkhs", "n_depth"])]
    settings: Option<String>,
    /// Samples in a step
    #[arg(long)]
    pub(crate) batch_size: usize,
    /// f32, tf32 or bf16
    #[arg(long, default_value = "bf16")]
    precision: Precision,
    /// auto, on or off: steps as one CUDA graph
    #[arg(long, default_value = "on")]
    cuda_graph: Choice,
    /// Recompute blocks in the backward pass
    #[arg(long)]
    checkpoint_blocks: bool,
    /// Fused pieces to compute in their plain form, by commas: products, convolutions, norms, scores, input, all
    #[arg(long, value_name = "PIECE", value_delimiter = ',')]
    without: Vec<Pieces>,
}

/// One piece, or all of them.
#[derive(Debug, Clone)]
struct Pieces(Vec<Piece>);

impl FromStr for Pieces {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named: Vec<_> =
            Piece::ALL.into_iter().filter(|piece| name == "all" || name == piece.name()).collect();
        if named.is_empty() {
            let names = Piece::ALL.map(Piece::name).join("`, `");
            return Err(format!("unknown piece `{name}`: expected `{names}` or `all`"));
        }
        Ok(Self(named))
    }
}

impl ModelArgs {
    /// Returns the configuration of the model.
    pub(crate) fn config(&self) -> Result<Config> {
        let mut config = Config::preset(Preset::In128);
        if let (Some(ndf), Some(n_rkhs), Some(n_depth)) = (self.ndf, self.n_rkhs, self.n_depth) {
            config.encoder = encoder::amdim::Config { ndf, n_rkhs, n_depth, use_bn: false }.into();
        } else {
            let settings = self.settings.as_deref().unwrap_or_default();
            config = Config::resolve(&settings.parse().context("--settings is not TOML")?)?;
        }
        config.train.precision = self.precision;
        config.train.checkpoint_blocks = self.checkpoint_blocks;
        config.run.cuda_graph = self.cuda_graph;
        Ok(config)
    }

    /// Sets the precision of this process, and switches off the pieces that are computed in their plain form.
    pub(crate) fn settle(&self) -> Result<()> {
        self.without.iter().flat_map(|pieces| &pieces.0).for_each(|piece| piece.fuse(false));
        Ok(self.precision.apply()?)
    }

    /// Returns a trainer of the model.
    pub(crate) fn trainer(&self, config: &Config, device: Device) -> Result<Trainer> {
        let samples = self.batch_size.max(1000) as u64;
        let schedule = Schedule::new(&config.optim, 1_000_000, 10_000.0);
        Trainer::new(config, (samples, Some(1000)), device, schedule, World::ALONE)
    }
}

/// Returns the names of the pieces that are switched off.
pub(crate) fn plain_pieces() -> Vec<&'static str> {
    Piece::ALL.into_iter().filter(|piece| !piece.is_fused()).map(Piece::name).collect()
}
