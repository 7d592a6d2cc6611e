//! Averages of gradients against those of one process that has the whole batch.

use tch::{Kind, Tensor, no_grad};

use super::ranks::{difference, ranks, values};
use crate::{Group, Reducer, caught};

const WIDTH: i64 = 256;
const BATCH: i64 = 16;
const STEPS: usize = 3;

/// How a step's backward passes are made.
#[derive(Debug, Clone, Copy)]
struct Plan {
    parts: i64,
    by_blocks: bool,
}

const PLANS: [Plan; 4] = [
    Plan { parts: 1, by_blocks: false },
    Plan { parts: 1, by_blocks: true },
    Plan { parts: 2, by_blocks: false },
    Plan { parts: 2, by_blocks: true },
];

/// Parameters of four layers: 2 MiB of matrices, more than one of the reducer's buffers.
fn parameters() -> Vec<Tensor> {
    let matrix = |i| (values(i, &[WIDTH, WIDTH]) * 0.1).set_requires_grad(true);
    let bias = |i| values(10 + i, &[WIDTH]).set_requires_grad(true);
    (0..4).flat_map(|i| [matrix(i), bias(i)]).collect()
}

fn layer(input: &Tensor, parameters: &[Tensor]) -> Tensor {
    (input.matmul(&parameters[0]) + &parameters[1]).tanh()
}

fn inputs(step: usize) -> Tensor {
    values(1000 + step, &[BATCH, WIDTH])
}

/// Adds the gradients of the mean square of the outputs, divided by `parts`.
fn backward(input: &Tensor, parameters: &[Tensor], plan: Plan) {
    let mean = |output: &Tensor| output.square().mean(Kind::Double) / plan.parts as f64;
    if !plan.by_blocks {
        let output = parameters.chunks(2).fold(input.shallow_clone(), |x, layer_of| layer(&x, layer_of));
        return mean(&output).backward();
    }
    let mut inputs = vec![input.shallow_clone()];
    no_grad(|| {
        for layer_of in parameters.chunks(2) {
            inputs.push(layer(&inputs[inputs.len() - 1], layer_of));
        }
    });
    let output = inputs.pop().unwrap().set_requires_grad(true);
    mean(&output).backward();
    let mut of_output = output.grad();
    for (input, layer_of) in inputs.iter().zip(parameters.chunks(2)).rev() {
        let input = input.detach().set_requires_grad(true);
        (layer(&input, layer_of) * of_output).sum(Kind::Double).backward();
        of_output = input.grad();
    }
}

/// Changes parameters by their gradients, which are returned.
fn update(parameters: &[Tensor]) -> Vec<Tensor> {
    let gradients: Vec<_> = parameters.iter().map(|parameter| parameter.grad().copy()).collect();
    no_grad(|| {
        for (parameter, gradient) in parameters.iter().zip(&gradients) {
            let _ = parameter.shallow_clone().g_sub_(&(gradient * 10.0));
        }
    });
    gradients
}

/// Returns the gradients of each step in one process.
fn of_one_process() -> Vec<Vec<Tensor>> {
    let parameters = parameters();
    let step = |step| {
        backward(&inputs(step), &parameters, PLANS[0]);
        let gradients = update(&parameters);
        for parameter in &parameters {
            let _ = parameter.grad().zero_();
        }
        gradients
    };
    (0..STEPS).map(step).collect()
}

fn of_ranks(group: &Group, plan: Plan) -> Vec<Vec<Tensor>> {
    let parameters = parameters();
    let reducer = Reducer::new(group, &parameters.iter().collect::<Vec<_>>()).unwrap();
    let rows = BATCH / group.size() as i64;
    let step = |step| {
        reducer.zero().unwrap();
        reducer.prepare_forward().unwrap();
        let own = inputs(step).narrow(0, group.rank() as i64 * rows, rows);
        let parts = own.chunk(plan.parts, 0);
        for (k, part) in parts.iter().enumerate() {
            if k == parts.len() - 1 {
                reducer.prepare_backward().unwrap();
            }
            backward(part, &parameters, plan);
        }
        reducer.finish().unwrap();
        update(&parameters)
    };
    (0..STEPS).map(step).collect()
}

