//! Contrastive losses of embeddings of unit length: against the batch (SimCLR), a queue (MoCo), and rows of a
//! memory bank (instance discrimination, CMC).

use tch::{Kind, Tensor};
use torchkit::Piece;

use super::widened::widened;

/// The shortest length that [`unit`](fn@unit) divides by.
const SHORTEST: f64 = 1e-12;

/// The summand that keeps denominators of [`noise_contrastive`] above 0.
const EPSILON: f64 = 1e-7;

/// Returns embeddings (…, d) divided by their lengths, at least in f32. Zeros stay zeros.
pub fn unit(embeddings: &Tensor) -> Tensor {
    let embeddings = widened(embeddings);
    let length = embeddings.norm_scalaropt_dim(2.0, [-1i64], true);
    &embeddings / length.clamp_min(SHORTEST)
}

/// Returns the loss of each of two views (NT-Xent; Chen et al. 2020).
///
/// `one` and `two` are the embeddings (n, d) of the views, of unit length. Each of the 2n embeddings has to
/// select that of the other view of its sample, by a softmax over the 2n − 1 other embeddings whose scores
/// are divided by `temperature`. The losses are means over the n embeddings of a view.
///
/// # Panics
///
/// If the shapes differ from these.
pub fn nt_xent(one: &Tensor, two: &Tensor, temperature: f64) -> [Tensor; 2] {
    let n = one.size()[0];
    let all = widened(&Tensor::cat(&[one, two], 0));
    let own = Tensor::arange(2 * n, (Kind::Int64, all.device())).unsqueeze(1);
    let all = log_sum_exp(&all, &all, temperature, &own);
    let positives = inner(one, two, temperature);
    [0, n].map(|start| (all.narrow(0, start, n) - &positives).mean(None::<Kind>))
}

/// Returns the losses of further views against each of the two of [`nt_xent`], such as the smaller views of
/// "multi-crop" (Caron et al. 2020).
///
/// `others` is (v, n, d), `one` and `two` are (n, d), all of unit length. Each of the v·n embeddings has to
/// select that of its sample in one view, by a softmax over it and the 2n − 2 embeddings of other samples in
/// both; scores are divided by `temperature`. The losses are means over the v·n embeddings.
///
/// # Panics
///
/// If the shapes differ from these.
pub fn nt_xent_of_others(others: &Tensor, [one, two]: [&Tensor; 2], temperature: f64) -> [Tensor; 2] {
    let (views, n) = (others.size()[0], one.size()[0]);
    let (all, queries) = (widened(&Tensor::cat(&[one, two], 0)), widened(&others.flatten(0, 1)));
    let numbers = Tensor::arange(n, (Kind::Int64, all.device())).repeat([views]).unsqueeze(1);
    [(one, n), (two, 0)].map(|(keys, of_the_other)| {
        let sums = log_sum_exp(&queries, &all, temperature, &(&numbers + of_the_other));
        let positives = inner(others, &keys.unsqueeze(0), temperature).flatten(0, 1);
        (sums - positives).mean(None::<Kind>)
    })
}

/// Returns the inner products of embeddings (…, d), divided by the temperature, at least in f32.
fn inner(one: &Tensor, two: &Tensor, temperature: f64) -> Tensor {
    (widened(one) * widened(two)).sum_dim_intlist([-1i64].as_slice(), false, None::<Kind>) / temperature
}

/// Returns ln Σ exp(q·k / `temperature`) over the keys (m, d) for each of the queries (n, d), without the keys whose
/// numbers are in the query's row of `excluded` (n, x).
fn log_sum_exp(queries: &Tensor, keys: &Tensor, temperature: f64, excluded: &Tensor) -> Tensor {
    if Piece::Scores.is_fused() {
        return torchkit::log_sum_exp_of_scores(queries, keys, 1.0 / temperature, excluded);
    }
    let scores = (widened(queries) / temperature).matmul(&widened(keys).transpose(0, 1));
    scores.scatter_value(1, excluded, f64::NEG_INFINITY).logsumexp(1i64, false)
}

/// The comparison of queries with their own keys and a queue.
#[derive(Debug)]
pub struct Queued {
    /// The mean over the queries of −ln of the share of the own key.
    pub loss: Tensor,
    /// The share of queries whose own key has the highest score.
    pub found: Tensor,
}

