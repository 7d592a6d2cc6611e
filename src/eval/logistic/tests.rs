use super::*;

const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);

/// Returns overlapping classes with channels of different scales.
fn samples(n: i64, width: i64, classes: i64, seed: i64) -> Features {
    tch::manual_seed(seed);
    let labels = Tensor::arange(n, (Kind::Int64, Device::Cpu)).remainder(classes);
    let centres = Tensor::randn([classes, width], (Kind::Float, Device::Cpu)).index_select(0, &labels);
    let scales = Tensor::logspace(-1.0, 1.0, width, 10.0, (Kind::Float, Device::Cpu));
    let noise = Tensor::randn([n, width], (Kind::Float, Device::Cpu)) * 1.5;
    Features::of(&((centres + noise + 3.0) * scales), &labels).unwrap()
}

/// Computes the optimum on standardized features by Newton's method, without tensors. Returns the loss and
/// the probabilities.
fn newton(features: &Features, classes: usize, strength: f64) -> (f64, Vec<Vec<f64>>) {
    let (n, width) = (features.len() as usize, features.width() as usize);
    let mut rows =
        Vec::<Vec<f64>>::try_from(features.rows(0, n as i64).unwrap().to_kind(Kind::Double)).unwrap();
    let labels = Vec::<i64>::try_from(&features.labels).unwrap();
    for channel in 0..width {
        let mean = rows.iter().map(|row| row[channel]).sum::<f64>() / n as f64;
        let variance = rows.iter().map(|row| (row[channel] - mean).powi(2)).sum::<f64>() / n as f64;
        for row in &mut rows {
            row[channel] = (row[channel] - mean) / variance.sqrt();
        }
    }
    for row in &mut rows {
        row.push(1.0); // the bias
    }
    let size = classes * (width + 1);
    let mut point = vec![0.0; size];
    let probabilities = |point: &[f64]| -> Vec<Vec<f64>> {
        let of = |row: &Vec<f64>| {
            let scores = point.chunks(width + 1).map(|w| w.iter().zip(row).map(|(w, x)| w * x).sum::<f64>());
            let powers: Vec<f64> = scores.map(f64::exp).collect();
            let sum: f64 = powers.iter().sum();
            powers.into_iter().map(|power| power / sum).collect()
        };
        rows.iter().map(of).collect()
    };
    let penalized = |place: usize| if place % (width + 1) < width { strength } else { 0.0 };
    for _ in 0..30 {
        let chances = probabilities(&point);
        let mut gradient: Vec<f64> = (0..size).map(|place| penalized(place) * point[place]).collect();
        let mut hessian = vec![vec![0.0; size]; size];
        for (place, row) in hessian.iter_mut().enumerate() {
            // A shift of all biases changes nothing. The small term makes the solution unique.
            row[place] = penalized(place) + 1e-9;
        }
        for (row, (chances, label)) in rows.iter().zip(chances.iter().zip(&labels)) {
            for a in 0..classes {
                let off = chances[a] - f64::from(*label == a as i64);
                for i in 0..=width {
                    gradient[a * (width + 1) + i] += off * row[i] / n as f64;
                    for b in 0..classes {
                        let curve = chances[a] * (f64::from(a == b) - chances[b]) / n as f64;
                        for j in 0..=width {
                            hessian[a * (width + 1) + i][b * (width + 1) + j] += curve * row[i] * row[j];
                        }
                    }
                }
            }
        }
        let step = Tensor::linalg_solve(&Tensor::from_slice2(&hessian), &Tensor::from_slice(&gradient), true);
        let step = Vec::<f64>::try_from(step).unwrap();
        point.iter_mut().zip(step).for_each(|(at, step)| *at -= step);
    }
    let chances = probabilities(&point);
    let entropy =
        chances.iter().zip(&labels).map(|(row, &label)| -row[label as usize].ln()).sum::<f64>() / n as f64;
    let penalty: f64 = (0..size).map(|place| 0.5 * penalized(place) * point[place].powi(2)).sum();
    (entropy + penalty, chances)
}

#[test]
fn the_loss_and_the_accuracy_are_those_of_newtons_method() {
    let _alone = crate::testing::lock_generator();
    for (seed, n, width, classes) in [(1, 150, 4, 3), (2, 90, 6, 4)] {
        let features = samples(n, width, classes, seed);
        let fitted = Logistic::fit(&features, classes as u32 + 1, 0, Device::Cpu).unwrap();
        let found = &fitted.details;
        assert!(found.converged && found.gradient_norm <= 1e-6, "{found:?}");
        let (loss, chances) = newton(&features, classes as usize, found.strength);
        assert!((found.objective - loss).abs() < 1e-6, "{} and {loss}", found.objective);
        let labels = Vec::<i64>::try_from(&features.labels).unwrap();
        let likeliest = |row: &Vec<f64>| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        let right =
            chances.iter().zip(&labels).filter(|(row, label)| likeliest(row) as i64 == **label).count();
        assert!((found.train_top1 - right as f64 / n as f64).abs() < 1e-3, "{found:?}");
    }
}

