//! Errors: the message names the thing and the attempt, `source()` is the cause, and the cure is data
//! ([`Hint`](crate::Hint)).

mod any;
mod classes;
mod file;
mod folder;
mod image;
mod output;
mod size;
mod source;
mod verify;

pub use any::{Error, Result};
pub use classes::ClassError;
pub use file::FileError;
pub use folder::FolderError;
pub use image::{ConvertError, ImageError};
pub use output::OutputError;
pub use size::SizeError;
pub use source::SourceError;
pub use verify::VerifyError;