/// Returns the loss of queries that each select their own key, by a softmax over it and the keys of a queue (He et
/// al. 2020).
///
/// `queries` and `keys` are (n, d), of unit length, and `queue` is (d, k), whose columns are keys of earlier
/// batches. Scores are divided by `temperature`.
///
/// # Panics
///
/// If the shapes differ from these.
pub fn queued(queries: &Tensor, keys: &Tensor, queue: &Tensor, temperature: f64) -> Queued {
    if !Piece::Scores.is_fused() {
        let scores = queue_scores(queries, keys, queue, temperature);
        let found = scores.argmax(1, false).eq(0).to_kind(scores.kind()).mean(None::<Kind>);
        return Queued { loss: softmax_of_drawn(&scores), found };
    }
    let own = inner(queries, keys, temperature);
    let [others, best] =
        torchkit::log_sum_exp_and_largest_score(queries, &queue.transpose(0, 1), 1.0 / temperature);
    let found = own.detach().ge_tensor(&best).to_kind(own.kind()).mean(None::<Kind>);
    Queued { loss: (own.logaddexp(&others) - &own).mean(None::<Kind>), found }
}

/// Returns the scores (n, 1 + k) of queries: that of the own key first, and those of the keys of a queue. Their
/// loss is [`softmax_of_drawn`], the same as that of [`queued`].
///
/// # Panics
///
/// If the shapes differ from those of [`queued`].
pub fn queue_scores(queries: &Tensor, keys: &Tensor, queue: &Tensor, temperature: f64) -> Tensor {
    let queries = widened(queries) / temperature;
    let own = (&queries * widened(keys)).sum_dim_intlist([1i64].as_slice(), true, None::<Kind>);
    Tensor::cat(&[own, queries.matmul(&widened(queue))], 1)
}

/// Returns the loss of samples that select the first of their 1 + k drawn rows, by a softmax over them.
/// `scores` is (n, 1 + k), with the positives in the first column. The loss is the mean over the samples.
pub fn softmax_of_drawn(scores: &Tensor) -> Tensor {
    let scores = widened(scores);
    (scores.logsumexp(1i64, false) - scores.select(1, 0)).mean(None::<Kind>)
}

/// Returns the loss of features (n, d) that each select the row of their sample among all rows of a bank, by a
/// softmax over them. `rows` is (m, d), and `numbers` (n), i64, has the samples' rows. Scores are divided by
/// `temperature`. The loss is the mean over the samples.
pub fn full_softmax(features: &Tensor, rows: &Tensor, numbers: &Tensor, temperature: f64) -> Tensor {
    let nothing = Tensor::zeros([features.size()[0], 0], (Kind::Int64, features.device()));
    let own = inner(features, &rows.index_select(0, numbers), temperature);
    (log_sum_exp(features, rows, temperature, &nothing) - own).mean(None::<Kind>)
}