#[test]
fn gradients_equal_the_differences_of_values_and_only_chosen_samples_count() {
    let _alone = crate::testing::lock_generator();
    let features = samples(40, 3, 4, 5);
    let (present, targets) = present(&features.labels);
    let standard = Standard::of(&features, Device::Cpu).unwrap();
    let part = Tensor::arange(40, (Kind::Int64, Device::Cpu)).remainder(3).gt(0).to_kind(Kind::Double);
    let (classes, device) = (present.numel() as i64, Device::Cpu);
    let objective = Objective {
        features: &features,
        standard: &standard,
        targets: &targets,
        classes,
        part: &part,
        strength: 0.3,
        device,
    };
    let point = Tensor::randn([16], DOUBLE);
    let (_, gradient) = objective.at(&point).unwrap();
    for place in 0..16 {
        let value = |by: f64| {
            let moved = point.copy();
            let _ = moved.get(place).g_add_scalar_(by);
            objective.at(&moved).unwrap().0
        };
        let slope = (value(1e-5) - value(-1e-5)) / 2e-5;
        assert!((slope - gradient.double_value(&[place])).abs() < 1e-8, "{place}");
    }
    // The objective of the chosen samples alone, standardized as before.
    let chosen = part.nonzero().view(-1);
    let numbers = Vec::<i64>::try_from(&chosen).unwrap();
    let few =
        Features::of(&features.gather(&numbers).unwrap(), &features.labels.index_select(0, &chosen)).unwrap();
    let (all, few_targets) = (Tensor::ones([numbers.len() as i64], DOUBLE), targets.index_select(0, &chosen));
    let few = Objective { features: &few, targets: &few_targets, part: &all, ..objective };
    assert!((few.at(&point).unwrap().0 - objective.at(&point).unwrap().0).abs() < 1e-12);
}

#[test]
fn a_fifth_of_each_class_is_held_out_and_one_of_two_samples() {
    let targets: Vec<i64> = [vec![0; 20], vec![1; 2], vec![2], vec![3; 7]].concat();
    let targets = Tensor::from_slice(&targets);
    let held = Vec::<bool>::try_from(held_out(&targets, 4, 1)).unwrap();
    let count = |range: std::ops::Range<usize>| held[range].iter().filter(|&&held| held).count();
    assert_eq!([count(0..20), count(20..22), count(22..23), count(23..30)], [4, 1, 0, 1]);
    assert!(held_out(&targets, 4, 1).equal(&held_out(&targets, 4, 1)));
    assert!(!held_out(&targets, 4, 1).equal(&held_out(&targets, 4, 2)));
}

#[test]
fn the_strength_with_the_lowest_held_out_cross_entropy_is_chosen() {
    let tried = |strength, top1, entropy| Tried { strength, top1, entropy, iterations: 1, converged: true };
    let all = [tried(1.0, 0.5, 0.7), tried(0.1, 0.6, 0.6), tried(0.01, 0.7, 0.8)];
    assert!((best(&all).strength - 0.1).abs() < 1e-12);
    let strengths: Vec<_> = strengths().collect();
    assert!(
        strengths.len() == 15 && (strengths[0] - 10.0).abs() < 1e-12 && (strengths[14] - 1e-6).abs() < 1e-18
    );
}

#[test]
fn constant_channels_and_classes_without_samples_do_no_harm() {
    let _alone = crate::testing::lock_generator();
    let features = samples(60, 3, 3, 7);
    let values = features.rows(0, 60).unwrap();
    let wide = Tensor::cat(&[values.shallow_clone(), values.zeros_like() + 7.3], 1);
    // Classes 0, 2 and 4 of 6.
    let labels = &features.labels * 2;
    let wide = Features::of(&wide, &labels).unwrap();
    let fitted = Logistic::fit(&wide, 6, 0, Device::Cpu).unwrap();
    let plain = Logistic::fit(&features, 3, 0, Device::Cpu).unwrap();
    assert!((fitted.details.objective - plain.details.objective).abs() < 1e-9);
    let report = fitted.judge(&wide).unwrap();
    assert!(
        report.confusion.iter().all(|&(_, taken, _)| taken % 2 == 0) && report.top5 > 0.999,
        "{report:?}"
    );
    // A validation sample of a class without training samples is never a hit.
    let foreign = Features::of(&wide.rows(0, 1).unwrap(), &Tensor::from_slice(&[3i64])).unwrap();
    assert!(fitted.judge(&foreign).unwrap().top5 < 0.5);
    let alone = Features::of(&values.narrow(0, 0, 3), &Tensor::from_slice(&[0i64, 1, 2])).unwrap();
    assert!(Logistic::fit(&alone, 3, 0, Device::Cpu).err().unwrap().to_string().contains("held out"));
}