#[test]
fn gradients_are_the_means_of_ranks_however_the_way_back_is_cut() {
    let want = of_one_process();
    assert!(difference(&want[0][0], &want[1][0]) > 1e-6, "steps have gradients of their own");
    for size in [1, 2, 4] {
        for plan in PLANS {
            for steps in ranks(size, |group| of_ranks(group, plan)) {
                for (got, want) in steps.iter().flatten().zip(want.iter().flatten()) {
                    let scale = want.abs().max().double_value(&[]);
                    assert!(difference(got, want) < 1e-12 * scale, "{size} ranks, {plan:?}");
                }
            }
        }
    }
}

#[test]
fn the_bytes_of_averages_are_counted() {
    let bytes = 4 * (WIDTH * WIDTH + WIDTH) as u64 * 8;
    for size in [2, 4] {
        let sent = ranks(size, |group| {
            let parameters = parameters();
            let reducer = Reducer::new(group, &parameters.iter().collect::<Vec<_>>()).unwrap();
            let mut sent = Vec::new();
            for step in 0..STEPS {
                reducer.prepare_forward().unwrap();
                let before = group.sent_bytes();
                reducer.prepare_backward().unwrap();
                backward(&inputs(step), &parameters, PLANS[0]);
                sent.push(group.sent_bytes() - before);
            }
            sent
        });
        let want = 2 * bytes * (size as u64 - 1) / size as u64;
        assert!(sent.iter().flatten().all(|sent| *sent == want), "{sent:?} instead of {want}");
    }
}

#[test]
fn a_parameter_without_a_gradient_is_an_error_in_the_same_step() {
    ranks(2, |group| {
        let parameters: Vec<_> = (0..4).map(|i| values(i, &[3]).set_requires_grad(true)).collect();
        let reducer = Reducer::new(group, &parameters.iter().collect::<Vec<_>>()).unwrap();
        reducer.prepare_forward().unwrap();
        let loss = (&parameters[0] * &parameters[2]).sum(Kind::Double);
        reducer.prepare_backward().unwrap();
        loss.backward();
        let failed = reducer.finish().unwrap_err();
        assert!(failed.message.ends_with("these parameters got none: 1 3"), "{failed}");
        assert!(!failed.message.contains('\n') && failed.message.len() < 200);
        assert_eq!(reducer.prepare_forward().unwrap_err(), failed);
    });
}

#[test]
fn a_list_with_a_constant_or_with_other_shapes_is_refused() {
    ranks(2, |group| {
        let constant = values(0, &[2]);
        let failed = Reducer::new(group, &[&constant]).unwrap_err();
        assert!(failed.message.contains("parameter 0"), "{failed}");
        let own = values(0, &[2 + group.rank() as i64]).set_requires_grad(true);
        let made = Reducer::new(group, &[&own]);
        if group.rank() > 0 {
            let failed = made.unwrap_err();
            assert!(failed.message.contains("with sizes [3]") && !failed.message.contains('\n'), "{failed}");
        }
    });
}

#[test]
fn gradients_outlive_the_reducer_and_its_group() {
    let means = ranks(2, |group| {
        let parameter = values(group.rank(), &[4]).set_requires_grad(true);
        let reducer = Reducer::new(group, &[&parameter]).unwrap();
        reducer.prepare_forward().unwrap();
        reducer.prepare_backward().unwrap();
        caught(|| parameter.square().sum(Kind::Double).backward()).unwrap();
        parameter.grad()
    });
    let want = values(0, &[4]) + values(1, &[4]);
    assert!(means.iter().all(|mean| difference(mean, &want) < 1e-14));
}
