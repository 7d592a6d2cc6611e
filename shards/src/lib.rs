//! Tar shards as a source of samples: mapped, indexed, shuffled and read ahead.
//!
//! A *shard* is a plain tar file. Neighbouring members that share a key form one *sample*; the key is the
//! name up to the last dot, folder included. A member `jpg`, `jpeg`, `png` or `webp` is the sample's image,
//! `cls` its label (an integer as text), and `json` may hold an integer `label`; other members are ignored.
//! Unusual forms, such as dotted names or links, are read where possible and reported as a [`Remark`].
//!
//! This crate decodes nothing and copies no image: a [`Sample`] holds a slice of the mapped file. If a shard
//! is cut while it is mapped, reading it returns an error instead of raising SIGBUS: the first mapping
//! installs a signal handler for mapped shards.
//!
//! The way of a sample: [`expand`] turns patterns into paths, a [`Source`] opens the files, [`ShardSet`]
//! indexes their headers (cached between runs), and [`Samples`] reads the samples of one rank in a shuffled
//! [`Order`].
//!
//! ```
//! use shards::{Division, IndexConfig, Order, Position, ShardSet, ShardWriter};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path().to_str().ok_or("the path is not UTF-8")?;
//! for shard in 0..3 {
//!     let mut writer = ShardWriter::create(format!("{folder}/train-{shard:03}.tar"))?;
//!     writer.append("cat", &[("jpg", b"...".as_slice()), ("cls", b"0")])?;
//!     writer.append("dog", &[("jpg", b"...".as_slice()), ("cls", b"1")])?;
//!     writer.finish()?;
//! }
//!
//! let source = shards::open(&[format!("{folder}/train-<000..002>.tar")])?;
//! let set = ShardSet::open(source, &IndexConfig::default())?;
//! assert_eq!((set.len(), set.classes()), (6, Some(2)));
//!
//! let order = Order { epochs: Some(1), ..Order::default() };
//! for sample in set.samples(order, Division::default(), Position::default()) {
//!     let sample = sample?;
//!     assert_eq!(sample.label, Some(if sample.key == "cat" { 0 } else { 1 }));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod bus;
mod cache;
mod division;
mod encoded;
mod error;
mod fault;
mod folder;
mod hint;
mod index;
mod inspect;
mod json;
mod label;
mod links;
mod mapping;
mod name;
mod neighbours;
mod order;
mod partial;
mod path;
mod pattern;
mod permutation;
mod read;
mod remark;
#[cfg(feature = "remote")]
mod remote;
mod remote_config;
mod sample;
mod scan;
mod set;
mod shard;
mod shuffle;
mod sidecar;
mod signature;
mod source;
mod span;
mod unavailable;
mod writer;

pub use access::{Access, open};
pub use division::Division;
pub use encoded::Encoded;
pub use error::{Error, Result};
pub use fault::ShardFault;
pub use folder::{AnnotationFolder, is_image_folder};
pub use hint::{ContentHint, Hint, RemoteHint, StoreKind};
pub use inspect::{BadReason, Inspected, Inspection};
pub use order::{Order, Place, Position};
pub use partial::{Partial, sync_folder, unfinished_suffix};
pub use pattern::{
    AccessHint, Elsewhere, ListHint, Listing, PatternError, PatternHint, absolute, expand, without_query,
};
pub use remark::{Finding, Remark, RemarkHint, RemarkKind};
pub use remote_config::RemoteConfig;
pub use sample::Sample;
pub use set::{IndexConfig, Location, Replacements, Samples, ShardSet, Stopper, index_threads};
pub use shard::{Shard, ShardName, Stamp};
pub use shuffle::Shuffle;
pub use sidecar::{index_path, is_index, write_index, write_index_beside};
pub use source::{LineSpeed, LocalSource, MemorySource, Parts, Source, Traffic, Wanted};
pub use unavailable::Unavailable;
pub use writer::ShardWriter;
