//! Tests of memory banks.

use tch::{Device, Kind, Tensor, nn::VarStore};

use super::{BankLoss, BankSettings, Contrast, Moved};
use crate::loss::{noise_contrastive, softmax_of_drawn, unit};

const F64: (Kind, Device) = (Kind::Double, Device::Cpu);
const SETTINGS: BankSettings = BankSettings {
    loss: BankLoss::Nce,
    negatives: 8,
    excludes_own: false,
    temperature: 0.2,
    dim: 6,
    momentum: 0.5,
    z_momentum: 1.0,
};

/// Returns a bank of 20 rows in f64.
fn contrast(settings: &BankSettings) -> (VarStore, Contrast) {
    tch::manual_seed(1);
    let mut vars = VarStore::new(Device::Cpu);
    let contrast = Contrast::new(&vars.root(), ["memory", "z"], 20, settings);
    vars.double();
    (vars, contrast)
}

fn named(vars: &VarStore, name: &str) -> Tensor {
    vars.variables()[name].copy()
}

fn flag(is_broken: bool) -> Tensor {
    Tensor::from(f32::from(u8::from(is_broken)))
}

fn features(n: i64) -> Tensor {
    unit(&Tensor::randn([n, 6], F64)).set_requires_grad(true)
}

fn is_near(a: &Tensor, b: &Tensor) -> bool {
    a.allclose(b, 1e-12, 1e-12, false)
}

#[test]
fn a_fresh_bank_has_rows_of_length_one_on_average() {
    let _alone = crate::testing::lock_generator();
    let vars = VarStore::new(Device::Cpu);
    let settings = BankSettings { dim: 96, ..SETTINGS };
    let _contrast = Contrast::new(&vars.root(), ["memory", "z"], 2000, &settings);
    let lengths = named(&vars, "memory").square().sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
    assert!((lengths.mean(Kind::Double).double_value(&[]) - 1.0).abs() < 0.01);
    assert!(lengths.std(true).double_value(&[]) > 0.05, "they were brought to length 1");
}

#[test]
fn the_loss_of_drawn_rows_and_its_gradient_are_those_of_gathered_rows() {
    let _alone = crate::testing::lock_generator();
    for loss in [BankLoss::Nce, BankLoss::Softmax] {
        let (vars, contrast) = contrast(&BankSettings { loss, ..SETTINGS });
        let one = features(4);
        let drawn = Tensor::randint(20, [4, 9], (Kind::Int64, Device::Cpu));
        let found = contrast.loss(&one, &drawn.select(1, 0), Some(&drawn)).loss;
        found.backward();
        let other = one.detach().set_requires_grad(true);
        let rows = named(&vars, "memory").index_select(0, &drawn.view([-1])).view([4, 9, 6]);
        let scores = rows.bmm(&other.unsqueeze(-1)).squeeze_dim(-1) / 0.2;
        assert!(is_near(&contrast.scores(&one, Some(&drawn)), &scores));
        let expected = match loss {
            BankLoss::Nce => {
                noise_contrastive(&scores, &(scores.exp().mean(Kind::Double) * 20.0).detach(), 20)
            }
            BankLoss::Softmax => softmax_of_drawn(&scores),
        };
        expected.backward();
        assert!(is_near(&found, &expected) && is_near(&one.grad(), &other.grad()), "{loss:?}");
    }
}

#[test]
fn the_loss_of_all_rows_is_that_of_each_row_drawn_once() {
    let _alone = crate::testing::lock_generator();
    let (_vars, contrast) = contrast(&BankSettings { loss: BankLoss::Softmax, ..SETTINGS });
    let features = features(2);
    let order = |own: i64| [own].into_iter().chain((0..20).filter(|row| *row != own)).collect::<Vec<_>>();
    let drawn = Tensor::from_slice(&[order(3), order(17)].concat()).view([2, 20]);
    let numbers = Tensor::from_slice(&[3i64, 17]);
    let (all, each) = (
        contrast.loss(&features, &numbers, None).loss,
        contrast.loss(&features, &numbers, Some(&drawn)).loss,
    );
    assert!(is_near(&all, &each));
}

#[test]
fn rows_move_to_the_last_features_of_their_sample() {
    let _alone = crate::testing::lock_generator();
    let (vars, contrast) = contrast(&BankSettings { momentum: 0.75, ..SETTINGS });
    let (before, features) = (named(&vars, "memory"), features(5).detach());
    let numbers = Tensor::from_slice(&[7i64, 2, 7, 19, 7]);
    contrast.update(&Moved { numbers, features: features.copy() }, &flag(false));
    let after = named(&vars, "memory");
    for row in 0..20 {
        let expected = match row {
            2 | 7 | 19 => {
                let of = [(2, 1), (7, 4), (19, 3)].into_iter().find(|(number, _)| *number == row).unwrap().1;
                unit(&(before.get(row) * 0.75 + features.get(of) * 0.25))
            }
            _ => before.get(row),
        };
        assert!(is_near(&after.get(row), &expected), "row {row}");
    }
}

