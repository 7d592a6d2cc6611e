//! Draws a labelled set of images, for demos, tests and benches.
//!
//! Each of the ten classes has a shape and a texture of its own. Colour, position, size, turn, background, clutter and noise say
//! nothing about the class. Every image is a function of (seed, prefix, its number): threads and shards play no part.

mod placement;
mod scene;
mod set;
mod shape;
mod size;
mod texture;

pub use set::{MOST, Options, QUALITY, write};
pub use size::{SIDES, Size};
