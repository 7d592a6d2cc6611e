//! Weights that a case does not store, because they follow from a hash.

use std::collections::BTreeMap;

use serde_json::Value;
use tch::{Kind, Tensor};

use crate::golden::Fixture;

/// The counter of batches of all norms in hashed states.
const BATCHES: i64 = 7;

/// Returns the tensors of the rule of a case, in f64.
pub(super) fn state(case: &Fixture) -> BTreeMap<String, Tensor> {
    let seed = case.int(&["seed"]) as u32;
    let rules = case.facts["state_rule"].as_object().expect("a rule for each tensor");
    let mut state: BTreeMap<_, _> =
        rules.iter().map(|(name, rule)| (name.clone(), tensor(rule, seed).to_device(case.device))).collect();
    for name in rules.keys().filter_map(|name| name.strip_suffix("running_var")) {
        let count = Tensor::from(BATCHES).to_device(case.device);
        state.insert(format!("{name}num_batches_tracked"), count);
    }
    state
}

fn tensor(rule: &Value, seed: u32) -> Tensor {
    let shape: Vec<i64> = serde_json::from_value(rule["shape"].clone()).unwrap();
    let (base, scale) = (rule["base"].as_f64().unwrap(), rule["scale"].as_f64().unwrap());
    let number = rule["t"].as_u64().unwrap() as u32;
    let first = number.wrapping_mul(0x9E37_79B9).wrapping_add(seed.wrapping_mul(0x85EB_CA6B));
    let count = shape.iter().product::<i64>() as u32;
    let part = |i: u32| f64::from(hash(i.wrapping_add(first)) >> 8) / f64::from(1 << 23) - 1.0;
    // The references keep the values in f32.
    let values: Vec<f32> = (0..count).map(|i| (base + scale * part(i)) as f32).collect();
    Tensor::from_slice(&values).to_kind(Kind::Double).view(shape.as_slice())
}

fn hash(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}
