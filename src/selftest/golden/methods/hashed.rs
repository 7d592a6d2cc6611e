//! Weights that a case does not store, because they follow from a hash.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use tch::{Kind, Tensor};

use crate::selftest::golden::case::Case;

/// The counter of batches of all norms in hashed states.
const BATCHES: i64 = 7;

/// How the values of a tensor follow from its number and the seed of the case.
#[derive(Deserialize)]
struct Rule {
    shape: Vec<i64>,
    base: f64,
    scale: f64,
    /// The number of the tensor.
    t: u32,
}

/// Returns the tensors of the rule of a case, in f64.
pub(super) fn state(case: &Case) -> Result<BTreeMap<String, Tensor>> {
    let seed = case.int(&["seed"])? as u32;
    let rules: BTreeMap<String, Rule> = serde_json::from_value(case.facts["state_rule"].clone())
        .with_context(|| format!("{}: no rule for each tensor", case.name))?;
    let mut state: BTreeMap<_, _> =
        rules.iter().map(|(name, rule)| (name.clone(), rule.tensor(seed).to_device(case.device))).collect();
    for name in rules.keys().filter_map(|name| name.strip_suffix("running_var")) {
        let count = Tensor::from(BATCHES).to_device(case.device);
        state.insert(format!("{name}num_batches_tracked"), count);
    }
    Ok(state)
}

impl Rule {
    fn tensor(&self, seed: u32) -> Tensor {
        let first = self.t.wrapping_mul(0x9E37_79B9).wrapping_add(seed.wrapping_mul(0x85EB_CA6B));
        let count = self.shape.iter().product::<i64>() as u32;
        let part = |i: u32| f64::from(hash(i.wrapping_add(first)) >> 8) / f64::from(1 << 23) - 1.0;
        // The references keep the values in f32.
        let values: Vec<f32> = (0..count).map(|i| (self.base + self.scale * part(i)) as f32).collect();
        Tensor::from_slice(&values).to_kind(Kind::Double).view(self.shape.as_slice())
    }
}

fn hash(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}
