//! The shards that a source is packed into.

use std::{fmt, path::PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::{
    plan::{Cut, Plan},
    source::Source,
    split::{Subset, Validation},
    write::{Job, Resize, Written},
};
use crate::{
    classes::ClassNames,
    error::{OutputError, Result},
    output::{Output, Summary},
    progress::Progress,
};

/// The prefix of validation shards: `val-000.tar` and so on.
const VALIDATION_PREFIX: &str = "val";

/// The options for packing a source.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder for the shards.
    pub out: PathBuf,
    /// The beginning of the shards' names.
    pub prefix: String,
    /// The limits of a shard.
    pub cut: Cut,
    /// The size and quality of images that are made smaller; `None` resizes nothing.
    pub resize: Option<Resize>,
    /// The seed of shuffling; `None` keeps the order of the source.
    pub shuffle: Option<u64>,
    /// The choice of samples to hold out, in shards named `val-000.tar` and so on.
    pub validation: Option<Validation>,
    /// The number of shards that are written concurrently; `None` for one per core.
    pub workers: Option<usize>,
    /// Whether shards of this prefix may be replaced.
    pub force: bool,
}

/// Writes the shards and `classes.txt`. The bytes do not depend on the number of workers.
///
/// A sample that cannot be read or resized is left out, named in the log, and counted.
///
/// # Errors
/// The folder or its class names must not be replaced, nothing can be held out, no image can be read, or the
/// system refuses.
pub fn write(source: &dyn Source, options: &Options, progress: &dyn Progress) -> Result<Summary> {
    let mut packing = Packing::plan(source, options)?;
    packing.prepare()?;
    let mut summaries = Vec::new();
    for part in packing.parts() {
        let all: Vec<_> = (0..part.sizes().len()).collect();
        let written = part.write(&all, progress)?;
        summaries.push(part.finish(vec![written])?);
    }
    Ok(Packing::summary(summaries))
}

/// The samples of a source, assigned to shards: those for training, and those that are held out.
///
/// Several processes can share the shards: each plans all of them and writes some; one prepares the folder before that, and
/// finishes each part when all have written theirs.
pub struct Packing<'a> {
    source: &'a dyn Source,
    options: &'a Options,
    parts: Vec<Part<'a>>,
}

impl fmt::Debug for Packing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packing").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl<'a> Packing<'a> {
    /// Assigns the samples to shards. The same source and options give the same shards.
    ///
    /// # Errors
    /// The classes have no valid names, nothing can be held out, or both parts have the same prefix.
    pub fn plan(source: &'a dyn Source, options: &'a Options) -> Result<Self> {
        ClassNames::check(source.classes())?;
        let Some(validation) = options.validation else {
            let all = Part::new(Subset::all(source), &options.prefix, options);
            return Ok(Self { source, options, parts: vec![all] });
        };
        if options.prefix == VALIDATION_PREFIX {
            return Err(OutputError::SamePrefix { prefix: VALIDATION_PREFIX.to_owned() }.into());
        }
        let [train, held_out] = Subset::split(source, validation)?;
        let parts =
            vec![Part::new(train, &options.prefix, options), Part::new(held_out, VALIDATION_PREFIX, options)];
        Ok(Self { source, options, parts })
    }

    /// Returns a hash of the names and sizes of all samples, and of the shards that they are assigned to.
    pub fn digest(&self) -> u64 {
        let mut all = Xxh3::new();
        for part in &self.parts {
            for shard in 0..part.plan.shards() {
                for &number in part.plan.samples(shard) {
                    all.update(part.samples.key(number as usize).as_bytes());
                    all.update(&part.samples.bytes(number as usize).to_le_bytes());
                }
                all.update(b"\n");
            }
        }
        all.digest()
    }

    /// Makes the folder, checks that the shards can be written there, writes `classes.txt`, and logs what is left out of the
    /// source.
    ///
    /// # Errors
    /// The folder or its class names must not be replaced, or the system refuses.
    pub fn prepare(&mut self) -> Result<()> {
        self.parts.iter_mut().try_for_each(|part| part.output.claim(self.options.force))?;
        self.source.log();
        self.parts[0].output.write_classes(self.source.classes(), self.options.force)
    }

    /// Returns the sets of shards: that of all samples, or those for training and for validation.
    pub fn parts(&self) -> &[Part<'a>] {
        &self.parts
    }

    /// Joins the summaries of the parts, in their order.
    pub fn summary(parts: Vec<Summary>) -> Summary {
        let mut parts = parts.into_iter();
        let first = parts.next().unwrap_or_default();
        Summary { val: parts.next().map(Box::new), ..first }
    }
}

/// One set of shards.
pub struct Part<'a> {
    samples: Subset<'a>,
    plan: Plan,
    output: Output,
    options: &'a Options,
}

impl fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, output, .. } = self;
        f.debug_struct("Part").field("plan", plan).field("output", output).finish_non_exhaustive()
    }
}

impl<'a> Part<'a> {
    fn new(samples: Subset<'a>, prefix: &str, options: &'a Options) -> Self {
        let plan = Plan::new(&samples, options.cut, options.shuffle);
        let output = Output::new(&options.out, prefix, plan.shards());
        let output = match options.validation {
            Some(_) if prefix != VALIDATION_PREFIX => output.together_with(VALIDATION_PREFIX),
            _ => output,
        };
        Self { samples, plan, output, options }
    }

    /// Returns the bytes of the images of each shard, as they are in the source.
    pub fn sizes(&self) -> Vec<u64> {
        let bytes = |&number: &u32| self.samples.bytes(number as usize);
        (0..self.plan.shards()).map(|shard| self.plan.samples(shard).iter().map(bytes).sum()).collect()
    }

    /// Writes the shards with these numbers into the folder, which was prepared.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write(&self, shards: &[usize], progress: &dyn Progress) -> Result<Written> {
        let shard = |&shard: &usize| (self.plan.samples(shard), self.output.shard(shard));
        let shards: Vec<_> = shards.iter().map(shard).collect();
        Job::new(&self.samples, self.options.resize, progress).write(&shards, self.options.workers)
    }

    /// Logs what was left out, removes the remaining shards of an earlier call, and returns the summary. All shards are
    /// written.
    ///
    /// # Errors
    /// No image could be read, or the system refuses.
    pub fn finish(&self, written: Vec<Written>) -> Result<Summary> {
        let [bad, converted] = Written::report(written);
        let packed = self.samples.count() as u64 - bad;
        if packed == 0 {
            self.output.discard()?;
            return Err(OutputError::NothingPacked { bad }.into());
        }
        let summary = self.output.finish(packed, self.samples.classes().len())?;
        Ok(Summary { bad, converted, ignored: self.samples.ignored(), ..summary })
    }
}
