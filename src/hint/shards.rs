//! The hints of the crate `shards` in words.

use ::shards::{AccessHint, ContentHint, Elsewhere, Hint, ListHint, PatternHint, RemarkHint};

use super::{remote, storage};

/// Puts a hint into words, with the program's flags.
pub(super) fn words(hint: &Hint) -> String {
    match hint {
        Hint::Pattern(hint) => pattern_words(hint),
        Hint::Access(hint) => access_words(*hint).to_owned(),
        Hint::Remote(hint) => remote::words(hint),
        Hint::Cache { bytes } => format!(
            "give --cache-limit {}GB or more and a --cache-dir with that space, or mix fewer samples with --shuffle window:2048",
            bytes.div_ceil(1_000_000_000)
        ),
        Hint::Content(hint) => content_words(hint),
        Hint::RewriteTar => "write the shard again with `tar --format=gnu` and without `--sparse`".to_owned(),
        Hint::NumberClasses => {
            "number the classes from 0 on and write the shard again, e.g. with `amdim-stream pack`".to_owned()
        }
        Hint::Images => "give each sample a `jpg`, `jpeg`, `png` or `webp` member; `amdim-stream pack` makes shards from folders of \
                         images"
            .to_owned(),
        Hint::Verify => "run `amdim-stream verify` with the same shards: it says what is wrong with each".to_owned(),
        Hint::Shuffle => {
            "write `global`, `none`, or `window:N` with at least 1 sample, such as `window:16384`".to_owned()
        }
        Hint::Disk => "check its disk, then run the same command again".to_owned(),
        Hint::Space => storage::FREE_SPACE.to_owned(),
        Hint::Folder => "check free space and permissions of its folder, then run the same command again".to_owned(),
    }
}

/// Puts the hint of `count` unusual forms into words.
pub(crate) fn remark_words(hint: RemarkHint, count: u64) -> &'static str {
    match hint {
        RemarkHint::SortByName => "write such shards with `tar --sort=name`",
        RemarkHint::LeaveFolderOut => "leave that folder out of the shards, as `tar --exclude=FOLDER` does",
        RemarkHint::StoreTargets if count == 1 => "`tar --dereference` puts the file itself into a shard",
        RemarkHint::StoreTargets => "`tar --dereference` puts the files themselves into a shard",
    }
}

fn access_words(hint: AccessHint) -> &'static str {
    match hint {
        AccessHint::OpenFiles => "allow more open files in the shell that starts the program: ulimit -n 4096",
        AccessHint::Permission => {
            "let this user read the file and enter its folders, or leave it out of --shards"
        }
        AccessHint::Missing => {
            "restore the file, which existed a moment ago, then run the same command again"
        }
        AccessHint::Check => "check the file, its permissions and its disk, or leave it out of --shards",
    }
}

fn content_words(hint: &ContentHint) -> String {
    match hint {
        ContentHint::Decompress { command } => format!("unpack it: {command}"),
        ContentHint::Unpack { program } => {
            format!("unpack it with `{program}`, then make shards of its images with `amdim-stream pack`")
        }
        ContentHint::Extract => {
            "extract its images, then make shards of them with `amdim-stream pack`".to_owned()
        }
        ContentHint::Pack => "make shards of its folder with `amdim-stream pack`".to_owned(),
        ContentHint::GitLfs => "fetch the file itself with `git lfs pull`".to_owned(),
        ContentHint::Download => {
            "download the shard again; the page may say why the download failed".to_owned()
        }
        ContentHint::List { pattern } => format!("name it as a list: '{pattern}'"),
        ContentHint::Shards { pattern: None } => {
            "name only shards; `amdim-stream pack` makes them from folders of images".to_owned()
        }
        ContentHint::Shards { pattern: Some(pattern) } => format!("name only shards, e.g. '{pattern}'"),
    }
}

