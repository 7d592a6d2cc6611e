//! Groups of ranks for tests.

use std::{thread, time::Duration};

use tch::{Device, Kind, Tensor};

use crate::{Group, Store};

/// More than any collective of a test takes.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// Runs `work` as each of `size` ranks, and returns the results by rank.
pub(super) fn ranks<T: Send>(size: usize, work: impl Fn(&Group) -> T + Sync) -> Vec<T> {
    let store = Store::in_memory();
    thread::scope(|scope| {
        let run = |rank| {
            let (store, work) = (store.clone(), &work);
            scope.spawn(move || {
                tch::set_num_threads(1); // ranks compute side by side
                work(&Group::gloo(&store, rank, size, LIMIT).unwrap())
            })
        };
        let threads: Vec<_> = (0..size).map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Returns a tensor of f64 between -1 and 1, another one for each number.
pub(super) fn values(number: usize, sizes: &[i64]) -> Tensor {
    let count: i64 = sizes.iter().product();
    let angles = Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.7 + (1 + number) as f64;
    (angles * 1.3).sin().reshape(sizes)
}

/// Returns the largest difference of two tensors.
pub(super) fn difference(left: &Tensor, right: &Tensor) -> f64 {
    (left.to_kind(Kind::Double) - right.to_kind(Kind::Double)).abs().max().double_value(&[])
}

/// Returns whether two tensors have the same kind, sizes and bits.
pub(super) fn is_same(left: &Tensor, right: &Tensor) -> bool {
    left.kind() == right.kind() && left.size() == right.size() && left.equal(right)
}
