//! The chance levels of the parts of a loss.

use crate::{config::Config, loss, metrics::TrainRecord};

/// Returns the loss at chance level of a part of a method's loss; `None` if the part is no loss or has none. `chance` is
/// that of the whole loss in the same record.
pub fn chance_of(config: &Config, part: &str, chance: f64) -> Option<f64> {
    let method = config.method.chosen().name();
    match (method, part) {
        ("amdim", "1t5" | "5t5" | "1t7") => {
            let samples = config.train.batch_size? as i64;
            Some(loss::chance(samples, if part == "1t7" { 49 } else { 25 }))
        }
        ("simclr" | "moco", "view1" | "view2" | "further") => Some(chance),
        ("cmc", "l" | "ab") => Some(chance / 2.0),
        ("cpc", part) if part.starts_with("step_") => Some(chance),
        _ => None,
    }
}

/// Returns the chance levels of the parts of a record's loss, with their names.
pub fn chances<'a>(config: &Config, record: &'a TrainRecord) -> Vec<(&'a str, f64)> {
    let Some(of_all) = record.chance else { return Vec::new() };
    let of_part = |name: &'a String| Some((name.as_str(), chance_of(config, name, of_all)?));
    record.parts.keys().filter_map(of_part).collect()
}

/// Returns whether a part of a loss is a loss in nats, and not another number of the method.
pub(super) fn is_loss(part: &str) -> bool {
    matches!(part, "1t5" | "1t7" | "5t5" | "view1" | "view2" | "further" | "l" | "ab")
        || part.starts_with("step_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chance_levels_of_parts_add_up_to_that_of_the_loss() {
        let mut config = Config::preset(pipeline::Preset::C10);
        config.train.batch_size = Some(64);
        let parts = ["1t5", "1t7", "5t5"].map(|part| chance_of(&config, part, 22.761).unwrap());
        assert!((parts.iter().sum::<f64>() - 22.761).abs() < 1e-3, "{parts:?}");
        assert_eq!(chance_of(&config, "penalty", 22.761), None);
    }
}
