//! TensorBoard's own reader, and the numbers that it should find.

use std::{collections::BTreeMap, fs, path::Path};

use amdim_stream::{config::Config, metrics::Record, observe::tensorboard::tags};
use serde_json::Value;

use crate::support::python;

/// The values of each tag: pairs of step and value, in order.
pub(super) type Scalars = BTreeMap<String, Vec<(u64, f32)>>;

/// Reads the event files of a folder by `EventAccumulator`.
pub(super) fn read(folder: &Path) -> Value {
    serde_json::from_str(&python("board.py", &["read", folder.to_str().unwrap()])).unwrap()
}

/// Returns scalars that TensorBoard has found.
pub(super) fn scalars(found: &Value) -> Scalars {
    serde_json::from_value(found.clone()).unwrap()
}

/// Returns the numbers of a run's records by tag, as floats: event files have no doubles.
pub(super) fn of_records(run: &Path, records: &[Record]) -> Scalars {
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    let config = Config::resolve(&config.parse().unwrap()).ok();
    let mut scalars = Scalars::new();
    for record in records {
        for (tag, number) in tags::of(record, config.as_ref()) {
            scalars.entry(tag).or_default().push((record.step(), number as f32));
        }
    }
    scalars
}

/// Decodes what `base64.b64encode` wrote.
pub(super) fn decoded(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<_> = text.bytes().filter(|byte| *byte != b'=').map(digit).collect();
    let bits = |group: &[u8]| group.iter().fold(0_u32, |bits, digit| bits << 6 | u32::from(*digit));
    let bytes = |group: &[u8]| {
        let bits = bits(group) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(bytes).collect()
}
