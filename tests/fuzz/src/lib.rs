//! What the fuzz targets do with their input; `tests/it/seeds.rs` does the same with the seeds.

use std::{io, path::Path};

use amdim_stream::{
    checkpoint::{self, DataIdentity, Loaded, Named, State},
    config::Config,
    exchange::import,
};
use tch::{Device, Kind, Tensor};
use toml::Table;

const STATE: &str = "state.json";
const TENSORS: [&str; 2] = ["model.safetensors", "optimizer.safetensors"];

/// Takes `bytes` for the state of a checkpoint, as it is and under a checksum that holds, and for its tensors.
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
        let loaded = read(sealed(&state).as_bytes()).expect("what was written can be read");
        assert_eq!(loaded.state, state);
    }
    let loaded = read(sealed(&state()).as_bytes()).expect("the checksums hold");
    loaded.restore_model(&model()).ok();
    loaded.restore_encoder(&model()).ok();
    loaded.restore_optimizer(&model()).ok();
}

fn state() -> State {
    let config = Config::resolve(&Table::new()).expect("the defaults fit each other");
    let data = DataIdentity { digest: 1, samples: 9 };
    State { step: 1, position: Default::default(), data, classes: Some(3), class_names: Vec::new(), config }
}

/// A tensor of each kind that is stored.
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

/// Reads `bytes` as an export or as what `torch.save` writes, up to where a model of that size would be made.
pub fn import(bytes: &[u8]) {
    if let Ok(foreign) = import::read(bytes) {
        import::check_sizes(&foreign).ok();
    }
}

/// Resolves `text`, alone and on top of an earlier run; what comes out gives itself back.
pub fn config(text: &str) {
    let Ok(asked) = text.parse::<Table>() else { return };
    Config::out(&asked).ok();
    let saved = Table::try_from(Config::resolve(&Table::new()).expect("the defaults fit each other"));
    Config::resume(&saved.expect("they can be written"), &asked).ok();
    let Ok(config) = Config::resolve(&asked) else { return };
    let table = written(&config);
    assert_eq!(Config::resolve(&table).expect("it fits itself"), config);
    // Where the precision was open, that of a resumed run is not.
    let resumed = Config::resume(&table, &table).expect("it fits itself");
    assert_eq!(Config::resume(&written(&resumed), &table).expect("it fits itself"), resumed);
}

fn written(config: &Config) -> Table {
    let text = toml::to_string(config).expect("a configuration can be written");
    text.parse().expect("what was written can be read")
}
