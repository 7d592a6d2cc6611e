//! Decides which folders are classes.

use std::path::Path;

use super::{
    left_out::{LeftOut, Reason},
    names::Part,
    tree::{Entry, Tree},
};
use crate::error::SourceError;

/// The classes of a folder, or its images if it has no classes.
#[derive(Debug)]
pub(super) struct Layout {
    /// The class folders, sorted by name.
    pub(super) classes: Vec<Tree>,
    /// The images without class.
    pub(super) images: Vec<Entry>,
    /// Doubts about the classes.
    pub(super) notes: Vec<String>,
}

impl Layout {
    /// Decides on the classes.
    ///
    /// # Errors
    /// The folders are not classes, or most images lie beside them.
    pub(super) fn of(root: &Path, tree: Tree, left_out: &mut LeftOut) -> Result<Self, SourceError> {
        let Tree { mut folders, images, .. } = tree;
        folders.retain(|folder| {
            // Empty folders are classes only beside others.
            let is_class = folder.may_be_class() && (images.is_empty() || folder.count() > 0);
            if !is_class {
                left_out.add(Reason::WithoutImage, &folder.path);
            }
            is_class
        });
        if folders.is_empty() {
            return Ok(Self { classes: folders, images, notes: Vec::new() });
        }
        refuse_parts(root, &folders)?;
        refuse_parts_of_classes(root, &folders)?;
        refuse_container(root, &folders)?;
        refuse_loose(root, &folders, &images)?;
        refuse_names(&folders)?;
        for image in images {
            left_out.add(Reason::Loose, &image.path);
        }
        let notes = notes(&folders);
        Ok(Self { classes: folders, images: Vec::new(), notes })
    }
}

/// A folder named `train` counts as a class (of vehicles) if it contains no folders and has siblings that are
/// not parts.
fn parts(folders: &[Tree]) -> Vec<&Tree> {
    let named = |folder: &Tree| Part::of(&folder.name());
    let parts: Vec<_> = folders.iter().filter(|folder| named(folder).is_some()).collect();
    match parts.as_slice() {
        [one] if named(one) == Some(Part::Train) && is_flat(one) && folders.len() > 1 => Vec::new(),
        _ => parts,
    }
}

fn is_flat(folder: &Tree) -> bool {
    folder.folders.iter().all(|folder| folder.count() == 0)
}

fn refuse_parts(root: &Path, folders: &[Tree]) -> Result<(), SourceError> {
    let names: Vec<_> = parts(folders).iter().map(|part| part.name()).collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(SourceError::Parts { root: root.to_owned(), names })
}

/// Refuses `cat/train`, `cat/test`: training and test images would have the same label in one set.
fn refuse_parts_of_classes(root: &Path, folders: &[Tree]) -> Result<(), SourceError> {
    let kind = |folder: &&Tree| Part::of(&folder.name());
    for class in folders {
        let parts: Vec<_> = class.folders.iter().filter(|folder| kind(folder).is_some()).collect();
        if parts.first().map(kind) != parts.last().map(kind) {
            let parts: Vec<_> = parts.iter().map(|part| part.name()).collect();
            let above = Path::new(&parts[0]).join(class.name());
            return Err(SourceError::DividedClass { class: root.join(&class.path), parts, above });
        }
    }
    Ok(())
}

/// Refuses a single folder that contains the class folders, or images of all kinds.
fn refuse_container(root: &Path, folders: &[Tree]) -> Result<(), SourceError> {
    let [only] = folders else { return Ok(()) };
    let below = only.folders.iter().filter(|folder| folder.count() > 0).count();
    let is_above_classes = only.images.is_empty() && below > 0;
    if is_above_classes || shards::is_image_folder(&only.name()) {
        return Err(SourceError::OneFolder { path: root.join(&only.path) });
    }
    Ok(())
}

/// Refuses more images beside the classes than in them; a few are left out and logged.
fn refuse_loose(root: &Path, folders: &[Tree], images: &[Entry]) -> Result<(), SourceError> {
    let in_classes: usize = folders.iter().map(Tree::count).sum();
    if images.len() < in_classes {
        return Ok(());
    }
    Err(SourceError::Loose { root: root.to_owned(), images: images.len(), in_classes })
}

fn refuse_names(folders: &[Tree]) -> Result<(), SourceError> {
    let names: Vec<_> = folders.iter().map(Tree::name).collect();
    if let Some(name) = names.iter().find(|name| name.contains(['\n', '\r'])) {
        return Err(SourceError::LineBreak { name: name.clone() });
    }
    match names.windows(2).find(|two| two[0] == two[1]) {
        Some([name, _]) => Err(SourceError::SameName { name: name.clone() }),
        _ => Ok(()),
    }
}

/// Returns doubts about the classes.
fn notes(classes: &[Tree]) -> Vec<String> {
    let names: Vec<_> = classes.iter().map(Tree::name).collect();
    let mut notes: Vec<_> = empty(classes).into_iter().collect();
    for name in names.iter().filter(|name| Part::of(name).is_some() || shards::is_image_folder(name)) {
        notes.push(format!("`{name}` is taken for a class"));
    }
    notes.extend(sorted_as_names(&names));
    for (first, second) in same_in_lower_case(&names) {
        notes.push(format!("`{first}` and `{second}` are two classes, though only their case differs"));
    }
    notes
}

fn empty(classes: &[Tree]) -> Option<String> {
    let empty: Vec<_> = classes.iter().filter(|class| class.count() == 0).map(Tree::name).collect();
    let first = empty.first()?;
    Some(format!("classes without an image, which keep their labels: {}, e.g. `{first}`", empty.len()))
}

/// Returns a note on the first class whose name is another number than its label, if the names of all classes
/// are numbers.
fn sorted_as_names(names: &[String]) -> Option<String> {
    let numbers: Vec<usize> = names.iter().map(|name| name.parse().ok()).collect::<Option<_>>()?;
    let (label, _) = numbers.into_iter().enumerate().find(|(label, number)| label != number)?;
    Some(format!(
        "the names of the class folders are numbers, but labels follow their order as text: `{}` has label {label}; classes.txt lists all",
        names[label]
    ))
}

fn same_in_lower_case(names: &[String]) -> Vec<(&String, &String)> {
    let mut lower: Vec<_> = names.iter().map(|name| (name.to_lowercase(), name)).collect();
    lower.sort();
    let twins = lower.windows(2).filter(|two| two[0].0 == two[1].0);
    twins.map(|two| (two[0].1, two[1].1)).collect()
}
