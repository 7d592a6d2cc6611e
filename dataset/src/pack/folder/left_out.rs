//! Counts what is left out of a folder, by reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// The reason why a file or folder is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    Loose,
    Unread,
    Annotations,
    Mask,
    WithoutImage,
    Link,
    Irregular,
    Hidden,
    System,
    NoImage,
}

impl Reason {
    fn words(self) -> &'static str {
        match self {
            Self::Loose => "images that lie beside the class folders and have no class",
            Self::Unread => "images in formats that are neither read nor converted",
            Self::Annotations => "folders of annotations or masks",
            Self::Mask => "masks of images that lie beside them",
            Self::WithoutImage => "folders without an image",
            Self::Link => "links to folders that are packed under their own names, or that contain the link",
            Self::Irregular => "pipes, sockets and devices",
            Self::Hidden => "hidden files and folders",
            Self::System => "files and folders of systems and tools",
            Self::NoImage => "files that are not images",
        }
    }

    /// Returns whether images may be missed.
    fn may_be_missed(self) -> bool {
        !matches!(self, Self::Hidden | Self::System | Self::NoImage)
    }
}

/// The files and folders that are left out, by reason.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    found: BTreeMap<Reason, Group>,
    /// The extensions of images in formats that are not read.
    unread: BTreeSet<String>,
}

/// The files and folders that are left out for one reason.
#[derive(Debug)]
struct Group {
    count: u64,
    first: PathBuf,
}

impl LeftOut {
    /// Leaves out `path`, which is relative to the root.
    pub(super) fn add(&mut self, reason: Reason, path: &Path) {
        let new = || Group { count: 0, first: path.to_owned() };
        self.found.entry(reason).or_insert_with(new).count += 1;
    }

    /// Leaves out an image in a format that is not read.
    pub(super) fn add_unread(&mut self, extension: String, path: &Path) {
        self.add(Reason::Unread, path);
        self.unread.insert(extension);
    }

    /// Returns whether images are left out because of their formats.
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Returns the number of files and folders that are left out.
    pub(super) fn count(&self) -> u64 {
        self.found.values().map(|group| group.count).sum()
    }

    /// Logs a line for each reason, with the first example: as a warning if images may be missed.
    pub(super) fn log(&self) {
        for &reason in self.found.keys() {
            let line = self.line(reason);
            if reason.may_be_missed() { tracing::warn!("{line}") } else { tracing::info!("{line}") }
        }
    }

    /// Describes what was left out for a reason.
    fn line(&self, reason: Reason) -> String {
        let Some(Group { count, first }) = self.found.get(&reason) else { return String::new() };
        let mut words = reason.words().to_owned();
        if reason == Reason::Unread {
            let all: Vec<_> = self.unread.iter().map(String::as_str).collect();
            words = format!("{words} ({})", all.join(", "));
        }
        format!("left out: {count} {words}, e.g. `{}`", first.display().to_string().escape_debug())
    }

    /// Returns all lines.
    #[cfg(test)]
    pub(super) fn words(&self) -> String {
        self.found.keys().map(|&reason| self.line(reason) + "\n").collect()
    }
}
