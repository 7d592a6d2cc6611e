//! The forms of an image between its bytes and its views: interleaved, as pairs of columns, and as planes.

#![expect(
    clippy::inline_always,
    reason = "loops need the CPU features of the function that they are inlined into"
)]

mod floats;
mod interleave;
mod pairs;
mod planes;
mod region;
mod rgb;
mod to_rgb;
mod transpose;
mod ycc;

pub(crate) use floats::FloatPlanes;
pub(crate) use pairs::{Colours, PixelPairs};
pub(crate) use planes::RgbPlanes;
pub use region::Region;
pub use rgb::Rgb;
pub(crate) use to_rgb::convert_in_place;
pub(crate) use transpose::{PAIRS, ROWS, transpose};
pub(crate) use ycc::Plane;
pub use ycc::{Sampling, YccPlanes};
