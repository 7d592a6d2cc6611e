//! Collectives against their definitions.

use std::sync::atomic::{AtomicUsize, Ordering};

use tch::{Kind, Tensor};

use super::ranks::{LIMIT, difference, is_same, ranks, values};
use crate::{Group, ReduceOp};

const SIZES: [usize; 4] = [1, 2, 3, 4];

/// The tensors of a rank: several kinds and shapes, of which one is not contiguous.
fn mixed(rank: usize) -> Vec<Tensor> {
    let whole = (values(rank, &[5]) * 100.0).to_kind(Kind::Int64);
    let transposed = values(rank + 20, &[3, 4]).transpose(0, 1);
    vec![values(rank, &[2, 3]), values(rank + 10, &[7]), transposed, whole, values(rank + 30, &[2, 2])]
}

fn refs(tensors: &[Tensor]) -> Vec<&Tensor> {
    tensors.iter().collect()
}

/// Returns the tensors of all ranks, stacked: (size, …).
fn stacked(size: usize, of_rank: impl Fn(usize) -> Vec<Tensor>) -> Vec<Tensor> {
    let all: Vec<_> = (0..size).map(of_rank).collect();
    (0..all[0].len())
        .map(|i| Tensor::stack(&all.iter().map(|tensors| &tensors[i]).collect::<Vec<_>>(), 0))
        .collect()
}

#[test]
fn an_all_reduce_is_the_sum_the_least_or_the_largest_of_ranks_values() {
    for size in SIZES {
        for op in [ReduceOp::Sum, ReduceOp::Min, ReduceOp::Max] {
            let reduced = ranks(size, |group| {
                let tensors = mixed(group.rank());
                group.all_reduce(&refs(&tensors), op).unwrap();
                tensors
            });
            for (i, all) in stacked(size, mixed).iter().enumerate() {
                let want = match op {
                    ReduceOp::Sum => all.sum_dim_intlist(0, false, all.kind()),
                    ReduceOp::Min => all.amin(0, false),
                    ReduceOp::Max => all.amax(0, false),
                };
                for tensors in &reduced {
                    assert!(difference(&tensors[i], &want) < 1e-14, "{op:?} of {size} ranks, tensor {i}");
                }
            }
        }
    }
}

#[test]
fn a_mean_is_the_sum_divided_by_the_number_of_ranks() {
    let floats = |rank| vec![values(rank, &[2, 3]), values(rank + 1, &[5])];
    for size in SIZES {
        let means = ranks(size, |group| {
            let tensors = floats(group.rank());
            group.mean(&refs(&tensors)).unwrap();
            tensors
        });
        for (i, all) in stacked(size, floats).iter().enumerate() {
            let want = all.mean_dim(0, false, Kind::Double);
            assert!(
                means.iter().all(|tensors| difference(&tensors[i], &want) < 1e-15),
                "{size} ranks, tensor {i}"
            );
        }
    }
}

#[test]
fn bf16_is_summed_to_its_precision() {
    for size in SIZES {
        let own = |rank: usize| values(rank, &[64]).to_kind(Kind::BFloat16);
        let sums = ranks(size, |group| {
            let sum = own(group.rank());
            group.all_reduce(&[&sum], ReduceOp::Sum).unwrap();
            sum
        });
        let want = (0..size).map(|rank| own(rank).to_kind(Kind::Double)).sum::<Tensor>();
        for sum in sums {
            assert_eq!(sum.kind(), Kind::BFloat16);
            assert!(difference(&sum, &want) < 0.04, "{size} ranks"); // three roundings of numbers below 4
        }
    }
}

#[test]
fn an_all_reduce_gives_all_ranks_the_same_bits_and_the_same_again() {
    let once = || {
        ranks(4, |group| {
            let sum = values(group.rank(), &[10_001]).to_kind(Kind::Float) * 1e3;
            group.all_reduce(&[&sum], ReduceOp::Sum).unwrap();
            sum
        })
    };
    let (first, second) = (once(), once());
    assert!(first.iter().chain(&second).all(|sum| is_same(sum, &first[0])));
}

