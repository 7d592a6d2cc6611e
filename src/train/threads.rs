//! How a CPU is shared between decoding and libtorch.

use std::env;

use tch::Device;

use crate::data;

/// What a training sample costs a core, to about a factor of two: enough to share cores by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Bytes of its image.
    pub(crate) bytes: f64,
    /// Multiply-accumulates of its part of a step.
    pub(crate) macs: f64,
}

impl Cost {
    /// Of decoding and augmenting both views: 1.1 ms for a JPEG of 110 KB.
    const NANOSECONDS_A_BYTE: f64 = 10.0;
    /// Of training in f32 with AVX2: 25 billion a second.
    const NANOSECONDS_A_MAC: f64 = 0.04;

    /// Threads for libtorch, of so many cores: its share of the work. Decoding threads are one a core in any case, and sleep
    /// when enough is decoded.
    fn threads(self, cores: usize) -> usize {
        let (decode, train) = (self.bytes * Self::NANOSECONDS_A_BYTE, self.macs * Self::NANOSECONDS_A_MAC);
        let share = train / (train + decode).max(f64::MIN_POSITIVE);
        ((cores as f64 * share).round() as usize).clamp(1, cores)
    }
}

/// Sets how many threads libtorch computes with on the CPU: those that were asked for, those of `OMP_NUM_THREADS`, or as many
/// as suit the cost. Gives their number; none on a device that computes by itself.
///
/// The choice follows from the machine, the settings and the data alone, so that a run that is resumed rounds alike.
pub(crate) fn share(asked: Option<usize>, cost: Cost, device: Device) -> Option<usize> {
    if device != Device::Cpu {
        return None;
    }
    let given = env::var("OMP_NUM_THREADS").is_ok_and(|value| value.parse::<usize>().is_ok());
    let chosen = asked.or_else(|| (!given).then(|| cost.threads(data::cores())));
    if let Some(threads) = chosen {
        tch::set_num_threads(threads as i32);
    }
    Some(tch::get_num_threads() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_shared_by_what_takes_longer() {
        let cost = |bytes: f64, macs: f64| Cost { bytes, macs };
        // The demo's model on its tiny images, a small one on photographs, and one that hardly computes.
        assert_eq!(cost(2e3, 2.3e8).threads(2), 2);
        assert_eq!(cost(1.1e5, 2.3e8).threads(2), 2);
        assert_eq!(cost(1.1e5, 1e6).threads(2), 1);
        assert_eq!(cost(1.1e5, 2.75e7).threads(16), 8);
        assert_eq!(cost(0.0, 0.0).threads(4), 1);
    }
}
