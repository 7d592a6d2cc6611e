//! Fused pieces beside their plain forms.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, json};
use tch::{Device, Kind, Tensor};
use torchkit::Precision;

use super::{
    check::{Check, Found, Options},
    cure::Cure,
    golden::absmax,
};

/// Returns a check for each fused piece.
pub(super) fn fused_pieces() -> Vec<Check> {
    vec![Check::new("fused product with ReLU beside its plain form", Cure::Fused, product_with_relu)]
}

/// The precisions in which pieces are compared, with bounds on the difference of the two forms as a share of
/// the largest value. In f32, three times the rounding of a sum of 12,000 products in another order
/// (√12,000 · 2⁻²⁴); in bf16, a rounding to 8 bits in each form, and the same in what the gradient is made of.
const OFF: [(Precision, f64); 2] = [(Precision::F32, 2e-5), (Precision::Bf16, 1e-2)];

fn product_with_relu(options: &Options) -> Result<Found> {
    let plainly = |x: &Tensor, weight: &Tensor| x.matmul(weight).relu();
    let mut shapes = vec![[480, 64, 96], [37, 24, 40]];
    if options.is_full {
        shapes.extend([[12_000, 512, 512], [1_000, 520, 24]]);
    }
    let mut worst = Map::new();
    for (precision, bound) in OFF {
        precision.apply()?;
        let mut off = 0f64;
        for shape in &shapes {
            let found = pass(options.device, precision, *shape, torchkit::mm_relu)?;
            let expected = pass(options.device, precision, *shape, plainly)?;
            let of_shape = difference(&found, &expected, bound);
            off = off.max(of_shape.with_context(|| format!("{shape:?} in {precision}"))?);
        }
        worst.insert(format!("{precision}_off"), json!(off));
    }
    Ok(Found::Figures(worst.into()))
}

/// Returns the largest difference of a result and of gradients, as a share of the largest expected value of
/// each.
///
/// # Errors
///
/// If one is not within `bound`.
fn difference(found: &[(&str, Tensor)], expected: &[(&str, Tensor)], bound: f64) -> Result<f64> {
    let mut most = 0f64;
    for ((what, found), (_, expected)) in found.iter().zip(expected) {
        ensure!(
            found.kind() == expected.kind(),
            "{what} is {:?} instead of {:?}",
            found.kind(),
            expected.kind()
        );
        let off = absmax(&(found - expected)) / absmax(expected);
        ensure!(off < bound, "{what} is off by {off:.1e}");
        most = most.max(off);
    }
    Ok(most)
}

/// Returns the result (m, out) and the gradients (of x (m, in), and of the weight (out, in)) of a product with
/// a ReLU, for the shape `[m, in, out]`.
///
/// The gradient of the result is zero where the ReLU's input is next to zero: there, rounding decides whether
/// it passes.
fn pass(
    device: Device,
    precision: Precision,
    [m, inputs, outputs]: [i64; 3],
    product: impl Fn(&Tensor, &Tensor) -> Tensor,
) -> Result<[(&'static str, Tensor); 3]> {
    tch::manual_seed(5);
    let drawn = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_device(device);
    let leaf = |shape| drawn(shape).set_requires_grad(true);
    let (x, weight, along) = (leaf([m, inputs]), leaf([outputs, inputs]), drawn([m, outputs]));
    let before = tch::no_grad(|| x.matmul(&weight.transpose(0, 1)));
    let is_clear = before.abs().ge(0.05 * (inputs as f64).sqrt());
    let result = {
        let _scope = precision.autocast(device)?;
        product(&x, &weight.transpose(0, 1))
    };
    (&result * along * is_clear).sum(Kind::Float).backward();
    Ok([
        ("the result", result.detach()),
        ("the gradient of x", x.grad()),
        ("the gradient of the weight", weight.grad()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_that_lets_a_thousandth_through_is_not_taken_for_rounding() {
        let _alone = crate::testing::lock_generator();
        let of = |form: &dyn Fn(&Tensor, &Tensor) -> Tensor| {
            pass(Device::Cpu, Precision::F32, [37, 24, 40], form).unwrap()
        };
        let expected = of(&|x, weight| x.matmul(weight).relu());
        let leaky = of(&|x, weight| {
            let product = x.matmul(weight);
            product.relu() + product * 1e-3
        });
        assert!(difference(&expected, &expected, OFF[0].1).is_ok());
        let error = difference(&leaky, &expected, OFF[0].1).unwrap_err().to_string();
        assert!(error.starts_with("the result is off by 1.0e-3"), "{error}");
    }
}
