//! Which kind of source a path is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    folder::Folder,
    records::{Label, Layout, Records},
    source::Source,
};

/// The kinds of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Told by the names of the files
    Auto,
    /// Folders of images, one for each class
    Folder,
    /// `data_batch_1.bin` … and `test_batch.bin`
    Cifar10,
    /// `train.bin` and `test.bin`, with their fine labels
    Cifar100,
    /// `train_X.bin`, `test_X.bin`, `unlabeled_X.bin`, and labels in `train_y.bin`, `test_y.bin`
    Stl10,
}

impl Format {
    const BINARY: [Self; 3] = [Self::Cifar10, Self::Cifar100, Self::Stl10];

    /// The parts of a dataset and the files of each.
    fn splits(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Self::Cifar10 => &[("train", &CIFAR10_TRAIN), ("test", &["test_batch.bin"])],
            Self::Cifar100 => &[("train", &["train.bin"]), ("test", &["test.bin"])],
            Self::Stl10 => {
                &[("train", &["train_X.bin"]), ("test", &["test_X.bin"]), ("unlabeled", &["unlabeled_X.bin"])]
            }
            Self::Auto | Self::Folder => &[],
        }
    }

    /// The folder that the dataset's archive unpacks to.
    fn unpacked(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar-10-batches-bin",
            Self::Cifar100 => "cifar-100-binary",
            Self::Stl10 => "stl10_binary",
            Self::Auto | Self::Folder => "",
        }
    }

    /// The file of class names, and their number.
    fn class_list(self) -> (&'static str, usize) {
        match self {
            Self::Cifar100 => ("fine_label_names.txt", 100),
            Self::Stl10 => ("class_names.txt", 10),
            _ => ("batches.meta.txt", 10),
        }
    }

    fn layout(self, split: &str) -> Layout {
        let cifar =
            |header, at| Layout { side: 32, header, is_column_major: false, label: Label::Header(at) };
        match self {
            Self::Cifar100 => cifar(2, 1),
            Self::Stl10 => {
                let label = if split == "unlabeled" { Label::Unknown } else { Label::Beside };
                Layout { side: 96, header: 0, is_column_major: true, label }
            }
            _ => cifar(1, 0),
        }
    }

    /// The split that a file of this dataset belongs to.
    fn split_of(self, file: &str) -> Option<&'static str> {
        self.splits().iter().find(|(_, files)| files.contains(&file)).map(|(name, _)| *name)
    }

    /// Where in `root` the dataset's files lie, if there are any.
    fn folder_in(self, root: &Path) -> Option<PathBuf> {
        let has_files = |folder: &PathBuf| {
            self.splits().iter().any(|(_, files)| files.iter().any(|file| folder.join(file).exists()))
        };
        [root.to_owned(), root.join(self.unpacked())].into_iter().find(has_files)
    }
}

const CIFAR10_TRAIN: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];

/// Opens the source at `path`: of a binary dataset the part named `split` (`train` if none is named), of an image
/// folder the folder of that name in it. Without labels, folders make no classes.
pub fn open(path: &Path, format: Format, split: Option<&str>, is_labelled: bool) -> Result<Box<dyn Source>> {
    let kind = fs::metadata(path).with_context(|| format!("looking for the source `{}`", path.display()))?;
    let is_known = kind.is_dir() || is_labelled;
    ensure!(
        is_known,
        "`{}` is no folder\nhint: leave out `--no-labels`, which is of image folders",
        path.display()
    );
    if !kind.is_dir() {
        return open_file(path, format, split);
    }
    let candidates = if format == Format::Auto { Format::BINARY.to_vec() } else { vec![format] };
    let found = candidates.into_iter().find_map(|format| Some((format, format.folder_in(path)?)));
    match found {
        Some(_) if !is_labelled => bail!("`--no-labels` is of image folders\nhint: leave it out"),
        Some((format, folder)) => open_split(&folder, format, split.unwrap_or("train")),
        None if matches!(format, Format::Auto | Format::Folder) => open_folder(path, split, is_labelled),
        None => bail!(
            "`{}` has no files of this format\nhint: give the folder `{}` that the archive unpacks to",
            path.display(),
            format.unpacked()
        ),
    }
}

fn open_folder(path: &Path, split: Option<&str>, is_labelled: bool) -> Result<Box<dyn Source>> {
    let root = split.map_or_else(|| path.to_owned(), |split| path.join(split));
    if let Some(split) = split.filter(|_| !root.is_dir()) {
        bail!("there is no folder `{split}` in `{}`\nhint: {}", path.display(), folders_in(path));
    }
    let folder = Folder::open(&root, is_labelled)?;
    if folder.count() == 0 {
        folder.tell();
        bail!(
            "nothing to pack: there is no image in `{}`, but {} other files and folders\nhint: give a folder of images \
             or of class folders, or the `.bin` files of CIFAR-10, CIFAR-100 or STL-10",
            root.display(),
            folder.ignored()
        );
    }
    Ok(Box::new(folder))
}

