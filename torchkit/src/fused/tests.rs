//! Fused layers beside their plain forms: results and all gradients.

use tch::{Device, Kind, Tensor};

use super::*;
use crate::{Precision, caught};

/// The shapes of a layer's leaves.
pub(crate) type Shapes<'a> = &'a [&'a [i64]];

/// Returns the result of a layer for its leaves.
pub(crate) type Layer<'a> = dyn Fn(&[Tensor]) -> Tensor + 'a;

/// Returns leaves of these shapes in f32 or f64, with the memory of images in channels-last order.
fn leaves(shapes: Shapes, kind: Kind) -> Vec<Tensor> {
    tch::manual_seed(5);
    let leaf = |shape: &&[i64]| {
        let drawn = Tensor::randn(*shape, (kind, Device::Cpu)) * 0.5;
        let is_image = shape.len() == 4 && shape[2] > 1;
        let laid =
            if is_image { drawn.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]) } else { drawn };
        laid.set_requires_grad(true)
    };
    shapes.iter().map(leaf).collect()
}

/// Returns the result of a layer and the gradients of its leaves.
fn pass(shapes: Shapes, (kind, precision): (Kind, Precision), layer: &Layer) -> Vec<Tensor> {
    let leaves = leaves(shapes, kind);
    let result = {
        let _scope = precision.autocast(Device::Cpu).unwrap();
        layer(&leaves)
    };
    let along = Tensor::randn(result.size(), (kind, Device::Cpu));
    (&result * along).sum(None::<Kind>).backward();
    let strides = |tensor: &Tensor| {
        let strides = tensor.stride().into_iter().zip(tensor.size());
        strides.filter(|(_, size)| *size > 1).collect::<Vec<_>>()
    };
    let strides_are_kept = |leaf: &Tensor| strides(&leaf.grad()) == strides(leaf);
    assert!(leaves[1..].iter().all(strides_are_kept), "the optimizer needs equal strides");
    [result.detach()].into_iter().chain(leaves.iter().map(Tensor::grad)).collect()
}

/// Compares a fused layer with its plain form: in f64 to 1e-12, in f32 and bf16 to their rounding.
pub(crate) fn assert_same(shapes: Shapes, fused: &Layer, plain: &Layer) {
    let cases = [
        (Kind::Double, Precision::F32, 1e-12),
        (Kind::Float, Precision::F32, 1e-5),
        (Kind::Float, Precision::Bf16, 3e-2),
    ];
    for (kind, precision, bound) in cases {
        let [found, expected] = [fused, plain].map(|layer| pass(shapes, (kind, precision), layer));
        for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!((found.kind(), found.size()), (expected.kind(), expected.size()));
            let off = ((found - expected).norm() / expected.norm()).double_value(&[]);
            assert!(off < bound, "{kind:?} in {precision}: tensor {number} is off by {off:.1e}");
        }
    }
}

fn matrix(weight: &Tensor) -> Tensor {
    weight.flatten(1, 3).transpose(0, 1)
}

fn pixels(images: &Tensor) -> Tensor {
    images.permute([0, 2, 3, 1]).flatten(0, 2)
}

#[test]
fn a_chain_of_residual_layers_has_the_gradients_of_its_operations() {
    let _alone = crate::generator::generator();
    let weight: &[i64] = &[6, 6, 1, 1];
    for depth in [1, 2, 4] {
        let shapes: Vec<_> = [&[40, 6][..]].into_iter().chain((0..2 * depth).map(|_| weight)).collect();
        let fused = |leaves: &[Tensor]| {
            let pairs: Vec<_> = leaves[1..].chunks(2).map(|pair| [&pair[0], &pair[1]]).collect();
            residual_chain(&leaves[0], &pairs)
        };
        let plain = |leaves: &[Tensor]| {
            leaves[1..].chunks(2).fold(leaves[0].shallow_clone(), |x, pair| {
                x.addmm(&x.matmul(&matrix(&pair[0])).relu(), &matrix(&pair[1]))
            })
        };
        assert_same(&shapes, &fused, &plain);
    }
}

