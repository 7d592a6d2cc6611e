//! The contrastive loss of CPC, against drawn targets.

use tch::{Kind, Tensor};

/// The summand that keeps logarithms finite.
const LEAST: f64 = 1e-11;

/// Returns the contrastive loss of contexts (m, d) that each predict the target (m, d) of their own row against
/// targets of drawn rows: the mean of −ln(p + 1e-11), where p is the softmax of the own score over 1 + k
/// scores. `drawn` has the numbers (m·k) of the rows of negatives; the own row may be among them.
///
/// # Panics
///
/// If the shapes differ from these.
pub fn drawn(contexts: &Tensor, targets: &Tensor, drawn: &Tensor) -> Tensor {
    let (m, d) = contexts.size2().expect("contexts are (m, d)");
    let negatives = targets.index_select(0, drawn).view([m, -1, d]);
    let own = (contexts * targets).sum_dim_intlist([1i64].as_slice(), true, None::<Kind>);
    let others = negatives.matmul(&contexts.unsqueeze(-1)).squeeze_dim(-1);
    let own = Tensor::cat(&[own, others], 1).softmax(1, None::<Kind>).select(1, 0);
    -(own + LEAST).log().mean(None::<Kind>)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn drawn_equals_its_definition_term_by_term() {
        let _alone = crate::testing::lock_generator();
        tch::manual_seed(1);
        let [contexts, targets] = [0, 1].map(|_| Tensor::randn([4, 3], (Kind::Double, Device::Cpu)));
        let rows = [[1, 0], [1, 1], [3, 0], [2, 3]];
        let found = drawn(&contexts, &targets, &Tensor::from_slice2(&rows).flatten(0, 1));
        let score = |i: i64, j: i64| contexts.get(i).dot(&targets.get(j)).double_value(&[]).exp();
        let surprise = |i: i64| {
            let others: f64 = rows[i as usize].iter().map(|&j| score(i, j)).sum();
            -(score(i, i) / (score(i, i) + others) + LEAST).ln()
        };
        let expected = (0..4).map(surprise).sum::<f64>() / 4.0;
        assert!((found.double_value(&[]) - expected).abs() < 1e-12);
    }
}
