//! Numbers of settings that are a slip of the hand, or that nothing can be computed with.

use anyhow::Result;

use super::Config;
use crate::{
    encoder,
    method::MethodConfig,
    numbers::{self, Real, Shown, Whole},
    usage,
};

/// Refuses a number that is out of its bounds, with them.
pub(super) fn check(config: &Config) -> Result<()> {
    let whole = wholes(config).into_iter().find(|(_, value, bounds)| !bounds.holds(*value));
    if let Some((name, value, bounds)) = whole {
        return Err(usage!("`{name}` is {value}"; "write {bounds}"));
    }
    let real = reals(config).into_iter().find(|(_, value, bounds)| !bounds.holds(*value));
    match real {
        Some((name, value, bounds)) => Err(usage!("`{name}` is {}", Shown(value); "write {bounds}")),
        None => Ok(()),
    }
}

fn wholes(config: &Config) -> Vec<(&'static str, i128, Whole)> {
    let Config { encoder: encoder::amdim::Config { ndf, n_rkhs, n_depth, .. }, train, optim, run, .. } =
        config;
    let set = [
        ("train.batch_size", train.batch_size.map(|size| size as i128), numbers::BATCH),
        ("train.steps", train.steps.map(i128::from), numbers::COUNT),
        ("optim.warmup_steps", optim.warmup_steps.map(i128::from), numbers::COUNT_OR_NONE),
        ("run.workers", run.workers.map(|workers| workers as i128), numbers::THREADS),
        ("run.threads", run.threads.map(|threads| threads as i128), numbers::THREADS),
    ];
    let set = set.into_iter().filter_map(|(name, value, bounds)| Some((name, value?, bounds)));
    let all = [
        ("encoder.ndf", i128::from(*ndf), numbers::CHANNELS),
        ("encoder.n_rkhs", i128::from(*n_rkhs), numbers::EMBEDDING),
        ("encoder.n_depth", i128::from(*n_depth), numbers::DEPTH),
        ("train.accumulate", train.accumulate as i128, numbers::PARTS),
        ("run.log_every", run.log_every.into(), numbers::COUNT),
        ("run.checkpoint_every", run.checkpoint_every.into(), numbers::COUNT),
        ("run.keep", run.keep as i128, numbers::COUNT),
        ("run.keep_every", run.keep_every.into(), numbers::COUNT_OR_NONE),
        ("run.validate_every", run.validate_every.into(), numbers::COUNT),
        ("run.knn_every", run.knn_every.into(), numbers::COUNT_OR_NONE),
    ];
    all.into_iter().chain(set).collect()
}

fn reals(config: &Config) -> Vec<(&'static str, f64, Real)> {
    let Config { method: MethodConfig::Amdim(method), train, optim, .. } = config;
    let set = [
        ("train.epochs", train.epochs, numbers::EPOCHS),
        ("optim.clip_norm", optim.clip_norm, numbers::LIMIT),
    ];
    let set = set.into_iter().filter_map(|(name, value, bounds)| Some((name, value?, bounds)));
    let drops = optim.drop_at.iter().map(|&share| ("optim.drop_at", share, numbers::SHARE_OF_RUN));
    let all = [
        ("method.tclip", method.tclip, numbers::LIMIT),
        ("method.score_penalty", method.score_penalty, numbers::PENALTY),
        ("optim.lr", optim.lr, numbers::RATE),
        ("optim.eps", optim.eps, numbers::EPS),
        ("optim.weight_decay", optim.weight_decay, numbers::PENALTY),
        ("optim.drop_factor", optim.drop_factor, numbers::FACTOR),
        ("optim.betas", optim.betas[0], numbers::DECAY),
        ("optim.betas", optim.betas[1], numbers::DECAY),
    ];
    all.into_iter().chain(set).chain(drops).collect()
}
