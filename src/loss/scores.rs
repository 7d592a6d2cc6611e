//! The distribution of the scores that a loss compares.

use tch::{Kind, Tensor};

use super::widened::widened;

/// The scores of all pairs of queries and keys, for a histogram: their products, scaled, and perhaps clipped softly.
#[derive(Debug)]
pub struct Scores {
    /// The name of the part of the loss.
    pub name: &'static str,
    /// The queries (n, d) of all processes, or of this one.
    pub queries: Tensor,
    /// The keys (m, d) of this process, or of all.
    pub keys: Tensor,
    /// The factor of the products.
    pub scale: f64,
    /// Scores are clipped softly to ± this, if they are.
    pub clip: Option<f64>,
    /// The buckets reach from − this to + this. Scores beyond count in the outermost ones.
    pub bound: f64,
}

impl Scores {
    /// The number of buckets.
    pub const BUCKETS: i64 = 64;

    /// Returns the scores of queries (n, d) and keys (m, d) of unit length, divided by a temperature.
    pub fn of_units(name: &'static str, queries: Tensor, keys: Tensor, temperature: f64) -> Self {
        Self { name, queries, keys, scale: 1.0 / temperature, clip: None, bound: 1.0 / temperature }
    }

    /// Returns what a histogram needs, (4 + 64) in f64, without a graph: the largest negative score and the largest one,
    /// the sum, the sum of squares, and the number of scores in each bucket. Nothing waits for the device.
    ///
    /// # Panics
    ///
    /// If there are no queries or no keys.
    pub fn summary(&self) -> Tensor {
        /// The most scores that exist at a time.
        const MOST: i64 = 1 << 22;
        tch::no_grad(|| {
            let keys = widened(&self.keys).detach().transpose(0, 1);
            let queries = widened(&self.queries).detach() * self.scale;
            let rows = (MOST / keys.size()[1].max(1)).max(1);
            let blocks =
                queries.split(rows, 0).into_iter().map(|queries| self.of_block(&queries.matmul(&keys)));
            let joined =
                blocks.reduce(|[largest, sums], [other, more]| [largest.maximum(&other), sums + more]);
            Tensor::cat(&joined.expect("there is a query"), 0)
        })
    }

    /// Returns the numbers of which the largest over all blocks counts, and those that are added up.
    fn of_block(&self, products: &Tensor) -> [Tensor; 2] {
        let scores = match self.clip {
            Some(clip) => (products / clip).tanh() * clip,
            None => products.shallow_clone(),
        };
        let largest = Tensor::stack(&[scores.min().neg(), scores.max()], 0).to_kind(Kind::Double);
        let of_all = Tensor::stack(&[scores.sum(Kind::Double), scores.square().sum(Kind::Double)], 0);
        let width = 2.0 * self.bound / Self::BUCKETS as f64;
        let buckets = ((&scores + self.bound) / width).clamp(0.0, (Self::BUCKETS - 1) as f64);
        // Of a number that is not finite, the bucket has no meaning; it must only be one.
        let buckets = buckets.to_kind(Kind::Int64).clamp(0, Self::BUCKETS - 1);
        let (rows, device) = (scores.size()[0], scores.device());
        let none = Tensor::zeros([rows, Self::BUCKETS], (Kind::Double, device));
        let ones = Tensor::ones([1, 1], (Kind::Double, device)).expand_as(&buckets);
        let counts =
            none.scatter_add(1, &buckets, &ones).sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
        [largest, Tensor::cat(&[of_all, counts], 0)]
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn a_summary_equals_its_definition_score_by_score() {
        let _alone = crate::testing::lock_generator();
        tch::manual_seed(1);
        let [queries, keys] = [5, 7].map(|n| Tensor::randn([n, 3], (Kind::Double, Device::Cpu)) * 3.0);
        for clip in [Some(4.0), None] {
            let scores = Scores {
                name: "x",
                queries: queries.shallow_clone(),
                keys: keys.shallow_clone(),
                scale: 0.5,
                clip,
                bound: 4.0,
            };
            let found = Vec::<f64>::try_from(scores.summary()).unwrap();
            let products =
                Vec::<f64>::try_from(queries.matmul(&keys.transpose(0, 1)).flatten(0, 1) * 0.5).unwrap();
            let slow: Vec<_> =
                products.into_iter().map(|x| clip.map_or(x, |clip| clip * (x / clip).tanh())).collect();
            let mut expected = vec![0.0; 4 + 64];
            expected[0] = -slow.iter().copied().fold(f64::INFINITY, f64::min);
            expected[1] = slow.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            expected[2] = slow.iter().sum();
            expected[3] = slow.iter().map(|x| x * x).sum();
            for x in &slow {
                expected[4 + (((x + 4.0) / 0.125).floor().clamp(0.0, 63.0) as usize)] += 1.0;
            }
            assert!(
                found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9),
                "{found:?}\n{expected:?}"
            );
        }
    }

    /// More scores than exist at a time.
    #[test]
    fn every_score_is_counted_once_over_all_blocks() {
        let [queries, keys] = [3000, 3001].map(|n| Tensor::ones([n, 1], (Kind::Float, Device::Cpu)));
        let scores = Scores { name: "x", queries, keys, scale: 1.0, clip: None, bound: 2.0 };
        let found = Vec::<f64>::try_from(scores.summary()).unwrap();
        assert_eq!(found[..4], [-1.0, 1.0, 9_003_000.0, 9_003_000.0]);
        assert_eq!((found[4 + 48], found[4..].iter().sum::<f64>()), (9_003_000.0, 9_003_000.0));
    }
}
