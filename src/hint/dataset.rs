//! The hints of the crate `dataset` in words.

use std::path::Path;

use dataset::{ClassHint, FileHint, Hint, OutputHint, SourceHint, VerifyHint};

/// Puts a hint into words, with the program's flags.
pub(crate) fn words(hint: &Hint) -> String {
    match hint {
        Hint::File(FileHint::MakeReadable) => "check that it exists, its permissions and its disk".to_owned(),
        Hint::File(FileHint::MakeWritable) => {
            "check free space and permissions there, then run the same command again".to_owned()
        }
        Hint::Classes(hint) => class_words(hint),
        Hint::Source(hint) => source_words(hint),
        Hint::Output(hint) => output_words(hint),
        Hint::Verify(hint) => verify_words(hint).to_owned(),
    }
}

fn class_words(hint: &ClassHint) -> String {
    match hint {
        ClassHint::SaveAsList => "save the list as UTF-8 text with one class name per line".to_owned(),
        ClassHint::FillLine => {
            "write the name on that line; removing the line would shift the labels of all classes after it".to_owned()
        }
        ClassHint::Rename => "rename the class".to_owned(),
        ClassHint::PackAgainBy { list } => format!(
            "number both alike: pack the images of one again with `amdim-stream pack IMAGES --out DIR --classes {}`",
            quoted(list)
        ),
        ClassHint::ClassFolders => {
            "leave out `--classes`, or give a folder with a folder for each class".to_owned()
        }
        ClassHint::RemoveLine => {
            "give each class one number: remove one of the two lines, or rename one of the classes".to_owned()
        }
        ClassHint::RenameOrAppend { list } => format!(
            "rename the folder to its name in the list, move it away if it is not a class, or append a new class as the last line of \
             `{}`, which keeps the numbers of the others",
            list.display()
        ),
        ClassHint::NumberBy { list } => format!("number the classes by that list: --classes {}", quoted(list)),
        ClassHint::NumberFromZero => "number the classes from 0 on, as `amdim-stream pack` does".to_owned(),
        ClassHint::LabelValidation => {
            "add `cls` members to the samples, or `label` in their `json` members".to_owned()
        }
        ClassHint::LabelTraining => "train without --val-shards, or label the training samples".to_owned(),
        ClassHint::NumberByTraining => {
            "number the classes of both in the same way: pack the validation images with `amdim-stream pack --classes` and the \
             classes.txt of the training shards"
                .to_owned()
        }
    }
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

fn source_words(hint: &SourceHint) -> String {
    let fixed = match hint {
        SourceHint::Unpacked { folder } => {
            return format!("give the folder `{folder}` that the archive unpacks to");
        }
        SourceHint::Splits { names } => return split_words(names),
        SourceHint::PackParts { names } => return part_words(names),
        SourceHint::PartsAboveClasses { example } => {
            return format!(
                "move the parts above the classes, as in `{}`, and pack each separately with `--split`; or pack all without labels with \
                 `--no-labels`",
                example.display()
            );
        }
        SourceHint::KeepLabels => "leave out `--no-labels`, which is for image folders",
        SourceHint::NameFormat => "give a folder, or name the file's `--format`, e.g. `cifar10`",
        SourceHint::GiveImages => {
            "give a folder of images or of class folders, or the `.bin` files of CIFAR-10, CIFAR-100 or STL-10"
        }
        SourceHint::UnpackAgain => "download and unpack the dataset again",
        SourceHint::UnpackAgainOrNameFormat => {
            "download and unpack the dataset again, or name its `--format`"
        }
        SourceHint::GiveInnerFolder => {
            "give that folder instead, or pack all without labels with `--no-labels`"
        }
        SourceHint::SortImages => {
            "move them into class folders or elsewhere, or pack all without labels with `--no-labels`"
        }
        SourceHint::RenameFolder => "rename the folder",
        SourceHint::Convert => "convert images of other formats to PNG or JPEG",
        SourceHint::FindCircle => "look for symbolic links that form a circle",
    };
    fixed.to_owned()
}

/// Returns the hint that lists the names that `--split` accepts, at most eight of them.
fn split_words(names: &[String]) -> String {
    const NAMED: usize = 8;
    let named: Vec<_> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => "leave out `--split`".to_owned(),
        1..=NAMED => format!("name one of these with `--split`: {}", named.join(", ")),
        all => format!("name one of these with `--split`: {} and {} more", named.join(", "), all - NAMED),
    }
}

fn part_words(names: &[String]) -> String {
    let (each, first) = match names {
        [only] => ("it", only.as_str()),
        [first, ..] => ("each of them separately, e.g.", first.as_str()),
        [] => ("each separately, e.g.", "train"),
    };
    format!("pack {each} with `--split {first}`, or all without labels with `--no-labels`")
}

