//! What can be done about an error, as data. Whoever shows the error puts it into words, with the flags or buttons that it has.

use std::path::PathBuf;

/// What can be done about an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// About a file or folder that the system refuses.
    File(FileHint),
    /// About class names.
    Classes(ClassHint),
    /// About what is to be packed.
    Source(SourceHint),
    /// About what is to be written.
    Output(OutputHint),
    /// About the verification of a set.
    Verify(VerifyHint),
}

/// What can be done about a file or folder that the system refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileHint {
    /// Check that it exists, its permissions, and its disk.
    MakeReadable,
    /// Check free space and permissions there, then try again.
    MakeWritable,
}

/// What can be done about class names that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassHint {
    /// Save the list as UTF-8 text with one name a line.
    SaveAsList,
    /// Write a name on the blank line: without the line, all labels after it would mean other classes.
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
    /// Rename the class folder as the list has it, or append a new class to the list.
    RenameOrAppend {
        /// The list.
        list: PathBuf,
    },
    /// Number the classes by the list in the folder.
    NumberBy {
        /// The list.
        list: PathBuf,
    },
    /// Number the classes from 0 on.
    NumberFromZero,
    /// Label the validation samples.
    LabelValidation,
    /// Train without validation, or label the training samples.
    LabelTraining,
    /// Number the classes of the validation set by the list of the training set.
    NumberByTraining,
}

/// What can be done about a source that cannot be packed as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceHint {
    /// Pack it with its labels.
    KeepLabels,
    /// Give the folder that the dataset's archive unpacks to.
    Unpacked {
        /// The name of that folder.
        folder: &'static str,
    },
    /// Name one of these parts; without any, name no part.
    Splits {
        /// The parts that there are.
        names: Vec<String>,
    },
    /// Give a folder, or name the format of the file.
    NameFormat,
    /// Give a folder of images or of class folders, or the files of a known binary dataset.
    GiveImages,
    /// Download and unpack the dataset again.
    UnpackAgain,
    /// The same, or name the format of the file.
    UnpackAgainOrNameFormat,
    /// Pack each part by itself, or all without labels.
    PackParts {
        /// The parts.
        names: Vec<String>,
    },
    /// Put the parts above the classes and pack each by itself, or pack all without labels.
    PartsAboveClasses {
        /// Where one of the folders would lie then.
        example: PathBuf,
    },
    /// Give the one folder in which all images lie, or pack all without labels.
    GiveInnerFolder,
    /// Put the images into class folders or elsewhere, or pack all without labels.
    SortImages,
    /// Give the folder another name.
    RenameFolder,
    /// Look for links that lead around in a circle.
    FindCircle,
}

/// What can be done about a place that cannot be written, or shards that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputHint {
    /// Name a new folder.
    NewFolder {
        /// One that would do.
        example: Option<PathBuf>,
    },
    /// Name another prefix or folder, or replace the shards.
    Replace {
        /// Shards that would be replaced.
        shards: usize,
    },
    /// Use letters, digits, `.`, `_` and `-` in the prefix, which does not begin with a dot.
    PlainPrefix,
    /// Name another prefix for the training shards.
    OtherPrefix,
    /// Hold nothing out for validation.
    NoValidation,
    /// The warnings that were logged say what is wrong with the images.
    SeeWarnings,
    /// Ask for at least one image, at most so many, and at most as many shards.
    Count {
        /// The most images.
        most: usize,
    },
}

/// What can be done about a set that cannot be verified or cleaned as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyHint {
    /// Name another folder for cleaned shards than that of the originals.
    OtherFolder,
    /// Clean the shards of one folder after the other.
    OneFolderAtATime,
    /// Name an empty folder for cleaned shards, or replace the shards there.
    EmptyFolderOrReplace,
    /// Name a folder for cleaned shards that can be written.
    WritableFolder,
    /// The findings say what is wrong with the samples.
    SeeFindings,
    /// Check permissions, disk and memory and try again, or leave the shard out.
    MakeReadable,
    /// Verify again when nobody writes to the shards.
    VerifyAgain,
    /// Free space on the disk, or name another folder for cleaned shards.
    MakeRoom,
    /// Name another file for the report.
    OtherReport,
    /// Name a file for the report in a folder that exists and can be written.
    WritableReport,
    /// Name another file for the report, on a disk with room.
    ReportWithRoom,
}
