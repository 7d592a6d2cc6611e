//! Turns a decoded image into its augmented views.

#![expect(
    clippy::inline_always,
    reason = "loops need the CPU features of the function that they are inlined into"
)]

mod augmenter;
mod axis;
mod blur;
mod check;
mod color;
mod contrast;
mod drawing;
mod edit;
mod editor;
mod filter;
mod fold;
mod geometry;
mod hue;
mod kind;
mod op;
mod plan;
mod power;
mod random;
mod recipe;
mod resize;
mod sampling;
mod seed;
mod weigh;

pub use augmenter::Augmenter;
pub use check::{Place, RecipeError};
pub use edit::{Crop, Curve, Edit, Window};
pub use editor::{Editor, edit, edit_unrounded, resize};
pub use filter::Filter;
pub use kind::{Form, Kind, Parameter};
pub use op::{Components, Op};
pub(crate) use plan::Need;
pub use plan::Plan;
pub use random::SampleSeed;
pub use recipe::{Group, Recipe};
