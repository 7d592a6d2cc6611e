//! Weighted nearest neighbours: a classifier that has nothing to fit.

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

use super::features::Features;

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
    /// sorting, and of each query what has been found so far, twice, and its votes, twice.
    fn block(&self, width: i64, classes: u32) -> i64 {
        // 8·s² + (16·width + 24·most + 8·classes·votes)·s = memory
        let most = self.k.iter().copied().max().unwrap_or(0);
        let votes = self.k.len() as i64 * i64::from(classes);
        let half = (8 * width + 12 * most + 4 * votes) as f64;
        let rows = ((half * half + 8.0 * self.memory as f64).sqrt() - half) / 8.0;
        (rows as i64).max(16)
    }

    /// Calls `found` with the votes (k, n, classes) for blocks of queries, and the queries' labels (n), block after block, in
    /// order. The nearest are exactly those of the largest cosines in f32, whatever the blocks.
    pub fn votes(
        &self,
        gallery: &Features,
        queries: &Features,
        classes: u32,
        device: Device,
        mut found: impl FnMut(&Tensor, &Tensor),
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
            let votes: Vec<_> = self
                .k
                .iter()
                .map(|&k| {
                    let k = k.min(most);
                    Tensor::zeros([count, i64::from(classes)], (Kind::Float, device)).scatter_add(
                        1,
                        &labels.narrow(1, 0, k),
                        &weights.narrow(1, 0, k),
                    )
                })
                .collect();
            found(&Tensor::stack(&votes, 0), &queries.labels.narrow(0, start, count).to_device(device));
        }
        Ok(())
    }
}

/// The `most` largest cosines (n, most) with each query, descending, and the numbers of their samples.
fn nearest(gallery: &Features, query: &Tensor, most: i64, block: i64) -> Result<(Tensor, Tensor)> {
    let mut best: Option<(Tensor, Tensor)> = None;
    for start in (0..gallery.len()).step_by(block as usize) {
        let count = block.min(gallery.len() - start);
        let rows = normalized(&gallery.rows(start, count)?.to_device(query.device()));
        let (values, numbers) = query.matmul(&rows.tr()).topk(most.min(count), 1, true, true);
        let numbers = numbers + start;
        best = Some(match best {
            None => (values, numbers),
            Some((best_values, best_numbers)) => {
                let values = Tensor::cat(&[best_values, values], 1);
                let numbers = Tensor::cat(&[best_numbers, numbers], 1);
                let (values, places) = values.topk(most.min(values.size()[1]), 1, true, true);
                (values, numbers.gather(1, &places, false))
            }
        });
    }
    Ok(best.expect("the gallery is not empty"))
}

fn normalized(rows: &Tensor) -> Tensor {
    rows / rows.norm_scalaropt_dim(2, [1i64].as_slice(), true).clamp_min(1e-12)
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
        let mut predicted = vec![Vec::new(); vote.k.len()];
        let found = |votes: &Tensor, _: &Tensor| {
            for (k, predicted) in predicted.iter_mut().enumerate() {
                predicted.extend(Vec::<i64>::try_from(votes.get(k as i64).argmax(1, false)).unwrap());
            }
        };
        vote.votes(gallery, queries, classes, Device::Cpu, found).unwrap();
        predicted
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
            let taken = 8 * rows * rows + (16 * width + 24 * 200 + 8 * 2 * 1000) * rows;
            assert!(taken as u64 <= Vote::default().memory && rows > 1000);
        }
    }
}
