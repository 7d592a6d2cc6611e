//! Text as a pattern.

#[path = "../../src/pattern/access.rs"]
#[allow(dead_code, reason = "files are opened elsewhere")]
mod access;
#[path = "../../src/pattern/braces.rs"]
#[allow(dead_code, reason = "names of files are no patterns elsewhere")]
mod braces;
#[path = "../../src/pattern/error.rs"]
#[allow(dead_code, reason = "errors of files are raised elsewhere")]
mod error;
#[path = "../../src/pattern/hint.rs"]
#[allow(dead_code, reason = "patterns are named elsewhere")]
mod hint;

use std::{fs, path::PathBuf};

use braces::Template;
use tempfile::TempDir;

/// More names than these are not worth their time.
const NAMES: u64 = 2000;
const FILES: [&str; 6] = ["x-000.tar", "x-001.tar", "y-000.tar", "odd{1}[2].tar", "ö.tar", "list.txt"];

/// Takes `text` apart and, where it stands for few names in one folder, looks for them there.
pub fn pattern(text: &str) {
    thread_local! {
        static FOLDER: TempDir = folder();
    }
    let count = match Template::parse(text) {
        Ok(template) => {
            let count = template.count();
            if count <= NAMES {
                assert_eq!(template.expand().len() as u64, count);
            }
            count
        }
        Err(error) => {
            assert!(error.to_string().contains(text), "{error} does not say which pattern");
            1
        }
    };
    // What leads out of the folder could lead all over the disk.
    if count <= NAMES && !text.contains(['/', '\0']) {
        FOLDER.with(|folder| look(folder, text));
    }
}

fn look(folder: &TempDir, text: &str) {
    let path = folder.path().to_str().expect("its name is text");
    let full = match text.strip_prefix('@') {
        Some(list) => format!("@{path}/{list}"),
        None => format!("{path}/{text}"),
    };
    match shards::expand(&[full]) {
        Ok(files) => {
            let is_there = |file: &PathBuf| file.starts_with(path) && file.is_file();
            assert!(!files.is_empty() && files.iter().all(is_there), "{files:?}");
        }
        Err(error) => drop(error.to_string()),
    }
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for name in FILES {
        fs::write(folder.path().join(name), "# mine\nx-<000..001>.tar\n")
            .expect("the folder can be written to");
    }
    folder
}
