//! Bytes as a checkpoint.

use std::{io, path::Path};

use amdim_stream::{
    checkpoint::{self, DataIdentity, Loaded, Named, State},
    config::Config,
};
use tch::{Device, Kind, Tensor};
use toml::Table;

const STATE: &str = "state.json";
const TENSORS: [&str; 2] = ["model.safetensors", "optimizer.safetensors"];

/// Reads `bytes` as the state of a checkpoint, with and without a valid checksum, and as its tensors.
pub fn checkpoint(bytes: &[u8]) {
    let read = |state: &[u8]| {
        let file = |name: &str| if name == STATE { state } else { bytes }.to_vec();
        Loaded::read(Path::new("step"), |name| io::Result::Ok(file(name)))
    };
    let sealed = |state: &State| {
        let checksums = TENSORS.map(|name| (name.to_owned(), checkpoint::hash(bytes)));
        checkpoint::sealed(state, checksums.into()).expect("a state can be written")
    };
    read(bytes).ok();
    if let Ok(state) = serde_json::from_slice::<State>(bytes) {
        let loaded = read(sealed(&state).as_bytes()).expect("a sealed state can be read");
        assert_eq!(loaded.state, state);
    }
    let loaded = read(sealed(&state()).as_bytes()).expect("the checksums are valid");
    loaded.restore_model(&model()).ok();
    loaded.restore_encoder(&model()).ok();
    loaded.restore_optimizer(&model()).ok();
}

fn state() -> State {
    let config = Config::resolve(&Table::new()).expect("the defaults are consistent");
    let data = DataIdentity { digest: 1, samples: 9 };
    State { step: 1, position: Default::default(), data, classes: Some(3), class_names: Vec::new(), config }
}

/// Makes a tensor of each kind that is stored.
fn model() -> Named {
    let zeros = |shape: &[i64], kind| Tensor::zeros(shape, (kind, Device::Cpu));
    let tensors = [
        ("encoder.a", zeros(&[2, 3], Kind::Float)),
        ("encoder.b", zeros(&[], Kind::Int64)),
        ("c", zeros(&[1], Kind::Double)),
        ("d", zeros(&[4], Kind::Uint8)),
    ];
    tensors.map(|(name, tensor)| (name.to_owned(), tensor)).into()
}
