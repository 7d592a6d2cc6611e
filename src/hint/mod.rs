//! Hints: what the user can do about an error.
//!
//! [`failure!`](crate::failure) and [`usage!`](crate::usage) make an error of the program, with its hints
//! after a `;`. [`notice!`](crate::notice) makes a warning in the same way. [`WithHint`] adds a hint or an
//! exit code to an error of any type. The libraries' hints are closed enums that name no flag; this module
//! has a file for each library that puts them into words. [`render()`] walks the chain of an error by type
//! and prints the causes on one line, then the hints.
//!
//! No message is parsed, with two exceptions, both for libraries that give nothing but text: the TOML parser
//! names a setting and its type only in its message (`refused` in `src/config/words.rs`), and libtorch throws
//! the same exception for a lack of memory as for other failures (`torchkit/src/failure.rs`).

mod attach;
mod dataset;
mod error;
mod notice;
mod pipeline;
mod remote;
mod render;
mod shards;
mod storage;

pub use attach::{WithHint, add};
pub(crate) use dataset::words as dataset_words;
pub use error::{Hinted, code, find};
pub use notice::Notice;
pub(crate) use notice::labelled;
pub(crate) use render::library_hint;
pub use render::{causes, hints, render};
pub(crate) use shards::remark_words;