fn pattern_words(hint: &PatternHint) -> String {
    match hint {
        PatternHint::Name => "name shards, for example --shards 'data/train-<000..146>.tar'".to_owned(),
        PatternHint::Range(range) => format!("write `{range}`"),
        PatternHint::Glob(glob) => {
            format!("if the other shards are the whole set, name them: --shards '{glob}'")
        }
        PatternHint::Extension(pattern) => format!("add `.tar` to the name: --shards '{pattern}'"),
        PatternHint::Decompress { file, program } => {
            format!("decompress `{file}`: {program} '{file}'")
        }
        PatternHint::Patterns(patterns) => choices(patterns),
        PatternHint::Parts { train, validation } => {
            format!("--shards {}, and for validation --val-shards {}", quoted(train), quoted(validation))
        }
        PatternHint::Pack => {
            "make shards with `amdim-stream pack`, or name the folder that contains them".to_owned()
        }
        PatternHint::FileInFolder => "name a file in a folder, e.g. 'data/train-<000..146>.tar'".to_owned(),
        PatternHint::NearestFolder { folder, pattern } => {
            format!("use the folder with the nearest name, `{}`: --shards '{pattern}'", folder.display())
        }
        PatternHint::CurrentFolder => {
            "change to the folder that the relative path begins in, or name the absolute path".to_owned()
        }
        PatternHint::ExistingFolder => {
            "name an existing one, in quotes: --shards 'data/train-<000..146>.tar'".to_owned()
        }
        PatternHint::Quote(pattern) => format!("quote the pattern: --shards '{pattern}'"),
        PatternHint::Overlap => "remove one, or a pattern that overlaps with another".to_owned(),
        PatternHint::Local { place, is_one_of_several } => place_words(place, *is_one_of_several),
        PatternHint::Apart(patterns) => format!("write {}", quoted(patterns)),
        PatternHint::Unquote(inside) => format!("write {inside}"),
        PatternHint::Link => "point the link at the shard, or remove it".to_owned(),
        PatternHint::RegularFile => "write its bytes to a regular file, then name that file".to_owned(),
        PatternHint::Access(hint) => access_words(*hint).to_owned(),
        PatternHint::List(hint) => list_words(*hint).to_owned(),
        PatternHint::OneKind => "name local files, or addresses on servers, but not both".to_owned(),
        PatternHint::Feature => "build the program with its default features".to_owned(),
        PatternHint::Names => "check the names, or name only the shards that exist".to_owned(),
        PatternHint::NoGlob => {
            "name its shards by a range, such as 'https://host/train-{000..146}.tar', or by a list, '@list.txt'".to_owned()
        }
    }
}

fn list_words(hint: ListHint) -> &'static str {
    match hint {
        ListHint::Path => {
            "write `@` and the path of a text file with one pattern per line; a relative path begins in the current folder"
        }
        ListHint::Folder => {
            "name a text file with one pattern per line, or without `@` the shards in the folder"
        }
        ListHint::Permission => "let this user read it",
        ListHint::NoText => "leave out the `@` if it is a shard; save a list as UTF-8",
        ListHint::Empty => "write one pattern per line into it; lines that begin with `#` are comments",
        ListHint::Nested => "copy the lines of that list into this one",
    }
}

fn place_words(place: &Elsewhere, is_one_of_several: bool) -> String {
    let cure = match place {
        Elsewhere::FileUrl(Some(path)) => format!("name its path: '{path}'"),
        Elsewhere::FileUrl(None) => "name the file by its path".to_owned(),
        Elsewhere::Command(Some(url)) => format!("name what the command reads: '{url}'"),
        Elsewhere::Command(None) => "let the command write a file, then name the file".to_owned(),
        Elsewhere::Web => "download it, e.g. with `curl -O`, then name the file".to_owned(),
        Elsewhere::HuggingFace(Some(url)) => format!("name its web address: '{url}'"),
        Elsewhere::HuggingFace(None) => {
            "download the dataset, e.g. with `hf download`, then name the files".to_owned()
        }
        Elsewhere::Store => {
            "name them by s3://, gs://, az:// or https:// if the store has such addresses; else mount it as a folder".to_owned()
        }
        Elsewhere::Machine => "copy it to this machine, or mount its folder, then name the file".to_owned(),
    };
    if is_one_of_several { format!("{cure}; write each pattern as an argument of its own") } else { cure }
}

