//! Errors of class names.

use std::{io, path::PathBuf};

use crate::hint::ClassHint;

/// The reason why class names cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClassError {
    /// A list of class names that cannot be read.
    #[error("cannot read the class names in `{path}`")]
    Read {
        /// The list.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A list of class names that is not UTF-8.
    #[error("the class names in `{path}` are not UTF-8")]
    NotUtf8 {
        /// The list.
        path: PathBuf,
    },
    /// A blank line between names.
    #[error("line {line} of `{path}` is blank, but it has to name the class of label {label}", line = label + 1)]
    Blank {
        /// The list.
        path: PathBuf,
        /// The label that the line has to name.
        label: usize,
    },
    /// A name that would not survive writing and reading a list.
    #[error("the class name {name:?} {flaw}: a list with one name per line would give labels other classes")]
    Flawed {
        /// The name.
        name: String,
        /// The flaw, as a clause about the name.
        flaw: &'static str,
    },
    /// Two lists that give a label different names.
    #[error(
        "class numbers mean different things: line {line} is `{name}` in `{path}`, but `{other_name}` in `{other}`, so label {label} is \
         two classes",
        line = label + 1
    )]
    Differ {
        /// The label.
        label: usize,
        /// Its name in the first list.
        name: String,
        /// The first list.
        path: PathBuf,
        /// Its name in the other list.
        other_name: String,
        /// The other list.
        other: PathBuf,
    },
    /// A list given for a source without classes.
    #[error("the source has no classes that `{list}` could number")]
    None {
        /// The list.
        list: PathBuf,
    },
    /// A list that names a class twice.
    #[error("`{list}` names the class `{name}` on lines {first} and {second}")]
    Twice {
        /// The list.
        list: PathBuf,
        /// The name.
        name: String,
        /// The first line that has it.
        first: usize,
        /// The second line that has it.
        second: usize,
    },
    /// A class of the source that the list does not name.
    #[error("the class `{class}` is not among the {count} that `{list}` numbers{}", nearest_text(.nearest.as_deref()))]
    Unknown {
        /// The class.
        class: String,
        /// The list.
        list: PathBuf,
        /// The number of names in the list.
        count: usize,
        /// The most similar name in the list.
        nearest: Option<String>,
    },
    /// Shards with other classes in the folder for new ones.
    #[error("`{list}` lists other classes than these {count}, so labels would not mean the same")]
    Others {
        /// The list in that folder.
        list: PathBuf,
        /// The number of classes of the new shards.
        count: usize,
    },
    /// Labels far beyond the number of labelled samples.
    #[error("labels go up to {largest}, but only {labelled} samples are labelled")]
    Sparse {
        /// The largest label.
        largest: u32,
        /// The number of samples with a label.
        labelled: u64,
    },
    /// A validation set without any label.
    #[error("no validation sample is labelled")]
    UnlabelledValidation,
    /// A training set without any label, while there is a validation set.
    #[error("no training sample is labelled, so the probes cannot be validated")]
    UnlabelledTraining,
    /// A validation set with classes that the training set lacks.
    #[error("the validation shards have a label {largest}, the training shards only 0 to {training}")]
    Beyond {
        /// The largest label in validation.
        largest: u32,
        /// The largest label in training.
        training: u32,
    },
}

fn nearest_text(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; the nearest name there is `{name}`"))
}

impl ClassError {
    /// Returns the cure.
    pub fn hint(&self) -> ClassHint {
        match self {
            Self::Read { .. } | Self::NotUtf8 { .. } => ClassHint::SaveAsList,
            Self::Blank { .. } => ClassHint::FillLine,
            Self::Flawed { .. } => ClassHint::Rename,
            Self::Differ { path, .. } => ClassHint::PackAgainBy { list: path.clone() },
            Self::None { .. } => ClassHint::ClassFolders,
            Self::Twice { .. } => ClassHint::RemoveLine,
            Self::Unknown { list, .. } => ClassHint::RenameOrAppend { list: list.clone() },
            Self::Others { list, .. } => ClassHint::NumberBy { list: list.clone() },
            Self::Sparse { .. } => ClassHint::NumberFromZero,
            Self::UnlabelledValidation => ClassHint::LabelValidation,
            Self::UnlabelledTraining => ClassHint::LabelTraining,
            Self::Beyond { .. } => ClassHint::NumberByTraining,
        }
    }

    pub(super) fn is_misuse(&self) -> bool {
        matches!(
            self,
            Self::Read { .. }
                | Self::NotUtf8 { .. }
                | Self::Blank { .. }
                | Self::Flawed { .. }
                | Self::Differ { .. }
        )
    }
}
