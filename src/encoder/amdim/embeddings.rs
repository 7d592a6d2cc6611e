//! The embeddings that the objective of AMDIM compares.

use tch::Tensor;

/// RKHS embeddings of a batch: `r1` (n, d, 1, 1), `r5` (n, d, 5, 5) and `r7` (n, d, 7, 7), where d is
/// `n_rkhs`.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are the paper's symbols, described above")]
pub struct Embeddings {
    pub r1: Tensor,
    pub r5: Tensor,
    pub r7: Tensor,
}

impl Embeddings {
    /// Applies `f` to each of the three.
    #[must_use]
    pub fn map(&self, f: impl Fn(&Tensor) -> Tensor) -> Self {
        Self { r1: f(&self.r1), r5: f(&self.r5), r7: f(&self.r7) }
    }

    /// Returns the embeddings of a list `[r1, r5, r7]`, sharing its memory.
    ///
    /// # Panics
    ///
    /// If the list has fewer than three tensors.
    pub fn from_list(list: &[Tensor]) -> Self {
        let [r1, r5, r7] = [0, 1, 2].map(|number: usize| list[number].shallow_clone());
        Self { r1, r5, r7 }
    }
}

impl From<Embeddings> for Vec<Tensor> {
    /// The list `[r1, r5, r7]`.
    fn from(Embeddings { r1, r5, r7 }: Embeddings) -> Self {
        vec![r1, r5, r7]
    }
}
