//! Batch norms with sum and ReLU beside their plain form: results, gradients and running statistics.

use tch::{Device, Kind, Tensor};

use super::*;
use crate::fused::tests::assert_same;

/// Images, the weights of two convolutions of them, factors, offsets, and numbers like the results.
const SHAPES: [&[i64]; 6] = [&[4, 4, 5, 5], &[6, 4, 1, 1], &[6, 4, 1, 1], &[6], &[6], &[4, 6, 5, 5]];

/// The running statistics that groups begin with.
fn statistics(groups: usize, kind: Kind) -> Vec<[Tensor; 2]> {
    (0..groups).map(|_| [0.5, 2.0].map(|value| Tensor::full(6, value, (kind, Device::Cpu)))).collect()
}

/// Computes relu(norm(x) + skip) with the fourth and fifth leaf.
fn norm_relu(
    leaves: &[Tensor],
    x: &Tensor,
    skip: Option<&Tensor>,
    running: &[[Tensor; 2]],
    is_fused: bool,
) -> Tensor {
    let (weight, bias, momentum, eps) = (&leaves[3], &leaves[4], 0.1, 1e-5);
    if is_fused {
        let running: Vec<_> = running.iter().map(|[mean, var]| Some([mean, var])).collect();
        return BatchNorm { weight, bias, running: &running, momentum, eps }.relu(x, skip);
    }
    let groups = x.chunk(running.len() as i64, 0);
    let normalized = groups.iter().zip(running).map(|(group, [mean, var])| {
        group.batch_norm(Some(weight), Some(bias), Some(mean), Some(var), true, momentum, eps, true)
    });
    let normalized = Tensor::cat(&normalized.collect::<Vec<_>>(), 0);
    skip.map_or_else(|| normalized.shallow_clone(), |skip| &normalized + skip).relu()
}

/// Returns a convolution of the first leaf, in the precision of the scope.
fn convolved(leaves: &[Tensor], weight: usize) -> Tensor {
    leaves[0].conv2d(&leaves[weight], None::<Tensor>, [1; 2], [0; 2], [1; 2], 1)
}

/// Compares norms of one and of two groups, with and without a skip.
fn assert_norms_are_right() {
    for (groups, has_skip) in [(1, false), (1, true), (2, false), (2, true)] {
        let with = |leaves: &[Tensor], is_fused: bool| {
            let [x, other] = [1, 2].map(|weight| convolved(leaves, weight));
            let running = statistics(groups, leaves[3].kind());
            let result = norm_relu(leaves, &x, has_skip.then_some(&other), &running, is_fused);
            result + &leaves[5].to_kind(other.kind()) + other
        };
        assert_same(&SHAPES, &|leaves| with(leaves, true), &|leaves| with(leaves, false));
    }
}

#[test]
fn a_norm_with_sum_and_relu_has_the_gradients_of_its_operations() {
    let _alone = crate::generator::generator();
    assert_norms_are_right();
}

#[test]
fn running_statistics_follow_as_in_the_plain_form() {
    let _alone = crate::generator::generator();
    for (kind, groups) in [(Kind::Float, 1), (Kind::Double, 1), (Kind::Double, 2)] {
        let leaves: Vec<_> =
            SHAPES.iter().map(|shape| Tensor::randn(*shape, (kind, Device::Cpu)) * 2).collect();
        let x = leaves[5].permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
        let updated = |is_fused: bool| {
            let running = statistics(groups, kind);
            let _ = norm_relu(&leaves, &x, None, &running, is_fused);
            running
        };
        let expected = updated(false);
        let off = |[a, b]: [&Tensor; 2]| (a - b).abs().max().double_value(&[]);
        assert!(off([&expected[0][0], &statistics(1, kind)[0][0]]) > 0.01, "they stayed");
        let found = updated(true).into_iter().chain(with_a_reference(|| updated(true)));
        for (found, expected) in found.zip(expected.iter().cycle()) {
            assert!(found.iter().zip(expected).all(|(found, expected)| off([found, expected]) < 1e-6));
        }
    }
}

/// The statistics, the result and the gradients are right where a device's function computes the norm.
#[test]
fn norms_by_a_function_of_the_device_are_those_of_the_plain_operations() {
    let _alone = crate::generator::generator();
    with_a_reference(assert_norms_are_right);
}

/// Calls `work` while `cxx/reference_norm.cpp` computes norms on the CPU, which must happen.
fn with_a_reference<T>(work: impl FnOnce() -> T) -> T {
    const CPU: i32 = 0;
    let path = std::ffi::CString::new(env!("TORCHKIT_REFERENCE_NORM")).unwrap();
    // SAFETY: build.rs built the library from that file; it is never unloaded, and its functions have these types.
    unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
        assert!(!library.is_null(), "{path:?} cannot be used");
        let count = libc::dlsym(library, c"amdim_reference_norms".as_ptr());
        let count = std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> i64>(count);
        let before = count();
        amdim_normalize_by(CPU, libc::dlsym(library, c"amdim_reference_normalize".as_ptr()));
        let result = work();
        amdim_normalize_by(CPU, std::ptr::null());
        assert!(count() > before, "the reference was not called");
        result
    }
}