#[test]
fn a_residual_layer_that_changes_the_shape_has_the_gradients_of_its_operations() {
    let _alone = crate::generator::generator();
    for (input, output, width, stride) in
        [(4, 6, 4, 2), (4, 4, 3, 1), (4, 8, 2, 2), (4, 6, 1, 1), (6, 4, 3, 1)]
    {
        let shapes: [&[i64]; 3] =
            [&[3, input, 9, 9], &[output, input, width, width], &[output, output, 1, 1]];
        let fused = |leaves: &[Tensor]| reshaping_residual(&leaves[0], &leaves[1], &leaves[2], stride);
        let plain = |leaves: &[Tensor]| {
            let (x, w1) = (&leaves[0], &leaves[1]);
            let hidden = x.conv2d(w1, None::<Tensor>, [stride; 2], [0; 2], [1; 2], 1).relu();
            let pooled = x.avg_pool2d([width; 2], [stride; 2], [0; 2], false, true, None::<i64>);
            let skip = pixels(&pooled.constant_pad_nd([0, 0, 0, 0, 0, output - input]));
            let sum = skip.to_kind(hidden.kind()).addmm(&pixels(&hidden), &matrix(&leaves[2]));
            let size = hidden.size();
            sum.view([size[0], size[2], size[3], -1]).permute([0, 3, 1, 2])
        };
        assert_same(&shapes, &fused, &plain);
    }
}

#[test]
fn a_convolution_with_bias_and_relu_has_the_gradients_of_its_operations() {
    let _alone = crate::generator::generator();
    let fused = |leaves: &[Tensor]| convolution_relu(&leaves[0], &leaves[1], &leaves[2], 2);
    let plain =
        |leaves: &[Tensor]| leaves[0].conv2d(&leaves[1], Some(&leaves[2]), [2; 2], [0; 2], [1; 2], 1).relu();
    assert_same(&[&[2, 3, 9, 9], &[8, 3, 5, 5], &[8]], &fused, &plain);
}

#[test]
fn a_head_has_the_gradients_of_its_operations() {
    let _alone = crate::generator::generator();
    let fused =
        |leaves: &[Tensor]| residual_head(&leaves[0], [&leaves[1], &leaves[2]], &leaves[3], &leaves[4]);
    let plain = |leaves: &[Tensor]| {
        let [w1, w2, shortcut] = [1, 2, 3].map(|number: usize| matrix(&leaves[number]));
        let hidden = leaves[0].matmul(&w1).relu();
        leaves[4].addmm(&leaves[0], &shortcut).addmm(&hidden, &w2)
    };
    assert_same(&[&[30, 6], &[9, 6, 1, 1], &[9, 9, 1, 1], &[9, 6, 1, 1], &[9]], &fused, &plain);
}

#[test]
fn a_pointwise_convolution_adds_the_gradient_of_other_layers() {
    let _alone = crate::generator::generator();
    let layer = |leaves: &[Tensor], [result, x]: [Tensor; 2]| {
        let other = x.conv2d(&leaves[2], None::<Tensor>, [2; 2], [0; 2], [1; 2], 1);
        result.slice(2, 0, None, 2).slice(3, 0, None, 2) * 2 + other
    };
    let fused = |leaves: &[Tensor]| layer(leaves, pointwise_convolution(&leaves[0], &leaves[1]));
    let convolved =
        |leaves: &[Tensor]| leaves[0].conv2d(&leaves[1], None::<Tensor>, [1; 2], [0; 2], [1; 2], 1);
    let plain = |leaves: &[Tensor]| layer(leaves, [convolved(leaves), leaves[0].shallow_clone()]);
    let shapes: [&[i64]; 3] = [&[3, 8, 5, 5], &[6, 8, 1, 1], &[6, 8, 1, 1]];
    assert_same(&shapes, &fused, &plain);
    let alone = |leaves: &[Tensor]| pointwise_convolution(&leaves[0], &leaves[1])[0].shallow_clone();
    assert_same(&shapes[..2], &alone, &convolved);
}

/// The functions of `cxx/reference_matmul.cpp`, which computes products from the descriptions that cuBLASLt gets.
struct Reference {
    multiply: *mut libc::c_void,
    count: extern "C" fn() -> i64,
}