fn output_words(hint: &OutputHint) -> String {
    match hint {
        OutputHint::NewFolder { example: None } => "name a new folder".to_owned(),
        OutputHint::NewFolder { example: Some(folder) } => {
            format!("name a new folder, e.g. `{}`", folder.display())
        }
        OutputHint::Replace { shards } => format!(
            "name another `--prefix` or `--out`, or replace the {shards} shards of this prefix with `--force`"
        ),
        OutputHint::PlainPrefix => {
            "use letters, digits, `.`, `_` and `-`, and no `.` at the beginning".to_owned()
        }
        OutputHint::OtherPrefix => "name another `--prefix`".to_owned(),
        OutputHint::NoValidation => "leave out `--val-fraction`".to_owned(),
        OutputHint::SeeWarnings => "read the warnings above, which say what is wrong with them".to_owned(),
        OutputHint::Count { most } => {
            format!("set --count to a whole number from 1 to {most}, and --shards to at most that number")
        }
    }
}

fn verify_words(hint: &VerifyHint) -> &'static str {
    match hint {
        VerifyHint::OtherFolder => "name another folder with --fix",
        VerifyHint::OneFolderAtATime => "use --fix for one folder at a time",
        VerifyHint::EmptyFolderOrReplace => {
            "name an empty folder with --fix, or add --force to replace shards of these names"
        }
        VerifyHint::WritableFolder => "name a writable folder with --fix",
        VerifyHint::SeeFindings => "read the findings above, which say what is wrong with them",
        VerifyHint::MakeReadable => {
            "check its permissions, its disk and the free memory, then run the same command again, or leave it out of --shards"
        }
        VerifyHint::VerifyAgain => "verify again when no program writes to it",
        VerifyHint::MakeRoom => {
            "free space on that disk, or name another folder with --fix; the shards that are written already are complete"
        }
        VerifyHint::OtherReport => "name another file with --report",
        VerifyHint::WritableReport => "name a file in a writable folder with --report",
        VerifyHint::ReportWithRoom => "name another file with --report, on a disk with free space",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        exit::Code,
        hint::{code, render},
    };

    #[test]
    fn a_hint_names_the_flags_that_help() {
        let list = || "data/classes.txt".into();
        for (hint, words) in [
            (
                Hint::Output(OutputHint::Replace { shards: 3 }),
                "replace the 3 shards of this prefix with `--force`",
            ),
            (
                Hint::Output(OutputHint::Count { most: 1_000_000_000 }),
                "set --count to a whole number from 1 to 1000000000",
            ),
            (Hint::Classes(ClassHint::NumberBy { list: list() }), "--classes 'data/classes.txt'"),
            (
                Hint::Classes(ClassHint::PackAgainBy { list: list() }),
                "pack IMAGES --out DIR --classes 'data/classes.txt'",
            ),
            (Hint::Source(SourceHint::PartsAboveClasses { example: "test/cat".into() }), "as in `test/cat`"),
            (Hint::Verify(VerifyHint::EmptyFolderOrReplace), "--force"),
        ] {
            assert!(super::words(&hint).contains(words), "{hint:?}: {}", super::words(&hint));
        }
    }

    #[test]
    fn an_error_of_the_crate_is_rendered_with_its_hint_and_has_its_code() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("photo.jpg"), "").unwrap();
        let options = dataset::synth::Options { out: folder.path().to_owned(), ..Default::default() };
        let error = anyhow::Error::from(dataset::synth::write(&options, &()).unwrap_err());
        let error = error.context("drawing");
        assert_eq!(code(&error), Code::Usage);
        let new = folder.path().join("new");
        assert!(render(&error).ends_with(&format!("\n  hint: name a new folder, e.g. `{}`", new.display())));
        let missing = dataset::pack::open(&new, dataset::pack::Format::Auto, None, true);
        assert_eq!(code(&missing.err().unwrap().into()), Code::Failed);
    }

    #[test]
    fn some_of_many_parts_are_named_and_the_others_are_counted() {
        let of = |count| split_words(&(0..count).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(of(0), "leave out `--split`");
        assert_eq!(of(2), "name one of these with `--split`: `0`, `1`");
        assert!(of(8).ends_with("`7`") && of(10).ends_with("`7` and 2 more"));
    }

    #[test]
    fn the_example_of_a_part_is_one_that_exists() {
        let of = |names: &[&str]| part_words(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(of(&["val"]).starts_with("pack it with `--split val`"));
        assert!(of(&["test", "val"]).contains("each of them separately, e.g. with `--split test`"));
    }
}
