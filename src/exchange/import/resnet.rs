//! ResNets under the names of torchvision, of other libraries and of other methods.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use pipeline::Preset;
use tch::Tensor;

use super::foreign::{Foreign, insert};
use crate::{
    encoder::{EncoderConfig, resnet},
    method::MethodConfig,
};

/// The modules of a ResNet in torchvision, apart from the classifier.
const MODULES: [&str; 6] = ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4"];

/// Returns the name in this program of a tensor of torchvision's ResNet; `None` for its classifier and for
/// other tensors.
pub(super) fn own_name(name: &str) -> Option<String> {
    let is_encoder = MODULES.contains(&name.split('.').next()?);
    // The ResNets for CIFAR of 2018 call the projection `shortcut`.
    is_encoder.then(|| format!("encoder.{}", name.replace(".shortcut.", ".downsample.")))
}

/// Returns the names of a ResNet's tensors among `names`, each with its name in this program; `None` if there
/// is no ResNet. Heads, classifiers, queues and momentum encoders are left out.
///
/// # Errors
///
/// If there are several networks.
pub(super) fn find(names: &BTreeSet<String>) -> Result<Option<BTreeMap<String, String>>> {
    let mut prefixes = BTreeMap::new();
    for name in names {
        for (end, rename) in [("layer1.0.conv1.weight", own_name as Rename), ("4.0.conv1.weight", numbered)] {
            let first = if end.starts_with("layer1") { "conv1.weight" } else { "0.weight" };
            let prefix = name.strip_suffix(end).filter(|prefix| prefix.is_empty() || prefix.ends_with('.'));
            if let Some(prefix) = prefix.filter(|prefix| names.contains(&format!("{prefix}{first}"))) {
                prefixes.insert(prefix, rename);
            }
        }
    }
    if prefixes.len() > 1 {
        prefixes.retain(|prefix, _| !is_copy(prefix));
    }
    let mut found = prefixes.iter();
    let Some((prefix, rename)) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        let all: Vec<_> = prefixes.keys().map(|prefix| format!("`{prefix}`")).collect();
        bail!("it has several ResNets: {}", all.join(", "));
    }
    let own = names.iter().filter_map(|name| Some((name.clone(), rename(name.strip_prefix(prefix)?)?)));
    Ok(Some(own.collect()))
}

/// A function that returns the name in this program of a tensor below the prefix of a network.
type Rename = fn(&str) -> Option<String>;

/// Renames a tensor of torchvision's modules in an `nn.Sequential`, as Lightly has them: 0 is `conv1`, 1
/// `bn1`, and 4 to 7 the stages.
fn numbered(name: &str) -> Option<String> {
    let (number, rest) = name.split_once('.')?;
    let module = match number {
        "0" => "conv1",
        "1" => "bn1",
        "4" => "layer1",
        "5" => "layer2",
        "6" => "layer3",
        "7" => "layer4",
        _ => return None,
    };
    own_name(&format!("{module}.{rest}"))
}

/// Returns whether the tensors below `prefix` belong to a momentum encoder.
fn is_copy(prefix: &str) -> bool {
    let is_slow = |part: &str| {
        part == "encoder_k" || ["momentum", "target", "teacher"].iter().any(|word| part.contains(word))
    };
    prefix.split('.').any(is_slow)
}

/// Makes a model of a ResNet's tensors, whose names are those of this program. Depth, width and stem follow
/// from their shapes. The method is SimCLR, which trains any encoder.
///
/// # Errors
///
/// If no ResNet of 18, 34 or 50 layers has these tensors.
pub(super) fn foreign(named: impl IntoIterator<Item = (String, Tensor)>) -> Result<Foreign> {
    let mut tensors = BTreeMap::new();
    for (name, tensor) in named {
        insert(&mut tensors, &name, tensor)?;
    }
    let encoder = encoder(&tensors)?;
    let preset = match encoder.resnet() {
        Some(resnet::Config { stem: resnet::Stem::Cifar, .. }) => Preset::C10,
        _ => Preset::In224,
    };
    let method = MethodConfig::named("simclr", preset)?;
    Ok(Foreign {
        tensors,
        encoder,
        method,
        preset: Some(preset),
        side: None,
        step: 0,
        class_names: Vec::new(),
    })
}

/// Returns the ResNet that has tensors of these shapes.
fn encoder(tensors: &BTreeMap<String, Tensor>) -> Result<EncoderConfig> {
    let shape = |name: &str| tensors.get(&format!("encoder.{name}.weight")).map(Tensor::size);
    let stem = shape("conv1").context("`encoder.conv1.weight` is missing")?;
    let [width, channels, kernel, _] = stem[..] else { bail!("`encoder.conv1.weight` has shape {stem:?}") };
    ensure!(channels == 3, "its images have {channels} channels instead of 3");
    let stem = match kernel {
        3 => resnet::Stem::Cifar,
        7 => resnet::Stem::Imagenet,
        _ => bail!("its first convolution is {kernel}×{kernel}, not 7×7 or 3×3"),
    };
    let planes = shape("layer1.0.conv1").and_then(|shape| shape.first().copied());
    ensure!(
        planes == Some(width),
        "its first layer has {width} channels and its first stage {}: they must be equal",
        planes.unwrap_or(0)
    );
    let blocks = [1, 2, 3, 4].map(|stage| {
        (0..tensors.len()).take_while(|block| shape(&format!("layer{stage}.{block}.conv1")).is_some()).count()
    });
    let is_bottleneck = shape("layer1.0.conv3").is_some();
    let config = resnet::Config { width, stem, ..resnet::Config::default() };
    Ok(match (blocks, is_bottleneck) {
        ([2, 2, 2, 2], false) => EncoderConfig::Resnet18(resnet::Layers(config)),
        ([3, 4, 6, 3], false) => EncoderConfig::Resnet34(resnet::Layers(config)),
        ([3, 4, 6, 3], true) => EncoderConfig::Resnet50(resnet::Layers(config)),
        (blocks, _) => {
            bail!("it has {blocks:?} blocks in its stages: ResNets of 18, 34 and 50 layers are known")
        }
    })
}
