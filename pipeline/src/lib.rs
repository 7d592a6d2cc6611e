//! Turns encoded samples into augmented batches in host memory.
//!
//! ```text
//! reader ─jobs(2w)─► decode-0 … decode-(w−1) ─answers(2w)─► batch ─batches(prefetch)─► iterator
//!                      ▲─────────── spares(3w) ───────────────┘ ▲──────── slabs ──────────┘
//! ```
//!
//! A [`Loader`] decodes [`shards::Sample`]s on `w` workers, makes views of them by a [`Recipe`], and copies
//! the views into slabs. All channels are bounded and buffers are reused, so its memory is fixed once it has
//! seen its largest image. Batches are bit-identical for any number of workers: samples are numbered, and all
//! randomness follows from (seed, epoch, index, view). Images and views are bit-identical to those of Pillow
//! and torchvision, except in [`DecodeMode::Fast`].
//!
//! [`decode()`] and [`Decoder`] decode single images, [`Renderer`] makes the views of one image; the loader
//! runs one renderer per worker.
//!
//! ```
//! use pipeline::{Loader, LoaderConfig, Preset, Rgb, encode_jpeg};
//! use shards::{Position, Sample};
//!
//! // Six samples; `shards::ShardSet::samples` streams them from tar files.
//! let jpeg = encode_jpeg(&Rgb::black(40, 30), 90)?;
//! let samples = (0..6).map(move |index| {
//!     Ok(Sample {
//!         shard: "train-000.tar".into(),
//!         key: format!("{index:04}"),
//!         offset: 512,
//!         index,
//!         epoch: 0,
//!         image: jpeg.clone().into(),
//!         label: Some(3),
//!         next: Position { epoch: 0, offset: index + 1 },
//!     })
//! });
//! let recipe = Preset::Stl10.recipe();
//! let config = LoaderConfig { workers: 2, batch_size: 4, ..LoaderConfig::default() };
//! let slab = vec![0; config.bytes(&recipe)];
//! let mut sizes = Vec::new();
//! for batch in Loader::spawn(samples, recipe, vec![slab; config.slabs()], &config)? {
//!     let batch = batch?;
//!     // Two views of each sample, 64×64 pixels of three bytes; a dropped batch returns its slab.
//!     assert_eq!(batch.bytes().len(), 2 * batch.samples() * 64 * 64 * 3);
//!     assert!(batch.labels.iter().all(|label| *label == 3));
//!     sizes.push(batch.samples());
//! }
//! assert_eq!(sizes, [4, 2]);
//! # Ok::<(), pipeline::Error>(())
//! ```

mod augment;
mod bad_runs;
mod bad_sample;
mod batch;
mod batcher;
mod budget;
mod config;
mod cpu;
mod decode;
mod draft;
mod encode;
mod error;
mod file_format;
mod hint;
mod image;
mod loader;
mod outcome;
mod presets;
mod render;
mod replacer;
mod stats;
mod tally;
pub mod trace;
mod worker;

pub use augment::{
    Augmenter, Components, Crop, Curve, Edit, Editor, Filter, Form, Group, Kind, Op, Parameter, Place, Plan,
    Recipe, RecipeError, SampleSeed, Window, edit, edit_unrounded, resize,
};
pub use bad_sample::BadSample;
pub use batch::{Batch, Lease, Shape, Slab};
pub use budget::{BadSampleBudget, BudgetError};
pub use config::LoaderConfig;
pub use cpu::Cpu;
pub use decode::{Decoder, Header, Oddities, Oddity, Orientation, decode, jpeg};
pub use encode::encode_jpeg;
pub use error::{Error, Result};
pub use file_format::FileFormat;
pub use hint::Hint;
pub use image::Rgb;
pub use loader::Loader;
pub use presets::{Normalization, Preset};
pub use render::{DecodeMode, Renderer};
pub use stats::{StageStats, Stats};
