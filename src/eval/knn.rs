//! Weighted nearest neighbours: a classifier that has nothing to fit.

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

use super::{
    features::Features,
    tally::{Report, Tally},
};

/// Settings of the vote; the defaults are those of Wu et al. 2018, which the field quotes.
#[derive(Debug, Clone)]
pub struct Vote {
    /// Neighbours that vote: a result for each.
    pub k: Vec<i64>,
    /// A neighbour's vote weighs exp(cosine / temperature), up to a factor that is the same for all.
    pub temperature: f64,
    /// Bytes that similarities and blocks of features may take; what they are compared with stays in the files.
    pub memory: u64,
}

impl Default for Vote {
    fn default() -> Self {
        Self { k: vec![20, 200], temperature: 0.07, memory: 1 << 30 }
    }
}

impl Vote {
    /// Rows of queries, and of the gallery, that are compared at a time: a block of each twice, their products twice, for
    /// sorting, of each query what has been found so far, twice, and what ranks its classes: for each voter, and for each class.
    fn block(&self, width: i64, classes: u32) -> i64 {
        // 8·s² + (16·width + 64·most + 8·classes)·s = memory
        let most = self.k.iter().copied().max().unwrap_or(0);
        let half = (8 * width + 32 * most + 4 * i64::from(classes)) as f64;
        let rows = ((half * half + 8.0 * self.memory as f64).sqrt() - half) / 8.0;
        (rows as i64).max(16)
    }

    /// Calls `found` for blocks of queries, in order, with each k's place among [`Vote::k`], the likeliest classes (n, five at
    /// most) as `ranked` has them, and the queries' labels (n). The nearest are exactly those of the largest cosines in f32,
    /// whatever the blocks; of equally near ones those that come first in the set.
    pub fn rank(
        &self,
        gallery: &Features,
        queries: &Features,
        classes: u32,
        device: Device,
        mut found: impl FnMut(usize, &Tensor, &Tensor),
    ) -> Result<()> {
        ensure!(!gallery.is_empty() && !queries.is_empty(), "there are no features to compare");
        let block = self.block(gallery.width(), classes);
        let most = self.k.iter().copied().max().unwrap_or(0).min(gallery.len());
        for start in (0..queries.len()).step_by(block as usize) {
            let count = block.min(queries.len() - start);
            let query = normalized(&queries.rows(start, count)?.to_device(device));
            let nearest = nearest(gallery, &query, most, block)?;
            let labels = gallery.labels.index_select(0, &nearest.1.flatten(0, 1).to_device(Device::Cpu));
            let labels = labels.view([count, most]).to_device(device);
            // The nearest one's vote weighs 1: others are compared with it alone.
            let weights = ((&nearest.0 - nearest.0.narrow(1, 0, 1)) / self.temperature).exp();
            let truth = queries.labels.narrow(0, start, count).to_device(device);
            for (place, &k) in self.k.iter().enumerate() {
                let k = k.min(most);
                found(place, &ranked(&labels.narrow(1, 0, k), &weights.narrow(1, 0, k), classes), &truth);
            }
        }
        Ok(())
    }
}

/// The classes (n, five at most) of the largest sums of votes, descending, given the voters' classes and weights (n, k), nearest
/// first. Of equal sums the class of the nearest voter comes first. A class that nobody votes for has no place: where there are
/// fewer than five, −1 stands for the rest.
fn ranked(labels: &Tensor, weights: &Tensor, classes: u32) -> Tensor {
    let (n, k) = weights.size2().expect("weights are (n, k)");
    let none = Tensor::zeros([n, i64::from(classes)], (Kind::Float, weights.device()));
    let sums = none.scatter_add(1, labels, weights);
    // Each class is stood for by its nearest voter, the first of its own in a stable sort.
    let (sorted, order) = labels.sort_stable(true, 1, false);
    let repeats = sorted.narrow(1, 1, k - 1).eq_tensor(&sorted.narrow(1, 0, k - 1));
    let repeats = Tensor::cat(&[Tensor::zeros([n, 1], (Kind::Bool, weights.device())), repeats], 1);
    let repeats = repeats.zeros_like().scatter(1, &order, &repeats);
    let sums = sums.gather(1, labels, false).masked_fill(&repeats, f64::NEG_INFINITY);
    let (sums, order) = sums.sort_stable(true, 1, true);
    let five = k.min(5);
    let classes = labels.gather(1, &order.narrow(1, 0, five), false);
    classes.masked_fill(&sums.narrow(1, 0, five).eq(f64::NEG_INFINITY), -1)
}

