//! Errors of what is to be packed.

use std::path::PathBuf;

use super::FileError;
use crate::hint::SourceHint;

/// Why a source of images cannot be packed as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file or folder of it cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no image folder, but is to be packed without labels.
    #[error("`{path}` is no image folder: only these can be packed without labels")]
    Labelled {
        /// The source.
        path: PathBuf,
    },
    /// A folder has no files of the format that was named.
    #[error("`{path}` has no files of this format")]
    NoFiles {
        /// The folder.
        path: PathBuf,
        /// The folder that the dataset's archive unpacks to.
        unpacked: &'static str,
    },
    /// An image folder has no folder for the part that was named.
    #[error("there is no folder `{split}` in `{path}`")]
    NoFolder {
        /// The part.
        split: String,
        /// The image folder.
        path: PathBuf,
        /// The folders in it, sorted.
        folders: Vec<String>,
    },
    /// A binary dataset has no part of this name.
    #[error("this dataset has no part `{split}`")]
    NoSplit {
        /// The name.
        split: String,
        /// The parts that there are.
        splits: Vec<String>,
    },
    /// A file of a binary dataset is not of the part that was named.
    #[error("`{path}` belongs to `{own}`, not to `{split}`")]
    OtherSplit {
        /// The file.
        path: PathBuf,
        /// The part that it belongs to.
        own: &'static str,
        /// The part that was named.
        split: String,
    },
    /// The format of a file is not known.
    #[error("`{path}` is a file whose name says nothing about its format")]
    UnknownFile {
        /// The file.
        path: PathBuf,
    },
    /// An image folder holds no image.
    #[error("nothing to pack: there is no image in `{path}`, but {others} other files and folders")]
    NoImages {
        /// The folder.
        path: PathBuf,
        /// Files and folders in it that are no images.
        others: u64,
    },
    /// A file of a binary dataset holds no image.
    #[error("nothing to pack: `{path}` is empty")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The dataset's own list of classes has another length than it should.
    #[error("`{path}` names {found} classes instead of {expected}")]
    ClassCount {
        /// The list.
        path: PathBuf,
        /// Names in it.
        found: usize,
        /// Classes of the dataset.
        expected: usize,
    },
    /// A file does not consist of whole images.
    #[error(
        "`{path}` is cut short, or something else: its {bytes} bytes are no whole number of images of {image} bytes"
    )]
    NotWhole {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// Bytes of an image.
        image: u64,
    },
    /// A file of labels has another number of them than there are images.
    #[error("`{path}` has {labels} labels for {images} images")]
    LabelCount {
        /// The file of labels.
        path: PathBuf,
        /// Labels in it.
        labels: usize,
        /// Images.
        images: usize,
    },
    /// Folders are parts of a dataset, such as `train` and `val`, and no classes.
    #[error("{} in `{root}` {}", quoted(.names), are_parts(.names.len()))]
    Parts {
        /// The image folder.
        root: PathBuf,
        /// The parts in it.
        names: Vec<String>,
    },
    /// A class is divided into parts: training and test images would have the same label in one set.
    #[error("the class folder `{class}` is divided into parts of a dataset: {}", quoted(.parts))]
    DividedClass {
        /// The class folder.
        class: PathBuf,
        /// The parts in it.
        parts: Vec<String>,
        /// Where the first of them would lie, if parts were above classes.
        above: PathBuf,
    },
    /// All images lie in one folder.
    #[error("all images lie in one folder, `{path}`, which would be their only class")]
    OneFolder {
        /// That folder.
        path: PathBuf,
    },
    /// Most images lie beside the class folders.
    #[error("{images} images lie in `{root}` itself, beside its class folders, which have {in_classes}")]
    Loose {
        /// The image folder.
        root: PathBuf,
        /// Images without a class.
        images: usize,
        /// Images in class folders.
        in_classes: usize,
    },
    /// The name of a class folder has more than one line.
    #[error("the class folder {name:?} has a line break in its name")]
    LineBreak {
        /// The name.
        name: String,
    },
    /// Two names of class folders are the same as text.
    #[error("two class folders are called `{name}` once their names are text")]
    SameName {
        /// The name.
        name: String,
    },
    /// Folders lie in each other without end.
    #[error("`{path}` is more than {depth} folders deep")]
    TooDeep {
        /// The folder.
        path: PathBuf,
        /// The deepest folder that is read.
        depth: usize,
    },
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn are_parts(count: usize) -> &'static str {
    if count == 1 { "is a part of a dataset, not a class" } else { "are parts of a dataset, not classes" }
}

impl SourceError {
    /// What can be done about it; none where the message says all there is to know.
    pub fn hint(&self) -> Option<SourceHint> {
        Some(match self {
            Self::File(_) | Self::Empty { .. } | Self::ClassCount { .. } => return None,
            Self::Labelled { .. } => SourceHint::KeepLabels,
            Self::NoFiles { unpacked, .. } => SourceHint::Unpacked { folder: unpacked },
            Self::NoFolder { folders: names, .. } | Self::NoSplit { splits: names, .. } => {
                SourceHint::Splits { names: names.clone() }
            }
            Self::OtherSplit { .. } => SourceHint::Splits { names: Vec::new() },
            Self::UnknownFile { .. } => SourceHint::NameFormat,
            Self::NoImages { .. } => SourceHint::GiveImages,
            Self::NotWhole { .. } => SourceHint::UnpackAgainOrNameFormat,
            Self::LabelCount { .. } => SourceHint::UnpackAgain,
            Self::Parts { names, .. } => SourceHint::PackParts { names: names.clone() },
            Self::DividedClass { above, .. } => SourceHint::PartsAboveClasses { example: above.clone() },
            Self::OneFolder { .. } => SourceHint::GiveInnerFolder,
            Self::Loose { .. } => SourceHint::SortImages,
            Self::LineBreak { .. } | Self::SameName { .. } => SourceHint::RenameFolder,
            Self::TooDeep { .. } => SourceHint::FindCircle,
        })
    }
}
