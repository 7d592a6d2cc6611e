//! A method in 80 lines, with an encoder of one layer: an example of a second method.

use anyhow::Result;
use shards::Position;
use tch::{
    Device, Kind, Tensor,
    nn::{Init, Path},
};

use super::trainer::Trainer;
use crate::{
    checkpoint::{self, DataIdentity, Loaded, State},
    config::Config,
    encoder::{Embedder, Encoder},
    method::{Method, Objective},
    network::Network,
    optim::Schedule,
    views::Views,
};

/// A method that moves the embeddings of two views towards each other, and away from the mean of earlier embeddings.
struct Toy {
    encoder: Linear,
    /// The running mean of all embeddings. It is not trained.
    mean: Tensor,
    last: Tensor,
}

struct Linear(Tensor);

impl Embedder for Linear {
    fn embed(&self, views: &Tensor, _moves: bool) -> Vec<Tensor> {
        vec![views.flatten(2, 4).matmul(&self.0)]
    }
}

impl Method for Toy {
    fn embedder(&self) -> &dyn Embedder {
        &self.encoder
    }

    fn objective(&self, embeddings: &[Tensor], _: &Views) -> Objective {
        let [one, two] = [0, 1].map(|view| embeddings[0].get(view));
        let near = (&one - &two).square().mean(Kind::Float);
        let far = (embeddings[0].mean_dim([1_i64].as_slice(), false, Kind::Float) - &self.mean)
            .cos()
            .mean(Kind::Float);
        tch::no_grad(|| {
            self.last.shallow_clone().copy_(&one.mean_dim([0_i64].as_slice(), false, Kind::Float));
        });
        Objective { total: &near + &far, parts: vec![("near", near), ("far", far)] }
    }

    fn features(&self, embeddings: &[Tensor]) -> Tensor {
        embeddings[0].shallow_clone()
    }

    fn after_step(&mut self) {
        let _ = tch::no_grad(|| self.mean.lerp_(&self.last, 0.1));
    }

    fn chance(&self, _n: i64) -> f64 {
        1.0
    }

    fn largest_batch(&self, _parts: i64) -> i64 {
        i64::MAX
    }

    fn macs(&self, n: i64) -> f64 {
        6.0 * n as f64 * self.encoder.0.numel() as f64
    }

    fn encoder(&self) -> &dyn Encoder {
        &self.encoder
    }
}

impl Encoder for Linear {
    fn features(&self, images: &Tensor, _train: bool) -> Tensor {
        images.flatten(1, 3).matmul(&self.0)
    }

    fn settle(&self, _images: &Tensor, _number: i64) {}

    fn width(&self) -> i64 {
        self.0.size()[1]
    }

    fn pooled(&self, images: &Tensor, _layer: &str) -> Tensor {
        self.features(images, false)
    }

    fn layers(&self) -> &'static [&'static str] {
        &["linear"]
    }
}

fn toy(path: &Path) -> Box<dyn Method> {
    let weight = (path / "encoder").var("weight", &[3 * 32 * 32, 8], Init::Randn { mean: 0.0, stdev: 0.02 });
    let buffer = |name| path.zeros_no_train(name, &[8]);
    Box::new(Toy { encoder: Linear(weight), mean: buffer("mean"), last: buffer("last") })
}

fn trainer(parts: usize, by_block: bool) -> Trainer {
    let mut config = Config::preset(pipeline::Preset::C10);
    (config.train.accumulate, config.train.checkpoint_blocks) = (parts, by_block);
    config.optim.lr = 1e-3;
    config.train.precision = torchkit::Precision::F32;
    let network = Network::build(&config, Some(3), Device::Cpu, toy).unwrap();
    Trainer::of(network, &config, Schedule::new(&config.optim, 100, 10.0)).unwrap()
}

fn step(trainer: &mut Trainer, number: i64) -> f64 {
    tch::manual_seed(100 + number);
    let images = Tensor::randn([2, 8, 3, 32, 32], (Kind::Float, Device::Cpu));
    let labels = Tensor::randint(3, [8], (Kind::Int64, Device::Cpu));
    let indices = Tensor::arange(8, (Kind::Int64, Device::Cpu));
    trainer.step(&Views { images, labels, indices, next: Position::default() }).unwrap().metrics.loss()
}

fn tensors(trainer: &Trainer) -> Vec<Tensor> {
    trainer
        .network()
        .tensors()
        .into_values()
        .chain(trainer.moments().into_values())
        .map(|tensor| tensor.copy())
        .collect()
}

#[test]
fn a_second_method_trains_in_parts_and_block_by_block() {
    let _alone = crate::generator();
    let losses = |parts, by_block| {
        let mut trainer = trainer(parts, by_block);
        (0..6).map(|_| step(&mut trainer, 0)).collect::<Vec<_>>()
    };
    let whole = losses(1, false);
    assert!(whole[5] < whole[0], "{whole:?}");
    for (parts, by_block) in [(2, false), (1, true), (4, true)] {
        let others = losses(parts, by_block);
        assert!(
            whole.iter().zip(&others).all(|(a, b)| (a - b).abs() < 1e-5),
            "{parts} {by_block}: {whole:?} {others:?}"
        );
    }
}

#[test]
fn a_second_method_resumes_to_the_bit() -> Result<()> {
    let _alone = crate::generator();
    let place = tempfile::tempdir()?;
    let mut through = trainer(2, false);
    for number in 0..3 {
        step(&mut through, number);
    }
    let data = DataIdentity { digest: 1, samples: 8 };
    let config = Config::preset(pipeline::Preset::C10);
    let state = State {
        step: 3,
        position: Position::default(),
        data,
        classes: Some(3),
        class_names: Vec::new(),
        config,
    };
    let path = place.path().join("step-00000003");
    checkpoint::write(&path, &state, &through.network().tensors(), &through.moments())?;
    let mut resumed = trainer(2, false);
    resumed.restore(&Loaded::open(&path)?)?;
    for number in 3..6 {
        assert_eq!(step(&mut through, number).to_bits(), step(&mut resumed, number).to_bits());
    }
    assert!(tensors(&through).iter().zip(tensors(&resumed)).all(|(a, b)| a.equal(&b)));
    Ok(())
}