/// The `most` largest cosines (n, most) with each query, descending, and the numbers of their samples.
fn nearest(gallery: &Features, query: &Tensor, most: i64, block: i64) -> Result<(Tensor, Tensor)> {
    let mut best: Option<(Tensor, Tensor)> = None;
    for start in (0..gallery.len()).step_by(block as usize) {
        let count = block.min(gallery.len() - start);
        let rows = normalized(&gallery.rows(start, count)?.to_device(query.device()));
        let (values, numbers) = largest(&query.matmul(&rows.tr()), most.min(count));
        let numbers = numbers + start;
        best = Some(match best {
            None => (values, numbers),
            Some((best_values, best_numbers)) => {
                // Earlier samples stand before later ones: a stable sort keeps them there.
                let (values, places) = Tensor::cat(&[best_values, values], 1).sort_stable(true, 1, true);
                let most = most.min(values.size()[1]);
                let numbers = Tensor::cat(&[best_numbers, numbers], 1);
                (values.narrow(1, 0, most), numbers.gather(1, &places.narrow(1, 0, most), false))
            }
        });
    }
    Ok(best.expect("the gallery is not empty"))
}

/// The `most` largest of each row (n, most), descending, and their places; of equal ones those that come first.
fn largest(values: &Tensor, most: i64) -> (Tensor, Tensor) {
    let (top, places) = values.topk(most, 1, true, true);
    let (places, order) = places.sort(1, false);
    let (top, order) = top.gather(1, &order, false).sort_stable(true, 1, true);
    let places = places.gather(1, &order, false);
    // `topk` leaves open which of several that equal the last one it takes.
    let last = top.narrow(1, most - 1, 1);
    let tied = values.ge_tensor(&last).sum_dim_intlist([1i64].as_slice(), false, Kind::Int64).gt(most);
    let tied = tied.nonzero().view(-1);
    let at_a_time = (values.size()[0] / 8).max(1);
    for start in (0..tied.numel() as i64).step_by(at_a_time as usize) {
        let rows = tied.narrow(0, start, at_a_time.min(tied.numel() as i64 - start));
        let (_, sorted) = values.index_select(0, &rows).sort_stable(true, 1, true);
        let _ = places.shallow_clone().index_copy_(0, &rows, &sorted.narrow(1, 0, most));
    }
    (top, places)
}

fn normalized(rows: &Tensor) -> Tensor {
    rows / rows.norm_scalaropt_dim(2, [1i64].as_slice(), true).clamp_min(1e-12)
}

