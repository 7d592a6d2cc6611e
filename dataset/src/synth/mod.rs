//! Draws a labelled set of images, for demos, tests and benches.
//!
//! Each of the ten classes has its own shape and texture. Colour, position, size, rotation, background,
//! clutter and noise are independent of the class. Every image is a function of (seed, prefix, its number):
//! threads and shards have no influence.

mod placement;
mod scene;
mod set;
mod shape;
mod size;
mod texture;

pub use set::{MOST, Options, QUALITY, write};
pub use size::{SIDES, Size};
