//! The queue of keys.

use tch::{Device, Kind, Tensor, nn::Path};

use crate::loss;

/// The keys of earlier batches, the oldest of which are replaced first. Both tensors are named as in the
/// reference implementation.
#[derive(Debug)]
pub(super) struct Queue {
    /// Keys of unit length (d, k), one in each column.
    keys: Tensor,
    /// The column (1) of the oldest key.
    oldest: Tensor,
}

impl Queue {
    /// Returns a queue of `length` random keys of `dim` channels.
    pub(super) fn new(path: &Path, dim: i64, length: i64) -> Self {
        // Drawn on the CPU, so that a seed gives the same queue on every device.
        let drawn = loss::unit(&Tensor::randn([length, dim], (Kind::Float, Device::Cpu))).transpose(0, 1);
        let add = |name, tensor: Tensor| path.add(name, tensor.contiguous().to_device(path.device()), false);
        Self {
            keys: add("queue", drawn),
            oldest: add("queue_ptr", Tensor::zeros([1], (Kind::Int64, Device::Cpu))),
        }
    }

    /// Returns the keys (d, k).
    pub(super) fn keys(&self) -> &Tensor {
        &self.keys
    }

    /// Returns the number of keys.
    pub(super) fn length(&self) -> i64 {
        self.keys.size()[1]
    }

    /// Returns the bytes of all keys.
    pub(super) fn bytes(&self) -> u64 {
        self.keys.numel() as u64 * self.keys.kind().elt_size_in_bytes() as u64
    }

    /// Replaces the oldest keys by `keys` (n, d), unless `is_broken`, a scalar, is 1. Of more keys than the
    /// queue has, the last ones are kept.
    pub(super) fn push(&mut self, keys: &Tensor, is_broken: &Tensor) {
        let (length, is_broken) = (self.length(), is_broken.to_kind(Kind::Bool));
        let skipped = (keys.size()[0] - length).max(0);
        let keys = keys.narrow(0, skipped, keys.size()[0] - skipped).transpose(0, 1);
        let places = Tensor::arange(keys.size()[1], (Kind::Int64, keys.device())) + &self.oldest + skipped;
        let places = places.remainder(length);
        let kept = self.keys.index_select(1, &places);
        let _ = self.keys.index_copy_(1, &places, &kept.where_self(&is_broken, &keys.to_kind(kept.kind())));
        let next = (&self.oldest + skipped + keys.size()[1]).remainder(length);
        self.oldest.copy_(&self.oldest.where_self(&is_broken, &next));
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;

    use super::*;

    fn values(queue: &Queue) -> (Vec<f64>, i64) {
        (queue.keys.get(0).try_into().unwrap(), queue.oldest.int64_value(&[0]))
    }

    #[test]
    fn keys_replace_the_oldest_ones_beyond_the_end_of_the_queue() {
        let _alone = crate::testing::lock_generator();
        let mut queue = Queue::new(&VarStore::new(Device::Cpu).root(), 1, 5);
        let keys = |first: i64, n: i64| {
            Tensor::arange_start(first, first + n, (Kind::Float, Device::Cpu)).view([n, 1])
        };
        let [fine, broken] = [0.0, 1.0].map(|value| Tensor::from(value as f32));
        queue.push(&keys(10, 3), &fine);
        queue.push(&keys(13, 3), &fine);
        assert_eq!(values(&queue), (vec![15.0, 11.0, 12.0, 13.0, 14.0], 1));
        queue.push(&keys(90, 3), &broken);
        queue.push(&(keys(90, 3) * f64::NAN), &broken);
        assert_eq!(values(&queue), (vec![15.0, 11.0, 12.0, 13.0, 14.0], 1));
        // Seven keys from place 1 on: the last five remain, at the places that each has.
        queue.push(&keys(20, 7), &fine);
        assert_eq!(values(&queue), (vec![24.0, 25.0, 26.0, 22.0, 23.0], 3));
    }
}
