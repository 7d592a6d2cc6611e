//! An image folder as a source.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use pipeline::FileFormat;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    layout::Layout,
    left_out::LeftOut,
    text::{key_of, text_of},
    tree::{Entry, Tree},
};
use crate::{
    error::{FileError, ImageError, SourceError},
    hint::{Hint, SourceHint},
    pack::{
        convert,
        source::{Image, Source},
    },
};

/// The images of a folder, in the order of their paths.
#[derive(Debug, Default)]
pub(in crate::pack) struct Folder {
    root: PathBuf,
    classes: Vec<String>,
    files: Vec<ImageFile>,
    pub(super) left_out: LeftOut,
    /// Doubts about the classes.
    pub(super) notes: Vec<String>,
    /// The number of images in folders below the class folders.
    pub(super) nested: u64,
    /// The path of the first such image.
    first_nested: Option<PathBuf>,
    /// The number of images whose paths are not UTF-8.
    pub(super) renamed: u64,
}

#[derive(Debug)]
struct ImageFile {
    /// The path relative to the root.
    path: PathBuf,
    label: Option<u32>,
    bytes: u64,
    /// Whether an earlier file would get the same key.
    is_namesake: bool,
}

impl Folder {
    /// Lists the images. Files whose extension is that of an image are not opened. Without labels, folders
    /// are not classes.
    pub(in crate::pack) fn open(root: &Path, is_labelled: bool) -> Result<Self, SourceError> {
        let mut folder = Self { root: root.to_owned(), ..Self::default() };
        let tree = Tree::read(root, &mut folder.left_out)?;
        if is_labelled {
            let layout = Layout::of(root, tree, &mut folder.left_out)?;
            folder.take(layout);
        } else {
            folder.take_all(tree, None, 0);
        }
        folder.mark_namesakes();
        Ok(folder)
    }

    fn take(&mut self, layout: Layout) {
        let Layout { classes, images, notes } = layout;
        self.notes = notes;
        for image in images {
            self.add(image, None);
        }
        for (label, class) in classes.into_iter().enumerate() {
            self.classes.push(class.name());
            self.take_all(class, Some(label as u32), 0);
        }
    }

    fn take_all(&mut self, tree: Tree, label: Option<u32>, depth: usize) {
        if depth > 0 && label.is_some() {
            self.nested += tree.images.len() as u64;
            let first = tree.images.first().map(|image| image.path.clone());
            self.first_nested = self.first_nested.take().or(first);
        }
        for image in tree.images {
            self.add(image, label);
        }
        for folder in tree.folders {
            self.take_all(folder, label, depth + 1);
        }
    }

    fn add(&mut self, Entry { path, bytes, .. }: Entry, label: Option<u32>) {
        self.renamed += u64::from(path.to_str().is_none());
        self.files.push(ImageFile { path, label, bytes, is_namesake: false });
    }

    /// Marks files with equal keys: keys have no extensions and no inner dots, so that `a.jpg` and `a.png`
    /// may collide.
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

    fn label(&self, number: usize) -> Result<Option<usize>, ImageError> {
        Ok(self.files[number].label.map(|label| label as usize))
    }

    fn read(&self, number: usize) -> Result<Image, ImageError> {
        let path = self.root.join(&self.files[number].path);
        let data = fs::read(&path).map_err(FileError::reading("read", &path))?;
        if data.is_empty() {
            return Err(ImageError::Empty { path });
        }
        let label = self.label(number)?;
        let extension = match FileFormat::of(&data) {
            FileFormat::Jpeg => "jpg",
            FileFormat::Png => "png",
            FileFormat::WebP => "webp",
            format if convert::is_packed(format) => {
                let data = convert::to_png(format, &data)
                    .map_err(|error| ImageError::Convert { path, source: error.into() })?;
                return Ok(Image { extension: "png", data, label, is_converted: true });
            }
            format => return Err(ImageError::Format { path, format }),
        };
        Ok(Image { extension, data, label, is_converted: false })
    }

    fn ignored(&self) -> u64 {
        self.left_out.count()
    }

    fn hint(&self) -> Option<Hint> {
        self.left_out.has_unread().then_some(Hint::Source(SourceHint::Convert))
    }

    fn log(&self) {
        self.left_out.log();
        for note in &self.notes {
            tracing::warn!("{note}");
        }
        if let Some(first) = &self.first_nested {
            let (path, class) = (first.display().to_string(), first.iter().next().unwrap_or_default());
            tracing::info!(
                "{} images in folders below the class folders have the labels of their class folders, e.g. `{}` that of `{}`",
                self.nested,
                path.escape_debug(),
                text_of(class)
            );
        }
        if self.renamed > 0 {
            tracing::warn!(
                "{} images have names that are not UTF-8: their keys have such bytes in the form %FF",
                self.renamed
            );
        }
    }
}
