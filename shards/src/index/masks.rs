//! Masks in a folder of their own, such as `annotations/trimaps/a.png` beside `images/a.jpg`.
//!
//! Their keys differ from those of the images, so each is a sample. A folder counts as one of masks if its
//! name has the ending of one, none of its images has a label, and either a folder of images is beside it, or
//! its images are all PNGs and nine in ten of them have the name of an image of another format that is beside
//! the folder or deeper beside it.

use std::{
    collections::{BTreeMap, HashSet},
    mem,
};

use super::{
    folders::{Folders, InFolder},
    gathered::{Gathered, text},
};
use crate::{
    Shard,
    folder::{AnnotationFolder, is_image_folder, letters},
    name::Role,
    read,
    remark::RemarkKind,
};

/// Endings of names of image folders, in addition to the names that mean nothing else.
const IMAGES: [&str; 6] = ["image", "images", "img", "imgs", "input", "inputs"];

/// Names of parts of a dataset: masks may be in `train_masks` beside `train`.
const PARTS: [&str; 7] = ["train", "training", "val", "valid", "validation", "test", "testing"];

/// A folder with the name of a mask folder.
struct Suspect<'a> {
    path: &'a [u8],
    /// The folder that contains it.
    parent: &'a [u8],
    name: AnnotationFolder,
}

impl Folders {
    /// Returns the paths of the folders, by number.
    fn paths(&self) -> Vec<&[u8]> {
        let mut paths: Vec<_> =
            self.numbers.iter().map(|(path, number)| (*number, path.as_slice())).collect();
        paths.sort_unstable();
        paths.into_iter().map(|(_, path)| path).collect()
    }

    /// Returns the samples that are masks, in order, each with its folder of masks.
    fn masks(&self, is_labelled: impl Fn(usize) -> bool, roles: &[Role]) -> Vec<(usize, &[u8])> {
        let paths = self.paths();
        let suspects: Vec<_> = paths.iter().map(|path| Suspect::of(path)).collect();
        let mut groups = self.groups(&suspects);
        groups.retain(|_, (_, samples)| !samples.iter().any(|&sample| is_labelled(sample)));
        let outside = paths.iter().zip(&suspects).filter(|(_, suspect)| suspect.is_none());
        let images: HashSet<_> = outside.flat_map(|(path, _)| image_folders(path)).collect();
        let alone = groups.values().map(|(suspect, _)| suspect).filter(|suspect| !suspect.is_beside(&images));
        let parents = alone.map(|suspect| suspect.parent).collect();
        let is_image =
            |sample: usize, folder: usize| suspects[folder].is_none() && roles[sample] != Role::PNG;
        let partners = self.partners(&paths, &parents, is_image);
        let has_partner = |parent, sample: usize| partners.contains(&(parent, self.of_samples[sample].base));
        groups.retain(|_, (suspect, samples)| {
            let count = samples.iter().filter(|&&sample| has_partner(suspect.parent, sample)).count();
            let are_png = || samples.iter().all(|&sample| roles[sample] == Role::PNG);
            suspect.is_beside(&images) || suspect.name.is_sure && 10 * count >= 9 * samples.len() && are_png()
        });
        let of_group = |(path, (_, samples)): (_, (_, Vec<usize>))| {
            samples.into_iter().map(move |sample| (sample, path))
        };
        let mut masks: Vec<_> = groups.into_iter().flat_map(of_group).collect();
        masks.sort_unstable();
        masks
    }

    /// Groups the samples in or below each folder with the name of a mask folder.
    fn groups<'a, 'b>(
        &self,
        suspects: &'b [Option<Suspect<'a>>],
    ) -> BTreeMap<&'a [u8], (&'b Suspect<'a>, Vec<usize>)> {
        let mut groups = BTreeMap::new();
        for (sample, InFolder { folder, .. }) in self.of_samples.iter().enumerate() {
            if let Some(suspect) = &suspects[*folder] {
                groups.entry(suspect.path).or_insert((suspect, Vec::new())).1.push(sample);
            }
        }
        groups
    }

    /// Returns the base names of the chosen samples, each paired with all of the folders `parents` that
    /// contain it.
    fn partners<'a>(
        &self,
        paths: &[&'a [u8]],
        parents: &HashSet<&'a [u8]>,
        is_chosen: impl Fn(usize, usize) -> bool,
    ) -> HashSet<(&'a [u8], u64)> {
        if parents.is_empty() {
            return HashSet::new();
        }
        let above = |path: &&'a [u8]| ancestors(path).filter(|folder| parents.contains(folder)).collect();
        let above: Vec<Vec<_>> = paths.iter().map(above).collect();
        let chosen =
            self.of_samples.iter().enumerate().filter(|(sample, place)| is_chosen(*sample, place.folder));
        let pairs = |place: &'_ InFolder| {
            above[place.folder].iter().map(|above| (*above, place.base)).collect::<Vec<_>>()
        };
        chosen.flat_map(|(_, place)| pairs(place)).collect()
    }
}

impl<'a> Suspect<'a> {
    /// Finds the uppermost folder of a path with such a name.
    fn of(path: &'a [u8]) -> Option<Self> {
        let suspect = |(parent, path, name): (_, _, &str)| {
            Some(Self { parent, path, name: AnnotationFolder::of(name)? })
        };
        steps(path).into_iter().find_map(|(parent, path, name)| suspect((parent, path, &text(name))))
    }

    /// Returns whether a folder of images is beside it.
    fn is_beside(&self, images: &HashSet<(&[u8], String)>) -> bool {
        images.contains(&(self.parent, String::new()))
            || images.contains(&(self.parent, self.name.rest.clone()))
    }
}

/// Returns each folder of a path, from the uppermost on: its parent, its path and its name.
fn steps(path: &[u8]) -> Vec<(&[u8], &[u8], &[u8])> {
    let mut start = 0;
    let step = |name: &[u8]| {
        let (from, end) = (start, start + name.len());
        start = end + 1;
        (&path[..from.saturating_sub(1)], &path[..end], &path[from..end])
    };
    path.split(|&byte| byte == b'/').map(step).collect()
}

/// Returns a folder and all folders that contain it.
fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let below = steps(path).into_iter().map(|(_, path, _)| path).filter(|path| !path.is_empty());
    [&path[..0]].into_iter().chain(below)
}

/// Returns the folders of a path that hold images by their names: the parent of each, and the part of the
/// dataset, empty for all of it.
fn image_folders(path: &[u8]) -> Vec<(&[u8], String)> {
    let image = |(parent, _, name)| {
        let name = text(name);
        let letters = letters(&name);
        if is_image_folder(&name) || IMAGES.iter().any(|end| letters.ends_with(end)) {
            return Some((parent, String::new()));
        }
        PARTS.contains(&letters.as_str()).then_some((parent, letters))
    };
    steps(path).into_iter().filter_map(image).collect()
}

impl Gathered<'_> {
    /// Notes the samples whose image is a mask in a folder of masks.
    pub(super) fn note_masks(&mut self, shard: &Shard) {
        let folders = mem::take(&mut self.folders);
        let is_labelled = |sample: usize| self.spans[sample].label().is_some();
        for (sample, folder) in folders.masks(is_labelled, &self.roles) {
            if !self.findings.count(RemarkKind::MaskFolder) {
                let span = self.spans[sample];
                let key = read::key(shard, span.head).unwrap_or_default();
                let detail = format!("in `{}`", text(folder));
                self.note(RemarkKind::MaskFolder, span.image, key, detail, Some(sample));
            }
        }
    }
}