#[test]
fn an_all_reduce_that_was_begun_gives_its_result_later() {
    for size in SIZES {
        let sums = ranks(size, |group| {
            let flag = (values(group.rank(), &[3]) * 10.0).to_kind(Kind::Int64);
            let begun = group.begin_all_reduce(&flag, ReduceOp::Max).unwrap();
            let other = values(group.rank(), &[2]);
            group.all_reduce(&[&other], ReduceOp::Sum).unwrap(); // overtakes it
            let largest = begun.wait(LIMIT).unwrap();
            assert!(begun.is_done());
            largest
        });
        let all = stacked(size, |rank| vec![(values(rank, &[3]) * 10.0).to_kind(Kind::Int64)]);
        assert!(sums.iter().all(|sum| is_same(sum, &all[0].amax(0, false))));
    }
}

#[test]
fn an_all_gather_puts_ranks_tensors_one_after_the_other() {
    for size in SIZES {
        for kind in [Kind::Float, Kind::Double, Kind::BFloat16, Kind::Int64, Kind::Uint8, Kind::Bool] {
            let own = |rank: usize| (values(rank, &[4, 3]) * 2.0 + 2.0).floor().to_kind(kind).transpose(0, 1);
            let gathered = ranks(size, |group| group.all_gather(&own(group.rank())).unwrap());
            let want = Tensor::cat(&(0..size).map(own).collect::<Vec<_>>(), 0);
            assert!(gathered.iter().all(|gathered| is_same(gathered, &want)), "{size} ranks, {kind:?}");
        }
    }
}

#[test]
fn a_broadcast_gives_all_ranks_the_bits_of_the_root() {
    for size in SIZES {
        for root in [0, size - 1] {
            let got = ranks(size, |group| {
                let tensors = mixed(group.rank());
                group.broadcast(&refs(&tensors), root).unwrap();
                tensors
            });
            let want = mixed(root);
            for tensors in got {
                assert!(tensors.iter().zip(&want).all(|(got, want)| is_same(got, want)), "{size} ranks");
            }
        }
    }
}

#[test]
fn nobody_leaves_a_barrier_before_all_have_come() {
    for size in SIZES {
        let came = AtomicUsize::new(0);
        ranks(size, |group| {
            came.fetch_add(1, Ordering::SeqCst);
            group.barrier(LIMIT).unwrap();
            assert_eq!(came.load(Ordering::SeqCst), size);
        });
    }
}

/// Returns the bytes that each of `size` ranks sends in `work`.
fn sent(size: usize, work: impl Fn(&Group) + Sync) -> Vec<u64> {
    ranks(size, |group| {
        work(group);
        group.sent_bytes()
    })
}

#[test]
fn bytes_are_counted_by_the_documented_formulas() {
    let own = || values(0, &[24]); // 192 bytes
    let input = || own().set_requires_grad(true);
    for (size, reduced, gathered, scattered, broadcast) in [
        (1, 0, 0, 0, vec![0]),
        (2, 192, 192, 96, vec![0, 192]),
        (4, 288, 576, 144, vec![192, 0, 0, 384]), // from rank 3 to 0 and 1, from 0 to 2
    ] {
        assert_eq!(
            sent(size, |group| group.all_reduce(&[&own()], ReduceOp::Sum).unwrap()),
            vec![reduced; size]
        );
        assert_eq!(sent(size, |group| group.mean(&[&own(), &own()]).unwrap()), vec![2 * reduced; size]);
        assert_eq!(sent(size, |group| drop(group.all_gather(&own()).unwrap())), vec![gathered; size]);
        assert_eq!(sent(size, |group| group.broadcast(&[&own()], size - 1).unwrap()), broadcast);
        assert_eq!(sent(size, |group| group.barrier(LIMIT).unwrap()), vec![0; size]);
        let backward = |group: &Group| group.gather_with_gradient(&input()).sum(Kind::Double).backward();
        assert_eq!(sent(size, backward), vec![gathered + gathered; size]); // 192 bytes for each rank come back
        let backward = |group: &Group| group.gather_own_gradient(&input()).sum(Kind::Double).backward();
        assert_eq!(sent(size, backward), vec![gathered; size]);
        let backward =
            |group: &Group| group.sum_scattered_with_gradient(&input()).sum(Kind::Double).backward();
        assert_eq!(sent(size, backward), vec![scattered + scattered; size]);
        let backward = |group: &Group| group.sum_with_gradient(&input()).sum(Kind::Double).backward();
        assert_eq!(sent(size, backward), vec![2 * reduced; size]);
    }
}
