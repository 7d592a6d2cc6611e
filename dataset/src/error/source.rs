//! Errors of sources.

use std::path::PathBuf;

use super::FileError;
use crate::hint::SourceHint;

/// The reason why a source of images cannot be packed as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file or folder of it that cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A source other than an image folder that is to be packed without labels.
    #[error("`{path}` is not an image folder: only image folders can be packed without labels")]
    Labelled {
        /// The source.
        path: PathBuf,
    },
    /// A folder without files of the requested format.
    #[error("`{path}` has no files of this format")]
    NoFiles {
        /// The folder.
        path: PathBuf,
        /// The folder that the dataset's archive unpacks to.
        unpacked: &'static str,
    },
    /// An image folder without a folder for the requested part.
    #[error("there is no folder `{split}` in `{path}`")]
    NoFolder {
        /// The part.
        split: String,
        /// The image folder.
        path: PathBuf,
        /// The folders in it, sorted.
        folders: Vec<String>,
    },
    /// A binary dataset without a part of this name.
    #[error("this dataset has no part `{split}`")]
    NoSplit {
        /// The requested part.
        split: String,
        /// The existing parts.
        splits: Vec<String>,
    },
    /// A file of a binary dataset that belongs to another part than the requested one.
    #[error("`{path}` belongs to `{own}`, not to `{split}`")]
    OtherSplit {
        /// The file.
        path: PathBuf,
        /// The part that it belongs to.
        own: &'static str,
        /// The requested part.
        split: String,
    },
    /// A file of unknown format.
    #[error("`{path}` is a file whose name says nothing about its format")]
    UnknownFile {
        /// The file.
        path: PathBuf,
    },
    /// An image folder without images.
    #[error("nothing to pack: there is no image in `{path}`, but {others} other files and folders")]
    NoImages {
        /// The folder.
        path: PathBuf,
        /// The number of files and folders in it that are not images.
        others: u64,
        /// Whether images of other formats are among them.
        is_any_unread: bool,
    },
    /// A file of a binary dataset without images.
    #[error("nothing to pack: `{path}` is empty")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A dataset's own list of classes with a wrong number of names.
    #[error("`{path}` names {found} classes instead of {expected}")]
    ClassCount {
        /// The list.
        path: PathBuf,
        /// The number of names in it.
        found: usize,
        /// The number of classes of the dataset.
        expected: usize,
    },
    /// A file that does not consist of complete images.
    #[error(
        "`{path}` is cut short, or another kind of file: its {bytes} bytes are not a multiple of {image}, the bytes of an image"
    )]
    NotWhole {
        /// The file.
        path: PathBuf,
        /// The size of the file in bytes.
        bytes: u64,
        /// The size of an image in bytes.
        image: u64,
    },
    /// A label file whose number of labels differs from the number of images.
    #[error("`{path}` has {labels} labels for {images} images")]
    LabelCount {
        /// The file of labels.
        path: PathBuf,
        /// The number of labels in it.
        labels: usize,
        /// The number of images.
        images: usize,
    },
    /// Folders that are parts of a dataset, such as `train` and `val`, rather than classes.
    #[error("{} in `{root}` {}", quoted(.names), are_parts(.names.len()))]
    Parts {
        /// The image folder.
        root: PathBuf,
        /// The parts in it.
        names: Vec<String>,
    },
    /// A class that is divided into parts: training and test images would have the same label in one set.
    #[error("the class folder `{class}` is divided into parts of a dataset: {}", quoted(.parts))]
    DividedClass {
        /// The class folder.
        class: PathBuf,
        /// The parts in it.
        parts: Vec<String>,
        /// The path that the first of them would have if parts were above classes.
        above: PathBuf,
    },
    /// A folder whose images are all in one folder.
    #[error("all images lie in one folder, `{path}`, which would be their only class")]
    OneFolder {
        /// The inner folder.
        path: PathBuf,
    },
    /// An image folder with most images beside the class folders.
    #[error("{images} images lie in `{root}` itself, beside its class folders, which have {in_classes}")]
    Loose {
        /// The image folder.
        root: PathBuf,
        /// The number of images without a class.
        images: usize,
        /// The number of images in class folders.
        in_classes: usize,
    },
    /// A class folder whose name has more than one line.
    #[error("the class folder {name:?} has a line break in its name")]
    LineBreak {
        /// The name.
        name: String,
    },
    /// Two class folders with the same name as text.
    #[error("two class folders are called `{name}` once their names are text")]
    SameName {
        /// The name.
        name: String,
    },
    /// Folders that are nested without end.
    #[error("`{path}` is more than {depth} folders deep")]
    TooDeep {
        /// The folder.
        path: PathBuf,
        /// The greatest depth that is read.
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
    /// Returns the cure, if the message does not say everything.
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
            Self::NoImages { is_any_unread: true, .. } => SourceHint::Convert,
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
