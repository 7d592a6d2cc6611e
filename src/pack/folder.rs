//! An image folder: `class/name.jpg`, or images without classes.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use xxhash_rust::xxh3::xxh3_64;

use super::source::{Image, Source};

/// Deeper folders than anyone nests on purpose: a link that leads back to a folder above it.
const MAX_DEPTH: usize = 32;

/// Folders that a dataset is often divided into, and that are no classes.
const SPLITS: [&str; 7] = ["train", "training", "val", "valid", "validation", "test", "testing"];

/// The images of a folder, in the order of their paths.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    classes: Vec<String>,
    files: Vec<ImageFile>,
    ignored: u64,
}

#[derive(Debug)]
struct ImageFile {
    /// Below the root.
    path: PathBuf,
    label: Option<u32>,
    bytes: u64,
    extension: &'static str,
    /// Whether another file before it would get the same key.
    is_namesake: bool,
}

impl Folder {
    /// Lists the images; none is opened.
    pub(super) fn open(root: &Path) -> Result<Self> {
        let mut folder = Self { root: root.to_owned(), classes: Vec::new(), files: Vec::new(), ignored: 0 };
        let entries = folder.list(Path::new(""))?;
        let (classes, loose): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.is_folder);
        folder.classes = classes.iter().map(|class| class.path.to_string_lossy().into_owned()).collect();
        folder.check_classes()?;
        for (label, class) in classes.iter().enumerate() {
            folder.walk(&class.path, u32::try_from(label).context("numbering the classes")?, 1)?;
        }
        if folder.classes.is_empty() {
            for entry in loose {
                folder.add(entry, None);
            }
        } else {
            folder.ignored += loose.len() as u64;
        }
        folder.mark_namesakes();
        Ok(folder)
    }

    fn check_classes(&self) -> Result<()> {
        let is_split = |name: &String| SPLITS.contains(&name.to_lowercase().as_str());
        if let Some(split) = self.classes.iter().find(|name| is_split(name)) {
            ensure!(
                !self.classes.iter().all(is_split),
                "the folders in `{}` are parts of a dataset, not classes: {}\nhint: pack them one by one, e.g. with \
                 `--split {split}`",
                self.root.display(),
                self.classes.join(", ")
            );
        }
        let broken = self.classes.iter().find(|name| name.contains(['\n', '\r']));
        if let Some(name) = broken {
            bail!("the class folder {name:?} has a line break in its name\nhint: rename it");
        }
        Ok(())
    }

    fn walk(&mut self, below: &Path, label: u32, depth: usize) -> Result<()> {
        ensure!(
            depth <= MAX_DEPTH,
            "`{}` is more than {MAX_DEPTH} folders deep\nhint: look for a link that leads back to a folder above it",
            self.root.join(below).display()
        );
        for entry in self.list(below)? {
            if entry.is_folder {
                self.walk(&entry.path, label, depth + 1)?;
            } else {
                self.add(entry, Some(label));
            }
        }
        Ok(())
    }

    /// What lies in a folder, sorted; hidden files and those of macOS's archiver left out.
    fn list(&self, below: &Path) -> Result<Vec<Entry>> {
        let folder = self.root.join(below);
        let read = || -> io::Result<Vec<Entry>> {
            let visible = |name: &str| !name.starts_with('.') && name != "__MACOSX";
            let mut entries = Vec::new();
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                if visible(&entry.file_name().to_string_lossy()) {
                    entries.push(Entry::new(&entry, below));
                }
            }
            entries.sort_by(|a, b| a.path.cmp(&b.path));
            Ok(entries)
        };
        read().with_context(|| format!("listing the folder `{}`", folder.display()))
    }

    fn add(&mut self, entry: Entry, label: Option<u32>) {
        match image_extension(&entry.path) {
            Some(extension) if !entry.is_folder => {
                let Entry { path, bytes, .. } = entry;
                self.files.push(ImageFile { path, label, bytes, extension, is_namesake: false });
            }
            _ => self.ignored += 1,
        }
    }

    /// Keys lose extensions and inner dots, so that `a.jpg` and `a.png` may meet.
    fn mark_namesakes(&mut self) {
        let mut seen = HashSet::with_capacity(self.files.len());
        for file in &mut self.files {
            file.is_namesake = !seen.insert(xxh3_64(key_of(&file.path).as_bytes()));
        }
    }
}

