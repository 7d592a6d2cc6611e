//! The rows of a memory bank.

use tch::{Device, Kind, Tensor, nn::Path};

use crate::loss::unit;

/// Rows (samples, d) of a memory bank. The row of a sample follows its features, as an average over the
/// epochs that is brought to unit length.
#[derive(Debug)]
pub(super) struct Rows {
    rows: Tensor,
    momentum: f64,
}

/// The features of a batch on their way into a bank.
#[derive(Debug)]
pub(in crate::method) struct Moved {
    /// The numbers of the samples, (n), i64. A sample may occur more than once; its last features count.
    pub(in crate::method) numbers: Tensor,
    /// The features, (n, d), of unit length, without a graph.
    pub(in crate::method) features: Tensor,
}

impl Rows {
    /// Returns rows whose numbers are uniform within ±1/√(d/3), so that their lengths are about 1. They are
    /// drawn on the CPU, so that a seed gives the same bank on every device.
    pub(super) fn new(path: &Path, name: &str, [samples, d]: [i64; 2], momentum: f64) -> Self {
        let bound = 1.0 / (d as f64 / 3.0).sqrt();
        let rows = Tensor::empty([samples, d], (Kind::Float, Device::Cpu)).uniform_(-bound, bound);
        let rows = path.add(name, rows.to_kind(path.kind()).to_device(path.device()), false);
        Self { rows, momentum }
    }

    /// Returns the number of rows.
    pub(super) fn samples(&self) -> i64 {
        self.rows.size()[0]
    }

    /// Returns the bytes of all rows.
    pub(super) fn bytes(&self) -> u64 {
        (self.rows.numel() * self.rows.kind().elt_size_in_bytes()) as u64
    }

    /// Returns all rows (samples, d).
    pub(super) fn all(&self) -> &Tensor {
        &self.rows
    }

    /// Returns the inner products (n, samples) of features (n, d) and all rows.
    pub(super) fn products(&self, features: &Tensor) -> Tensor {
        features.matmul(&self.rows.transpose(0, 1))
    }

    /// Returns the inner products (n, k) of features (n, d) and the rows whose numbers are in `drawn` (n, k),
    /// without a graph.
    ///
    /// This is what `embedding_bag` computes as the gradient of its weights. It reads each row where it is,
    /// instead of copying all of them into a tensor (n, k, d).
    pub(super) fn products_of_drawn(&self, features: &Tensor, drawn: &Tensor) -> Tensor {
        let Bags { numbers, offsets, of } = Bags::new(drawn);
        let (features, rows) = (features.detach(), &self.rows);
        let products = Tensor::internal_embedding_bag_per_sample_weights_backward(
            &features, rows, &numbers, &offsets, &of, SUM, NO_PADDING,
        );
        products.view_as(drawn)
    }

    /// Returns the sums (n, d) of the rows whose numbers are in `drawn` (n, k), each multiplied by its entry
    /// of `weights` (n, k).
    pub(super) fn sums_of_drawn(&self, drawn: &Tensor, weights: &Tensor) -> Tensor {
        let Bags { numbers, offsets, .. } = Bags::new(drawn);
        let weights = Some(weights.contiguous().view([-1]));
        let (rows, no) = (&self.rows, false);
        Tensor::internal_embedding_bag_forward_only(
            rows, &numbers, &offsets, no, SUM, no, weights, no, NO_PADDING,
        )
        .0
    }

    /// Moves the rows of a batch towards its features. They stay as they are if `is_broken` is 1.
    pub(super) fn update(&self, moved: &Moved, is_broken: &Tensor) {
        let Moved { numbers, features } = moved;
        let old = self.rows.index_select(0, numbers);
        let new = unit(&(&old * self.momentum + features * (1.0 - self.momentum)));
        let new = old.where_self(&is_broken.to_kind(Kind::Bool), &new);
        // All new rows of a sample are equal now, so the order of writing does not matter.
        let new = new.index_select(0, &last_of_each(numbers));
        let _ = self.rows.shallow_clone().index_copy_(0, numbers, &new);
    }
}

/// The mode of `embedding_bag` that adds the rows of a bag.
const SUM: i64 = 0;
/// The row that `embedding_bag` leaves out: none.
const NO_PADDING: i64 = -1;

/// Numbers of rows in the form that `embedding_bag` reads.
struct Bags {
    /// The numbers of all bags, one bag after the other.
    numbers: Tensor,
    /// Where each bag begins.
    offsets: Tensor,
    /// The bag of each number.
    of: Tensor,
}

impl Bags {
    /// Makes a bag of each row of `drawn` (n, k).
    fn new(drawn: &Tensor) -> Self {
        let (n, k) = drawn.size2().expect("k numbers for each of n samples");
        let bags = Tensor::arange(n, (Kind::Int64, drawn.device()));
        let of = bags.unsqueeze(1).expand([n, k], false).contiguous().view([-1]);
        Self { numbers: drawn.contiguous().view([-1]), offsets: bags * k, of }
    }
}

/// Returns for each number (n) the last position at which it occurs.
fn last_of_each(numbers: &Tensor) -> Tensor {
    let n = numbers.size()[0];
    let positions = Tensor::arange(n, (Kind::Int, numbers.device()));
    let is_same = numbers.unsqueeze(1).eq_tensor(&numbers.unsqueeze(0));
    (is_same * positions).amax([1i64].as_slice(), false).to_kind(Kind::Int64)
}
