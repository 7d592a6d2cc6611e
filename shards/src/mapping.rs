//! A mapped file whose pages are made resident before they are read.

use std::{
    fs::{File, Metadata},
    io,
    ops::Range,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use memmap2::{Advice, Mmap, UncheckedAdvice};

use crate::bus::Guard;

/// A mapped file.
///
/// Touching a page of a mapping that the file no longer reaches raises SIGBUS. A shard that is *replaced*
/// (another file renamed over it) or removed is harmless: the mapping keeps the old file. A shard that is cut
/// or rewritten *in place* is not, so [`make_resident`](Self::make_resident) lets the kernel touch the pages,
/// which reports an error instead of raising a signal. The [`Guard`] covers a cut between that call and the
/// reading: the reader sees zeros, and [`check_intact`](Self::check_intact) reports it afterwards.
#[derive(Debug)]
pub(crate) struct Mapping {
    path: PathBuf,
    inode: u64,
    /// Dropped before `map`, so that the guard ends before the pages are unmapped.
    guard: Guard,
    map: Arc<Mmap>,
    /// `None` for shards that stay open for long, of which there may be more than file descriptors.
    file: Option<File>,
}

/// Keeps the mapping alive in [`Bytes`].
struct Owner(Arc<Mmap>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Mapping {
    /// Maps a finished shard read-only.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Metadata)> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let map = Arc::new(map(&file)?);
        let guard = Guard::new(&map);
        let mapping = Self { path: path.to_owned(), inode: metadata.ino(), guard, map, file: Some(file) };
        Ok((mapping, metadata))
    }

    pub(crate) fn bytes(&self) -> Bytes {
        Bytes::from_owner(Owner(Arc::clone(&self.map)))
    }

    /// Returns the file for reads without mapping pages, which is faster for a few scattered bytes.
    pub(crate) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    pub(crate) fn release_file(&mut self) {
        self.file = None;
    }

    /// Brings the pages of `range` into memory.
    ///
    /// # Errors
    /// The file no longer reaches that far, or its pages cannot be read.
    pub(crate) fn make_resident(&self, range: Range<usize>) -> io::Result<()> {
        self.check_intact()?;
        self.check_length(range.end as u64)?;
        if range.is_empty() {
            return Ok(());
        }
        match self.populate(range) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            Err(error) => Err(io::Error::other(format!("its pages cannot be read: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    /// Returns whether the file has lost its name, or another file has taken it.
    pub(crate) fn is_removed(&self) -> bool {
        !self.path.metadata().is_ok_and(|metadata| metadata.ino() == self.inode)
    }

    /// Fails once a page of the mapping could not be read.
    pub(crate) fn check_intact(&self) -> io::Result<()> {
        if self.guard.has_faulted() {
            let reason = "the file was cut, or its disk failed, while it was being read";
            return Err(io::Error::other(reason)); // a cut may also be found by the length
        }
        Ok(())
    }

    /// Fails if the file ends before byte `end`, unless another file has taken its name.
    ///
    /// Populating finds that too, but a file cut within the range's last page would read as zeros there. On
    /// kernels before 5.14 and on systems other than Linux this is the only check, and disk errors raise
    /// SIGBUS there.
    fn check_length(&self, end: u64) -> io::Result<()> {
        match self.path.metadata() {
            Ok(metadata) if metadata.ino() == self.inode && metadata.len() < end => {
                let reason = format!("the file was cut to {} bytes while it was in use", metadata.len());
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason))
            }
            _ => Ok(()),
        }
    }

    #[cfg(target_os = "linux")]
    fn populate(&self, range: Range<usize>) -> io::Result<()> {
        self.map.advise_range(Advice::PopulateRead, range.start, range.len())
    }

    #[cfg(not(target_os = "linux"))]
    fn populate(&self, _range: Range<usize>) -> io::Result<()> {
        Err(io::ErrorKind::InvalidInput.into())
    }

    // Only advice: a failure changes nothing.
    pub(crate) fn will_need(&self, range: Range<usize>) {
        self.map.advise_range(Advice::WillNeed, range.start, range.len()).ok();
    }

    /// Releases all pages from the process. They stay in the page cache, from which the next touch maps them
    /// again; if it cannot, the `Guard` protects the reader, even of pages that `make_resident` had brought
    /// in.
    #[expect(unsafe_code, reason = "the advice is safe only for mappings such as this one")]
    pub(crate) fn release_pages(&self) {
        if !self.guard.is_set() {
            return;
        }
        // SAFETY: the mapping is of a file and never written to, so readers find the same bytes before and
        // after; if the file was cut, the `Guard` maps zeros.
        unsafe { self.map.unchecked_advise(UncheckedAdvice::DontNeed) }.ok();
    }
}

#[expect(unsafe_code, reason = "the only mapping in the crate")]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: `Mmap` requires that the file is not changed meanwhile. Shards are renamed into place when
    // complete (`writer.rs`) and not written to afterwards (`docs/guide/data.md`). If one is changed
    // nevertheless, its bytes are still only bytes to us: they are parsed with every length checked, and
    // never assumed to be the same in two reads. If one is cut, `make_resident` fails before a slice is read.
    unsafe { Mmap::map(file) }
}