impl Source for Folder {
    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn count(&self) -> usize {
        self.files.len()
    }

    fn bytes(&self, number: usize) -> u64 {
        self.files[number].bytes
    }

    fn key(&self, number: usize) -> String {
        let file = &self.files[number];
        let key = key_of(&file.path);
        if file.is_namesake { format!("{key}+{number}") } else { key }
    }

    fn read(&self, number: usize) -> Result<Image> {
        let file = &self.files[number];
        let path = self.root.join(&file.path);
        let data = fs::read(&path).with_context(|| format!("reading `{}`", path.display()))?;
        ensure!(!data.is_empty(), "`{}` is empty", path.display());
        Ok(Image { extension: file.extension, data, label: file.label.map(|label| label as usize) })
    }

    fn ignored(&self) -> u64 {
        self.ignored
    }
}

#[derive(Debug)]
struct Entry {
    /// Below the root.
    path: PathBuf,
    is_folder: bool,
    bytes: u64,
}

impl Entry {
    /// Links are followed; one that leads nowhere counts as a file, to be named as unreadable later.
    fn new(entry: &fs::DirEntry, below: &Path) -> Self {
        let target = fs::metadata(entry.path()).ok();
        Self {
            path: below.join(entry.file_name()),
            is_folder: target.as_ref().is_some_and(fs::Metadata::is_dir),
            bytes: target.as_ref().map_or(0, fs::Metadata::len),
        }
    }
}

fn image_extension(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    ["jpg", "jpeg", "png", "webp"].into_iter().find(|known| *known == extension)
}

/// The path without its extension. Dots of the base name become underscores, as readers end the key at the first.
fn key_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().replace('.', "_");
    path.with_file_name(stem).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_of(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "image").unwrap();
        }
        root
    }

    fn keys(folder: &Folder) -> Vec<String> {
        (0..folder.count()).map(|number| folder.key(number)).collect()
    }

    #[test]
    fn labels_follow_the_sorted_names_and_nested_folders_belong_to_their_class() {
        let root =
            folder_of(&["dog/b/2.PNG", "dog/a.1.jpeg", "cat/1.jpg", "cat/notes.txt", "README", ".git/x.jpg"]);
        fs::create_dir(root.path().join("ant")).unwrap();
        let folder = Folder::open(root.path()).unwrap();
        assert_eq!(folder.classes(), ["ant", "cat", "dog"]);
        assert_eq!(keys(&folder), ["cat/1", "dog/a_1", "dog/b/2"]);
        let labels: Vec<_> = (0..3).map(|number| folder.read(number).unwrap().label).collect();
        assert_eq!(labels, [Some(1), Some(2), Some(2)]);
        assert_eq!(folder.ignored(), 2);
    }

    #[test]
    fn a_flat_folder_has_no_labels() {
        let root = folder_of(&["1.jpg", "2.txt"]);
        let folder = Folder::open(root.path()).unwrap();
        assert_eq!((folder.count(), folder.ignored(), folder.classes().len()), (1, 1, 0));
        assert_eq!(folder.read(0).unwrap().label, None);
    }

    #[test]
    fn namesakes_get_keys_of_their_own() {
        let root = folder_of(&["c/a.b.jpg", "c/a_b.jpg", "c/a_b.webp"]);
        assert_eq!(keys(&Folder::open(root.path()).unwrap()), ["c/a_b", "c/a_b+1", "c/a_b+2"]);
    }

    #[test]
    fn the_parts_of_a_dataset_are_not_taken_for_classes() {
        let root = folder_of(&["train/cat/1.jpg", "val/cat/2.jpg"]);
        let error = Folder::open(root.path()).unwrap_err().to_string();
        assert!(error.contains("--split train"), "{error}");
        assert_eq!(Folder::open(&root.path().join("val")).unwrap().classes(), ["cat"]);
    }

    #[test]
    fn a_link_that_leads_back_up_is_an_error() {
        let root = folder_of(&["c/1.jpg"]);
        std::os::unix::fs::symlink(root.path().join("c"), root.path().join("c/again")).unwrap();
        let error = format!("{:#}", Folder::open(root.path()).unwrap_err());
        assert!(error.contains("folders deep"), "{error}");
    }
}