impl Reference {
    fn load() -> Self {
        let path = std::ffi::CString::new(env!("TORCHKIT_REFERENCE_MATMUL")).unwrap();
        // SAFETY: build.rs built the library from that file; it is never unloaded, and its functions have these
        // types.
        unsafe {
            let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
            let [multiply, count] = [c"amdim_reference_multiply", c"amdim_reference_products"]
                .map(|name| libc::dlsym(library, name.as_ptr()));
            assert!(!multiply.is_null() && !count.is_null(), "{path:?} cannot be used");
            let count = std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> i64>(count);
            Self { multiply, count }
        }
    }

    /// Returns how many products `work` has computed by the reference.
    fn products_of(&self, work: impl FnOnce()) -> i64 {
        const CPU: i32 = 0;
        let before = (self.count)();
        // SAFETY: the function has the type of `matmul.h`; null takes it back.
        unsafe { amdim_multiply_by(CPU, self.multiply) };
        work();
        // SAFETY: as above.
        unsafe { amdim_multiply_by(CPU, std::ptr::null()) };
        (self.count)() - before
    }
}

/// Layouts, leading dimensions, epilogues, masks and alignment, as cuBLASLt gets them: the results and gradients
/// that follow from the descriptions are those of the plain operations.
#[test]
fn products_computed_from_their_descriptions_are_those_of_the_plain_operations() {
    let _alone = crate::generator::generator();
    let reference = Reference::load();
    let pairs = |leaves: &[Tensor]| -> Tensor {
        let pairs: Vec<_> = leaves[1..].chunks(2).map(|pair| [&pair[0], &pair[1]]).collect();
        residual_chain(&leaves[0], &pairs)
    };
    let head =
        |leaves: &[Tensor]| residual_head(&leaves[0], [&leaves[1], &leaves[2]], &leaves[3], &leaves[4]);
    let reshaping = |leaves: &[Tensor]| reshaping_residual(&leaves[0], &leaves[1], &leaves[2], 2);
    let square: &[i64] = &[24, 24, 1, 1];
    let wide: &[i64] = &[136, 136, 1, 1]; // more than one word of a mask
    let pointwise = |leaves: &[Tensor]| {
        let [result, x] = pointwise_convolution(&leaves[0], &leaves[1]);
        result * 2 + x
    };
    let cases: [(Shapes, &Layer, i64); 5] = [
        (&[&[33, 24], square, square, square, square], &pairs, 2 * 6),
        (&[&[5, 136], wide, wide], &pairs, 6),
        (&[&[33, 16], &[24, 16, 1, 1], square, &[24, 16, 1, 1], &[24]], &head, 8),
        (&[&[2, 16, 8, 8], &[24, 16, 4, 4], square], &reshaping, 3),
        (&[&[2, 24, 5, 5], square], &pointwise, 3),
    ];
    for (shapes, layer, products) in cases {
        for (kind, precision, bound) in [
            (Kind::Double, Precision::F32, 1e-12),
            (Kind::Float, Precision::F32, 1e-5),
            (Kind::Float, Precision::Bf16, 2e-2),
        ] {
            let expected = pass(shapes, (kind, precision), layer);
            let mut found = Vec::new();
            let count = reference.products_of(|| found = pass(shapes, (kind, precision), layer));
            assert_eq!(count, products, "products that are not described");
            for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let off = ((found - expected).norm() / expected.norm()).double_value(&[]);
                assert!(
                    off < bound,
                    "{kind:?} in {precision}: tensor {number} of {shapes:?} is off by {off:.1e}"
                );
            }
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_libtorchs_error() {
    let [x, weight] =
        [&[2i64, 3][..], &[4, 4, 1, 1]].map(|shape| Tensor::zeros(shape, (Kind::Float, Device::Cpu)));
    let failed = caught(|| residual_chain(&x, &[[&weight, &weight]])).unwrap_err();
    assert!(failed.message.contains("2x3"), "{failed}");
}

#[test]
fn pieces_are_switched_off_one_by_one() {
    Piece::Input.fuse(false);
    assert!(!Piece::Input.is_fused() && Piece::Products.is_fused());
    Piece::Input.fuse(true);
    assert!(Piece::ALL.iter().all(|piece| piece.is_fused()));
}
