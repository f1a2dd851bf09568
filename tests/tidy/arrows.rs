//! Arrows between files: none runs in a circle, and none against the layers of ARCHITECTURE.md.
//!
//! An arrow goes from a file to the file that defines what it imports or names. `mod x;` and the re-export of a
//! module's own parts are none, and neither are test modules.

use std::collections::BTreeMap;

use petgraph::algo::{astar, tarjan_scc};
use petgraph::graph::{DiGraph, NodeIndex};

use super::findings::{Finding, expect_none};
use super::layers::{self, Layers};
use super::resolve::Target;
use super::scopes::{Crate, Import, ModuleId};
use super::sources::{self, Sources};

/// Line of the first mention, for each pair of files.
type Arrows = BTreeMap<(String, String), usize>;

/// Arrows of a crate.
fn arrows_of(tree: &Crate) -> Arrows {
    let mut arrows = Arrows::new();
    for id in 0..tree.modules.len() {
        let mut add = |target: &str, line| {
            let file = &tree.modules[id].file;
            if file != target {
                let first = arrows.entry((file.clone(), target.into())).or_insert(line);
                *first = line.min(*first);
            }
        };
        for (name, import) in &tree.modules[id].imports {
            if let Some(file) = file_of_import(tree, id, name, import) {
                add(&file, import.mention.line);
            }
        }
        for glob in &tree.modules[id].globs {
            match tree.resolve(id, &glob.mention.segments) {
                Some(Target::Module(other)) if !is_facade(tree, id, glob, &tree.modules[other].file) => {
                    add(&tree.modules[other].file, glob.mention.line);
                }
                Some(Target::Item(file)) => add(&file, glob.mention.line),
                _ => {}
            }
        }
        for mention in &tree.modules[id].mentions {
            if let Some(Target::Item(file)) = tree.resolve(id, &mention.segments) {
                add(&file, mention.line);
            }
        }
    }
    arrows
}

/// File that an import makes an arrow to. An imported module makes one where it is used: only if no use is found, here.
fn file_of_import(tree: &Crate, id: ModuleId, name: &str, import: &Import) -> Option<String> {
    match tree.resolve(id, &import.mention.segments)? {
        Target::Item(file) => (!is_facade(tree, id, import, &file)).then_some(file),
        Target::Module(other) => {
            let file = tree.modules[other].file.clone();
            let mut mentions = tree.modules[id].mentions.iter();
            let used = mentions.any(|mention| mention.segments[0] == name);
            (!used && !is_facade(tree, id, import, &file)).then_some(file)
        }
    }
}

/// Returns true if an import re-exports a part of the module itself, so that its users' arrows go to the part.
fn is_facade(tree: &Crate, id: ModuleId, import: &Import, file: &str) -> bool {
    let path = &tree.modules[id].path;
    let below = |module: &super::scopes::Module| module.file == file && module.path.starts_with(path);
    import.public && tree.modules.iter().any(below)
}

/// A finding for each knot of files that import each other, with the shortest circle in it.
fn circles(arrows: &Arrows) -> Vec<Finding> {
    let mut graph = DiGraph::<&str, usize>::new();
    let mut nodes = BTreeMap::<&str, NodeIndex>::new();
    for ((from, to), line) in arrows {
        let [from, to] = [from, to].map(|file| *nodes.entry(file).or_insert_with(|| graph.add_node(file)));
        graph.add_edge(from, to, *line);
    }
    let knots = tarjan_scc(&graph).into_iter().filter(|knot| knot.len() > 1);
    knots
        .map(|knot| {
            let edges = graph.edge_indices().filter_map(|edge| graph.edge_endpoints(edge));
            let inside = edges.filter(|(from, to)| knot.contains(from) && knot.contains(to));
            let circle = inside
                .filter_map(|(from, to)| Some((from, astar(&graph, to, |node| node == from, |_| 1, |_| 0)?.1)))
                .min_by_key(|(_, path)| path.len());
            let (from, path) = circle.expect("a knot has a circle");
            let mut names = vec![graph[from]];
            names.extend(path.iter().map(|node| graph[*node]));
            let line = arrows[&(names[0].to_owned(), names[1].to_owned())];
            let message = format!(
                "{} files import each other, for instance {}: move what both need into a file below them",
                knot.len(),
                names.join(" → ")
            );
            Finding::new(names[0], line, message)
        })
        .collect()
}

/// Top-level module of each file; none for the roots, which stand above all.
fn top_modules(tree: &Crate) -> BTreeMap<&str, &str> {
    let below_root = tree.modules.iter().filter(|module| !module.path.is_empty());
    below_root
        .filter(|module| !module.file.ends_with("src/lib.rs") && !module.file.ends_with("src/main.rs"))
        .map(|module| (module.file.as_str(), module.path[0].as_str()))
        .collect()
}

