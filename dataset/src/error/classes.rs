//! Errors of class names.

use std::{io, path::PathBuf};

use crate::hint::ClassHint;

/// Why class names cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClassError {
    /// A list of class names cannot be read.
    #[error("cannot read the class names in `{path}`")]
    Read {
        /// The list.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A list of class names is no text.
    #[error("the class names in `{path}` are not UTF-8")]
    NotUtf8 {
        /// The list.
        path: PathBuf,
    },
    /// A line between names is blank.
    #[error("line {line} of `{path}` is blank, but it has to name the class of label {label}", line = label + 1)]
    Blank {
        /// The list.
        path: PathBuf,
        /// The label that the line has to name.
        label: usize,
    },
    /// A list would not give a name back as it was written.
    #[error("the class name {name:?} {flaw}: a list with one name a line would give labels other classes")]
    Flawed {
        /// The name.
        name: String,
        /// What is wrong with it.
        flaw: &'static str,
    },
    /// Two lists give a label different names.
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
    /// A source without classes cannot be numbered by a list.
    #[error("the source has no classes that `{list}` could number")]
    None {
        /// The list.
        list: PathBuf,
    },
    /// A list that numbers classes names one of them twice.
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
    /// A source has a class that the list does not name.
    #[error("the class `{class}` is not among the {count} that `{list}` numbers{}", nearest_text(.nearest.as_deref()))]
    Unknown {
        /// The class.
        class: String,
        /// The list.
        list: PathBuf,
        /// How many names the list has.
        count: usize,
        /// The name in the list that is most like it.
        nearest: Option<String>,
    },
    /// Shards of other classes lie in the folder for new ones.
    #[error("`{list}` lists other classes than these {count}, so labels would not mean the same")]
    Others {
        /// The list in that folder.
        list: PathBuf,
        /// How many classes the new shards have.
        count: usize,
    },
    /// Labels go far beyond the number of labelled samples.
    #[error("labels go up to {largest}, but only {labelled} samples are labelled")]
    Sparse {
        /// The largest label.
        largest: u32,
        /// Samples with a label.
        labelled: u64,
    },
    /// No sample of a validation set is labelled.
    #[error("no validation sample is labelled")]
    UnlabelledValidation,
    /// No sample of a training set is labelled, but there is a validation set.
    #[error("no training sample is labelled, so the probes cannot be validated")]
    UnlabelledTraining,
    /// A validation set has classes that the training set lacks.
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
    /// What can be done about it.
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
