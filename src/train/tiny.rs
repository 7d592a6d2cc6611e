//! A run that is small enough for unit tests.

use std::{fs, path::Path};

use pipeline::Group;
use shards::{Position, ShardWriter};
use tch::{Device, Kind, Tensor};
use toml::Table;

use super::{Run, Trainer};
use crate::{config::Config, optim::Schedule, run::folder::RunFolder, views::Views, world::World};

/// Writes eight gray images, of which four are labelled, and prepares a run of AMDIM on them.
pub(crate) fn run(place: &Path) -> (Run, RunFolder) {
    run_of("encoder = { ndf = 4, n_rkhs = 16, n_depth = 1 }", place)
}

/// Writes the images, and prepares a run of the model with these settings.
pub(crate) fn run_of(model: &str, place: &Path) -> (Run, RunFolder) {
    let shard = place.join("a.tar");
    let mut writer = ShardWriter::create(&shard).unwrap();
    for number in 0..8_u8 {
        let image = pipeline::Rgb { width: 32, height: 32, pixels: vec![30 * number; 3 * 32 * 32] };
        let jpeg = pipeline::encode_jpeg(&image, 90).unwrap();
        let members: [(&str, &[u8]); 2] = [("jpg", &jpeg), ("cls", b"1")];
        let count = if number % 2 == 0 { 2 } else { 1 };
        writer.append(&format!("k{number}"), &members[..count]).unwrap();
    }
    writer.finish().unwrap();
    let mut asked: Table =
        format!("preset = 'c10'\n{model}\n[train]\nbatch_size = 4\n[run]\ndevice = 'cpu'").parse().unwrap();
    asked.insert("out".to_owned(), place.join("run").to_str().unwrap().into());
    let mut config = Config::resolve(&asked).unwrap();
    config.data.shards = vec![shard.to_str().unwrap().to_owned()];
    let folder = RunFolder::of(&config.out);
    fs::create_dir_all(&folder.path).unwrap();
    (Run::prepare(config, None, World::ALONE).unwrap(), folder)
}

/// Returns a trainer for a set of `samples` samples of three classes.
pub(super) fn trainer(config: &Config, samples: u64) -> Trainer {
    let schedule = Schedule::new(&config.optim, 100, 10.0);
    Trainer::new(config, (samples, Some(3)), Device::Cpu, schedule, World::ALONE).unwrap()
}

/// Returns batch `number` of noise images: the first `n` samples of a set.
pub(super) fn noise(config: &Config, n: i64, number: i64) -> Views {
    tch::manual_seed(100 + number);
    let images = |group: &Group| {
        let (views, side) = (group.views.len() as i64, i64::from(group.side));
        Tensor::randn([views, n, 3, side, side], (Kind::Float, Device::Cpu))
    };
    let groups = config.recipe().groups.iter().map(images).collect();
    let labels = Tensor::randint(3, [n], (Kind::Int64, Device::Cpu));
    let indices = Tensor::arange(n, (Kind::Int64, Device::Cpu));
    Views { groups, labels, indices, next: Position::default() }
}

/// Makes a step and returns its loss.
pub(super) fn step(trainer: &mut Trainer, batch: &Views) -> f64 {
    trainer.step(batch).unwrap().metrics.loss()
}
