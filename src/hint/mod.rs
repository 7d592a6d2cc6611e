//! Hints: what the user can do about an error, apart from what went wrong.
//!
//! An error of the program is made by [`failure!`](crate::failure) or [`usage!`](crate::usage), with its hints after a `;`.
//! [`WithHint`] adds a hint, or an exit code, to a result of any error. Libraries say *what* can be done as data of their own, which
//! name no flag; a file here puts each library's into words. [`render()`] walks an error's chain by type and prints the causes on
//! one line, then the hints. Nothing is read out of a message.

mod attach;
mod dataset;
mod error;
mod pipeline;
mod render;
mod shards;
mod storage;

pub use attach::{WithHint, add};
pub use error::{Hinted, code, find};
pub(crate) use render::of_library;
pub use render::{causes, hints, render};