/// A finding for each arrow that does not go down, and for each name that the list and the tree do not share.
fn against_layers(tree: &Crate, arrows: &Arrows, layers: &Layers) -> Vec<Finding> {
    let tops = top_modules(tree);
    let mut findings = Vec::new();
    let firsts: BTreeMap<_, _> = tops.iter().rev().map(|(file, top)| (top, file)).collect();
    for (top, file) in firsts {
        if !layers.ranks.contains_key(*top) {
            let message = format!(
                "module {top} stands in no layer: add it to the block in {}",
                layers::FILE
            );
            findings.push(Finding::new(file, 1, message));
        }
    }
    for name in layers.ranks.keys() {
        if !tops.values().any(|top| top == name) {
            let message = format!("{} has no module {name}: take it out of the block", layers.folder);
            findings.push(Finding::new(layers::FILE, layers.line, message));
        }
    }
    for ((from, to), line) in arrows {
        let Some(top) = tops.get(from.as_str()) else { continue };
        let Some(below) = tops.get(to.as_str()) else {
            let message =
                format!("{top} uses what {to} defines: the crate's root stands above all modules; move it down");
            findings.push(Finding::new(from, *line, message));
            continue;
        };
        let goes_down = match (layers.ranks.get(*top), layers.ranks.get(*below)) {
            (Some(upper), Some(lower)) => lower < upper,
            _ => true,
        };
        if top != below && !goes_down {
            let message = format!(
                "{top} uses {below} ({to}), which is not in a layer below it: move what it needs down, or change the layers in {}",
                layers::FILE
            );
            findings.push(Finding::new(from, *line, message));
        }
    }
    findings
}

/// Both checks of every crate that has layers.
fn check(sources: &Sources) -> Vec<Finding> {
    let all = layers::read(&sources[layers::FILE]);
    let mut findings = Vec::new();
    for layers in &all {
        let tree = Crate::read(sources, &layers.folder);
        let arrows = arrows_of(&tree);
        let knots = circles(&arrows);
        let files: std::collections::BTreeSet<_> = tree.modules.iter().map(|module| &module.file).collect();
        let (folder, files) = (&layers.folder, files.len());
        println!(
            "{folder}: {files} files, {} arrows, {} circles",
            arrows.len(),
            knots.len()
        );
        findings.extend(knots);
        findings.extend(against_layers(&tree, &arrows, layers));
    }
    findings
}

#[test]
fn arrows_run_down_and_in_no_circle() {
    let sources = sources::read();
    let folders: Vec<_> = layers::read(&sources[layers::FILE])
        .into_iter()
        .map(|layers| layers.folder)
        .collect();
    assert_eq!(
        folders,
        ["src", "host-train/src", "xtask/src"],
        "{} must hold a block of layers for each crate, in this order",
        layers::FILE
    );
    expect_none(check(&sources));
}

#[cfg(test)]
mod small {
    use super::*;

    /// Messages for a crate of these files, with these layers.
    fn messages(layers: &str, files: &[(&str, &str)]) -> Vec<String> {
        let mut sources = sources::from_pairs(files);
        sources.insert(layers::FILE.into(), format!("```layers src\n{layers}\n```\n"));
        check(&sources).iter().map(Finding::to_string).collect()
    }

    /// Arrows of a crate of these files, without `src/` and `.rs`.
    fn arrows(files: &[(&str, &str)]) -> Vec<String> {
        let tree = Crate::read(&sources::from_pairs(files), "src");
        let short = |file: &str| file.trim_start_matches("src/").trim_end_matches(".rs").to_owned();
        let pairs = arrows_of(&tree);
        pairs
            .keys()
            .map(|(from, to)| format!("{} → {}", short(from), short(to)))
            .collect()
    }

