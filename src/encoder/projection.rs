//! Heads that map features to the embeddings that a loss compares. Evaluation leaves them out.

use tch::{Device, Kind, Tensor, nn::Path};

use super::{
    init::{parameter, uniform_fan_in},
    norm::{Mode, Norm},
};

/// A head of linear layers, norms and ReLUs, one after the other.
#[derive(Debug)]
pub struct Projection {
    layers: Vec<Layer>,
    width: i64,
}

#[derive(Debug)]
enum Layer {
    Linear {
        weight: Tensor,
        bias: Option<Tensor>,
    },
    Norm(Norm),
    Relu,
    /// A layer for each half of the channels.
    Halves(Box<[Layer; 2]>),
}

impl Projection {
    /// Returns a linear layer with bias from `input` to `output` channels, named `fc`.
    pub fn linear(path: &Path, input: i64, output: i64) -> Self {
        Self { layers: vec![with_bias(&(path / "fc"), input, output)], width: output }
    }

    /// Returns linear layers with biases for both halves of the channels of features, from `input` to `output`
    /// channels each, named `NAME.fc` by the names of the halves.
    pub fn of_halves(path: &Path, names: [&str; 2], input: i64, output: i64) -> Self {
        let halves = names.map(|name| with_bias(&(path / name / "fc"), input, output));
        Self { layers: vec![Layer::Halves(Box::new(halves))], width: 2 * output }
    }

    /// Returns two linear layers with biases and a ReLU between, named `fc.0` and `fc.2`: the head of MoCo v2
    /// (Chen et al. 2020).
    pub fn mlp(path: &Path, input: i64, output: i64) -> Self {
        let path = path / "fc";
        let layers =
            vec![with_bias(&(&path / 0), input, input), Layer::Relu, with_bias(&(&path / 2), input, output)];
        Self { layers, width: output }
    }

    /// Returns two linear layers with biases and a ReLU between, named `head.fc1` and `head.fc2`: the head in
    /// the paper of SimCLR (Chen et al. 2020).
    pub fn plain(path: &Path, [input, hidden, output]: [i64; 3]) -> Self {
        let path = path / "head";
        let layers = vec![
            with_bias(&(&path / "fc1"), input, hidden),
            Layer::Relu,
            with_bias(&(&path / "fc2"), hidden, output),
        ];
        Self { layers, width: output }
    }

    /// Returns `count` linear layers without bias, each followed by a batch norm, with ReLUs between: the head
    /// in the code of SimCLR. The last norm has no offset. The layers are named `head.fc1`, `head.bn1`,
    /// `head.fc2` …, and their weights are drawn from a normal distribution of standard deviation 0.01.
    pub fn with_norms(path: &Path, count: usize, [input, hidden, output]: [i64; 3]) -> Self {
        let path = path / "head";
        let mut layers = Vec::new();
        let mut width = input;
        for number in 1..=count {
            let is_last = number == count;
            let next = if is_last { output } else { hidden };
            let drawn = Tensor::randn([next, width], (Kind::Float, Device::Cpu)) * 0.01;
            let weight = parameter(&(&path / format!("fc{number}")), "weight", &drawn);
            let norm = &path / format!("bn{number}");
            layers.push(Layer::Linear { weight, bias: None });
            if is_last {
                layers.push(Layer::Norm(Norm::without_offset(&norm, next)));
            } else {
                layers.extend([Layer::Norm(Norm::new(&norm, next)), Layer::Relu]);
            }
            width = next;
        }
        Self { layers, width }
    }

    /// Returns embeddings (n, [`width`](Self::width)) of features (n, channels).
    pub fn forward(&self, features: &Tensor, mode: Mode) -> Tensor {
        self.layers.iter().fold(features.shallow_clone(), |x, layer| layer.forward(&x, mode))
    }

    /// Returns the number of channels of the embeddings.
    pub fn width(&self) -> i64 {
        self.width
    }

    /// Returns the multiply-accumulates for one image.
    pub fn macs(&self) -> u64 {
        self.layers.iter().map(Layer::macs).sum()
    }
}

impl Layer {
    fn macs(&self) -> u64 {
        match self {
            Self::Linear { weight, .. } => weight.numel() as u64,
            Self::Norm(_) | Self::Relu => 0,
            Self::Halves(layers) => layers.iter().map(Self::macs).sum(),
        }
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        match self {
            Self::Linear { weight, bias } => x.linear(weight, bias.as_ref()),
            Self::Norm(norm) => norm.forward(x, mode),
            Self::Relu => x.relu(),
            Self::Halves(layers) => {
                let halves = layers.iter().zip(x.chunk(2, 1));
                let outputs: Vec<_> = halves.map(|(layer, half)| layer.forward(&half, mode)).collect();
                Tensor::cat(&outputs, 1)
            }
        }
    }
}

/// Returns a linear layer with PyTorch's default initialization.
fn with_bias(path: &Path, input: i64, output: i64) -> Layer {
    let weight = uniform_fan_in(path, "weight", &[output, input], input);
    Layer::Linear { weight, bias: Some(uniform_fan_in(path, "bias", &[output], input)) }
}
