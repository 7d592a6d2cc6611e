//! Text as a pattern.

#[path = "../../src/pattern/access.rs"]
#[allow(dead_code, reason = "this crate opens no files")]
mod access;
#[path = "../../src/pattern/braces.rs"]
#[allow(dead_code, reason = "this crate does not look at names of files")]
mod braces;
#[path = "../../src/pattern/error.rs"]
#[allow(dead_code, reason = "this crate raises no errors of files")]
mod error;
#[path = "../../src/pattern/hint.rs"]
#[allow(dead_code, reason = "this crate names no shards")]
mod hint;

use std::{fs, path::PathBuf};

use braces::Template;
use tempfile::TempDir;

/// The most names that are looked for: more would only take time.
const NAMES: u64 = 2000;
const FILES: [&str; 6] = ["x-000.tar", "x-001.tar", "y-000.tar", "odd{1}[2].tar", "ö.tar", "list.txt"];

/// Parses `text` and, if it stands for few names in one folder, looks for them there.
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
    // A pattern that leaves the folder could search the whole disk.
    if count <= NAMES && !text.contains(['/', '\0']) {
        FOLDER.with(|folder| look(folder, text));
    }
}

fn look(folder: &TempDir, text: &str) {
    let path = folder.path().to_str().expect("the temporary folder's name is UTF-8");
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
    let folder = tempfile::tempdir().expect("a temporary folder can be created");
    for name in FILES {
        fs::write(folder.path().join(name), "# mine\nx-<000..001>.tar\n").expect("the folder is writable");
    }
    folder
}