/// What neighbours make of the queries, for each k.
pub fn neighbours(
    vote: &Vote,
    gallery: &Features,
    queries: &Features,
    classes: u32,
    device: Device,
) -> Result<Vec<Report>> {
    let mut tallies = vec![Tally::default(); vote.k.len()];
    vote.rank(gallery, queries, classes, device, |place, ranked, labels| {
        tallies[place].add_ranked(ranked, labels);
    })?;
    Ok(tallies.iter().map(|tally| tally.report(classes)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(rows: i64, width: i64, classes: i64) -> Features {
        let values = Tensor::randn([rows, width], (Kind::Float, Device::Cpu));
        let labels = Tensor::randint(classes, [rows], (Kind::Int64, Device::Cpu));
        Features::of(&values, &labels).unwrap()
    }

    fn predictions(vote: &Vote, gallery: &Features, queries: &Features, classes: u32) -> Vec<Vec<i64>> {
        let first = |five: Vec<i64>| five[0];
        rankings(vote, gallery, queries, classes)
            .into_iter()
            .map(|of_k| of_k.into_iter().map(first).collect())
            .collect()
    }

    /// The classes of each query, likeliest first, for each k.
    fn rankings(vote: &Vote, gallery: &Features, queries: &Features, classes: u32) -> Vec<Vec<Vec<i64>>> {
        let mut rankings = vec![Vec::new(); vote.k.len()];
        let found = |place: usize, ranked: &Tensor, _: &Tensor| {
            rankings[place].extend(Vec::<Vec<i64>>::try_from(ranked).unwrap());
        };
        vote.rank(gallery, queries, classes, Device::Cpu, found).unwrap();
        rankings
    }

    /// Of features whose lengths are powers of two: cosines are exact, and many are equal.
    fn corners(rows: i64, classes: i64) -> Features {
        let signs = Tensor::randint(2, [rows, 4], (Kind::Float, Device::Cpu)) * 2.0 - 1.0;
        let lengths = Tensor::randint(3, [rows, 1], (Kind::Float, Device::Cpu)).exp2();
        Features::of(&(signs * lengths), &Tensor::randint(classes, [rows], (Kind::Int64, Device::Cpu)))
            .unwrap()
    }

    /// Every pair compared, all sorted, votes summed one by one; ties decided as they are documented.
    fn brute_force(vote: &Vote, k: usize, gallery: &Features, query: &[f64]) -> Vec<i64> {
        let rows =
            Vec::<Vec<f64>>::try_from(gallery.rows(0, gallery.len()).unwrap().to_kind(Kind::Double)).unwrap();
        let labels = Vec::<i64>::try_from(&gallery.labels).unwrap();
        let length = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>().sqrt();
        let cosine = |row: &[f64]| {
            row.iter().zip(query).map(|(a, b)| a * b).sum::<f64>() / (length(row) * length(query))
        };
        let mut voters: Vec<_> = rows.iter().map(|row| cosine(row)).zip(0_usize..).collect();
        voters.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        voters.truncate(k);
        let mut found: Vec<(i64, f32)> = Vec::new(); // in the order of the nearest voters
        for (cosine, number) in &voters {
            let weight = (((cosine - voters[0].0) / vote.temperature) as f32).exp();
            match found.iter_mut().find(|(class, _)| *class == labels[*number]) {
                Some((_, sum)) => *sum += weight,
                None => found.push((labels[*number], weight)),
            }
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1)); // stable
        let mut five: Vec<_> = found.into_iter().map(|(class, _)| class).take(5).collect();
        five.resize(5.min(k), -1);
        five
    }

    #[test]
    fn of_many_equally_near_samples_those_vote_and_win_that_come_first_whatever_the_blocks() {
        let _alone = crate::generator();
        tch::manual_seed(31);
        for (samples, classes, temperature) in [(200, 3, 1.0), (90, 40, 0.5), (7, 6, 1e-3)] {
            let (gallery, queries) = (corners(samples, classes), corners(40, classes));
            for memory in [1, 1 << 30] {
                let vote = Vote { k: vec![1, 3, 20, 64], temperature, memory };
                let found = rankings(&vote, &gallery, &queries, classes as u32);
                let rows =
                    Vec::<Vec<f64>>::try_from(queries.rows(0, 40).unwrap().to_kind(Kind::Double)).unwrap();
                for (found, &k) in found.iter().zip(&vote.k) {
                    let k = k.min(samples) as usize;
                    for (found, query) in found.iter().zip(&rows) {
                        assert_eq!(
                            *found,
                            brute_force(&vote, k, &gallery, query),
                            "{samples} samples, k = {k}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_class_that_nobody_votes_for_is_not_among_the_first_five() {
        let labels = Tensor::from_slice2(&[[2i64, 0, 2], [1, 1, 1]]);
        // A vote may weigh nothing and is one all the same.
        let weights = Tensor::from_slice2(&[[1f32, 0.9, 0.0], [1.0, 0.5, 0.2]]);
        let found = Vec::<Vec<i64>>::try_from(ranked(&labels, &weights, 9)).unwrap();
        assert_eq!(found, [[2, 0, -1], [1, -1, -1]]);
        let far = Tensor::from_slice2(&[[1f32, 0.0, 0.0]]);
        let labels = Tensor::from_slice2(&[[4i64, 8, 3]]);
        let found = Vec::<Vec<i64>>::try_from(ranked(&labels, &far, 9)).unwrap();
        assert_eq!(found, [[4, 8, 3]], "of equal sums the class of the nearer voter comes first");
        // The true class has no voter: the sample is no hit, however few classes were voted for.
        let mut tally = crate::eval::tally::Tally::default();
        tally
            .add_ranked(&Tensor::from_slice2(&[[2i64, 0, -1], [1, -1, -1]]), &Tensor::from_slice(&[3i64, 1]));
        let report = tally.report(9);
        assert!((report.top5 - 0.5).abs() < 1e-12 && (report.top1 - 0.5).abs() < 1e-12, "{report:?}");
    }

    /// Every pair compared in f64, all sorted, votes summed one by one.
    #[test]
    fn votes_are_those_of_brute_force_over_5000_vectors() {
        let _alone = crate::generator();
        tch::manual_seed(8);
        let (gallery, queries) = (features(5000, 24, 7), features(300, 24, 7));
        let vote = Vote { memory: 4 << 20, ..Vote::default() };
        assert!(vote.block(24, 7) < 1000, "the gallery takes several blocks: {}", vote.block(24, 7));
        let found = predictions(&vote, &gallery, &queries, 7);
        let rows = |features: &Features| -> Vec<Vec<f64>> {
            let values = features.rows(0, features.len()).unwrap().to_kind(Kind::Double);
            Vec::try_from(&(&values / values.norm_scalaropt_dim(2, [1i64].as_slice(), true))).unwrap()
        };
        let (gallery_rows, query_rows) = (rows(&gallery), rows(&queries));
        let labels = Vec::<i64>::try_from(&gallery.labels).unwrap();
        for (number, query) in query_rows.iter().enumerate() {
            let cosine = |row: &Vec<f64>| row.iter().zip(query).map(|(a, b)| a * b).sum::<f64>();
            let mut all: Vec<_> = gallery_rows.iter().map(cosine).zip(&labels).collect();
            all.sort_by(|a, b| b.0.total_cmp(&a.0));
            for (found, k) in found.iter().zip([20, 200]) {
                let mut votes = [0.0; 7];
                for (cosine, label) in &all[..k] {
                    votes[**label as usize] += (cosine / 0.07).exp();
                }
                let best = (0..7).max_by(|&a, &b| votes[a].total_cmp(&votes[b])).unwrap();
                assert_eq!(found[number], best as i64, "query {number}, k = {k}");
            }
        }
    }

    #[test]
    fn the_size_of_blocks_changes_nothing_and_keeps_to_the_memory() {
        let _alone = crate::generator();
        tch::manual_seed(9);
        let (gallery, queries) = (features(600, 8, 3), features(50, 8, 3));
        let with = |memory| predictions(&Vote { memory, ..Vote::default() }, &gallery, &queries, 3);
        assert_eq!(with(1), with(1 << 30));
        let sharp = Vote { temperature: 1e-4, k: vec![1, 50], ..Vote::default() };
        let sharp = predictions(&sharp, &gallery, &queries, 3);
        assert_eq!(sharp[0], sharp[1], "at so low a temperature the nearest decides");
        let few = predictions(&Vote { k: vec![1000], ..Vote::default() }, &gallery, &queries, 3);
        assert_eq!(few[0].len(), 50, "fewer samples than neighbours asked for: all of them vote");
        for width in [8, 2048] {
            let rows = Vote::default().block(width, 1000);
            let taken = 8 * rows * rows + (16 * width + 64 * 200 + 8 * 1000) * rows;
            assert!(taken as u64 <= Vote::default().memory && rows > 1000);
        }
    }
}
