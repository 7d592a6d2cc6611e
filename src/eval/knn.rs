//! Weighted nearest neighbours, a classifier that needs no fitting.

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

use super::{
    features::Features,
    tally::{Report, Tally},
};

/// Settings of the vote. The defaults are those of Wu et al. 2018.
#[derive(Debug, Clone)]
pub struct Vote {
    /// The numbers of neighbours that vote. There is a result for each.
    pub k: Vec<i64>,
    /// The temperature: a neighbour's vote weighs exp(cosine / temperature), up to a factor that is the same
    /// for all.
    pub temperature: f64,
    /// The bytes that similarities and blocks of features may take in memory. All other features stay in
    /// files.
    pub memory: u64,
}

impl Default for Vote {
    fn default() -> Self {
        Self { k: vec![20, 200], temperature: 0.07, memory: 1 << 30 }
    }
}

impl Vote {
    /// The memory holds two copies each of a query block, a gallery block, their products and the nearest
    /// neighbours so far, and the votes.
    fn block(&self, width: i64, classes: u32) -> i64 {
        // 8·s² + (16·width + 64·most + 8·classes)·s = memory
        let most = self.k.iter().copied().max().unwrap_or(0);
        let half = (8 * width + 32 * most + 4 * i64::from(classes)) as f64;
        let rows = ((half * half + 8.0 * self.memory as f64).sqrt() - half) / 8.0;
        (rows as i64).max(16)
    }

    /// Ranks the classes of all queries. Calls `ranked` for blocks of queries, in order, with the place of
    /// each k in [`Vote::k`], the likeliest classes (n, up to five), and the queries' labels (n).
    ///
    /// Where there are fewer than five classes with a vote, −1 stands for the rest. The neighbours are
    /// exactly the samples with the largest cosines in f32, whatever the blocks. Of equally near samples,
    /// those that come first in the set vote.
    ///
    /// # Errors
    ///
    /// If there are no features, or they cannot be read.
    pub fn rank(
        &self,
        gallery: &Features,
        queries: &Features,
        classes: u32,
        device: Device,
        mut ranked: impl FnMut(usize, &Tensor, &Tensor),
    ) -> Result<()> {
        ensure!(!gallery.is_empty() && !queries.is_empty(), "no features to compare");
        let block = self.block(gallery.width(), classes);
        let most = self.k.iter().copied().max().unwrap_or(0).min(gallery.len());
        for start in (0..queries.len()).step_by(block as usize) {
            let count = block.min(queries.len() - start);
            let query = normalized(&queries.rows(start, count)?.to_device(device));
            let Nearest { cosines, numbers } = nearest(gallery, &query, most, block)?;
            let labels = gallery.labels.index_select(0, &numbers.flatten(0, 1).to_device(Device::Cpu));
            let labels = labels.view([count, most]).to_device(device);
            // Weights are relative to that of the nearest neighbour.
            let weights = ((&cosines - cosines.narrow(1, 0, 1)) / self.temperature).exp();
            let truth = queries.labels.narrow(0, start, count).to_device(device);
            for (place, &k) in self.k.iter().enumerate() {
                let k = k.min(most);
                ranked(place, &rank(&labels.narrow(1, 0, k), &weights.narrow(1, 0, k), classes), &truth);
            }
        }
        Ok(())
    }
}

