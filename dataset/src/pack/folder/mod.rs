//! An image folder: `class/name.jpg`, or images without classes.

mod layout;
mod left_out;
mod names;
mod tree;

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use pipeline::FileFormat;
use xxhash_rust::xxh3::xxh3_64;

use self::{
    layout::Layout,
    left_out::LeftOut,
    tree::{Entry, Tree},
};
use super::{
    convert,
    source::{Image, Source},
};

/// The images of a folder, in the order of their paths.
#[derive(Debug, Default)]
pub(super) struct Folder {
    root: PathBuf,
    classes: Vec<String>,
    files: Vec<ImageFile>,
    left_out: LeftOut,
    /// What is to be said of the classes.
    notes: Vec<String>,
    /// Images that lie in folders below the class folders, and the first.
    nested: (u64, Option<PathBuf>),
    /// Images whose paths are no UTF-8.
    renamed: u64,
}

#[derive(Debug)]
struct ImageFile {
    /// Below the root.
    path: PathBuf,
    label: Option<u32>,
    bytes: u64,
    /// Whether another file before it would get the same key.
    is_namesake: bool,
}

impl Folder {
    /// Lists the images; none is opened if its name tells that it is one. Without labels the folders make no classes.
    pub(super) fn open(root: &Path, is_labelled: bool) -> Result<Self> {
        let mut folder = Self { root: root.to_owned(), ..Self::default() };
        let tree = Tree::read(root, &mut folder.left_out)?;
        if is_labelled {
            let layout = Layout::of(root, tree, &mut folder.left_out)?;
            folder.take(layout)?;
        } else {
            folder.take_all(tree, None, 0);
        }
        folder.mark_namesakes();
        Ok(folder)
    }

    fn take(&mut self, layout: Layout) -> Result<()> {
        let Layout { classes, images, notes } = layout;
        self.notes = notes;
        for image in images {
            self.add(image, None);
        }
        for (label, class) in classes.into_iter().enumerate() {
            self.classes.push(class.name());
            self.take_all(class, Some(u32::try_from(label).context("numbering the classes")?), 0);
        }
        Ok(())
    }

    fn take_all(&mut self, tree: Tree, label: Option<u32>, depth: usize) {
        if depth > 0 && label.is_some() {
            self.nested.0 += tree.images.len() as u64;
            let first = tree.images.first().map(|image| image.path.clone());
            self.nested.1 = self.nested.1.take().or(first);
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

    fn label(&self, number: usize) -> Result<Option<usize>> {
        Ok(self.files[number].label.map(|label| label as usize))
    }

    fn read(&self, number: usize) -> Result<Image> {
        let path = self.root.join(&self.files[number].path);
        let shown = || format!("`{}`", path.display().to_string().escape_debug());
        let data = fs::read(&path).with_context(|| format!("reading {}", shown()))?;
        ensure!(!data.is_empty(), "{} is empty", shown());
        let label = self.label(number)?;
        let extension = match FileFormat::of(&data) {
            FileFormat::Jpeg => "jpg",
            FileFormat::Png => "png",
            FileFormat::WebP => "webp",
            format if is_packed(format) => {
                let data =
                    convert::to_png(format, &data).with_context(|| format!("converting {}", shown()))?;
                return Ok(Image { extension: "png", data, label, is_converted: true });
            }
            format => bail!("{} is {format}", shown()),
        };
        Ok(Image { extension, data, label, is_converted: false })
    }

    fn ignored(&self) -> u64 {
        self.left_out.count()
    }

    fn tell(&self) {
        for (is_warning, line) in self.left_out.lines() {
            if is_warning { tracing::warn!("{line}") } else { tracing::info!("{line}") }
        }
        for note in &self.notes {
            tracing::warn!("{note}");
        }
        if let (count, Some(first)) = &self.nested {
            let (first, class) = (first.display().to_string(), first.iter().next().unwrap_or_default());
            tracing::info!(
                "{count} images lie in folders of the class folders and have the label of these, e.g. `{}` that of `{}`",
                first.escape_debug(),
                text_of(class)
            );
        }
        if self.renamed > 0 {
            tracing::warn!(
                "{} images have names that are no UTF-8: in their keys %FF stands for such a byte",
                self.renamed
            );
        }
    }
}

/// Whether images of this format are packed, as they are or converted.
fn is_packed(format: FileFormat) -> bool {
    format.is_decoded() || convert::is_converted(format)
}

/// The path without its extension. Dots of the base name become underscores, as readers end the key at the first.
fn key_of(path: &Path) -> String {
    let stem = text_of(path.file_stem().unwrap_or_default()).replace('.', "_");
    let above = path.parent().map_or_else(String::new, |above| text_of(above.as_os_str()));
    if above.is_empty() { stem } else { format!("{above}/{stem}") }
}

/// A name as text, in which `%FF` stands for a byte that is no UTF-8.
fn text_of(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    text
}

#[cfg(test)]
mod tests;
