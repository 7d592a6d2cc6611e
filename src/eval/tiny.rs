//! A set and an encoder so small that tests of evaluations can have them.

use pipeline::Preset;
use shards::{IndexConfig, LocalSource, ShardSet, ShardWriter};
use tch::Device;

use crate::{config::Config, encoder, network::Network};

/// So many images of 32 pixels, of three classes, in a folder that lives as long as they are read.
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

/// A freshly initialized encoder, with the configuration that it is of.
pub(super) fn encoder() -> (Config, Network) {
    let mut config = Config::preset(Preset::C10);
    config.encoder = encoder::amdim::Config { ndf: 4, n_rkhs: 16, n_depth: 1, use_bn: false }.into();
    let network = Network::new(&config, None, Device::Cpu).unwrap();
    (config, network)
}
