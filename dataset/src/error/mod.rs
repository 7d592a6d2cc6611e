//! What can go wrong: the thing and the attempt in the message, the cause as `source()`, the cure as data ([`Hint`](crate::Hint)).

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
