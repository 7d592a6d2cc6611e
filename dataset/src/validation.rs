//! Whether a validation set goes with its training set: the same labels, and other samples.

use std::{collections::HashSet, fs, os::unix::fs::MetadataExt};

use shards::{ShardName, ShardSet};

use crate::{
    classes::ClassNames,
    error::{ClassError, Result},
};

/// Labels up to which a set may have fewer labelled samples than classes.
const MANY: u32 = 10_000;

/// Checks that the largest label of a set is not a stray one: a classifier has an output for every label up to it. Logs a warning
/// where there are more labels than labelled samples, but not many.
///
/// # Errors
/// Labels go far beyond the number of labelled samples.
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

/// Checks that training has all classes that validation has, given the number of classes of each: none where no sample is labelled.
///
/// # Errors
/// One of the sets has no labels, or validation has labels that training lacks.
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

/// The class names that training and validation have in common: those of the training shards. Logs a warning where only one of the
/// sets has names.
///
/// # Errors
/// A label has one name in training and another in validation.
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

/// The shards of the second list that are also in the first, though they may have other names there, as links have.
pub fn shared_shards<'a>(of: &[ShardName], among: &'a [ShardName]) -> Vec<&'a ShardName> {
    // Size and times are there for systems that give a file's number twice.
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
    fn a_validation_shard_is_known_among_the_training_shards_by_any_name() {
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
