//! Reads a folder and all folders in it.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use pipeline::FileFormat;

use super::{
    left_out::{LeftOut, Reason},
    names::{self, FileName},
    text::text_of,
};
use crate::{
    error::{FileError, SourceError},
    pack::convert::is_packed,
};

/// The result of reading a folder.
type Result<T> = std::result::Result<T, SourceError>;

/// The greatest depth that is read. Nobody nests folders so deeply on purpose; links may form a circle
/// outside of the root.
const MAX_DEPTH: usize = 32;

/// One folder.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// The path relative to the root.
    pub(super) path: PathBuf,
    pub(super) folders: Vec<Self>,
    pub(super) images: Vec<Entry>,
    /// The number of images in formats that are not read.
    unread: usize,
    /// Whether it has no files.
    is_empty: bool,
}

/// A file or folder.
#[derive(Debug)]
pub(super) struct Entry {
    /// The path relative to the root.
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    /// A link to a folder.
    FolderLink,
    File,
    Irregular,
}

impl Tree {
    /// Lists the images in `root`, sorted. Files with unknown extensions are recognized by their first bytes.
    pub(super) fn read(root: &Path, left_out: &mut LeftOut) -> Result<Self> {
        let own = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        Reader { root, own, left_out }.read(PathBuf::new(), 0)
    }

    /// Returns the name of the folder itself.
    pub(super) fn name(&self) -> String {
        text_of(self.path.file_name().unwrap_or_default())
    }

    /// Returns the number of images in the folder and in all folders below it.
    pub(super) fn count(&self) -> usize {
        self.images.len() + self.folders.iter().map(Self::count).sum::<usize>()
    }

    /// Returns whether there is any image in the folder or below it, even if it is not read, or nothing at
    /// all.
    pub(super) fn may_be_class(&self) -> bool {
        self.has_any_image() || self.is_empty_below()
    }

    fn has_any_image(&self) -> bool {
        self.unread > 0 || !self.images.is_empty() || self.folders.iter().any(Self::has_any_image)
    }

    fn is_empty_below(&self) -> bool {
        self.is_empty && self.folders.iter().all(Self::is_empty_below)
    }
}

/// Reads a folder.
struct Reader<'a> {
    root: &'a Path,
    /// The root, with links resolved.
    own: PathBuf,
    left_out: &'a mut LeftOut,
}

impl Reader<'_> {
    fn read(&mut self, below: PathBuf, depth: usize) -> Result<Tree> {
        if depth > MAX_DEPTH {
            return Err(SourceError::TooDeep { path: self.root.join(&below), depth: MAX_DEPTH });
        }
        let (folders, files) = self.list(&below)?;
        let is_empty = files.is_empty();
        let mut tree = Tree { path: below, is_empty, ..Tree::default() };
        for file in files {
            self.sort(file, &mut tree)?;
        }
        self.take_out_masks(&mut tree.images);
        for folder in self.without_annotations(folders) {
            tree.folders.push(self.read(folder.path, depth + 1)?);
        }
        Ok(tree)
    }

    /// Returns the folders and the files in a folder, sorted, without hidden ones, those of systems, and
    /// circular links.
    fn list(&mut self, below: &Path) -> Result<(Vec<Entry>, Vec<Entry>)> {
        let folder = self.root.join(below);
        let read = || -> io::Result<Vec<Entry>> {
            let entries = fs::read_dir(&folder)?.map(|entry| entry.map(|entry| Entry::new(&entry, below)));
            entries.collect()
        };
        let mut entries = read().map_err(FileError::reading("list the folder", &folder))?;
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries.retain(|entry| {
            let name = entry.name();
            let reason = match () {
                () if names::is_hidden(&name) => Reason::Hidden,
                () if names::is_of_system(&name) => Reason::System,
                () if entry.kind == Kind::Irregular => Reason::Irregular,
                () if entry.kind == Kind::FolderLink && self.leads_around(&folder, entry) => Reason::Link,
                () => return true,
            };
            self.left_out.add(reason, &entry.path);
            false
        });
        Ok(entries.into_iter().partition(|entry| matches!(entry.kind, Kind::Folder | Kind::FolderLink)))
    }

    /// Returns whether a link leads to a folder above it, or to one that is packed under its own name.
    fn leads_around(&self, folder: &Path, link: &Entry) -> bool {
        let Ok(target) = self.root.join(&link.path).canonicalize() else { return false };
        let is_above = folder.canonicalize().is_ok_and(|folder| folder.starts_with(&target));
        let is_packed = |below: &Path| {
            let mut names = below.iter().map(|name| name.to_string_lossy());
            names.all(|name| !names::is_hidden(&name) && !names::is_of_system(&name))
        };
        is_above || self.own.starts_with(&target) || target.strip_prefix(&self.own).is_ok_and(is_packed)
    }

    fn without_annotations(&mut self, folders: Vec<Entry>) -> Vec<Entry> {
        let all: Vec<_> = folders.iter().map(Entry::name).collect();
        let is_kept = |entry: &Entry| {
            let is_left_out = names::is_of_annotations(&entry.name(), all.iter().map(String::as_str));
            if is_left_out {
                self.left_out.add(Reason::Annotations, &entry.path);
            }
            !is_left_out
        };
        folders.into_iter().filter(is_kept).collect()
    }

    /// Assigns a file to the images, or leaves it out.
    fn sort(&mut self, file: Entry, tree: &mut Tree) -> Result<()> {
        match FileName::of(&file.path) {
            FileName::Image => tree.images.push(file),
            FileName::Unread(extension) => {
                tree.unread += 1;
                self.left_out.add_unread(extension, &file.path);
            }
            FileName::Unknown if self.is_image(&file.path)? => tree.images.push(file),
            FileName::Unknown => self.left_out.add(Reason::NoImage, &file.path),
        }
        Ok(())
    }

    /// Returns whether a file is an image, by its first bytes.
    fn is_image(&self, path: &Path) -> Result<bool> {
        let path = self.root.join(path);
        let mut head = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(1024).read_to_end(&mut head))
            .map_err(FileError::reading("read", &path))?;
        Ok(is_packed(FileFormat::of(&head)))
    }

    fn take_out_masks(&mut self, images: &mut Vec<Entry>) {
        let stems: HashSet<String> = images.iter().map(Entry::stem).collect();
        images.retain(|image| {
            let is_mask = names::masked(&image.stem()).is_some_and(|image| stems.contains(image));
            if is_mask {
                self.left_out.add(Reason::Mask, &image.path);
            }
            !is_mask
        });
    }
}

impl Entry {
    /// Follows links. A link to a missing file counts as a file, and will be reported as unreadable.
    fn new(entry: &fs::DirEntry, below: &Path) -> Self {
        let target = fs::metadata(entry.path()).ok();
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        let kind = match &target {
            Some(target) if target.is_dir() && is_link => Kind::FolderLink,
            Some(target) if target.is_dir() => Kind::Folder,
            Some(target) if !target.is_file() => Kind::Irregular,
            _ => Kind::File,
        };
        let bytes = target.as_ref().map_or(0, fs::Metadata::len);
        Self { path: below.join(entry.file_name()), bytes, kind }
    }

    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn stem(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }
}
