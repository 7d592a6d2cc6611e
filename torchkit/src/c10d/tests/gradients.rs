//! Gradients through collectives against those of one process that has the tensors of all ranks.

use tch::{Kind, Tensor};

use super::ranks::{difference, ranks, values};
use crate::{Group, caught};

const SIZES: [usize; 3] = [1, 2, 4];
const ROWS: i64 = 3;
const WIDTH: i64 = 5;

/// Rank `rank`'s loss of a tensor, which is not the same on two ranks.
fn loss(rank: usize, tensor: &Tensor) -> Tensor {
    let weights = values(100 + rank, &tensor.size()).to_kind(tensor.kind());
    ((tensor * weights).tanh() + tensor.square()).sum(Kind::Double)
}

/// The input of a rank, of which `collective` makes something.
fn input(rank: usize, rows: i64) -> Tensor {
    values(rank, &[rows, WIDTH])
}

fn gradient(input: &Tensor, loss: &Tensor) -> Tensor {
    loss.backward();
    input.grad()
}

/// Compares gradients of each rank's input with those of one process, where the sum of all ranks' losses is taken of
/// what `whole` makes for a rank out of all inputs.
fn compare(
    rows: impl Fn(usize) -> i64 + Sync,
    collective: impl Fn(&Group, &Tensor) -> Tensor + Sync,
    whole: impl Fn(&[Tensor], usize) -> Tensor,
) {
    for size in SIZES {
        let rows = rows(size);
        let inputs: Vec<_> = (0..size).map(|rank| input(rank, rows).set_requires_grad(true)).collect();
        (0..size).map(|rank| loss(rank, &whole(&inputs, rank))).sum::<Tensor>().backward();
        let got = ranks(size, |group| {
            let own = input(group.rank(), rows).set_requires_grad(true);
            let result = collective(group, &own);
            let gradient = gradient(&own, &loss(group.rank(), &result));
            (result.detach(), gradient)
        });
        for (rank, (result, gradient)) in got.iter().enumerate() {
            let want = inputs[rank].grad();
            assert!(difference(result, &whole(&inputs, rank)) < 1e-14, "{size} ranks");
            assert!(difference(gradient, &want) < 1e-12, "{size} ranks: {}", difference(gradient, &want));
            // A gradient that is as many times too small would be seen.
            assert!(size == 1 || difference(&(gradient / size as f64), &want) > 1e-3);
        }
    }
}

fn rows_of(tensor: &Tensor, rank: usize) -> Tensor {
    tensor.narrow(0, rank as i64 * ROWS, ROWS)
}

#[test]
fn a_gather_passes_back_the_sum_of_all_ranks_gradients() {
    let whole = |inputs: &[Tensor], _| Tensor::cat(inputs, 0);
    compare(|_| ROWS, Group::gather_with_gradient, whole);
}

#[test]
fn a_scattered_sum_passes_back_the_gradients_of_all_ranks_rows() {
    let whole = |inputs: &[Tensor], rank| rows_of(&inputs.iter().sum(), rank);
    compare(|size| size as i64 * ROWS, Group::sum_scattered_with_gradient, whole);
}

#[test]
fn a_sum_passes_back_the_sum_of_all_ranks_gradients() {
    compare(|_| ROWS, Group::sum_with_gradient, |inputs: &[Tensor], _| inputs.iter().sum());
}

#[test]
fn a_loss_that_every_rank_computes_has_the_mean_of_ranks_gradients() {
    for size in SIZES {
        // A parameter that is multiplied with each rank's input, and one loss of all products.
        let parameter = || values(50, &[WIDTH]).set_requires_grad(true);
        let of_one = parameter();
        let all = Tensor::cat(&(0..size).map(|rank| input(rank, ROWS)).collect::<Vec<_>>(), 0);
        let want = gradient(&of_one, &loss(0, &(&all * &of_one)));
        let means = ranks(size, |group| {
            let own = parameter();
            let gathered = group.gather_own_gradient(&(input(group.rank(), ROWS) * &own));
            let gradient = gradient(&own, &loss(0, &gathered));
            group.mean(&[&gradient]).unwrap();
            gradient
        });
        for mean in means {
            assert!(difference(&mean, &want) < 1e-12, "{size} ranks");
            assert!(size == 1 || difference(&(mean / size as f64), &want) > 1e-3);
        }
    }
}

#[test]
fn gradients_of_bf16_are_bf16_and_agree_to_its_precision() {
    for size in SIZES {
        let half = |rank: usize| input(rank, ROWS * size as i64).to_kind(Kind::BFloat16);
        let collectives = |group: &Group, own: &Tensor| {
            let gathered = group.gather_with_gradient(own);
            group.sum_scattered_with_gradient(&group.sum_with_gradient(&gathered))
        };
        let got = ranks(size, |group| {
            [Kind::BFloat16, Kind::Double].map(|kind| {
                let own = half(group.rank()).to_kind(kind).set_requires_grad(true);
                let result = collectives(group, &own);
                assert_eq!(result.kind(), kind);
                gradient(&own, &(result * 0.25).sum(Kind::Double))
            })
        });
        for [half, double] in got {
            assert_eq!(half.kind(), Kind::BFloat16);
            assert!(difference(&half, &double) < 0.01 * double.abs().max().double_value(&[]), "{size} ranks");
        }
    }
}

#[test]
fn rows_that_cannot_be_divided_among_ranks_are_an_error() {
    ranks(2, |group| {
        let failed = caught(|| group.sum_scattered_with_gradient(&values(0, &[3, 2]))).unwrap_err();
        assert!(failed.message.contains("[3, 2] cannot be divided among 2 ranks"), "{failed}");
        let failed = group.all_gather(&values(0, &[])).unwrap_err();
        assert!(failed.message.contains("scalar"), "{failed}");
    });
}
