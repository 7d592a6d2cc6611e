//! Recognizes the kind of a source, and opens it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    folder::Folder,
    format::Format,
    records::{Label, Records},
    source::Source,
};
use crate::error::{FileError, Result, SourceError};

/// Opens the source at `path`. `split` names a part of a binary dataset (default: `train`), or a folder in an
/// image folder. Without labels, folders are not classes.
///
/// # Errors
/// The path is not a source, has no such part, or cannot be packed as it is.
pub fn open(path: &Path, format: Format, split: Option<&str>, is_labelled: bool) -> Result<Box<dyn Source>> {
    Ok(open_any(path, format, split, is_labelled)?)
}

fn open_any(
    path: &Path,
    format: Format,
    split: Option<&str>,
    is_labelled: bool,
) -> Result<Box<dyn Source>, SourceError> {
    let kind = fs::metadata(path).map_err(FileError::reading("open the source", path))?;
    let labelled = || SourceError::Labelled { path: path.to_owned() };
    if !kind.is_dir() {
        return if is_labelled { open_file(path, format, split) } else { Err(labelled()) };
    }
    let candidates = if format == Format::Auto { Format::BINARY.to_vec() } else { vec![format] };
    let found = candidates.into_iter().find_map(|format| Some((format, format.folder_in(path)?)));
    match found {
        Some(_) if !is_labelled => Err(labelled()),
        Some((format, folder)) => open_split(&folder, format, split.unwrap_or("train")),
        None if matches!(format, Format::Auto | Format::Folder) => open_folder(path, split, is_labelled),
        None => Err(SourceError::NoFiles { path: path.to_owned(), unpacked: format.unpacked() }),
    }
}

fn open_folder(path: &Path, split: Option<&str>, is_labelled: bool) -> Result<Box<dyn Source>, SourceError> {
    let root = split.map_or_else(|| path.to_owned(), |split| path.join(split));
    if let Some(split) = split.filter(|_| !root.is_dir()) {
        let (split, path, folders) = (split.to_owned(), path.to_owned(), folders_in(path));
        return Err(SourceError::NoFolder { split, path, folders });
    }
    let folder = Folder::open(&root, is_labelled)?;
    if folder.count() == 0 {
        folder.log();
        let (others, is_any_unread) = (folder.ignored(), folder.hint().is_some());
        return Err(SourceError::NoImages { path: root, others, is_any_unread });
    }
    Ok(Box::new(folder))
}

/// Returns the names of the folders in a folder, sorted.
fn folders_in(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<_> = folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Opens a file of a binary dataset, recognized by its name; with an explicit `format`, any file.
fn open_file(path: &Path, format: Format, split: Option<&str>) -> Result<Box<dyn Source>, SourceError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let candidates = if format == Format::Auto { Format::BINARY.to_vec() } else { vec![format] };
    let known = candidates.iter().find_map(|format| Some((*format, format.split_of(&name)?)));
    let (format, own) = match known {
        Some(known) => known,
        None if Format::BINARY.contains(&format) => {
            return open_records(&[path.to_owned()], format, split.unwrap_or("train"));
        }
        None => return Err(SourceError::UnknownFile { path: path.to_owned() }),
    };
    match split.filter(|split| *split != own) {
        Some(split) => Err(SourceError::OtherSplit { path: path.to_owned(), own, split: split.to_owned() }),
        None => open_records(&[path.to_owned()], format, own),
    }
}

fn open_split(folder: &Path, format: Format, split: &str) -> Result<Box<dyn Source>, SourceError> {
    let splits = format.splits();
    let Some((_, files)) = splits.iter().find(|(name, _)| *name == split) else {
        let names = splits.iter().map(|(name, _)| (*name).to_owned()).collect();
        return Err(SourceError::NoSplit { split: split.to_owned(), splits: names });
    };
    let paths: Vec<_> = files.iter().map(|file| folder.join(file)).collect();
    open_records(&paths, format, split)
}

fn open_records(paths: &[PathBuf], format: Format, split: &str) -> Result<Box<dyn Source>, SourceError> {
    let layout = format.layout(split);
    let classes = match layout.label {
        Label::Unknown => Vec::new(),
        Label::Header(_) | Label::Beside => class_names(&paths[0], format)?,
    };
    let records = Records::open(paths, layout, classes)?;
    if records.count() == 0 {
        return Err(SourceError::Empty { path: paths[0].clone() });
    }
    Ok(Box::new(records))
}

/// Returns the names in the dataset's own list beside `file`, or the numbers of the classes if there is no
/// list.
fn class_names(file: &Path, format: Format) -> Result<Vec<String>, SourceError> {
    let (list, expected) = format.class_list();
    let path = file.with_file_name(list);
    if !path.exists() {
        return Ok((0..expected).map(|class| class.to_string()).collect());
    }
    let text = fs::read_to_string(&path).map_err(FileError::reading("read the class names in", &path))?;
    let names: Vec<_> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if names.len() != expected {
        return Err(SourceError::ClassCount { path, found: names.len(), expected });
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_recognized_by_its_name_or_opened_in_the_given_format() {
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
    fn the_folder_above_the_unpacked_one_is_accepted() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("cifar-100-binary");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("test.bin"), vec![1; 3074]).unwrap();
        assert_eq!(open(root.path(), Format::Auto, Some("test"), true).unwrap().count(), 1);
        assert!(open(root.path(), Format::Auto, Some("unlabeled"), true).is_err());
    }
}
