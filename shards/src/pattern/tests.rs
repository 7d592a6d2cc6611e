use super::*;

/// A folder with empty files of these names.
fn folder(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        fs::write(folder.path().join(name), "").unwrap();
    }
    folder
}

/// The base names of the files that patterns in the folder name.
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

/// The error's text, the folder's name left out.
fn error(folder: &tempfile::TempDir, patterns: &[&str]) -> String {
    let text = expand_in(folder, patterns).unwrap_err().to_string();
    text.replace(&format!("{}/", folder.path().display()), "")
        .replace(&folder.path().display().to_string(), "DIR")
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
    assert_eq!(error(&folder, &["@list.txt"]), "the list `list.txt` names no shards");
    fs::write(folder.path().join("list.txt"), "@list.txt").unwrap();
    assert!(error(&folder, &["@list.txt"]).contains("another list"));
    assert!(matches!(expand_in(&folder, &["@no.txt"]), Err(Error::Pattern(PatternError::List { .. }))));
}

#[test]
fn a_gap_is_an_error_that_says_what_is_there_and_what_is_not() {
    let folder = folder(&["x-000.tar", "x-001.tar", "x-003.tar"]);
    assert_eq!(
        error(&folder, &["x-<000..004>.tar"]),
        "`x-<000..004>.tar` names 5 shards; missing `x-002.tar`, `x-004.tar`; found `x-000.tar`, \
         `x-001.tar`, `x-003.tar`\nhint: if the others are all, say so: --shards 'x-*.tar'"
    );
    let text = error(&folder, &["x-000.tar", "x-002.tar"]);
    assert!(text.starts_with("the 2 patterns name 2 shards; missing `x-002.tar`; found `x-000.tar`"));
}

#[test]
fn no_match_is_an_error_that_says_what_is_there_instead() {
    let folder = folder(&["x-000.tar", "x-001.tar", "notes.txt"]);
    assert_eq!(
        error(&folder, &["x-<00..01>.tar"]),
        "there is no `x-00.tar`, `x-01.tar`; the folder `DIR` holds `x-000.tar`, `x-001.tar`\n\
         hint: --shards 'x-<000..001>.tar'"
    );
    assert!(error(&folder, &["y-<00..99>.tar"]).starts_with(
        "there is no `y-00.tar`, `y-01.tar`, `y-02.tar`, `y-03.tar` … `y-99.tar` (100 in all); the folder"
    ));
    assert!(error(&folder, &["z*.tar"]).contains("holds `x-000.tar`"));
    assert!(error(&folder, &["no/x.tar"]).contains("the folder `no` does not exist\nhint: "));
}

#[test]
fn the_pattern_in_a_hint_names_what_is_there() {
    let some = folder(&["x-000.tar", "x-002.tar", "y-000.tar"]);
    assert!(error(&some, &["z.tar"]).ends_with("hint: --shards '*.tar'"));
    let some = folder(&["a.tar", "b.tar"]);
    assert!(error(&some, &["z.tar"]).ends_with("hint: --shards '*.tar'"));
    let some = folder(&["only.tar"]);
    assert!(error(&some, &["z.tar"]).ends_with("hint: --shards 'only.tar'"));
}

#[test]
fn a_folder_is_an_error_that_names_the_shards_in_it() {
    let some = folder(&["x-000.tar", "x-001.tar"]);
    let text = error(&some, &[""]);
    assert!(
        text.contains("is a folder, which holds `x-000.tar`, `x-001.tar`\nhint: --shards 'x-<000..001>.tar'"),
        "{text}"
    );
    let text = error(&folder(&["a.jpg"]), &[""]);
    assert!(text.contains("holds no `.tar` files\nhint: make shards with `amdim-stream pack`"), "{text}");
}

#[test]
fn what_the_shell_left_of_a_pattern_is_recognized() {
    let folder = folder(&["x-000.tar", "x-001.tar", "x-002.tar"]);
    assert_eq!(
        error(&folder, &["x-"]),
        "there is no file `x-`, only `x-000.tar`, `x-001.tar`, `x-002.tar`: the shell took the rest \
         for a redirection\nhint: quote the pattern: --shards 'x-<000..002>.tar'"
    );
}

#[test]
fn a_file_named_twice_is_an_error() {
    let folder = folder(&["x-000.tar", "x-001.tar"]);
    assert!(error(&folder, &["x-*.tar", "x-001.tar"]).starts_with("`x-001.tar` is named twice"));
}

#[test]
fn absurdly_many_are_refused_before_they_are_made() {
    let folder = folder(&[]);
    assert!(error(&folder, &["x-<0..99999999>.tar"]).contains("stand for 100000000 shards"));
    assert!(error(&folder, &["x-<1..9999999>.tar", "<1..2>"]).contains("stand for 10000001 shards"));
}

#[test]
fn no_pattern_at_all_is_an_error() {
    for nothing in [vec![], vec![String::new()]] {
        assert!(matches!(expand(&nothing), Err(Error::Pattern(PatternError::Nothing))));
    }
}
