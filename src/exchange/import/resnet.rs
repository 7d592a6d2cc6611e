//! ResNets under the names of torchvision, of other libraries and of other methods.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use pipeline::Preset;
use tch::Tensor;

use super::foreign::{Foreign, insert};
use crate::{
    encoder::{
        EncoderConfig,
        resnet::{self, Split, SplitNetwork},
    },
    method::MethodConfig,
};

/// The modules of a ResNet in torchvision, apart from the classifier.
const MODULES: [&str; 6] = ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4"];

/// Returns the name in this program of a tensor of torchvision's ResNet, or of one of CMC's two networks;
/// `None` for its classifier and for other tensors.
pub(super) fn own_name(name: &str) -> Option<String> {
    let within = |network: &&str| name.strip_prefix(*network)?.strip_prefix('.');
    let inner = SplitNetwork::NAMES.iter().find_map(within).unwrap_or(name);
    let is_encoder = MODULES.contains(&inner.split('.').next()?);
    // The ResNets for CIFAR of 2018 call the projection `shortcut`.
    is_encoder.then(|| format!("encoder.{}", name.replace(".shortcut.", ".downsample.")))
}

/// Returns the names of a ResNet's tensors among `names`, each with its name in this program; `None` if there
/// is no ResNet. CMC's two networks count as one. Heads, classifiers, queues and momentum encoders are left out.
///
/// # Errors
///
/// If there are several ResNets.
pub(super) fn find(names: &BTreeSet<String>) -> Result<Option<BTreeMap<String, String>>> {
    let mut prefixes = BTreeMap::new();
    for name in names {
        for (end, rename) in [("layer1.0.conv1.weight", own_name as Rename), ("4.0.conv1.weight", numbered)] {
            let first = if end.starts_with("layer1") { "conv1.weight" } else { "0.weight" };
            let prefix = name.strip_suffix(end).filter(|prefix| prefix.is_empty() || prefix.ends_with('.'));
            if let Some(prefix) = prefix.filter(|prefix| names.contains(&format!("{prefix}{first}"))) {
                prefixes.insert(above_halves(prefix), rename);
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

/// Returns the part of a prefix before the name of one of CMC's two networks.
fn above_halves(prefix: &str) -> &str {
    let above = |network: &&str| {
        let above = prefix.strip_suffix('.')?.strip_suffix(*network)?;
        (above.is_empty() || above.ends_with('.')).then_some(above)
    };
    SplitNetwork::NAMES.iter().find_map(above).unwrap_or(prefix)
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
/// from their shapes. The method is CMC for two networks, which see the colors of `split`, and else SimCLR, which
/// trains any encoder.
///
/// # Errors
///
/// If no ResNet of 18, 34 or 50 layers has these tensors.
pub(super) fn foreign(named: impl IntoIterator<Item = (String, Tensor)>, split: Split) -> Result<Foreign> {
    let mut tensors = BTreeMap::new();
    for (name, tensor) in named {
        insert(&mut tensors, &name, tensor)?;
    }
    let encoder = encoder(&tensors, split)?;
    let preset = match encoder.any_resnet() {
        Some(resnet::Config { stem: resnet::Stem::Cifar, .. }) => Preset::C10,
        _ => Preset::In224,
    };
    let method = MethodConfig::named(if encoder.is_split() { "cmc" } else { "simclr" }, preset)?;
    Ok(Foreign {
        tensors,
        encoder,
        method,
        preset: Some(preset),
        side: None,
        normalization: None,
        step: 0,
        class_names: Vec::new(),
    })
}

/// Returns the encoder that has tensors of these shapes: a ResNet, or two that see the colors of `split`.
fn encoder(tensors: &BTreeMap<String, Tensor>, split: Split) -> Result<EncoderConfig> {
    let [l_to_ab, ab_to_l] = SplitNetwork::NAMES.map(|network| format!("encoder.{network}"));
    let has = |network: &str| tensors.keys().any(|name| name.starts_with(network));
    if !has(&l_to_ab) && !has(&ab_to_l) {
        return network(tensors, "encoder", 3);
    }
    let [lightness, color] = [network(tensors, &l_to_ab, 1)?, network(tensors, &ab_to_l, 2)?];
    ensure!(lightness == color, "its networks for lightness and color differ in their depth, width or stem");
    Ok(lightness.split(split))
}

/// Returns the ResNet for images of `channels` channels that has tensors of these shapes under `path`.
fn network(tensors: &BTreeMap<String, Tensor>, path: &str, channels: i64) -> Result<EncoderConfig> {
    let shape = |name: &str| tensors.get(&format!("{path}.{name}.weight")).map(Tensor::size);
    let stem = shape("conv1").with_context(|| format!("`{path}.conv1.weight` is missing"))?;
    let [first, found, kernel, _] = stem[..] else { bail!("`{path}.conv1.weight` has shape {stem:?}") };
    ensure!(
        found == channels,
        "`{path}.conv1.weight` is for images of {found} channels instead of {channels}"
    );
    let stem = match kernel {
        3 => resnet::Stem::Cifar,
        7 => resnet::Stem::Imagenet,
        _ => bail!("its first convolution is {kernel}×{kernel}, not 7×7 or 3×3"),
    };
    let width = shape("layer1.0.conv1").and_then(|shape| shape.first().copied());
    let width = width.with_context(|| format!("`{path}.layer1.0.conv1.weight` is missing"))?;
    let blocks = [1, 2, 3, 4].map(|stage| {
        (0..tensors.len()).take_while(|block| shape(&format!("layer{stage}.{block}.conv1")).is_some()).count()
    });
    let is_bottleneck = shape("layer1.0.conv3").is_some();
    let config = resnet::Config {
        width,
        stem,
        stem_width: (first != width).then_some(first),
        ..resnet::Config::default()
    };
    Ok(match (blocks, is_bottleneck) {
        ([2, 2, 2, 2], false) => EncoderConfig::Resnet18(resnet::Layers(config)),
        ([3, 4, 6, 3], false) => EncoderConfig::Resnet34(resnet::Layers(config)),
        ([3, 4, 6, 3], true) => EncoderConfig::Resnet50(resnet::Layers(config)),
        (blocks, _) => {
            bail!("it has {blocks:?} blocks in its stages: ResNets of 18, 34 and 50 layers are known")
        }
    })
}
