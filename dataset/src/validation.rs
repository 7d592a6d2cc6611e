//! Checks of a validation set against its training set: labels mean the same, and samples differ.

use std::{collections::HashSet, fs, os::unix::fs::MetadataExt};

use shards::{ShardName, ShardSet};

use crate::{
    classes::ClassNames,
    error::{ClassError, Result},
};

/// Sets with more classes than this must have at least as many labelled samples as classes.
const MANY: u32 = 10_000;

/// Checks that there are not far more classes than labelled samples, as a classifier has an output for every
/// label. Logs a warning if there are more classes than labelled samples, but not far more.
///
/// # Errors
/// There are more than 10,000 classes, and fewer labelled samples.
pub fn check_labels(set: &ShardSet) -> Result<()> {
    let labelled = set.labelled();
    let Some(classes) = set.classes().filter(|&classes| u64::from(classes) > labelled) else { return Ok(()) };
    let error = ClassError::Sparse { largest: classes - 1, labelled };
    if classes > MANY {
        return Err(error.into());
    }
    tracing::warn!("{error}");
    Ok(())
}

/// Checks that training has all classes of validation, given the number of classes of each set; `None` if no
/// sample is labelled.
///
/// # Errors
/// A set has no labels, or validation has a label beyond those of training.
pub fn check_classes(train: Option<u32>, validation: Option<u32>) -> Result<()> {
    match (train, validation) {
        (_, None) => Err(ClassError::UnlabelledValidation.into()),
        (None, Some(_)) => Err(ClassError::UnlabelledTraining.into()),
        (Some(train), Some(validation)) if validation > train => {
            Err(ClassError::Beyond { largest: validation - 1, training: train - 1 }.into())
        }
        _ => Ok(()),
    }
}

/// Returns the names of the training set's classes, if those of the validation set agree with them. Logs a
/// warning if only one of the sets has names.
///
/// # Errors
/// A label has different names in the two sets.
pub fn common_names(train: Option<ClassNames>, validation: Option<ClassNames>) -> Result<Option<ClassNames>> {
    match (train, validation) {
        (Some(train), Some(validation)) => Ok(Some(train.joined(validation)?)),
        (Some(train), None) => {
            train.warn_of_unnamed("the validation shards");
            Ok(Some(train))
        }
        (None, Some(validation)) => {
            validation.warn_of_unnamed("the training shards");
            Ok(None)
        }
        (None, None) => Ok(None),
    }
}

/// Returns the shards in `among` that are also in `of`, even under another name.
pub fn shared_shards<'a>(of: &[ShardName], among: &'a [ShardName]) -> Vec<&'a ShardName> {
    // Size and times are included for systems that use inode numbers twice.
    let file = |shard: &ShardName| {
        let file = fs::metadata(shard.as_str()).ok()?;
        let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
        Some((file.dev(), file.ino(), file.len(), times))
    };
    let (names, files): (HashSet<_>, HashSet<_>) =
        (of.iter().collect(), of.iter().filter_map(file).collect());
    let is_shared =
        |shard: &&ShardName| names.contains(shard) || file(shard).is_some_and(|file| files.contains(&file));
    among.iter().filter(is_shared).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validation_shard_is_recognized_among_the_training_shards_under_any_name() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("a.tar"), "a").unwrap();
        fs::write(path("b.tar"), "b").unwrap();
        fs::copy(path("a.tar"), path("copy.tar")).unwrap();
        std::os::unix::fs::symlink("a.tar", path("link.tar")).unwrap();
        fs::hard_link(path("a.tar"), path("hard.tar")).unwrap();
        let names = |names: &[&str]| names.iter().map(|name| ShardName::from(path(name))).collect::<Vec<_>>();
        let train = names(&["a.tar", "b.tar"]);
        let validation = names(&["./a.tar", "link.tar", "hard.tar", "b.tar", "copy.tar", "gone.tar"]);
        assert_eq!(shared_shards(&train, &validation), validation.iter().take(4).collect::<Vec<_>>());
    }
}
