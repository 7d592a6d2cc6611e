//! Turns a decoded image into its augmented views.

#![expect(
    clippy::inline_always,
    reason = "loops need the CPU features of the function that they are inlined into"
)]

mod augmenter;
mod axis;
mod color;
mod edit;
mod editor;
mod fold;
mod geometry;
mod hue;
mod op;
mod plan;
mod random;
mod recipe;
mod resize;
mod weigh;

pub use augmenter::Augmenter;
pub use edit::{Crop, Edit};
pub use editor::{Editor, edit, resize};
pub use op::Op;
pub(crate) use plan::Need;
pub use plan::Plan;
pub use random::SampleSeed;
pub use recipe::Recipe;
