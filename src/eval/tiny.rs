//! A small set and a small encoder for tests of evaluations.

use pipeline::Preset;
use shards::{IndexConfig, LocalSource, ShardSet, ShardWriter};
use tch::Device;

use crate::{config::Config, encoder, network::Network};

/// Returns a set of images of 32 pixels and three classes, with the folder that contains it.
pub(super) fn set(images: usize) -> (tempfile::TempDir, ShardSet) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar");
    let mut writer = ShardWriter::create(&path).unwrap();
    for number in 0..images {
        let pixel = |at: usize| [at * (1 + number % 3), at / 32 * 8, number * 11].map(|value| value as u8);
        let pixels = (0..32 * 32).flat_map(pixel).collect();
        let jpeg = pipeline::encode_jpeg(&pipeline::Rgb { width: 32, height: 32, pixels }, 90).unwrap();
        let label = (number % 3).to_string();
        writer.append(&number.to_string(), &[("jpg", &jpeg), ("cls", label.as_bytes())]).unwrap();
    }
    writer.finish().unwrap();
    let source = LocalSource::new(&[path.display().to_string()]).unwrap();
    (folder, ShardSet::open(source, &IndexConfig::default()).unwrap())
}

/// Returns a freshly initialized network and its configuration.
pub(super) fn encoder() -> (Config, Network) {
    let mut config = Config::preset(Preset::C10);
    config.encoder = encoder::amdim::Config { ndf: 4, n_rkhs: 16, n_depth: 1, use_bn: false }.into();
    let network = Network::new(&config, 0, None, Device::Cpu).unwrap();
    (config, network)
}