#[test]
fn a_broken_step_changes_neither_rows_nor_z() {
    let _alone = crate::testing::lock_generator();
    let (vars, contrast) = contrast(&SETTINGS);
    let before = named(&vars, "memory");
    let drawn = Tensor::randint(20, [3, 5], (Kind::Int64, Device::Cpu));
    let moved = || Moved {
        numbers: Tensor::from_slice(&[1i64, 2, 3]),
        features: Tensor::full([3, 6], f64::NAN, F64),
    };
    let _loss = contrast.loss(&moved().features.set_requires_grad(true), &drawn.select(1, 0), Some(&drawn));
    contrast.update(&moved(), &flag(true));
    assert!(named(&vars, "memory").equal(&before) && is_near(&named(&vars, "z"), &Tensor::from(-1.0)));
}

#[test]
fn z_is_estimated_by_the_first_batch_and_then_stays_unless_it_is_averaged() {
    let _alone = crate::testing::lock_generator();
    for z_momentum in [1.0, 0.75] {
        let (vars, contrast) = contrast(&BankSettings { z_momentum, ..SETTINGS });
        let mut expected = None;
        for _ in 0..3 {
            let features = features(4);
            let drawn = Tensor::randint(20, [4, 9], (Kind::Int64, Device::Cpu));
            let scores = contrast.scores(&features, Some(&drawn));
            let estimate = scores.exp().mean(Kind::Double).double_value(&[]) * 20.0;
            let next = expected.map_or(estimate, |z: f64| z_momentum * z + (1.0 - z_momentum) * estimate);
            let moved = Moved { numbers: drawn.select(1, 0), features: features.detach() };
            let found = contrast.loss(&features, &moved.numbers, Some(&drawn)).z.unwrap();
            assert!((found.double_value(&[]) / next - 1.0).abs() < 1e-12, "{found} {next}");
            let before = Tensor::from(expected.unwrap_or(-1.0));
            assert!(is_near(&named(&vars, "z"), &before), "a loss changed Z");
            contrast.update(&moved, &flag(false));
            let z = named(&vars, "z").double_value(&[]);
            assert!((z / next - 1.0).abs() < 1e-12, "{z} {next}");
            expected = Some(z);
        }
    }
}

#[test]
fn draws_begin_with_the_own_row_and_reach_all_others() {
    let _alone = crate::testing::lock_generator();
    tch::manual_seed(2);
    let numbers = Tensor::from_slice(&[0i64, 3, 4]);
    for excludes_own in [false, true] {
        let drawn = BankSettings { negatives: 400, excludes_own, ..SETTINGS }.draw(&numbers, 5).unwrap();
        let rows = Vec::<Vec<i64>>::try_from(&drawn).unwrap();
        for (row, own) in rows.iter().zip([0, 3, 4]) {
            let count = |number: i64| row[1..].iter().filter(|drawn| **drawn == number).count();
            let counts: Vec<_> = (0..5).map(count).collect();
            assert!(row[0] == own && counts.iter().sum::<usize>() == 400, "{counts:?}");
            let is_even = |number: usize| {
                let least = if excludes_own && number as i64 == own { 0..1 } else { 50..150 };
                least.contains(&counts[number])
            };
            assert!((0..5).all(is_even), "{excludes_own} {own}: {counts:?}");
        }
    }
    assert!(BankSettings { negatives: 0, ..SETTINGS }.draw(&numbers, 5).is_none());
}

#[test]
fn the_chance_level_is_the_loss_of_rows_that_are_all_alike() {
    for (loss, negatives) in [(BankLoss::Softmax, 7), (BankLoss::Softmax, 0), (BankLoss::Nce, 7)] {
        let settings = BankSettings { loss, negatives, ..SETTINGS };
        let scores = Tensor::zeros([3, settings.scores(20)], F64);
        let found = match loss {
            BankLoss::Softmax => softmax_of_drawn(&scores),
            BankLoss::Nce => noise_contrastive(&scores, &Tensor::from(20.0), 20),
        };
        let off = found.double_value(&[]) - settings.chance(20);
        assert!(off.abs() < 1e-5, "{loss:?} {negatives}: {off:e}"); // ε of NCE is not part of the chance level
    }
}
