//! Which folders are classes.

use std::path::Path;

use anyhow::{Result, bail, ensure};

use super::{
    left_out::{LeftOut, Reason},
    names::Part,
    tree::{Entry, Tree},
};

/// The classes of a folder, or its images where it has none.
#[derive(Debug)]
pub(super) struct Layout {
    /// Sorted by name; all that is in one has its label.
    pub(super) classes: Vec<Tree>,
    /// Images without class.
    pub(super) images: Vec<Entry>,
    /// What is doubtful.
    pub(super) notes: Vec<String>,
}

impl Layout {
    /// # Errors
    ///
    /// Where the folders are no classes, or most images lie beside them.
    pub(super) fn of(root: &Path, tree: Tree, left_out: &mut LeftOut) -> Result<Self> {
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

/// The folders that are parts of a dataset. One called `train` may be a class of vehicles: if it has no folders of its own, and
/// others beside it that are no parts.
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

fn refuse_parts(root: &Path, folders: &[Tree]) -> Result<()> {
    let parts = parts(folders);
    let names: Vec<_> = parts.iter().map(|part| part.name()).collect();
    ensure!(
        parts.is_empty(),
        "{} in `{}` {} of a dataset, not {}\nhint: pack {} with `--split {}`, or all without labels with `--no-labels`",
        quoted(&names),
        root.display(),
        if names.len() == 1 { "is a part" } else { "are parts" },
        if names.len() == 1 { "a class" } else { "classes" },
        if names.len() == 1 { "it" } else { "each of them by itself, e.g." },
        names.first().map_or("train", String::as_str)
    );
    Ok(())
}

/// `cat/train`, `cat/test`: training and test images would have the same label in one set.
fn refuse_parts_of_classes(root: &Path, folders: &[Tree]) -> Result<()> {
    for class in folders {
        let parts: Vec<_> =
            class.folders.iter().filter(|folder| Part::of(&folder.name()).is_some()).collect();
        let kind = |folder: &&Tree| Part::of(&folder.name());
        if parts.first().map(kind) != parts.last().map(kind) {
            let names: Vec<_> = parts.iter().map(|part| part.name()).collect();
            bail!(
                "the class folder `{}` is divided into parts of a dataset: {}\nhint: put the parts above the classes, as in \
                 `{}/{}`, and pack each by itself with `--split`; or pack all without labels with `--no-labels`",
                root.join(&class.path).display(),
                quoted(&names),
                names[0],
                class.name()
            );
        }
    }
    Ok(())
}

/// One folder alone in which there are the classes, or images of all kinds.
fn refuse_container(root: &Path, folders: &[Tree]) -> Result<()> {
    let [only] = folders else { return Ok(()) };
    let below = only.folders.iter().filter(|folder| folder.count() > 0).count();
    let is_above_classes = only.images.is_empty() && below > 0;
    if !is_above_classes && !shards::is_image_folder(&only.name()) {
        return Ok(());
    }
    bail!(
        "all images lie in one folder, `{}`, which would be their only class\nhint: give that folder instead, or pack all without \
         labels with `--no-labels`",
        root.join(&only.path).display()
    )
}

/// A few images beside the classes are left out and told of, but not the greater part.
fn refuse_loose(root: &Path, folders: &[Tree], images: &[Entry]) -> Result<()> {
    let in_classes: usize = folders.iter().map(Tree::count).sum();
    ensure!(
        images.len() < in_classes,
        "{} images lie in `{}` itself, beside its class folders, which have {in_classes}\nhint: put them into class folders or \
         elsewhere, or pack all without labels with `--no-labels`",
        images.len(),
        root.display()
    );
    Ok(())
}

fn refuse_names(folders: &[Tree]) -> Result<()> {
    let names: Vec<_> = folders.iter().map(Tree::name).collect();
    if let Some(name) = names.iter().find(|name| name.contains(['\n', '\r'])) {
        bail!("the class folder {name:?} has a line break in its name\nhint: rename it");
    }
    if let Some([name, _]) = names.windows(2).find(|two| two[0] == two[1]) {
        bail!("two class folders are called `{name}` once their names are text\nhint: rename one");
    }
    Ok(())
}

/// What is doubtful about the classes.
fn notes(classes: &[Tree]) -> Vec<String> {
    let names: Vec<_> = classes.iter().map(Tree::name).collect();
    let mut notes = Vec::new();
    let empty: Vec<_> = classes.iter().filter(|class| class.count() == 0).map(Tree::name).collect();
    if let Some(first) = empty.first() {
        notes.push(format!(
            "classes without an image, which keep their labels: {}, e.g. `{first}`",
            empty.len()
        ));
    }
    for name in names.iter().filter(|name| Part::of(name).is_some() || shards::is_image_folder(name)) {
        notes.push(format!("`{name}` is taken for a class"));
    }
    let as_number =
        |(label, name): (usize, &String)| name.parse::<usize>().is_ok_and(|number| number != label);
    let is_numbered = names.iter().all(|name| name.parse::<usize>().is_ok());
    if let Some((label, name)) = names.iter().enumerate().find(|class| is_numbered && as_number(*class)) {
        notes.push(format!(
            "the class folders are numbers, but sorted as names: `{name}` has label {label}; classes.txt lists them all"
        ));
    }
    for (first, second) in same_in_lower_case(&names) {
        notes.push(format!("`{first}` and `{second}` are two classes, though only their case differs"));
    }
    notes
}

fn same_in_lower_case(names: &[String]) -> Vec<(&String, &String)> {
    let mut lower: Vec<_> = names.iter().map(|name| (name.to_lowercase(), name)).collect();
    lower.sort();
    let twins = lower.windows(2).filter(|two| two[0].0 == two[1].0);
    twins.map(|two| (two[0].1, two[1].1)).collect()
}

fn quoted(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
