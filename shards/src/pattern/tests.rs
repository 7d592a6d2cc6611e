use std::{fs, os::unix::fs::symlink, path::PathBuf};

use super::{
    error::{PatternError, Result},
    expand,
    hint::PatternHint,
};

/// Makes a folder with empty files of these names.
fn folder(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        fs::write(folder.path().join(name), "").unwrap();
    }
    folder
}

/// Returns the base names of the files that patterns in the folder name.
fn names(folder: &tempfile::TempDir, patterns: &[&str]) -> Vec<String> {
    let paths = expand_in(folder, patterns).unwrap();
    paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

fn expand_in(folder: &tempfile::TempDir, patterns: &[&str]) -> Result<Vec<PathBuf>> {
    let path = folder.path().to_str().unwrap();
    let full = |pattern: &&str| match pattern.strip_prefix('@') {
        Some(list) => format!("@{path}/{list}"),
        None => format!("{path}/{pattern}"),
    };
    expand(&patterns.iter().map(full).collect::<Vec<_>>())
}

/// Returns the error's text, without the folder's name.
fn error(folder: &tempfile::TempDir, patterns: &[&str]) -> String {
    let text = expand_in(folder, patterns).unwrap_err().to_string();
    text.replace(&format!("{}/", folder.path().display()), "")
        .replace(&folder.path().display().to_string(), "DIR")
}

/// Returns the error's hint as `Debug` shows it, without the folder's name.
fn hint(folder: &tempfile::TempDir, patterns: &[&str]) -> String {
    let hint = expand_in(folder, patterns).unwrap_err().hint().unwrap();
    let folder = folder.path().display();
    format!("{hint:?}").replace(&format!("{folder}/"), "").replace(&folder.to_string(), "DIR")
}

#[test]
fn all_kinds_of_pattern_name_files() {
    let folder = folder(&["x-000.tar", "x-001.tar", "y-000.tar", "odd{1}[2].tar"]);
    assert_eq!(names(&folder, &["x-<000..001>.tar"]), ["x-000.tar", "x-001.tar"]);
    assert_eq!(names(&folder, &["{x,y}-{000..000}.tar"]), ["x-000.tar", "y-000.tar"]);
    assert_eq!(names(&folder, &["x-*.tar", "y-???.tar"]), ["x-000.tar", "x-001.tar", "y-000.tar"]);
    assert_eq!(names(&folder, &["x-001.tar", "x-000.tar"]), ["x-001.tar", "x-000.tar"]);
    assert_eq!(names(&folder, &["odd{1}[2].tar"]), ["odd{1}[2].tar"]);
}

#[test]
fn a_list_is_relative_to_its_own_folder() {
    let folder = folder(&["x-000.tar", "x-001.tar", "y.tar"]);
    fs::write(folder.path().join("list.txt"), "# mine\n\n x-<000..001>.tar\r\ny.tar\n").unwrap();
    assert_eq!(names(&folder, &["@list.txt"]), ["x-000.tar", "x-001.tar", "y.tar"]);
    fs::write(folder.path().join("list.txt"), "# nothing\n").unwrap();
    assert!(error(&folder, &["@list.txt"]).ends_with("the list `list.txt` names no shards"));
    assert_eq!(hint(&folder, &["@list.txt"]), "List(Empty)");
    fs::write(folder.path().join("list.txt"), "@list.txt").unwrap();
    assert!(error(&folder, &["@list.txt"]).contains("another list"));
    assert!(matches!(expand_in(&folder, &["@no.txt"]), Err(PatternError::List { .. })));
}

#[test]
fn a_gap_is_an_error_that_lists_existing_and_missing_files() {
    let folder = folder(&["x-000.tar", "x-001.tar", "x-003.tar"]);
    assert_eq!(
        error(&folder, &["x-<000..004>.tar"]),
        "`x-<000..004>.tar` names 5 shards; missing `x-002.tar`, `x-004.tar`; found `x-000.tar`, \
         `x-001.tar`, `x-003.tar`"
    );
    assert_eq!(hint(&folder, &["x-<000..004>.tar"]), r#"Glob("x-*.tar")"#);
    let text = error(&folder, &["x-000.tar", "x-002.tar"]);
    assert!(text.starts_with("the 2 patterns name 2 shards; missing `x-002.tar`; found `x-000.tar`"));
}

#[test]
fn no_match_is_an_error_that_says_what_is_there_instead() {
    let folder = folder(&["x-000.tar", "x-001.tar", "notes.txt"]);
    assert_eq!(
        error(&folder, &["x-<00..01>.tar"]),
        "there is no `x-00.tar`, `x-01.tar`; the folder `DIR` holds `x-000.tar`, `x-001.tar`"
    );
    assert_eq!(hint(&folder, &["x-<00..01>.tar"]), r#"Patterns(["x-<000..001>.tar"])"#);
    assert!(error(&folder, &["y-<00..99>.tar"]).starts_with(
        "there is no `y-00.tar`, `y-01.tar`, `y-02.tar`, `y-03.tar` … `y-99.tar` (100 in all); the folder"
    ));
    assert!(error(&folder, &["z*.tar"]).contains("holds `x-000.tar`"));
    assert!(error(&folder, &["no/x.tar"]).contains("the folder `no` does not exist"));
    assert_eq!(hint(&folder, &["no/x.tar"]), "ExistingFolder");
}

#[test]
fn the_pattern_in_a_hint_names_what_is_there() {
    let some = folder(&["x-000.tar", "x-002.tar", "y-000.tar"]);
    assert_eq!(hint(&some, &["z.tar"]), r#"Patterns(["*.tar"])"#);
    let some = folder(&["a.tar", "b.tar"]);
    assert_eq!(hint(&some, &["z.tar"]), r#"Patterns(["*.tar"])"#);
    let some = folder(&["only.tar"]);
    assert_eq!(hint(&some, &["z.tar"]), r#"Patterns(["only.tar"])"#);
}

#[test]
fn a_folder_is_an_error_that_names_the_shards_in_it() {
    let some = folder(&["x-000.tar", "x-001.tar"]);
    let text = error(&some, &[""]);
    assert!(text.ends_with("is a folder, which holds `x-000.tar`, `x-001.tar`"), "{text}");
    assert_eq!(hint(&some, &[""]), r#"Patterns(["*.tar", "x-<000..001>.tar"])"#);
    let some = folder(&["train-000.tar", "train-001.tar", "val-000.tar"]);
    assert_eq!(
        hint(&some, &[""]),
        r#"Parts { train: ["train-<000..001>.tar"], validation: ["val-000.tar"] }"#,
        "training on all of them is not the only possible meaning"
    );
    let none = folder(&["a.jpg"]);
    let text = error(&none, &[""]);
    assert!(text.ends_with("holds no `.tar` files"), "{text}");
    assert_eq!(hint(&none, &[""]), "Pack");
}

#[test]
fn the_rest_of_an_unquoted_pattern_is_recognized() {
    let folder = folder(&["x-000.tar", "x-001.tar", "x-002.tar"]);
    assert_eq!(
        error(&folder, &["x-"]),
        "there is no file `x-`, only `x-000.tar`, `x-001.tar`, `x-002.tar`: the shell took the rest \
         for a redirection"
    );
    assert_eq!(hint(&folder, &["x-"]), r#"Quote("x-<000..002>.tar")"#);
}

#[test]
fn a_file_named_twice_is_an_error() {
    let folder = folder(&["x-000.tar", "x-001.tar"]);
    assert_eq!(error(&folder, &["x-*.tar", "x-001.tar"]), "`x-001.tar` is named twice");
    assert_eq!(hint(&folder, &["x-*.tar", "x-001.tar"]), "Overlap");
}

#[test]
fn a_file_named_in_two_spellings_or_through_a_link_is_an_error() {
    let folder = folder(&["x-000.tar", "x-001.tar"]);
    fs::create_dir(folder.path().join("sub")).unwrap();
    symlink("../x-000.tar", folder.path().join("sub/link.tar")).unwrap();
    fs::hard_link(folder.path().join("x-000.tar"), folder.path().join("sub/hard.tar")).unwrap();
    symlink(".", folder.path().join("same")).unwrap();
    for other in [
        "./x-000.tar",
        "sub/../x-000.tar",
        "sub/link.tar",
        "sub/hard.tar",
        "same/x-000.tar",
        "{.,.}//x-000.tar",
    ] {
        let text = error(&folder, &["x-*.tar", other]);
        assert!(text.contains("is named twice, it is the same file as `x-000.tar`"), "{other}: {text}");
    }
    assert_eq!(names(&folder, &["x-001.tar", "sub/link.tar"]), ["x-001.tar", "link.tar"]);
}

#[test]
fn a_list_may_have_been_saved_by_any_editor() {
    let folder = folder(&["x-000.tar", "x-001.tar", "y.tar"]);
    let list = |text: &str| fs::write(folder.path().join("list.txt"), text).unwrap();
    list("\u{feff}# mine\r\n\r\n   \r\n  x-<000..001>.tar\t\r\ny.tar");
    assert_eq!(names(&folder, &["@list.txt"]), ["x-000.tar", "x-001.tar", "y.tar"]);
    list("x-000.tar\nhttps://host/y.tar\n");
    assert!(error(&folder, &["@list.txt"]).starts_with("`https://host/y.tar` is a web address"));
    list("x-000.tar\n./x-000.tar\n");
    assert!(error(&folder, &["@list.txt"]).contains("is named twice"));
}

#[test]
fn a_file_that_is_not_a_list_is_reported_as_what_it_is() {
    let folder = folder(&["x.tar"]);
    fs::write(folder.path().join("x.tar"), [b'x', 0, 0]).unwrap();
    fs::write(folder.path().join("latin.txt"), b"\xe4.tar").unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    for list in ["@x.tar", "@latin.txt"] {
        assert!(error(&folder, &[list]).ends_with("but the file is not text"));
        assert_eq!(hint(&folder, &[list]), "List(NoText)");
    }
    assert_eq!(error(&folder, &["@sub"]), "cannot read the list `sub`");
    assert_eq!(hint(&folder, &["@sub"]), "List(Folder)");
    assert_eq!(hint(&folder, &["@no.txt"]), "List(Path)");
    let text = expand(&["@s3://bucket/list.txt".to_owned()]).unwrap_err().to_string();
    assert!(text.contains("which is not read here"), "{text}");
}

#[test]
fn a_mistyped_name_is_answered_by_the_most_similar_one() {
    let folder = folder(&["train-000.tar", "train-001.tar", "val-000.tar", "test.tar.gz", "other.tar"]);
    fs::create_dir_all(folder.path().join("shards/deep")).unwrap();
    fs::write(folder.path().join("shards/deep/x.tar"), "").unwrap();
    for (typed, expected) in [
        ("trian-000.tar", r#"Patterns(["train-000.tar"])"#),
        ("Train-001.tar", r#"Patterns(["train-001.tar"])"#),
        ("trian-<000..001>.tar", r#"Patterns(["train-<000..001>.tar"])"#),
        ("trian-*.tar", r#"Patterns(["train-<000..001>.tar"])"#),
        ("train-<0000..0001>.tar", r#"Patterns(["train-<000..001>.tar"])"#),
        ("va-000.tar", r#"Patterns(["val-000.tar"])"#),
        ("train-000", r#"Extension("train-000.tar")"#),
        ("train-<000..001>", r#"Extension("train-<000..001>.tar")"#),
        ("test.tar", r#"Decompress { file: "test.tar.gz", program: "gunzip" }"#),
        ("quite-else.tar", r#"Parts { train: ["train-<000..001>.tar"], validation: ["val-000.tar"] }"#),
        ("shrads/deep/x.tar", r#"NearestFolder { folder: "shards", pattern: "shards/deep/x.tar" }"#),
        ("shards/depe/*.tar", r#"NearestFolder { folder: "shards/deep", pattern: "shards/deep/*.tar" }"#),
    ] {
        assert_eq!(hint(&folder, &[typed]), expected, "{typed}");
    }
}

#[test]
fn the_first_missing_folder_is_named() {
    let folder = folder(&["a.tar"]);
    fs::create_dir(folder.path().join("data")).unwrap();
    for typed in ["data/no/such/x.tar", "data/no/such/*.tar", "data/no/*/x-<0..3>.tar"] {
        let text = error(&folder, &[typed]);
        assert!(text.ends_with("the folder `data/no` does not exist"), "{text}");
    }
    assert!(error(&folder, &["a.tar/x.tar"]).contains("`a.tar` is a file, not a folder"));
    let error = expand(&["no/x.tar".to_owned()]).unwrap_err();
    assert!(
        error.to_string().contains("the folder `no` does not exist in the current folder, `/"),
        "{error}"
    );
    assert_eq!(error.hint(), Some(PatternHint::CurrentFolder));
}

#[test]
fn a_link_to_a_missing_file_is_reported_as_a_link() {
    let folder = folder(&["x-000.tar"]);
    symlink("/no/such/x.tar", folder.path().join("x-001.tar")).unwrap();
    symlink("/no/such", folder.path().join("data")).unwrap();
    for typed in ["x-001.tar", "x-*.tar", "x-<000..001>.tar"] {
        let text = error(&folder, &[typed]);
        assert!(
            text.starts_with("`x-001.tar` is a link to `/no/such/x.tar`, which does not exist"),
            "{text}"
        );
    }
    for typed in ["data/x.tar", "data/*.tar"] {
        assert!(error(&folder, &[typed]).starts_with("`data` is a link to `/no/such`, which does not exist"));
    }
}

#[test]
fn hidden_files_match_only_a_glob_with_an_explicit_dot() {
    let folder = folder(&["x.tar", "._x.tar"]);
    assert_eq!(names(&folder, &["*.tar"]), ["x.tar"]);
    assert_eq!(names(&folder, &["._*.tar"]), ["._x.tar"]);
}

#[test]
fn a_pipe_or_a_device_is_not_a_shard() {
    let text = expand(&["/dev/null".to_owned()]).unwrap_err().to_string();
    assert!(text.starts_with("`/dev/null` is a device, but shards are files"), "{text}");
}

#[test]
fn a_huge_number_of_files_is_refused_before_their_names_are_made() {
    let folder = folder(&[]);
    assert!(error(&folder, &["x-<0..99999999>.tar"]).contains("stand for 100000000 shards"));
    assert!(error(&folder, &["x-<1..9999999>.tar", "<1..2>"]).contains("stand for 10000001 shards"));
}

#[test]
fn an_empty_list_of_patterns_is_an_error() {
    for nothing in [vec![], vec![String::new()]] {
        assert!(matches!(expand(&nothing), Err(PatternError::Nothing)));
    }
}