    #[test]
    fn order_is_kept() {
        let files = [
            ("src/lib.rs", "pub mod a; pub mod b; pub use b::Thing;"),
            ("src/a.rs", "pub struct Base;"),
            ("src/b.rs", "use crate::a::Base; pub struct Thing(Base);"),
        ];
        assert_eq!(messages("a < b", &files), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_upwards_is_found_through_a_re_export() {
        let files = [
            ("src/lib.rs", "pub mod a;\npub mod b;\npub use b::Thing;"),
            ("src/a.rs", "\n\nfn f(_: crate::Thing) {}"),
            ("src/b.rs", "pub struct Thing;"),
        ];
        let [message] = messages("a < b", &files).try_into().expect("one finding");
        assert!(message.starts_with("src/a.rs:3: a uses b (src/b.rs)"), "{message}");
    }

    #[test]
    fn an_arrow_within_a_layer_is_found() {
        let files = [
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", "pub fn one() {}"),
            ("src/b.rs", "use super::a; fn two() { a::one() }"),
        ];
        assert_eq!(messages("a, b", &files).len(), 1);
        assert_eq!(messages("a < b", &files).len(), 0);
    }

    #[test]
    fn a_circle_is_found_and_printed() {
        let files = [
            ("src/lib.rs", "mod a;"),
            ("src/a.rs", "mod x; mod y; mod z;"),
            ("src/a/x.rs", "use super::y::Y; pub struct X;"),
            ("src/a/y.rs", "pub struct Y; fn f() -> super::z::Z { todo!() }"),
            ("src/a/z.rs", "pub struct Z; impl Z { fn g(_: crate::a::x::X) {} }"),
        ];
        let [message] = messages("a", &files).try_into().expect("one finding");
        let circle = "src/a/x.rs → src/a/y.rs → src/a/z.rs → src/a/x.rs";
        assert!(message.contains("3 files") && message.contains(circle), "{message}");
    }

    #[test]
    fn a_parent_that_uses_its_child_and_is_used_by_it_is_a_circle() {
        let files = [
            ("src/lib.rs", "mod a;"),
            ("src/a.rs", "mod x; pub trait Base {} pub type Chosen = x::X;"),
            ("src/a/x.rs", "use super::Base; pub struct X; impl Base for X {}"),
        ];
        assert_eq!(messages("a", &files).len(), 1);
    }

    #[test]
    fn a_re_export_of_its_own_part_is_no_arrow_until_it_is_used() {
        let facade = [
            ("src/lib.rs", "mod a;"),
            ("src/a.rs", "mod x; mod y; pub use x::X; pub struct Base;"),
            ("src/a/x.rs", "use super::Base; pub struct X(Base);"),
            ("src/a/y.rs", "use super::X; fn f(_: X) {}"),
        ];
        assert_eq!(arrows(&facade), ["a/x → a", "a/y → a/x"]);
        let mut used = facade;
        used[1].1 = "mod x; mod y; pub use x::X; pub struct Base; fn f(_: X) {}";
        assert_eq!(arrows(&used), ["a → a/x", "a/x → a", "a/y → a/x"]);
    }

    #[test]
    fn tests_and_other_crates_make_no_arrow() {
        let files = [
            ("src/lib.rs", "mod a; mod b;"),
            (
                "src/a.rs",
                "use core::fmt; #[cfg(test)] mod tests { use crate::b::B; } #[cfg(all(test, unix))] use crate::b;",
            ),
            ("src/b.rs", "pub struct B; fn f() { f32::from_bits(0); }"),
        ];
        assert_eq!(arrows(&files), Vec::<String>::new());
    }

    #[test]
    fn macros_renames_globs_and_inline_modules_make_arrows() {
        let files = [
            ("src/lib.rs", "mod a; mod b; mod c; mod d; mod e;"),
            (
                "src/a.rs",
                "#[macro_export] macro_rules! made { () => { $crate::b::B } } pub struct A;",
            ),
            ("src/b.rs", "pub struct B; pub use crate::a::A as Renamed;"),
            (
                "src/c.rs",
                "use crate::a::*; mod inner { fn f() { let _ = super::super::b::B; } }",
            ),
            ("src/d.rs", "fn f() { println!(\"{}\", crate::b::Renamed) }"),
            ("src/e.rs", "fn f() { crate::made!() }"),
        ];
        let expected = ["a → b", "b → a", "c → a", "c → b", "d → a", "e → a"];
        assert_eq!(arrows(&files), expected);
    }

    #[test]
    fn a_program_uses_its_library_by_name() {
        let files = [
            ("x/tool-box/src/lib.rs", "pub mod a;"),
            ("x/tool-box/src/a.rs", "pub fn run() {}"),
            ("x/tool-box/src/main.rs", "mod cli;"),
            ("x/tool-box/src/cli.rs", "use tool_box::a::run;"),
        ];
        let tree = Crate::read(&sources::from_pairs(&files), "x/tool-box/src");
        let pairs: Vec<_> = arrows_of(&tree).into_keys().collect();
        assert_eq!(pairs, [(files[3].0.to_owned(), files[1].0.to_owned())]);
    }

    #[test]
    fn the_list_and_the_tree_name_the_same_modules() {
        let files = [("src/lib.rs", "mod a;"), ("src/a.rs", "pub fn one() {}")];
        let [message] = messages("a < gone", &files).try_into().expect("one finding");
        assert!(message.contains("has no module gone"), "{message}");
        let [message] = messages("", &files).try_into().expect("one finding");
        assert!(message.contains("module a stands in no layer"), "{message}");
    }

    #[test]
    fn what_the_root_defines_is_above_all() {
        let files = [
            ("src/lib.rs", "mod a; pub struct Top;"),
            ("src/a.rs", "use crate::Top;"),
        ];
        let [message] = messages("a", &files).try_into().expect("one finding");
        assert!(
            message.contains("the crate's root stands above all modules"),
            "{message}"
        );
    }
}
