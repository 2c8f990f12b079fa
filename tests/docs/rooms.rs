//! The sources as rooms: no files and no neighbouring folders import each other in a circle, and
//! functions stay short.

use super::pages::root;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Longest function, but for [`LONGER`].
const MAX_LINES: usize = 60;
/// Matches over all operations, and long lists, that would not become clearer in pieces.
const LONGER: &[(&str, &str)] = &[];

/// A module and its parts, from the root of the crate.
type Module = Vec<String>;
type Graph = BTreeMap<String, BTreeSet<String>>;

fn walk(dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(root().join("src")).unwrap().display().to_string();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

pub fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(&root().join("src"), &mut found);
    found.sort();
    found
}

fn module_of(file: &str) -> Module {
    let mut parts: Module = file.trim_end_matches(".rs").split('/').map(String::from).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// Without comments and without the tests at the end.
fn code(text: &str) -> String {
    let lines = text.lines().map(|l| l.split("//").next().unwrap_or_default());
    let code = lines.collect::<Vec<_>>().join("\n");
    code.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default().to_string()
}

/// The paths of a `use` tree.
fn flat(tree: &str, prefix: &[String], found: &mut Vec<Module>) {
    let parts = |text: &str| text.split("::").map(|p| p.trim().to_string()).filter(|p| !p.is_empty()).collect::<Vec<_>>();
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        found.push([prefix.to_vec(), parts(path)].concat());
        return;
    };
    let prefix = [prefix.to_vec(), parts(head)].concat();
    let (mut depth, mut from) = (0, 0);
    let body = rest.trim_end().strip_suffix('}').unwrap_or(rest);
    for (at, c) in body.char_indices().chain([(body.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !body[from..at].trim().is_empty() {
                    flat(body[from..at].trim(), &prefix, found);
                }
                from = at + 1;
            }
            _ => {}
        }
    }
}

/// The statements `use …;` of `code` with whether they are public, and the code without them.
fn uses(code: &str) -> (Vec<(bool, String)>, String) {
    let (mut found, mut rest) = (Vec::new(), String::new());
    let mut open: Option<(bool, String)> = None;
    for line in code.lines() {
        let trimmed = line.trim_start();
        let starts = |p: &str| trimmed.starts_with(p);
        if open.is_none() && (starts("use ") || starts("pub use ") || starts("pub(crate) use ") || starts("pub(super) use ")) {
            let (visibility, tree) = trimmed.split_once("use ").unwrap_or_default();
            open = Some((!visibility.is_empty(), tree.to_string()));
        } else if let Some((_, tree)) = &mut open {
            tree.push(' ');
            tree.push_str(trimmed);
        } else {
            rest.push_str(line);
            rest.push('\n');
        }
        if open.as_ref().is_some_and(|(_, tree)| tree.trim_end().ends_with(';')) {
            found.extend(open.take().map(|(public, tree)| (public, tree.trim_end().trim_end_matches(';').to_string())));
        }
    }
    (found, rest)
}

/// `path`, as it is written in module `me`, from the root of the crate; none for other crates.
fn absolute(path: &[String], me: &Module, modules: &BTreeSet<Module>) -> Option<Module> {
    let supers = path.iter().take_while(|p| *p == "super").count();
    match path.first().map(String::as_str) {
        Some("crate") => Some(path[1..].to_vec()),
        Some("super") => Some([&me[..me.len().checked_sub(supers)?], &path[supers..]].concat()),
        Some("self") => Some([&me[..], &path[1..]].concat()),
        Some(first) => {
            let child = [&me[..], &[first.to_string()]].concat();
            modules.contains(&child).then(|| [&me[..], path].concat())
        }
        None => None,
    }
}

/// Paths in the code that begin with `crate::` or `super::`.
fn inline(code: &str) -> Vec<Module> {
    let mut found = Vec::new();
    for word in code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        if word.starts_with("crate::") || word.starts_with("super::") {
            found.push(word.split("::").filter(|p| !p.is_empty()).map(String::from).collect());
        }
    }
    found
}

