//! The direction of imports: folders import those below them, and no two files import each other.

mod imports;

use std::{collections::BTreeMap, fs, path::Path};

use self::imports::{Crate, module_of};

/// The modules of the program from below. A file imports modules that stand before its own one, and files of its own one.
const FROM_BELOW: [&str; 30] = [
    "exit",
    "hint",
    "numbers",
    "settings",
    "files",
    "terminal",
    "stdout",
    "signals",
    "destination",
    "loss",
    "views",
    "world",
    "encoder",
    "method",
    "optim",
    "config",
    "device",
    "data",
    "checkpoint",
    "metrics",
    "feed",
    "network",
    "eval",
    "exchange",
    "run",
    "train",
    "summary",
    "commands",
    "cli",
    "about",
];

/// Sources of every crate.
const CRATES: [&str; 5] = ["src", "shards/src", "pipeline/src", "dataset/src", "torchkit/src"];

fn sources(folder: &str) -> Crate {
    Crate::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
}

/// Imports of a module that does not stand before the importing one, each as `file -> module`.
fn upward(program: &Crate, from_below: &[&str]) -> Vec<String> {
    let place = |module: &str| from_below.iter().position(|name| *name == module);
    let mut found = Vec::new();
    for (from, to) in program.imports() {
        let (Some(importing), Some(imported)) = (module_of(from), module_of(to)) else { continue };
        if importing != imported && place(imported) >= place(importing) {
            found.push(format!("{from} -> {imported}"));
        }
    }
    found
}

/// Files that import each other, at once or by way of others.
fn circles(program: &Crate) -> Vec<Vec<String>> {
    let mut to: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, imported) in program.imports() {
        to.entry(from).or_default().push(imported);
    }
    let reachable = |start: &str| {
        let mut seen = std::collections::BTreeSet::new();
        let mut open: Vec<&str> = to.get(start).cloned().unwrap_or_default();
        while let Some(file) = open.pop() {
            if seen.insert(file.to_owned()) {
                open.extend(to.get(file).into_iter().flatten());
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> = to.keys().map(|file| ((*file).to_owned(), reachable(file))).collect();
    let mut circles: Vec<Vec<String>> = Vec::new();
    for (file, others) in &reached {
        if others.contains(file) && !circles.iter().any(|circle| circle.contains(file)) {
            let leads_back = |other: &&String| reached.get(*other).is_some_and(|back| back.contains(file));
            circles.push(others.iter().filter(leads_back).cloned().collect());
        }
    }
    circles
}

#[test]
fn every_module_of_the_program_has_its_place_and_imports_only_those_below() {
    let program = sources("src");
    let mut modules: Vec<_> =
        program.modules().filter(|module| !["main", "launcher"].contains(module)).collect();
    let mut known = FROM_BELOW.to_vec();
    modules.sort_unstable();
    known.sort_unstable();
    assert_eq!(modules, known, "modules of src/lib.rs, and FROM_BELOW");
    assert_eq!(upward(&program, &FROM_BELOW), [""; 0]);
}

#[test]
fn no_files_import_each_other() {
    for folder in CRATES {
        assert_eq!(circles(&sources(folder)), [[""; 0]; 0], "{folder}");
    }
}

/// What is imported in any of the ways in which that can be written is found.
#[test]
fn a_made_up_violation_is_found() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = place.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "pub mod low; pub mod middle; pub mod high;");
    write("low.rs", "use crate::{middle::{Thing, other}, std_like};\npub fn f() { crate::high::go(); }");
    write("middle/mod.rs", "mod one; mod two; pub use self::one::Thing; pub use self::two::other;");
    write("middle/one.rs", "pub struct Thing; fn f() { super::two::other(); }");
    write("middle/two.rs", "use super::one;\npub fn other() -> one::Thing { one::Thing }");
    write(
        "high.rs",
        "use crate::{low, middle};\npub fn go() { low::f(); middle::other(); }\n#[cfg(test)] mod tests { use crate::top; }",
    );
    let made_up = Crate::read(place.path());
    assert_eq!(
        upward(&made_up, &["low", "middle", "high"]),
        ["low.rs -> high", "low.rs -> middle", "low.rs -> middle"]
    );
    let [one, two] = ["middle/one.rs", "middle/two.rs"];
    assert_eq!(circles(&made_up), [vec!["high.rs", "low.rs"], vec![one, two]]);
}
