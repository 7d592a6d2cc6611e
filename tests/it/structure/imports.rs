//! The imports between the files of a crate, by their `use` lines and by the paths in their code, macro calls
//! and attributes included.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use syn::{
    Attribute, Item, ItemMacro, ItemMod, ItemUse, Macro, MetaList, UseTree, Visibility,
    buffer::{Cursor, TokenBuffer},
    visit::{self, Visit},
};

/// The path of a module or an item from the crate's root.
type Name = Vec<String>;

/// The files of a crate and the imports between them.
pub(super) struct Crate {
    /// The file of each module, relative to the folder of sources.
    files: BTreeMap<Name, String>,
    imports: BTreeSet<(String, String)>,
}

impl Crate {
    /// Reads all sources in a folder. Imports of unit tests are ignored.
    pub(super) fn read(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        collect(folder, &mut Vec::new(), &mut files);
        let parsed: BTreeMap<_, _> = files
            .iter()
            .map(|(module, file)| (module.clone(), Source::read(folder, file, module, &files)))
            .collect();
        let mut imports = BTreeSet::new();
        for (module, source) in &parsed {
            for name in &source.used {
                if let Some(target) = resolve(name, &parsed, 0).filter(|target| target != module) {
                    imports.insert((files[module].clone(), files[&target].clone()));
                }
            }
        }
        Self { files, imports }
    }

    /// Iterates over pairs of an importing and an imported file.
    pub(super) fn imports(&self) -> impl Iterator<Item = (&str, &str)> {
        self.imports.iter().map(|(from, to)| (from.as_str(), to.as_str()))
    }

    /// Iterates over the names of the top-level modules.
    pub(super) fn modules(&self) -> impl Iterator<Item = &str> {
        let names: BTreeSet<_> =
            self.files.keys().filter_map(|module| module.first().map(String::as_str)).collect();
        names.into_iter()
    }
}

/// Returns the top-level module that a file belongs to; none for `lib.rs`.
pub(super) fn module_of(file: &str) -> Option<&str> {
    let first = file.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "lib").then_some(name)
}

/// Collects the files in a folder and the folders below it by their modules.
fn collect(folder: &Path, module: &mut Name, files: &mut BTreeMap<Name, String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let stem = name.strip_suffix(".rs");
        if entry.path().is_dir() {
            module.push(name);
            collect(&entry.path(), module, files);
            module.pop();
        } else if let Some(stem) = stem {
            let mut own = module.clone();
            if !["mod", "lib"].contains(&stem) {
                own.push(stem.to_owned());
            }
            let file = module.iter().map(String::as_str).chain([name.as_str()]).collect::<Vec<_>>().join("/");
            files.insert(own, file);
        }
    }
}

/// Returns the module that defines a name, following re-exports.
fn resolve(name: &[String], sources: &BTreeMap<Name, Source>, depth: usize) -> Option<Name> {
    let end = (0..=name.len()).rev().find(|&end| sources.contains_key(&name[..end]))?;
    let module = name[..end].to_vec();
    let Some(item) = name.get(end) else { return Some(module) };
    match sources[&module].exports.get(item) {
        Some(origin) if depth < 8 => {
            let further = origin.iter().chain(&name[end + 1..]).cloned().collect::<Vec<_>>();
            resolve(&further, sources, depth + 1)
        }
        _ => Some(module),
    }
}

/// The imports and exports of a file.
struct Source {
    /// The names of the crate that the file uses.
    used: Vec<Name>,
    /// The names that the file re-exports (`pub use`, exported macros), with their origins.
    exports: BTreeMap<String, Name>,
}

impl Source {
    fn read(folder: &Path, file: &str, module: &[String], files: &BTreeMap<Name, String>) -> Self {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut reader =
            Reader { module, files, used: Vec::new(), exports: BTreeMap::new(), local: BTreeMap::new() };
        // Imports come first, since paths in the code refer to them.
        parsed.items.iter().for_each(|item| reader.import(item));
        reader.visit_file(&parsed);
        Self { used: reader.used, exports: reader.exports }
    }
}

struct Reader<'a> {
    module: &'a [String],
    files: &'a BTreeMap<Name, String>,
    used: Vec<Name>,
    exports: BTreeMap<String, Name>,
    /// The names under which the file imports modules and items of the crate.
    local: BTreeMap<String, Name>,
}