/// Returns the classes (n, up to five) with the largest sums of votes, descending, given the voters' classes
/// and weights (n, k), nearest first. Of equal sums, the class of the nearest voter comes first. A class
/// without votes is not ranked: where there are fewer than five, −1 stands for the rest.
fn rank(labels: &Tensor, weights: &Tensor, classes: u32) -> Tensor {
    let (n, k) = weights.size2().expect("weights are (n, k)");
    let none = Tensor::zeros([n, i64::from(classes)], (Kind::Float, weights.device()));
    let sums = none.scatter_add(1, labels, weights);
    // The nearest voter of each class, the first one in a stable sort, represents the class.
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

/// The nearest samples of each query.
struct Nearest {
    /// Cosines (n, k), descending.
    cosines: Tensor,
    /// Numbers (n, k) of the samples.
    numbers: Tensor,
}

impl Nearest {
    /// Merges two results into one with up to `most` samples for each query. Samples of `self` come before
    /// those of `later` in the set, so a stable sort keeps the order of equally near ones.
    fn merge(self, later: Self, most: i64) -> Self {
        let (cosines, places) = Tensor::cat(&[self.cosines, later.cosines], 1).sort_stable(true, 1, true);
        let most = most.min(cosines.size()[1]);
        let numbers = Tensor::cat(&[self.numbers, later.numbers], 1);
        Self {
            cosines: cosines.narrow(1, 0, most),
            numbers: numbers.gather(1, &places.narrow(1, 0, most), false),
        }
    }
}

/// Returns the `most` samples of the gallery with the largest cosines with each query.
fn nearest(gallery: &Features, query: &Tensor, most: i64, block: i64) -> Result<Nearest> {
    let mut best: Option<Nearest> = None;
    for start in (0..gallery.len()).step_by(block as usize) {
        let count = block.min(gallery.len() - start);
        let rows = normalized(&gallery.rows(start, count)?.to_device(query.device()));
        let (cosines, numbers) = largest(&query.matmul(&rows.tr()), most.min(count));
        let found = Nearest { cosines, numbers: numbers + start };
        best = Some(match best {
            None => found,
            Some(best) => best.merge(found, most),
        });
    }
    Ok(best.expect("the gallery is not empty"))
}

/// Returns the `most` largest values of each row (n, most), descending, and their places. Of equal values,
/// the first ones are taken.
fn largest(values: &Tensor, most: i64) -> (Tensor, Tensor) {
    let (top, places) = values.topk(most, 1, true, true);
    let (places, order) = places.sort(1, false);
    let (top, order) = top.gather(1, &order, false).sort_stable(true, 1, true);
    let places = places.gather(1, &order, false);
    // If several values equal the smallest one taken, `topk` does not specify which of them it takes.
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

/// Returns the cosines (n, k) of the nearest samples of the gallery to each query (n, width), descending, and their
/// numbers (n, k) in the gallery; k is `most`, or the size of a smaller gallery. It is computed on the CPU.
///
/// # Errors
///
/// If the gallery is empty, or its features cannot be read.
pub fn nearest_to(gallery: &Features, queries: &Tensor, most: i64) -> Result<(Tensor, Tensor)> {
    const BLOCK: i64 = 4096;
    ensure!(!gallery.is_empty(), "no features to compare");
    let query = normalized(&queries.to_device(Device::Cpu));
    let Nearest { cosines, numbers } = nearest(gallery, &query, most.min(gallery.len()), BLOCK)?;
    Ok((cosines, numbers))
}

fn normalized(rows: &Tensor) -> Tensor {
    rows / rows.norm_scalaropt_dim(2, [1i64].as_slice(), true).clamp_min(1e-12)
}

/// Classifies the queries by the votes of their neighbours. Returns a report for each k.
///
/// # Errors
///
/// If there are no features, or they cannot be read.
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

    /// Returns the classes of each query, likeliest first, for each k.
    fn rankings(vote: &Vote, gallery: &Features, queries: &Features, classes: u32) -> Vec<Vec<Vec<i64>>> {
        let mut rankings = vec![Vec::new(); vote.k.len()];
        let found = |place: usize, ranked: &Tensor, _: &Tensor| {
            rankings[place].extend(Vec::<Vec<i64>>::try_from(ranked).unwrap());
        };
        vote.rank(gallery, queries, classes, Device::Cpu, found).unwrap();
        rankings
    }

    /// Returns features whose lengths are powers of two, so that cosines are exact and many are equal.
    fn corners(rows: i64, classes: i64) -> Features {
        let signs = Tensor::randint(2, [rows, 4], (Kind::Float, Device::Cpu)) * 2.0 - 1.0;
        let lengths = Tensor::randint(3, [rows, 1], (Kind::Float, Device::Cpu)).exp2();
        Features::of(&(signs * lengths), &Tensor::randint(classes, [rows], (Kind::Int64, Device::Cpu)))
            .unwrap()
    }

    /// Ranks the classes of a query by comparing all pairs and summing votes one by one, with ties resolved
    /// as documented.
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
    fn the_first_of_equally_near_samples_vote_and_win_whatever_the_blocks() {
        let _alone = crate::testing::lock_generator();
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
    fn a_class_without_votes_is_not_among_the_first_five() {
        let labels = Tensor::from_slice2(&[[2i64, 0, 2], [1, 1, 1]]);
        // A vote of weight 0 is a vote.
        let weights = Tensor::from_slice2(&[[1f32, 0.9, 0.0], [1.0, 0.5, 0.2]]);
        let found = Vec::<Vec<i64>>::try_from(rank(&labels, &weights, 9)).unwrap();
        assert_eq!(found, [[2, 0, -1], [1, -1, -1]]);
        let far = Tensor::from_slice2(&[[1f32, 0.0, 0.0]]);
        let labels = Tensor::from_slice2(&[[4i64, 8, 3]]);
        let found = Vec::<Vec<i64>>::try_from(rank(&labels, &far, 9)).unwrap();
        assert_eq!(found, [[4, 8, 3]], "of equal sums the class of the nearer voter comes first");
        // A sample whose true class has no vote is not a hit, even if fewer than five classes have votes.
        let mut tally = crate::eval::tally::Tally::default();
        tally
            .add_ranked(&Tensor::from_slice2(&[[2i64, 0, -1], [1, -1, -1]]), &Tensor::from_slice(&[3i64, 1]));
        let report = tally.report(9);
        assert!((report.top5 - 0.5).abs() < 1e-12 && (report.top1 - 0.5).abs() < 1e-12, "{report:?}");
    }

    /// The expected votes are computed from all pairs in f64.
    #[test]
    fn votes_are_those_of_brute_force_over_5000_vectors() {
        let _alone = crate::testing::lock_generator();
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
    fn the_size_of_blocks_fits_the_memory_and_does_not_change_results() {
        let _alone = crate::testing::lock_generator();
        tch::manual_seed(9);
        let (gallery, queries) = (features(600, 8, 3), features(50, 8, 3));
        let with = |memory| predictions(&Vote { memory, ..Vote::default() }, &gallery, &queries, 3);
        assert_eq!(with(1), with(1 << 30));
        let sharp = Vote { temperature: 1e-4, k: vec![1, 50], ..Vote::default() };
        let sharp = predictions(&sharp, &gallery, &queries, 3);
        assert_eq!(sharp[0], sharp[1], "at a low temperature the nearest neighbour decides");
        let few = predictions(&Vote { k: vec![1000], ..Vote::default() }, &gallery, &queries, 3);
        assert_eq!(few[0].len(), 50, "all samples vote if k is larger than their number");
        for width in [8, 2048] {
            let rows = Vote::default().block(width, 1000);
            let taken = 8 * rows * rows + (16 * width + 64 * 200 + 8 * 1000) * rows;
            assert!(taken as u64 <= Vote::default().memory && rows > 1000);
        }
    }
}