/// Joins patterns of which the user may mean any one.
fn choices(patterns: &[String]) -> String {
    let flags: Vec<String> = patterns.iter().map(|pattern| format!("--shards '{pattern}'")).collect();
    flags.join(" or ")
}

/// Joins patterns as arguments, quoted for the shell.
fn quoted(patterns: &[String]) -> String {
    let quoted: Vec<String> = patterns.iter().map(|pattern| format!("'{pattern}'")).collect();
    quoted.join(" ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::anyhow;

    use super::*;
    use crate::hint::render;

    #[test]
    fn patterns_are_shown_with_their_flag_and_quotes() {
        let strings = |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        for (hint, expected) in [
            (
                PatternHint::Patterns(strings(&["*.tar", "x-<0..3>.tar"])),
                "--shards '*.tar' or --shards 'x-<0..3>.tar'",
            ),
            (
                PatternHint::Parts { train: strings(&["a.tar", "b.tar"]), validation: strings(&["val.tar"]) },
                "--shards 'a.tar' 'b.tar', and for validation --val-shards 'val.tar'",
            ),
            (PatternHint::Apart(strings(&["a.tar", "b.tar"])), "write 'a.tar' 'b.tar'"),
            (
                PatternHint::Local {
                    place: Elsewhere::FileUrl(Some("/x.tar".to_owned())),
                    is_one_of_several: true,
                },
                "name its path: '/x.tar'; write each pattern as an argument of its own",
            ),
        ] {
            assert_eq!(words(&Hint::Pattern(hint)), expected);
        }
    }

    #[test]
    fn a_range_that_counts_down_and_too_many_open_files_have_their_cures() {
        let error = anyhow!(::shards::open(&["x-<9..3>.tar".to_owned()]).unwrap_err());
        assert_eq!(render(&error), "pattern `x-<9..3>.tar`: `9..3` counts down\n  hint: write `3..9`");
        let source = io::Error::from_raw_os_error(libc::EMFILE);
        let error = anyhow!(::shards::Error::Open { path: "x.tar".into(), source });
        let (message, hint) =
            ("cannot open shard `x.tar`: Too many open files (os error 24)", "ulimit -n 4096");
        assert!(render(&error).starts_with(message) && render(&error).ends_with(hint), "{}", render(&error));
    }

    #[test]
    fn a_hint_about_the_bytes_of_a_shard_says_what_to_run() {
        let content = |hint| words(&Hint::Content(hint));
        let text = |text: &str| text.to_owned();
        for (hint, part) in [
            (remark_words(RemarkHint::SortByName, 2).to_owned(), "`tar --sort=name`"),
            (remark_words(RemarkHint::LeaveFolderOut, 2).to_owned(), "`tar --exclude=FOLDER`"),
            (remark_words(RemarkHint::StoreTargets, 1).to_owned(), "puts the file itself"),
            (remark_words(RemarkHint::StoreTargets, 2).to_owned(), "puts the files themselves"),
            (words(&Hint::RewriteTar), "tar --format=gnu"),
            (words(&Hint::NumberClasses), "from 0 on"),
            (words(&Hint::Images), "`jpg`, `jpeg`, `png` or `webp` member"),
            (words(&Hint::Verify), "run `amdim-stream verify`"),
            (words(&Hint::Shuffle), "`global`, `none`, or `window:N`"),
            (words(&Hint::Disk), "check its disk"),
            (words(&Hint::Space), "free"),
            (words(&Hint::Folder), "free space and permissions"),
            (words(&Hint::Access(AccessHint::Permission)), "let this user read the file"),
            (words(&Hint::Access(AccessHint::Missing)), "restore the file"),
            (words(&Hint::Access(AccessHint::Check)), "leave it out of --shards"),
            (content(ContentHint::Decompress { command: text("zstd -d x") }), "unpack it: zstd -d x"),
            (content(ContentHint::Unpack { program: "unzip" }), "unpack it with `unzip`"),
            (content(ContentHint::Extract), "extract its images"),
            (content(ContentHint::Pack), "shards of its folder with `amdim-stream pack`"),
            (content(ContentHint::GitLfs), "`git lfs pull`"),
            (content(ContentHint::Download), "download the shard again"),
            (content(ContentHint::List { pattern: text("@x.txt") }), "as a list: '@x.txt'"),
            (content(ContentHint::Shards { pattern: None }), "name only shards; `amdim-stream pack`"),
            (content(ContentHint::Shards { pattern: Some(text("*.tar")) }), "name only shards, e.g. '*.tar'"),
        ] {
            assert!(hint.contains(part), "{hint:?} lacks {part:?}");
        }
    }

    #[test]
    fn a_hint_about_a_name_says_what_to_write() {
        let pattern = |hint| words(&Hint::Pattern(hint));
        let list = |hint| pattern(PatternHint::List(hint));
        let place = |place| pattern(PatternHint::Local { place, is_one_of_several: false });
        let text = |text: &str| text.to_owned();
        for (hint, part) in [
            (pattern(PatternHint::Name), "--shards 'data/train-<000..146>.tar'"),
            (pattern(PatternHint::Glob(text("x-*.tar"))), "the whole set, name them: --shards 'x-*.tar'"),
            (pattern(PatternHint::Extension(text("x.tar"))), "add `.tar` to the name: --shards 'x.tar'"),
            (
                pattern(PatternHint::Decompress { file: text("x.tar.gz"), program: "gunzip" }),
                "decompress `x.tar.gz`: gunzip 'x.tar.gz'",
            ),
            (pattern(PatternHint::Pack), "`amdim-stream pack`, or name the folder"),
            (pattern(PatternHint::FileInFolder), "name a file in a folder"),
            (
                pattern(PatternHint::NearestFolder { folder: "data".into(), pattern: text("data/x.tar") }),
                "`data`: --shards 'data/x.tar'",
            ),
            (pattern(PatternHint::CurrentFolder), "name the absolute path"),
            (pattern(PatternHint::ExistingFolder), "name an existing one"),
            (pattern(PatternHint::Quote(text("*.tar"))), "quote the pattern: --shards '*.tar'"),
            (pattern(PatternHint::Overlap), "remove one, or a pattern that overlaps"),
            (pattern(PatternHint::Unquote(text("x.tar"))), "write x.tar"),
            (pattern(PatternHint::Link), "point the link at the shard"),
            (pattern(PatternHint::RegularFile), "to a regular file"),
            (pattern(PatternHint::Access(AccessHint::OpenFiles)), "ulimit -n 4096"),
            (list(ListHint::Path), "write `@` and the path"),
            (list(ListHint::Folder), "or without `@` the shards in the folder"),
            (list(ListHint::Permission), "let this user read it"),
            (list(ListHint::NoText), "save a list as UTF-8"),
            (list(ListHint::Empty), "write one pattern per line"),
            (list(ListHint::Nested), "copy the lines of that list"),
            (place(Elsewhere::FileUrl(None)), "name the file by its path"),
            (place(Elsewhere::Command(None)), "let the command write a file"),
            (
                place(Elsewhere::Command(Some("s3://b/x.tar".to_owned()))),
                "name what the command reads: 's3://b/x.tar'",
            ),
            (place(Elsewhere::Web), "`curl -O`"),
            (place(Elsewhere::HuggingFace(None)), "`hf download`"),
            (place(Elsewhere::Store), "mount it as a folder"),
            (place(Elsewhere::Machine), "copy it to this machine"),
        ] {
            assert!(hint.contains(part), "{hint:?} lacks {part:?}");
        }
    }
}
