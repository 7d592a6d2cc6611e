//! Cures of errors, as data. The program words them, with its own commands and flags.

use std::path::PathBuf;

/// The cure of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// A cure about a file or folder that the system refuses.
    File(FileHint),
    /// A cure about class names.
    Classes(ClassHint),
    /// A cure about a source.
    Source(SourceHint),
    /// A cure about output.
    Output(OutputHint),
    /// A cure about the verification of a set.
    Verify(VerifyHint),
}

/// The cure for a file or folder that the system refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileHint {
    /// Check that it exists, its permissions, and its disk.
    MakeReadable,
    /// Check free space and permissions there, then try again.
    MakeWritable,
}

/// The cure for class names that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassHint {
    /// Save the list as UTF-8 text with one name per line.
    SaveAsList,
    /// Write a name on the blank line: without the line, all later labels would mean other classes.
    FillLine,
    /// Give the class another name.
    Rename,
    /// Pack the images of one part again, numbered by the list of the other.
    PackAgainBy {
        /// The list to number by.
        list: PathBuf,
    },
    /// Do not number by a list, or give a folder with a folder for each class.
    ClassFolders,
    /// Remove one of two lines with the same name, or rename one of the two classes.
    RemoveLine,
    /// Rename the class folder as in the list, or append a new class to the list.
    RenameOrAppend {
        /// The list.
        list: PathBuf,
    },
    /// Number the classes by the list in the folder.
    NumberBy {
        /// The list.
        list: PathBuf,
    },
    /// Number the classes from 0.
    NumberFromZero,
    /// Label the validation samples.
    LabelValidation,
    /// Train without validation, or label the training samples.
    LabelTraining,
    /// Number the classes of the validation set by the list of the training set.
    NumberByTraining,
}

/// The cure for a source that cannot be packed as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceHint {
    /// Pack it with its labels.
    KeepLabels,
    /// Give the folder that the dataset's archive unpacks to.
    Unpacked {
        /// The name of that folder.
        folder: &'static str,
    },
    /// Name one of these parts; if there are none, name no part.
    Splits {
        /// The existing parts.
        names: Vec<String>,
    },
    /// Give a folder, or name the format of the file.
    NameFormat,
    /// Give a folder of images or of class folders, or the files of a known binary dataset.
    GiveImages,
    /// Download and unpack the dataset again.
    UnpackAgain,
    /// Download and unpack the dataset again, or name the format of the file.
    UnpackAgainOrNameFormat,
    /// Pack each part separately, or all without labels.
    PackParts {
        /// The parts.
        names: Vec<String>,
    },
    /// Move the parts above the classes and pack each separately, or pack all without labels.
    PartsAboveClasses {
        /// The path that one of the folders would have then.
        example: PathBuf,
    },
    /// Give the one folder that contains all images, or pack all without labels.
    GiveInnerFolder,
    /// Move the images into class folders or elsewhere, or pack all without labels.
    SortImages,
    /// Give the folder another name.
    RenameFolder,
    /// Convert images of formats that are not read to PNG or JPEG.
    Convert,
    /// Look for links that form a circle.
    FindCircle,
}

/// The cure for output that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputHint {
    /// Name a new folder.
    NewFolder {
        /// A suitable path.
        example: Option<PathBuf>,
    },
    /// Name another prefix or folder, or replace the shards.
    Replace {
        /// The number of shards that would be replaced.
        shards: usize,
    },
    /// Use letters, digits, `.`, `_` and `-` in the prefix, and do not begin it with a dot.
    PlainPrefix,
    /// Name another prefix for the training shards.
    OtherPrefix,
    /// Hold out nothing for validation.
    NoValidation,
    /// Read the logged warnings, which say what is wrong with the images.
    SeeWarnings,
    /// Ask for 1 to `most` images, and for no more shards than images.
    Count {
        /// The most images.
        most: usize,
    },
}

/// The cure for a set that cannot be verified or cleaned as requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyHint {
    /// Name another folder for cleaned shards than that of the originals.
    OtherFolder,
    /// Clean the shards of each folder separately.
    OneFolderAtATime,
    /// Name an empty folder for cleaned shards, or replace the shards there.
    EmptyFolderOrReplace,
    /// Name a folder for cleaned shards that can be written to.
    WritableFolder,
    /// Read the findings, which say what is wrong with the samples.
    SeeFindings,
    /// Check permissions, disk and memory and try again, or leave the shard out.
    MakeReadable,
    /// Verify again when nothing writes to the shards.
    VerifyAgain,
    /// Free space on the disk, or name another folder for cleaned shards.
    MakeRoom,
    /// Name another file for the report.
    OtherReport,
    /// Name a file for the report in an existing folder that can be written to.
    WritableReport,
    /// Name another file for the report, on a disk with enough space.
    ReportWithRoom,
}
