//! A file in memory whose pages are made resident before they are read.

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
/// A mapping raises SIGBUS when a page is touched that the file no longer reaches. A shard that is *replaced* (another
/// renamed over it) or removed does no harm: the mapping keeps the old file. One that is cut or rewritten *in place*
/// does, so [`make_resident`](Self::make_resident) lets the kernel touch the pages, which reports instead of raising.
/// A file cut between that call and the reading of the bytes is caught by the [`Guard`]: the reader sees zeros there,
/// and [`check_intact`](Self::check_intact) says so afterwards.
#[derive(Debug)]
pub(crate) struct Mapping {
    path: PathBuf,
    inode: u64,
    /// Before `map`, so that it ends before the pages go.
    guard: Guard,
    map: Arc<Mmap>,
    /// Absent in shards that stay open for long, of which there may be more than file descriptors.
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

    /// The file, to read it without mapping pages: faster where little is read, here and there.
    pub(crate) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    pub(crate) fn release_file(&mut self) {
        self.file = None;
    }

    /// Brings the pages of `range` into memory, or says why they cannot be read.
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

    /// An error once a page of the mapping could not be read.
    pub(crate) fn check_intact(&self) -> io::Result<()> {
        if self.guard.has_faulted() {
            let reason = "the file was cut, or its disk failed, while it was being read";
            return Err(io::Error::other(reason)); // a cut is found out by the length as well
        }
        Ok(())
    }

    /// Whether the file still reaches that far, unless another has taken its name.
    ///
    /// Populating finds that out too, but a file cut within the range's last page would read as zeros there. On
    /// kernels before 5.14 and on systems other than Linux this is the only check, so that disk errors raise there.
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

    // Advice only: nothing is lost where it is not taken.
    pub(crate) fn will_need(&self, range: Range<usize>) {
        self.map.advise_range(Advice::WillNeed, range.start, range.len()).ok();
    }

    /// Takes all pages out of the process. They stay in the page cache, from which the next touch maps them again; where it
    /// cannot, the `Guard` is what protects the reader, even of pages that `make_resident` had brought in.
    #[expect(unsafe_code, reason = "the advice is safe only for mappings such as this one")]
    pub(crate) fn release_pages(&self) {
        if !self.guard.is_set() {
            return;
        }
        // SAFETY: the mapping is of a file and never written to, so that whoever reads it meanwhile or later finds the
        // same bytes; where the file was cut, the `Guard` gives zeros.
        unsafe { self.map.unchecked_advise(UncheckedAdvice::DontNeed) }.ok();
    }
}

#[expect(unsafe_code, reason = "the only mapping in the crate")]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: `Mmap` asks that the file be not changed underneath. Shards are renamed into place when complete
    // (`writer.rs`) and not written to afterwards (`docs/guide/data.md`). Should one be, its bytes are still only bytes to us: they
    // are parsed with every length checked, and never trusted to stay the same between two reads. Should one be cut,
    // `make_resident` finds out before a slice is read.
    unsafe { Mmap::map(file) }
}
