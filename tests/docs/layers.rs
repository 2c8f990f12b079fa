//! docs/architecture.md against the sources: which room imports which, and what no room does.

use super::pages::{coded, root, rows};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Rooms of the table that are not built yet.
const PLANNED: [&str; 0] = [];
/// Imports against the table that are about to go.
const LEAVING: [(&str, &str); 0] = [];

/// The sources of every room, by path, without comments.
fn sources() -> BTreeMap<String, String> {
    fn walk(dir: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code: Vec<&str> = text.lines().map(|l| l.split("//").next().unwrap_or_default()).collect();
                let name = path.strip_prefix(root().join("src")).unwrap().display().to_string();
                found.insert(name, code.join("\n"));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&root().join("src"), &mut found);
    found
}

/// The room that a file is in; none for the roots of library and program.
fn room(file: &str) -> Option<&str> {
    let first = file.split('/').next().unwrap_or_default();
    let first = first.strip_suffix(".rs").unwrap_or(first);
    (!["lib", "main"].contains(&first)).then_some(first)
}

/// The first names after every `crate::`.
fn imported(code: &str) -> BTreeSet<&str> {
    let name = |text: &str| text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(&rest[..name(rest)]);
            continue;
        };
        let mut depth = 0;
        let mut starts = true;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => starts = true,
                c if starts && depth == 0 && !c.is_whitespace() => {
                    found.insert(&group[at..at + name(&group[at..])]);
                    starts = false;
                }
                _ => {}
            }
        }
    }
    found
}

/// The table: what each room may import.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let (_, table) = page.split_once("| room | may import |").expect("the table of rooms");
    let table = table.split("\n\n").next().unwrap_or_default();
    let named = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_string).collect();
    let entry = |row: Vec<String>| Some((coded(&row[0])?.to_string(), named(&row[1])));
    rows(table).into_iter().filter_map(entry).collect()
}

#[test]
fn rooms_import_what_the_table_allows() {
    let (allowed, sources) = (allowed(), sources());
    let rooms: BTreeSet<&str> = sources.keys().filter_map(|f| room(f)).collect();
    let missing: Vec<_> = rooms.iter().filter(|r| !allowed.contains_key(**r)).collect();
    assert!(missing.is_empty(), "rooms without a row: {missing:?}");
    let gone: Vec<_> = allowed.keys().filter(|r| !rooms.contains(r.as_str()) && !PLANNED.contains(&r.as_str())).collect();
    assert!(gone.is_empty(), "rows without a room: {gone:?}");
    let (mut faults, mut seen) = (Vec::new(), 0);
    for (file, code) in &sources {
        let Some(from) = room(file) else { continue };
        for to in imported(code).into_iter().filter(|to| rooms.contains(to) && *to != from) {
            seen += 1;
            if !allowed[from].contains(to) && !LEAVING.contains(&(from, to)) {
                faults.push(format!("{file} imports {to}"));
            }
        }
    }
    assert!(faults.is_empty() && seen > 300, "{seen} {faults:#?}");
}

#[test]
fn the_table_has_no_circles() {
    let allowed = allowed();
    let mut left: BTreeSet<&str> = allowed.keys().map(String::as_str).collect();
    while !left.is_empty() {
        let next = left.iter().copied().find(|r| allowed[*r].iter().all(|to| !left.contains(to.as_str())));
        let next = next.unwrap_or_else(|| panic!("a circle among {left:?}"));
        left.remove(next);
    }
}

/// Words that only some rooms use.
#[test]
fn invariants_hold() {
    let only: [(&[&str], &[&str]); 8] = [
        (&["println!", "print!", "eprint!", "dbg!"], &["cli/"]),
        (&["unsafe {", "unsafe fn", "unsafe impl"], &["simd/", "train/kernel/", "train/engine/kernel/"]),
        (&["JobConfig"], &["convert/", "cli/", "service/"]),
        (&["axum", "tokio", "async fn"], &["service/", "cli/"]),
        (&["rusqlite", "async_nats"], &["service/store/"]),
        (&["tract_onnx"], &["verify/"]),
        (&["ureq::"], &["cli/remote/"]),
        (&["anyhow", "clap::"], &["cli/"]),
    ];
    let mut faults = Vec::new();
    for (file, code) in sources() {
        if room(&file).is_none() {
            continue;
        }
        for (words, rooms) in &only {
            let found = words.iter().find(|w| code.contains(**w));
            if let (Some(word), false) = (found, rooms.iter().any(|r| file.starts_with(r))) {
                faults.push(format!("{file}: {word}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn imports_are_read() {
    let code = "use crate::a::B;\nuse crate::{c::{d, e}, f, g::h};\nlet x = crate::i(1); $crate::j::k";
    assert_eq!(imported(code), BTreeSet::from(["a", "c", "f", "g", "i", "j"]));
    assert_eq!((room("a/b/c.rs"), room("a.rs"), room("lib.rs")), (Some("a"), Some("a"), None));
}
