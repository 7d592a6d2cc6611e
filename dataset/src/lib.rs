//! Makes and checks sharded image datasets, without torch: packs folders and binary datasets, verifies and
//! cleans shards, draws synthetic images.
//!
//! A dataset is a set of tar files ([`shards`]) with images, each perhaps with a label, and beside them a
//! `classes.txt` that names the labels ([`ClassNames`]). [`pack`] makes one from images, [`synth`] draws one,
//! [`verify`] reads all of one and reports what is wrong with it, [`Inventory`] counts one from its index,
//! and [`validation`] checks that a validation set fits a training set.
//!
//! ```
//! use dataset::{synth, verify::{self, Verification}};
//!
//! let folder = tempfile::tempdir()?;
//! let options = synth::Options { out: folder.path().join("drawn"), count: 20, shards: 2, ..Default::default() };
//! let drawn = synth::write(&options, &())?;
//! assert_eq!((drawn.samples, drawn.classes), (20, 10));
//!
//! let options = verify::Options { shards: vec![drawn.pattern], ..Default::default() };
//! let verification = Verification::run(&options, &())?;
//! assert_eq!(verification.findings().totals().kept, 20);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Long work reports its progress ([`Progress`]; `()` ignores it), and logs what it leaves out with
//! `tracing`. An [`Error`] names what failed; its cure is data ([`Error::hint`]), which the program words.

mod chain;
mod classes;
mod destination;
mod error;
mod hint;
mod inventory;
mod output;
pub mod pack;
mod progress;
mod random;
mod shard_folder;
pub mod synth;
pub mod validation;
pub mod verify;

pub use classes::{ClassNames, Renamed};
pub use destination::check_folder;
pub use error::{
    ClassError, ConvertError, Error, FileError, FolderError, ImageError, OutputError, Result, SizeError,
    SourceError, VerifyError,
};
pub use hint::{ClassHint, FileHint, Hint, OutputHint, SourceHint, VerifyHint};
pub use inventory::{Gap, Histogram, Inventory};
pub use output::Summary;
pub use progress::{Progress, Stage};
pub use random::Random;
