//! The sharing of a CPU between decoding and libtorch.

use tch::Device;

use crate::data;

/// The size of a training sample. Its costs can be estimated from this within a factor of two, which is
/// enough to divide the cores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SampleCost {
    /// Bytes of its image.
    pub(crate) bytes: f64,
    /// Multiply-accumulates of its share of a step.
    pub(crate) macs: f64,
}

impl SampleCost {
    /// Time of decoding an image and augmenting its views, measured with two of them: 1.1 ms for a JPEG of
    /// 110 KB.
    const NANOSECONDS_A_BYTE: f64 = 10.0;
    /// Time of training in f32 with AVX2: 25 billion multiply-accumulates a second.
    const NANOSECONDS_A_MAC: f64 = 0.04;

    /// Returns libtorch's share of `cores` threads. There is a decoding thread for each core in any case;
    /// they sleep when enough is decoded.
    fn threads(self, cores: usize) -> usize {
        let (decode, train) = (self.bytes * Self::NANOSECONDS_A_BYTE, self.macs * Self::NANOSECONDS_A_MAC);
        let share = train / (train + decode).max(f64::MIN_POSITIVE);
        ((cores as f64 * share).round() as usize).clamp(1, cores)
    }
}

/// Sets the number of threads with which libtorch computes on the CPU: the one `asked` for, that of
/// `OMP_NUM_THREADS`, or one that suits the cost. Returns it, or `None` on other devices.
///
/// The number depends on the machine, the settings and the data alone, so that a resumed run rounds as it did
/// before.
pub(crate) fn set_compute_threads(asked: Option<usize>, cost: SampleCost, device: Device) -> Option<usize> {
    if device != Device::Cpu {
        return None;
    }
    let chosen = asked.or_else(|| (!data::are_threads_given()).then(|| cost.threads(data::cores())));
    if let Some(threads) = chosen {
        tch::set_num_threads(threads as i32);
    }
    Some(tch::get_num_threads() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_gets_more_threads_where_training_takes_longer_than_decoding() {
        let cost = |bytes: f64, macs: f64| SampleCost { bytes, macs };
        // The demo's model on its tiny images, a small model on photographs, and a model that hardly
        // computes.
        assert_eq!(cost(2e3, 2.3e8).threads(2), 2);
        assert_eq!(cost(1.1e5, 2.3e8).threads(2), 2);
        assert_eq!(cost(1.1e5, 1e6).threads(2), 1);
        assert_eq!(cost(1.1e5, 2.75e7).threads(16), 8);
        assert_eq!(cost(0.0, 0.0).threads(4), 1);
    }
}