/// Returns the loss of telling the own row of a sample from k rows drawn uniformly out of `samples` (NCE;
/// Wu et al. 2018).
///
/// `scores` is (n, 1 + k), with the positives in the first column. exp(score) / `z` is the probability P of a
/// row, where `z` is a scalar, and c = k / `samples` is the frequency of noise. The loss is
/// −ln(P / (P + c + ε)) of the positive − Σ ln(c / (P + c + ε)) over the negatives, its mean over the samples.
pub fn noise_contrastive(scores: &Tensor, z: &Tensor, samples: i64) -> Tensor {
    let scores = widened(scores);
    let k = scores.size()[1] - 1;
    let noise = k as f64 / samples as f64;
    // In terms of x = ln(P / (c + ε)), which is finite for any score: P / (P + c + ε) = sigmoid(x).
    let x = scores - z.log() - (noise + EPSILON).ln();
    let positives = x.select(1, 0).log_sigmoid().mean(None::<Kind>);
    let negatives = x.narrow(1, 1, k).neg().log_sigmoid().sum(None::<Kind>) / x.size()[0] as f64;
    (positives + negatives + k as f64 * (noise / (noise + EPSILON)).ln()).neg()
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

    fn rows(t: &Tensor) -> Vec<Vec<f64>> {
        Vec::try_from(t).unwrap()
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    /// Returns −ln of the share of `own` in the sum of the exponentials of it and `others`.
    fn surprise(own: f64, others: impl Iterator<Item = f64>) -> f64 {
        (own.exp() + others.map(f64::exp).sum::<f64>()).ln() - own
    }

    fn assert_near(found: &Tensor, expected: f64) {
        let found = found.double_value(&[]);
        assert!((found - expected).abs() < 1e-12 * expected.abs().max(1.0), "{found} {expected}");
    }

    #[test]
    fn nt_xent_equals_its_definition_term_by_term() {
        let _alone = crate::testing::lock_generator();
        tch::manual_seed(1);
        for (n, d, t) in [(1, 3, 0.5), (2, 3, 0.5), (5, 8, 0.1)] {
            let views = [0, 1].map(|_| unit(&Tensor::randn([n, d], F64)));
            let all: Vec<_> = views.iter().flat_map(rows).collect();
            let n = n as usize;
            let slow = |i: usize| {
                let score = |j: usize| dot(&all[i], &all[j]) / t;
                let own = (i + n) % (2 * n);
                surprise(score(own), (0..2 * n).filter(|&j| j != i && j != own).map(score))
            };
            let [one, two] = nt_xent(&views[0], &views[1], t);
            assert_near(&one, (0..n).map(slow).sum::<f64>() / n as f64);
            assert_near(&two, (n..2 * n).map(slow).sum::<f64>() / n as f64);
        }
    }

    #[test]
    fn the_losses_of_further_views_equal_their_definition_term_by_term() {
        let _alone = crate::testing::lock_generator();
        tch::manual_seed(5);
        for (v, n, d, t) in [(1, 1, 3, 0.5), (3, 4, 6, 0.2)] {
            let [one, two] = [0, 1].map(|_| unit(&Tensor::randn([n, d], F64)));
            let others = unit(&Tensor::randn([v, n, d], F64));
            let (first, small) = ([rows(&one), rows(&two)], rows(&others.flatten(0, 1)));
            let (count, n) = (v as f64 * n as f64, n as usize);
            let found = nt_xent_of_others(&others, [&one, &two], t);
            for (view, found) in found.iter().enumerate() {
                let slow = |(row, z): (usize, &Vec<f64>)| {
                    let score = |key: &Vec<f64>| dot(z, key) / t;
                    let of_others = |keys: &Vec<Vec<f64>>| {
                        let others = keys.iter().enumerate().filter(|(i, _)| *i != row % n);
                        others.map(|(_, key)| score(key)).collect::<Vec<_>>()
                    };
                    surprise(score(&first[view][row % n]), first.iter().flat_map(of_others))
                };
                assert_near(found, small.iter().enumerate().map(slow).sum::<f64>() / count);
            }
        }
    }

    #[test]
    fn the_softmax_over_a_queue_equals_its_definition_term_by_term() {
        let _alone = crate::testing::lock_generator();
        tch::manual_seed(2);
        let [q, k] = [0, 1].map(|_| unit(&Tensor::randn([4, 6], F64)));
        let queue = Tensor::randn([6, 10], F64);
        let (queries, keys, old) = (rows(&q), rows(&k), rows(&queue.transpose(0, 1)));
        let slow = |i: usize| {
            surprise(dot(&queries[i], &keys[i]) / 0.2, old.iter().map(|key| dot(&queries[i], key) / 0.2))
        };
        let expected = (0..4).map(slow).sum::<f64>() / 4.0;
        assert_near(&softmax_of_drawn(&queue_scores(&q, &k, &queue, 0.2)), expected);
        let Queued { loss, found } = queued(&q, &k, &queue, 0.2);
        assert_near(&loss, expected);
        let is_found =
            |i: &usize| old.iter().all(|key| dot(&queries[*i], key) <= dot(&queries[*i], &keys[*i]));
        assert_near(&found, (0..4).filter(is_found).count() as f64 / 4.0);
    }

    #[test]
    fn losses_of_drawn_rows_equal_their_definitions_term_by_term() {
        let _alone = crate::testing::lock_generator();
        tch::manual_seed(3);
        let (n, k, samples, z) = (4, 7, 50.0, 30.0);
        let scores = Tensor::randn([n, 1 + k], F64) * 3.0;
        let (softmax, nce) = (softmax_of_drawn(&scores), noise_contrastive(&scores, &Tensor::from(z), 50));
        let (scores, c) = (rows(&scores), k as f64 / samples);
        let mean = |slow: &dyn Fn(&[f64]) -> f64| scores.iter().map(|row| slow(row)).sum::<f64>() / n as f64;
        assert_near(&softmax, mean(&|row| surprise(row[0], row[1..].iter().copied())));
        let p = |score: f64| score.exp() / z;
        let term = |score: f64, of: f64| (of / (p(score) + c + EPSILON)).ln();
        let slow = |row: &[f64]| -term(row[0], p(row[0])) - row[1..].iter().map(|&s| term(s, c)).sum::<f64>();
        assert_near(&nce, mean(&slow));
    }

    /// More than one block of queries, each of which leaves out two keys: no scores are kept.
    #[test]
    fn blocks_of_scores_have_the_sums_and_gradients_of_all_scores() {
        let _alone = crate::testing::lock_generator();
        let pass = |is_fused: bool| {
            tch::manual_seed(6);
            let [queries, keys] =
                [300, 33_000].map(|rows| Tensor::randn([rows, 3], F64).set_requires_grad(true));
            let excluded = Tensor::arange(600, (Kind::Int64, Device::Cpu)).view([300, 2]);
            Piece::Scores.fuse(is_fused);
            let sums = log_sum_exp(&queries, &keys, 0.5, &excluded);
            Piece::Scores.fuse(true);
            (&sums * Tensor::randn([300], F64)).sum(None::<Kind>).backward();
            [sums.detach(), queries.grad(), keys.grad()]
        };
        for (found, expected) in pass(true).iter().zip(&pass(false)) {
            let off = ((found - expected).norm() / expected.norm()).double_value(&[]);
            assert!(off < 1e-10, "off by {off:.1e}");
        }
    }

    #[test]
    fn full_softmax_equals_its_definition_term_by_term() {
        let _alone = crate::testing::lock_generator();
        tch::manual_seed(4);
        let [features, bank] = [3, 9].map(|rows| Tensor::randn([rows, 5], F64));
        let (scores, numbers) = (rows(&(features.matmul(&bank.transpose(0, 1)) / 0.3)), [8usize, 0, 8]);
        let slow = |(row, &own): (&Vec<f64>, &usize)| {
            surprise(row[own], row.iter().enumerate().filter(|(j, _)| *j != own).map(|(_, s)| *s))
        };
        let expected = scores.iter().zip(&numbers).map(slow).sum::<f64>() / 3.0;
        let numbers = Tensor::from_slice(&numbers.map(|y| y as i64));
        assert_near(&full_softmax(&features, &bank, &numbers, 0.3), expected);
    }

    #[test]
    fn noise_contrastive_is_finite_for_scores_beyond_the_range_of_exponentials() {
        let scores = Tensor::from_slice2(&[[200f32, -200.0, 150.0], [-200.0, 200.0, 0.0]]);
        let scores = scores.set_requires_grad(true);
        let loss = noise_contrastive(&scores, &Tensor::from(100f32), 10);
        loss.backward();
        assert!(loss.double_value(&[]).is_finite());
        assert!(scores.grad().isfinite().all().int64_value(&[]) == 1);
    }

    #[test]
    fn embeddings_of_zeros_have_losses_and_gradients() {
        let zeros = Tensor::zeros([3, 4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let [one, _] = nt_xent(&unit(&zeros), &unit(&zeros), 0.5);
        one.backward();
        assert!((one.double_value(&[]) - 5f64.ln()).abs() < 1e-6);
        assert!(zeros.grad().isfinite().all().int64_value(&[]) == 1);
    }

    #[test]
    fn half_precision_is_widened() {
        let x = unit(&Tensor::ones([2, 4], (Kind::BFloat16, Device::Cpu)));
        assert_eq!((x.kind(), nt_xent(&x, &x, 1.0)[0].kind()), (Kind::Float, Kind::Float));
    }
}
