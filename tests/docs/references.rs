//! What comments, code and pages cite is there: every page of `docs`, and its anchor where one is
//! named.

use super::pages::{anchors, pages, root};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders and files whose text is looked through.
const PLACES: [&str; 10] =
    ["src", "tests", "examples", "fixtures", "docs", "python", "build.rs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"];
/// Has citations of pages that are not there, to test what finds them.
const ITSELF: &str = "tests/docs/references.rs";
/// Endings of files that cite pages.
const READ: [&str; 5] = ["rs", "md", "py", "sh", "js"];
/// Documents that readers of the repository do not have, as comments once cited them.
const GONE: [&str; 4] =
    [concat!("DES", "IGN"), concat!("esign", " section"), concat!("contract,", " section"), concat!("contract", " section")];

fn files(at: PathBuf, found: &mut Vec<PathBuf>) {
    if at.is_dir() {
        for entry in fs::read_dir(&at).unwrap() {
            files(entry.unwrap().path(), found);
        }
    } else if at.extension().is_some_and(|e| READ.iter().any(|r| e == *r)) {
        found.push(at);
    }
}

/// The text of a line of comment.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    ["//!", "///", "//"].iter().find_map(|mark| line.strip_prefix(mark))
}

/// The word of letters, digits and `more` that `text` begins with.
fn word<'a>(text: &'a str, more: &str) -> &'a str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || more.contains(c)));
    &text[..end.unwrap_or(text.len())]
}

/// The pages that a line cites, each with its anchor if it names one. `page`: the last one that its
/// comment cited, which ` #anchor` alone goes on with.
fn cited(line: &str, page: &mut Option<String>) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find(['d', '#']) {
        let (before, here) = rest.split_at(at);
        let alone = before.is_empty() || before.ends_with([' ', '(', '`', '"', '[']);
        let path = word(here, "/_-.");
        let mut taken = 1;
        if let (Some(end), true, true) = (path.find(".md"), here.starts_with("docs/"), alone) {
            let name = &path[..end + ".md".len()];
            let anchor = here[name.len()..].strip_prefix('#').map(|a| word(a, "-"));
            taken = name.len() + anchor.map_or(0, |a| 1 + a.len());
            found.push((name.to_string(), anchor.map(str::to_string)));
            *page = Some(name.to_string());
        } else if let (Some(anchor), Some(name), true) = (here.strip_prefix('#').map(|a| word(a, "-")), &page, alone)
            && anchor.starts_with(|c: char| c.is_ascii_lowercase())
        {
            taken = 1 + anchor.len();
            found.push((name.clone(), Some(anchor.to_string())));
        }
        rest = &here[taken..];
    }
    found
}

/// `spec A1.2`: a section without its page.
fn bare_section(line: &str) -> bool {
    let section = |rest: &str| {
        let mut letters = rest.chars();
        matches!(letters.next(), Some('A' | 'B')) && letters.next().is_some_and(|c| c.is_ascii_digit())
    };
    line.split("spec ").skip(1).any(section)
}

#[test]
fn every_reference_resolves() {
    let mut all = Vec::new();
    for place in PLACES {
        files(root().join(place), &mut all);
    }
    let mut known: BTreeMap<String, Option<BTreeSet<String>>> = BTreeMap::new();
    let (mut faults, mut resolved) = (Vec::new(), 0);
    for file in &all {
        let Ok(text) = fs::read_to_string(file) else { continue };
        let name = file.strip_prefix(root()).unwrap_or(Path::new("")).display().to_string();
        if name == ITSELF {
            continue;
        }
        let mut page = None;
        for (n, line) in text.lines().enumerate() {
            let at = format!("{name}:{}", n + 1);
            let of_comment = comment(line);
            for (cited, anchor) in cited(of_comment.unwrap_or(line), &mut page) {
                let read = || Some(anchors(&fs::read_to_string(root().join(&cited)).ok()?));
                let known = known.entry(cited.clone()).or_insert_with(read);
                match (known, anchor) {
                    (None, _) => faults.push(format!("{at}: there is no {cited}")),
                    (Some(known), Some(anchor)) if !known.contains(&anchor) => {
                        faults.push(format!("{at}: {cited} has no #{anchor}"));
                    }
                    _ => resolved += 1,
                }
            }
            if of_comment.is_none() {
                page = None;
            }
            if bare_section(line) || GONE.iter().any(|gone| line.contains(gone)) {
                faults.push(format!("{at}: a document that is not here: {}", line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(resolved > 150, "{resolved}");
}

/// Every page is reached from the list of pages.
#[test]
fn every_page_is_listed() {
    let list = fs::read_to_string(root().join("docs/README.md")).unwrap();
    let linked: BTreeSet<&str> = list.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()).collect();
    let names = pages().into_iter().filter_map(|(name, _)| name.strip_prefix("docs/").map(String::from));
    let missing: Vec<String> = names.filter(|n| n != "README.md" && !linked.contains(n.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn citations_are_found() {
    let mut page = None;
    let of = |name: &str, anchor: &str| ("docs/".to_string() + name, Some(anchor.to_string()));
    let line = " Widths (docs/a.md#a1-2, #b-1) and (docs/c.md), `#[x]`, f#no, docs/d.md#e.";
    let c = ("docs/c.md".to_string(), None);
    assert_eq!(cited(line, &mut page), [of("a.md", "a1-2"), of("a.md", "b-1"), c, of("d.md", "e")]);
    assert_eq!(cited("and #f", &mut page), [of("d.md", "f")]);
    assert!(bare_section(concat!("(spec ", "B1.2)")) && !bare_section("spec Bx"));
}