/// What `--split` may name.
fn folders_in(path: &Path) -> String {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<_> =
        folders.map(|entry| format!("`{}`", entry.file_name().to_string_lossy())).collect();
    names.sort();
    match names.len() {
        0 => "leave out `--split`".to_owned(),
        1..=8 => format!("the folders there are {}", names.join(", ")),
        _ => format!("the folders there are {} and {} more", names[..8].join(", "), names.len() - 8),
    }
}

/// A file of a binary dataset, recognized by its name; with a `format` named, any file.
fn open_file(path: &Path, format: Format, split: Option<&str>) -> Result<Box<dyn Source>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let candidates = if format == Format::Auto { Format::BINARY.to_vec() } else { vec![format] };
    let known = candidates.iter().find_map(|format| Some((*format, format.split_of(&name)?)));
    let (format, own_split) = match known {
        Some(known) => known,
        None if Format::BINARY.contains(&format) => (format, split.unwrap_or("train")),
        None => bail!(
            "`{}` is a file whose name says nothing about its format\nhint: give a folder, or name the file's \
             `--format`, e.g. `cifar10`",
            path.display()
        ),
    };
    if let Some(split) = split.filter(|split| *split != own_split) {
        bail!("`{}` belongs to `{own_split}`, not to `{split}`\nhint: leave out `--split`", path.display());
    }
    open_records(&[path.to_owned()], format, own_split)
}

fn open_split(folder: &Path, format: Format, split: &str) -> Result<Box<dyn Source>> {
    let splits = format.splits();
    let Some((_, files)) = splits.iter().find(|(name, _)| *name == split) else {
        let names: Vec<_> = splits.iter().map(|(name, _)| *name).collect();
        bail!("this dataset has no part `{split}`\nhint: `--split` is one of {}", names.join(", "));
    };
    let paths: Vec<_> = files.iter().map(|file| folder.join(file)).collect();
    open_records(&paths, format, split)
}

fn open_records(paths: &[PathBuf], format: Format, split: &str) -> Result<Box<dyn Source>> {
    let layout = format.layout(split);
    let classes = match layout.label {
        Label::Unknown => Vec::new(),
        Label::Header(_) | Label::Beside => class_names(&paths[0], format)?,
    };
    let records = Records::open(paths, layout, classes)?;
    ensure!(records.count() > 0, "nothing to pack: `{}` is empty", paths[0].display());
    Ok(Box::new(records))
}

/// The names in the dataset's own list beside `file`, or the numbers of the classes where there is none.
fn class_names(file: &Path, format: Format) -> Result<Vec<String>> {
    let (list, count) = format.class_list();
    let path = file.with_file_name(list);
    if !path.exists() {
        return Ok((0..count).map(|class| class.to_string()).collect());
    }
    let text = fs::read_to_string(&path)
        .with_context(|| format!("reading the class names in `{}`", path.display()))?;
    let names: Vec<_> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    ensure!(names.len() == count, "`{}` names {} classes instead of {count}", path.display(), names.len());
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_name_or_by_the_format_named() {
        let folder = tempfile::tempdir().unwrap();
        for (name, record, format, expected) in [
            ("data_batch_2.bin", 3073, Format::Auto, Some(10)),
            ("test.bin", 3074, Format::Auto, Some(100)),
            ("unlabeled_X.bin", 27648, Format::Auto, Some(0)),
            ("mine.bin", 3073, Format::Auto, None),
            ("mine.bin", 3073, Format::Cifar10, Some(10)),
            ("mine.bin", 3073, Format::Cifar100, None),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, vec![1; 2 * record]).unwrap();
            let classes = open(&path, format, None, true).ok().map(|source| source.classes().len());
            assert_eq!(classes, expected, "{name} {format:?}");
        }
    }

    #[test]
    fn a_missing_batch_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("data_batch_1.bin"), vec![1; 3073]).unwrap();
        let error = format!("{:#}", open(folder.path(), Format::Auto, None, true).err().unwrap());
        assert!(error.contains("data_batch_2.bin"), "{error}");
    }

    #[test]
    fn the_folder_above_the_unpacked_one_will_do() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("cifar-100-binary");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("test.bin"), vec![1; 3074]).unwrap();
        assert_eq!(open(root.path(), Format::Auto, Some("test"), true).unwrap().count(), 1);
        assert!(open(root.path(), Format::Auto, Some("unlabeled"), true).is_err());
    }
}
