//! The direction of imports, in every crate: modules import those below them, and neither two files nor two
//! folders import each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::imports::{Crate, module_of};

/// The modules of the program from bottom to top. A file may import modules that precede its own, and files
/// of its own.
const FROM_BELOW: [&str; 35] = [
    "testing",
    "exit",
    "hint",
    "numbers",
    "settings",
    "files",
    "terminal",
    "stdout",
    "signals",
    "destination",
    "world",
    "loss",
    "views",
    "encoder",
    "optim",
    "method",
    "servers",
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
    "report",
    "observe",
    "train",
    "selftest",
    "summary",
    "commands",
    "cli",
    "about",
];

/// The modules of `shards` from bottom to top: names and files, tar members, the index, sets of shards.
const SHARDS: [&str; 37] = [
    "path",
    "permutation",
    "name",
    "fault",
    "remark",
    "folder",
    "json",
    "pattern",
    "hint",
    "unavailable",
    "error",
    "bus",
    "mapping",
    "encoded",
    "shard",
    "source",
    "partial",
    "remote_config",
    "remote",
    "access",
    "writer",
    "scan",
    "span",
    "signature",
    "read",
    "links",
    "label",
    "neighbours",
    "index",
    "inspect",
    "cache",
    "shuffle",
    "order",
    "division",
    "sample",
    "set",
    "sidecar",
];

/// The modules of `pipeline` from bottom to top: errors, pixels, decoding and augmenting, batches, the
/// loader.
const PIPELINE: [&str; 24] = [
    "trace",
    "hint",
    "file_format",
    "bad_sample",
    "budget",
    "error",
    "cpu",
    "image",
    "encode",
    "decode",
    "augment",
    "presets",
    "render",
    "stats",
    "batch",
    "draft",
    "tally",
    "outcome",
    "bad_runs",
    "replacer",
    "worker",
    "batcher",
    "config",
    "loader",
];

/// The modules of `dataset` from bottom to top: errors, shared parts, the commands.
const DATASET: [&str; 14] = [
    "chain",
    "random",
    "progress",
    "hint",
    "error",
    "destination",
    "classes",
    "shard_folder",
    "output",
    "inventory",
    "validation",
    "verify",
    "pack",
    "synth",
];

/// The modules of `torchkit` from bottom to top: the process, the driver, foreign calls, the modules that use
/// them.
const TORCHKIT: [&str; 24] = [
    "choice",
    "signal",
    "clock",
    "threads",
    "generator",
    "monitor",
    "failure",
    "caught",
    "ffi",
    "cuda_library",
    "c10d",
    "update",
    "libtorch",
    "profile",
    "graph",
    "stream",
    "moment",
    "memory",
    "readback",
    "precision",
    "fused",
    "norms",
    "device",
    "scores",
];

/// The modules of `store-server` from bottom to top: texts and times, requests, faults, the folder, answers,
/// connections.
const STORE: [&str; 18] = [
    "clock",
    "escape",
    "range",
    "closing",
    "settings",
    "request",
    "asked",
    "refusal",
    "fault",
    "folder",
    "listing",
    "reply",
    "log",
    "store",
    "send",
    "connection",
    "listener",
    "server",
];

/// The folder of sources of each crate, and its modules from bottom to top.
const CRATES: [(&str, &[&str]); 6] = [
    ("shards/src", &SHARDS),
    ("pipeline/src", &PIPELINE),
    ("dataset/src", &DATASET),
    ("torchkit/src", &TORCHKIT),
    ("tests/store/src", &STORE),
    ("src", &FROM_BELOW),
];

fn sources(folder: &str) -> Crate {
    Crate::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
}

/// Returns the imports of modules that do not precede the importing one, each as `file -> module`.
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

/// Returns groups of files that import each other, directly or through others.
fn circles(program: &Crate) -> Vec<Vec<String>> {
    let mut graph = Graph::new();
    for (from, to) in program.imports() {
        graph.entry(from.to_owned()).or_default().insert(to.to_owned());
    }
    circles_of(&graph)
}

/// Returns groups of files and folders in the same folder that import each other, directly or through others.
/// A folder imports what any file in it imports, so a folder that imports one above it is in such a group.
fn folder_circles(program: &Crate) -> Vec<Vec<String>> {
    let mut graphs: BTreeMap<String, Graph> = BTreeMap::new();
    for (from, to) in program.imports() {
        let [from, to] = [from, to].map(|file| file.split('/').collect::<Vec<_>>());
        let common = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
        let [importing, imported] = [&from, &to].map(|parts| parts[..=common].join("/"));
        let graph = graphs.entry(from[..common].join("/")).or_default();
        graph.entry(importing).or_default().insert(imported);
    }
    graphs.values().flat_map(circles_of).collect()
}

