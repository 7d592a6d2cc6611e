//! A network from a file.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use pipeline::Preset;
use tch::Device;

use super::{
    foreign::{check_sizes, classes, take_over},
    read::read,
};
use crate::{config::Config, exit::Code, hint::WithHint, network::Network, usage};

/// What a file holds.
pub(crate) struct Imported {
    /// The settings that follow from it, the rest by default.
    pub(crate) config: Config,
    /// Classes of its probes, where it has them.
    pub(crate) classes: Option<u32>,
    /// The names of the classes, by label; empty where they are not known.
    pub(crate) class_names: Vec<String>,
    /// Updates that it was trained for.
    pub(crate) step: u64,
    /// The model, on the CPU.
    pub(crate) network: Network,
}

/// The model of such a file, on the CPU.
///
/// # Errors
///
/// Where it cannot be read, or is not a whole model: the first tensor that is missing, misshapen or unknown is named.
pub fn open(file: &Path) -> Result<Network> {
    load(file, None).map(|imported| imported.network)
}

/// Settings, labels, step and model of a file.
///
/// # Errors
///
/// Where it cannot be read, or is not a whole model: the first tensor that is missing, misshapen or unknown is named.
pub(crate) fn load(file: &Path, preset: Option<Preset>) -> Result<Imported> {
    let shown = file.display();
    if file.is_dir() {
        return Err(usage!(
            "`{shown}` is a folder; only files are imported";
            "do not import a run folder: name it with --checkpoint or --warm-start"
        ));
    }
    let bytes = fs::read(file).with_context(|| format!("cannot read `{shown}`")).with_code(Code::Usage)?;
    let foreign = read(&bytes).with_context(|| format!("`{shown}`"))?;
    let preset = match preset {
        Some(preset) if i64::from(preset.side()) != foreign.side => {
            return Err(usage!(
                "preset {preset} has images of {} pixels, the encoder in `{shown}` those of {}", preset.side(), foreign.side;
                "leave out --preset"
            ));
        }
        Some(preset) => preset,
        None => preset_of(foreign.side)?,
    };
    let mut config = Config::preset(preset);
    config.encoder = foreign.encoder.clone();
    config.method = foreign.method.clone();
    check_sizes(&foreign).and_then(|()| config.check()).with_context(|| format!("`{shown}`"))?;
    let classes = classes(&foreign).map(|classes| classes as u32);
    let network = Network::new(&config, classes, Device::Cpu)?;
    take_over(&foreign.tensors, &network.tensors()).with_context(|| format!("`{shown}`"))?;
    ensure!(network.is_finite(), "`{shown}` holds numbers that are not finite");
    Ok(Imported { config, classes, class_names: foreign.class_names, step: foreign.step, network })
}

fn preset_of(side: i64) -> Result<Preset> {
    Ok(match side {
        32 => Preset::C10,
        64 => Preset::Stl10,
        128 => Preset::In128,
        other => bail!("an encoder of images of {other} pixels; there are those of 32, 64 and 128"),
    })
}
