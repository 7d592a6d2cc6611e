//! Losses and accuracy: pure functions of tensors. They are f32 if their inputs have a lower precision.

mod classification;
mod contrast;
mod drawn;
mod nce;
mod scores;
mod widened;

pub(crate) use self::widened::widened;
pub use self::{
    classification::{accuracy, classification},
    contrast::{
        Queued, full_softmax, noise_contrastive, nt_xent, nt_xent_of_others, queue_scores, queued,
        softmax_of_drawn, unit,
    },
    drawn::drawn,
    nce::{Nce, chance, nce},
    scores::Scores,
};
