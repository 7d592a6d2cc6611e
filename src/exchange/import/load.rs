//! Loads a network from a file.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use pipeline::Preset;
use tch::Device;

use super::{
    foreign::{Foreign, check_sizes, classes, take_over},
    read::read,
};
use crate::{config::Config, exit::Code, hint::WithHint, network::Network, usage};

/// The content of a file.
pub(crate) struct Imported {
    /// The settings of the model; other settings have their defaults.
    pub(crate) config: Config,
    /// The number of classes of the online probes; `None` without probes.
    pub(crate) classes: Option<u32>,
    /// The names of the classes, by label; empty if they are not known.
    pub(crate) class_names: Vec<String>,
    /// The number of updates that the model was trained for.
    pub(crate) step: u64,
    /// The model, on the CPU.
    pub(crate) network: Network,
}

/// Loads the model of a file of `export`, of the reference implementation, or of a ResNet, on the CPU.
///
/// # Errors
///
/// If the file cannot be read, or a tensor is missing, has another shape or is unknown.
pub fn open(file: &Path) -> Result<Network> {
    load(file, None).map(|imported| imported.network)
}

/// Loads the settings, classes, step and model of a file.
///
/// # Errors
///
/// If the file cannot be read, or a tensor is missing, has another shape or is unknown.
pub(crate) fn load(file: &Path, preset: Option<Preset>) -> Result<Imported> {
    let shown = file.display();
    if file.is_dir() {
        return Err(usage!(
            "`{shown}` is a folder; `import` reads a file";
            "name a run folder with --checkpoint or --warm-start; it need not be imported"
        ));
    }
    let bytes = fs::read(file).with_context(|| format!("cannot read `{shown}`")).with_code(Code::Usage)?;
    let foreign = read(&bytes).with_context(|| format!("`{shown}`"))?;
    let config = config(&foreign, preset).with_context(|| format!("`{shown}`"))?;
    check_sizes(&foreign).and_then(|()| config.check()).with_context(|| format!("`{shown}`"))?;
    let classes = classes(&foreign).map(|classes| classes as u32);
    let network = Network::new(&config, 0, classes, Device::Cpu)?;
    take_over(&foreign.tensors, &network.tensors()).with_context(|| format!("`{shown}`"))?;
    ensure!(network.is_finite(), "`{shown}` has numbers that are not finite");
    Ok(Imported { config, classes, class_names: foreign.class_names, step: foreign.step, network })
}

/// Returns the settings of a model, with the defaults of `preset`, or else of the one that it was made with.
fn config(foreign: &Foreign, preset: Option<Preset>) -> Result<Config> {
    let chosen = match preset.or(foreign.preset) {
        Some(preset) => preset,
        None => preset_of(foreign.side.context("the file does not say how large its images are")?)?,
    };
    let own = i64::from(chosen.side());
    let other = foreign.side.filter(|&side| side != own);
    let mut config = Config::of(foreign.method.clone(), chosen);
    config.encoder = foreign.encoder.clone();
    match other {
        Some(side) if preset.is_none() => config.side = u32::try_from(side).ok(),
        Some(side) if foreign.encoder.is_for_one_side() => {
            return Err(usage!(
                "preset {chosen} has images of {own} pixels, the encoder those of {side}";
                "leave out --preset"
            ));
        }
        _ => (),
    }
    if let Some(normalization) = foreign.normalization {
        config.normalize_by(normalization);
    }
    Ok(config)
}

fn preset_of(side: i64) -> Result<Preset> {
    let of_side = Preset::ALL.into_iter().find(|preset| i64::from(preset.side()) == side);
    of_side.with_context(|| {
        format!("the encoder is for images of {side} pixels; presets have 32, 64, 128 or 224")
    })
}