impl Reader<'_> {
    /// Returns a path from the crate's root; none if it belongs to another crate.
    fn absolute(&self, path: &[String]) -> Option<Name> {
        let (first, rest) = path.split_first()?;
        let own = |module: &[String]| module.iter().chain(rest).cloned().collect::<Name>();
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some(own(self.module)),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                let above = &self.module[..self.module.len().saturating_sub(ups)];
                Some(above.iter().chain(&path[ups..]).cloned().collect())
            }
            _ => {
                let child: Name = self.module.iter().chain([first]).cloned().collect();
                self.files.contains_key(&child).then(|| own(&child))
            }
        }
    }

    /// Notes the use of a path in code.
    fn use_path(&mut self, path: &[String]) {
        if let [first, rest @ ..] = path
            && !rest.is_empty()
        {
            let local = self.local.get(first).map(|name| name.iter().chain(rest).cloned().collect());
            self.used.extend(local.or_else(|| self.absolute(path)));
        }
    }

    /// Notes the use of all paths in tokens and in the groups among them.
    fn use_tokens(&mut self, mut tokens: Cursor<'_>) {
        while !tokens.eof() {
            if let Some((inside, _, _, rest)) = tokens.any_group() {
                self.use_tokens(inside);
                tokens = rest;
            } else if let Some((first, mut rest)) = tokens.ident() {
                let mut path = vec![first.to_string()];
                while let Some((segment, after)) = next_segment(rest) {
                    path.push(segment);
                    rest = after;
                }
                self.use_path(&path);
                tokens = rest;
            } else {
                tokens = tokens.token_tree().expect("tokens are left").1;
            }
        }
    }

    fn import(&mut self, item: &Item) {
        let Item::Use(ItemUse { tree, vis, attrs, .. }) = item else { return };
        if is_of_tests(attrs) {
            return;
        }
        let mut paths = Vec::new();
        flatten(tree, &mut Vec::new(), &mut paths);
        for (path, name) in paths {
            let Some(path) = self.absolute(&path) else { continue };
            if matches!(vis, Visibility::Inherited) {
                self.local.insert(name, path);
            } else {
                self.exports.insert(name, path);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if is_of_tests(&item.attrs) {
            return;
        }
        let is_reexport = !matches!(item.vis, Visibility::Inherited);
        let mut paths = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut paths);
        for (path, _) in paths {
            let absolute = self.absolute(&path);
            // Importing a module alone uses none of its items, and a module may re-export those of its own children.
            let is_own = |path: &Name| is_reexport && path.starts_with(self.module);
            self.used.extend(absolute.filter(|path| !self.files.contains_key(path) && !is_own(path)));
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_of_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_macro(&mut self, item: &'ast ItemMacro) {
        if let Some(name) = &item.ident {
            self.exports.insert(name.to_string(), self.module.to_vec());
        }
        visit::visit_item_macro(self, item);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.use_tokens(TokenBuffer::new2(call.tokens.clone()).begin());
        visit::visit_macro(self, call);
    }

    fn visit_meta_list(&mut self, attribute: &'ast MetaList) {
        self.use_tokens(TokenBuffer::new2(attribute.tokens.clone()).begin());
        visit::visit_meta_list(self, attribute);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Name = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.use_path(&parts);
        visit::visit_path(self, path);
    }
}

/// Returns the next segment of a path, after its `::`.
fn next_segment(tokens: Cursor<'_>) -> Option<(String, Cursor<'_>)> {
    let (first, rest) = tokens.punct()?;
    let (second, rest) = rest.punct()?;
    let (name, rest) = rest.ident()?;
    (first.as_char() == ':' && second.as_char() == ':').then(|| (name.to_string(), rest))
}

/// Collects the paths of a `use` line, each with its local name.
fn flatten(tree: &UseTree, before: &mut Name, paths: &mut Vec<(Name, String)>) {
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, paths);
            before.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, before, paths)),
        UseTree::Name(name) if name.ident == "self" => {
            paths.push((before.clone(), before.last().cloned().unwrap_or_default()));
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            paths.push((before.iter().chain([&name]).cloned().collect(), name.clone()));
        }
        UseTree::Rename(rename) => {
            let path = before.iter().cloned().chain([rename.ident.to_string()]).collect();
            paths.push((path, rename.rename.to_string()));
        }
        UseTree::Glob(_) => paths.push((before.clone(), String::new())),
    }
}

fn is_of_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
    };
    attributes.iter().any(is_test)
}