/// Which file needs which. What a module passes on is needed from where it is.
fn needs() -> Graph {
    let sources: Vec<(String, String)> = sources().into_iter().filter(|(file, _)| file != "main.rs").collect();
    let modules: BTreeSet<Module> = sources.iter().map(|(file, _)| module_of(file)).collect();
    let file_of: BTreeMap<Module, &String> = sources.iter().map(|(file, _)| (module_of(file), file)).collect();
    let (mut passed_on, mut read) = (BTreeMap::new(), Vec::new());
    for (file, text) in &sources {
        let me = module_of(file);
        let (statements, rest) = uses(&code(text));
        let mut paths = inline(&rest);
        for (public, tree) in statements {
            let mut leaves = Vec::new();
            flat(&tree, &[], &mut leaves);
            for mut leaf in leaves {
                if leaf.last().is_some_and(|l| l == "self") {
                    leaf.pop();
                }
                match (public, absolute(&leaf, &me, &modules)) {
                    (true, Some(path)) => {
                        let name = path.last().cloned().unwrap_or_default();
                        passed_on.insert([&me[..], &[name]].concat(), path);
                    }
                    (true, None) => {}
                    (false, _) => paths.push(leaf),
                }
            }
        }
        read.push((file, me, paths));
    }
    let target = |path: &Module| {
        let mut path = path.clone();
        for _ in 0..8 {
            let at = (1..=path.len()).rev().find(|&n| passed_on.contains_key(&path[..n]) && !modules.contains(&path[..n]));
            let Some(n) = at else { break };
            path = [&passed_on[&path[..n]][..], &path[n..]].concat();
        }
        (1..=path.len()).rev().find_map(|n| file_of.get(&path[..n]).copied())
    };
    let mut graph = Graph::new();
    for (file, me, paths) in read {
        let found = paths.iter().filter_map(|p| target(&absolute(p, &me, &modules)?)).filter(|to| *to != file);
        graph.insert(file.clone(), found.cloned().collect());
    }
    graph
}

/// What is left of a graph when everything that needs nothing left is taken away: its circles, and
/// what leads to them.
fn circles(graph: &Graph) -> Graph {
    let mut left = graph.clone();
    loop {
        let gone: Vec<String> =
            left.iter().filter(|(_, to)| !to.iter().any(|t| left.contains_key(t))).map(|(from, _)| from.clone()).collect();
        if gone.is_empty() {
            break;
        }
        left.retain(|from, _| !gone.contains(from));
    }
    let rest: BTreeSet<String> = left.keys().cloned().collect();
    left.values_mut().for_each(|to| to.retain(|t| rest.contains(t)));
    left
}

#[test]
fn files_need_no_one_that_needs_them() {
    let graph = needs();
    let arrows: usize = graph.values().map(BTreeSet::len).sum();
    assert!(arrows > 1000, "{arrows}");
    assert_eq!(circles(&graph), Graph::new());
}

#[test]
fn rooms_of_a_folder_need_each_other_one_way() {
    let graph = needs();
    let folders: BTreeSet<&str> = graph.keys().filter_map(|f| Some(f.rsplit_once('/')?.0)).collect();
    for folder in folders {
        let room = |file: &str| Some(file.strip_prefix(folder)?.strip_prefix('/')?.split('/').next()?.to_string());
        let mut rooms = Graph::new();
        for (from, to) in &graph {
            let Some(a) = room(from) else { continue };
            let others = to.iter().filter_map(|t| room(t)).filter(|b| *b != a);
            rooms.entry(a.clone()).or_default().extend(others.collect::<Vec<_>>());
        }
        assert_eq!(circles(&rooms), Graph::new(), "in {folder}");
    }
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for (file, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let before = line.trim_start().split(" fn ").next().unwrap_or_default();
            let words = ["pub", "pub(super)", "pub(crate)", "const", "unsafe", "async"];
            let is_function = line.trim_start().starts_with("fn ")
                || line.contains(" fn ") && before.split(' ').all(|w| words.contains(&w) || w.starts_with("pub(in"));
            if !is_function || line.trim_end().ends_with(';') {
                continue;
            }
            let end = format!("{}}}", " ".repeat(indent));
            let length = lines[at..].iter().position(|l| *l == end).map_or(1, |n| n + 1);
            let name = line.split("fn ").nth(1).unwrap_or_default().split(['(', '<']).next().unwrap_or_default();
            if length > MAX_LINES && !LONGER.contains(&(&file, name)) {
                long.push(format!("{file}: {name} has {length} lines"));
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn trees_and_circles_are_read() {
    let mut leaves = Vec::new();
    flat("crate::{a::{self, B}, c::D as E}", &[], &mut leaves);
    let joined: Vec<String> = leaves.iter().map(|l| l.join("::")).collect();
    assert_eq!(joined, ["crate::a::self", "crate::a::B", "crate::c::D"]);
    let graph = |arrows: &[(&str, &str)]| {
        let mut graph = Graph::new();
        for (a, b) in arrows {
            graph.entry(a.to_string()).or_default().insert(b.to_string());
            graph.entry(b.to_string()).or_default();
        }
        graph
    };
    assert!(circles(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    assert_eq!(circles(&graph(&[("a", "b"), ("b", "a"), ("b", "c")])).len(), 2);
}

/// Columns that a reader has; rows of tables and what cannot be broken may be longer.
const COLUMNS: usize = 100;

#[test]
fn comments_are_at_most_100_columns_wide() {
    let table = |text: &str| text.trim_start_matches(['/', '!']).trim_start().starts_with('|');
    let mut wide = Vec::new();
    for (file, text) in sources() {
        for (at, line) in text.lines().enumerate() {
            let comment = line.trim_start();
            if comment.starts_with("//") && !table(comment) && line.chars().count() > COLUMNS {
                wide.push(format!("{file}:{}", at + 1));
            }
        }
    }
    assert!(wide.is_empty(), "{wide:#?}");
}