/// Imported files or folders by the importing one.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// Returns the groups of nodes of a graph that reach each other.
fn circles_of(graph: &Graph) -> Vec<Vec<String>> {
    let reached: Graph = graph.keys().map(|start| (start.clone(), reachable(graph, start))).collect();
    let mut circles: Vec<Vec<String>> = Vec::new();
    for (node, others) in &reached {
        if others.contains(node) && !circles.iter().any(|circle| circle.contains(node)) {
            let leads_back = |other: &&String| reached.get(*other).is_some_and(|back| back.contains(node));
            circles.push(others.iter().filter(leads_back).cloned().collect());
        }
    }
    circles
}

/// Returns all nodes that can be reached from `start`.
fn reachable(graph: &Graph, start: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&String> = graph.get(start).into_iter().flatten().collect();
    while let Some(node) = open.pop() {
        if seen.insert(node.clone()) {
            open.extend(graph.get(node).into_iter().flatten());
        }
    }
    seen
}

#[test]
fn every_module_imports_only_modules_below_it() {
    for (folder, from_below) in CRATES {
        let sources = sources(folder);
        let mut modules: Vec<_> =
            sources.modules().filter(|module| !["main", "launcher"].contains(module)).collect();
        let mut known = from_below.to_vec();
        modules.sort_unstable();
        known.sort_unstable();
        assert_eq!(modules, known, "modules of {folder}, and their order in this file");
        assert_eq!(upward(&sources, from_below), [""; 0], "{folder}");
    }
}

#[test]
fn no_files_import_each_other() {
    for (folder, _) in CRATES {
        assert_eq!(circles(&sources(folder)), [[""; 0]; 0], "{folder}");
    }
}

#[test]
fn no_folder_imports_one_above_it() {
    for (folder, _) in CRATES {
        assert_eq!(folder_circles(&sources(folder)), [[""; 0]; 0], "{folder}");
    }
}

/// Writes the files of a made-up crate, and reads their imports.
fn made_up(files: &[(&str, &str)]) -> Crate {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    Crate::read(folder.path())
}

/// The violations are written in all forms that an import can have.
#[test]
fn a_made_up_violation_is_found() {
    let made_up = made_up(&[
        ("lib.rs", "pub mod low; pub mod middle; pub mod high;"),
        ("low.rs", "use crate::{middle::{Thing, other}, std_like};\npub fn f() { crate::high::go(); }"),
        ("middle/mod.rs", "mod one; mod two; pub use self::one::Thing; pub use self::two::other;"),
        ("middle/one.rs", "pub struct Thing; fn f() { super::two::other(); }"),
        ("middle/two.rs", "use super::one;\npub fn other() -> one::Thing { one::Thing }"),
        (
            "high.rs",
            "use crate::{low, middle};\npub fn go() { low::f(); middle::other(); }\n#[cfg(test)] mod tests { use crate::top; }",
        ),
        ("exporter.rs", "pub use crate::middle::Thing;"),
        (
            "macros.rs",
            "use crate::middle;\nfn f() { let _ = vec![(0, super::high::go())]; assert!(middle::other() == 0); }",
        ),
        ("attributes.rs", "#[derive(Debug)] #[arg(long, value_parser = crate::high::go)] struct Args;"),
        ("definition.rs", "macro_rules! call { () => { $crate::high::go() }; }"),
    ]);
    let from_below = ["attributes", "definition", "exporter", "low", "macros", "middle", "high"];
    assert_eq!(
        upward(&made_up, &from_below),
        [
            "attributes.rs -> high",
            "definition.rs -> high",
            "exporter.rs -> middle",
            "low.rs -> high",
            "low.rs -> middle",
            "low.rs -> middle",
            "macros.rs -> high",
            "macros.rs -> middle",
        ]
    );
    let [one, two] = ["middle/one.rs", "middle/two.rs"];
    assert_eq!(circles(&made_up), [vec!["high.rs", "low.rs"], vec![one, two]]);
}

/// `deep/inner/low.rs` imports a file beside its folder that imports the folder: no two files import each
/// other.
#[test]
fn a_folder_that_imports_one_above_it_is_found() {
    let made_up = made_up(&[
        ("lib.rs", "mod deep;"),
        ("deep/mod.rs", "mod inner; mod face;"),
        ("deep/face.rs", "use super::inner::high; fn f() { high::go(); }"),
        ("deep/other.rs", "pub fn go() {}"),
        ("deep/inner/mod.rs", "pub mod high; pub mod low;"),
        ("deep/inner/high.rs", "pub fn go() {}"),
        ("deep/inner/low.rs", "use crate::deep::{face, other}; fn f() { face::go(); other::go(); }"),
    ]);
    assert_eq!(circles(&made_up), [[""; 0]; 0]);
    assert_eq!(folder_circles(&made_up), [["deep/face.rs", "deep/inner"]]);
}
