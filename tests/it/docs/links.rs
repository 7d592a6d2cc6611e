//! Links between documents are valid, and every page of the book is in its table of contents.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use super::pages::{documents, read, root};

/// Returns a text without its code: fenced blocks, indented blocks, and spans in backticks.
fn without_code(text: &str) -> String {
    let mut is_fenced = false;
    let mut plain = String::new();
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        if is_fenced || is_fence || line.starts_with("    ") {
            continue;
        }
        let parts = line.split('`').enumerate().filter(|(number, _)| number % 2 == 0);
        plain.extend(parts.map(|(_, part)| part));
        plain.push('\n');
    }
    plain
}

/// Returns the targets of the links in a document.
fn targets(text: &str) -> Vec<String> {
    let plain = without_code(text);
    let ends = plain.match_indices("](").map(|(at, mark)| &plain[at + mark.len()..]);
    ends.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// Returns the files and folders of the repository that a document names in backticks. The section about
/// plans may name any.
fn paths(text: &str) -> Vec<String> {
    const FOLDERS: [&str; 10] = [
        "src", "shards", "pipeline", "torchkit", "dataset", "tests", "tools", "benches", "contrib", "python",
    ];
    let planned = text.find("\n## Where the next things go\n").unwrap_or(text.len());
    let lines = text[..planned].lines().filter(|line| !line.starts_with("    "));
    let spans = lines.flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_path = |span: &&str| {
        let folder = span.split_once('/').map(|(folder, _)| folder);
        let is_whole = span.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        folder.is_some_and(|folder| FOLDERS.contains(&folder)) && is_whole && !span.contains("NAME")
    };
    spans.filter(is_path).map(str::to_owned).collect()
}

/// Returns the anchors of a document's headings, as GitHub and mdBook generate them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut is_fenced = false;
    let mut seen = BTreeMap::new();
    let mut found = BTreeSet::new();
    for line in text.lines() {
        is_fenced ^= line.starts_with("```");
        let Some(title) = line.strip_prefix('#').filter(|_| !is_fenced) else { continue };
        let title = title.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let count = seen.entry(anchor.clone()).and_modify(|count| *count += 1).or_insert(0);
        found.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
    }
    found
}

/// Resolves `.` and `..` in a path.
fn resolved(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(resolved.pop()),
            part => resolved.push(part),
        }
    }
    resolved
}

/// Returns a complaint about a link that is not valid.
fn complaint(from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(from).parent().unwrap();
    let path = if path.is_empty() { PathBuf::from(from) } else { resolved(&folder.join(path)) };
    let name = path.to_str().unwrap();
    if !root(name).exists() {
        return Some(format!("{from}: `{target}` leads to `{name}`, which does not exist"));
    }
    let is_document = path.extension().is_some_and(|end| end == "md");
    if from.starts_with("docs/") && is_document && !name.starts_with("docs/") {
        return Some(format!("{from}: `{target}` leads out of the book to a page that is not in it"));
    }
    let exists = || is_document && anchors(&read(name)).contains(anchor);
    let is_valid = anchor.is_empty() || exists();
    (!is_valid).then(|| format!("{from}: `{name}` has no heading `#{anchor}`"))
}

#[test]
fn every_link_between_documents_is_valid() {
    let all = ["README.md", "contrib/README.md"].map(str::to_owned).into_iter().chain(documents("docs"));
    let (mut count, mut complaints) = (0, Vec::new());
    for from in all {
        for target in targets(&read(&from)) {
            count += 1;
            complaints.extend(complaint(&from, &target));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(count > 50, "{count} links are found");
}

#[test]
fn every_file_that_the_documents_name_exists() {
    let all = ["README.md".to_owned()].into_iter().chain(documents("docs"));
    let named = all.flat_map(|from| paths(&read(&from)).into_iter().map(move |path| (from.clone(), path)));
    let missing: Vec<_> = named.filter(|(_, path)| !root(path).exists()).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let text =
        "`src/a.rs` `src/NAME.rs` `cat/a.jpg`\n    `src/b.rs`\n\n## Where the next things go\n`src/c.rs`\n";
    assert_eq!(paths(text), ["src/a.rs"]);
}

#[test]
fn a_broken_link_is_found() {
    let text = "[a](x.md#b) `[c](d)`\n\n    [e](f)\n\n```\n[g](h)\n```\n[i](https://example.org)\n";
    assert_eq!(targets(text), ["x.md#b", "https://example.org"]);
    let found = anchors("# A `b` c\n```\n# no\n```\n## Twice\n## Twice\n### What's 1×1?\n");
    assert_eq!(
        found.iter().map(String::as_str).collect::<Vec<_>>(),
        ["a-b-c", "twice", "twice-1", "whats-11"]
    );
    for (from, target, is_wrong) in [
        ("docs/index.md", "guide/data.md#shards", false),
        ("docs/index.md", "../src/", false),
        ("docs/guide/data.md", "#shards", false),
        ("README.md", "https://example.org/x", false),
        ("docs/index.md", "guide/nothing.md", true),
        ("docs/index.md", "guide/data.md#nothing", true),
        ("docs/index.md", "../README.md", true),
    ] {
        assert_eq!(complaint(from, target).is_some(), is_wrong, "{from} {target}");
    }
}

#[test]
fn the_table_of_contents_lists_every_page_once() {
    let listed: Vec<_> =
        targets(&read("docs/SUMMARY.md")).iter().map(|page| format!("docs/{page}")).collect();
    let mut sorted = listed.clone();
    sorted.sort();
    let mut pages = documents("docs");
    pages.retain(|page| page != "docs/SUMMARY.md");
    assert_eq!(sorted, pages);
}
