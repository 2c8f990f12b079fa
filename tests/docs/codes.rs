//! Codes of errors and warnings, with their statuses.

use super::pages::{coded, root, rows};
use axum::http::StatusCode;
use hgq_onnx::convert::Error;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Rust sources, without their tests.
fn sources(dir: &Path, into: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            // calls that are broken over lines become one
            into.push_str(&text.split("#[cfg(test)]").next().unwrap().split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}

/// The texts between quotes right behind each `before`.
fn quoted<'a>(text: &'a str, before: &str, after: &str) -> BTreeSet<&'a str> {
    let behind = text.split(before).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"'));
    let code = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_lowercase() || "_-".contains(c));
    behind.filter(|(s, rest)| code(s) && rest.trim_start().starts_with(after)).map(|(s, _)| s).collect()
}

#[test]
fn every_error_code_is_documented_with_its_status() {
    let mut text = String::new();
    sources(&root().join("src"), &mut text);
    // `Problem::new(StatusCode::X, "code", …)` and the like; those of `--server` have no status
    let mut codes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for call in ["Problem::new(", "Document::new(", "Refused::new("] {
        for rest in text.split(call).skip(1) {
            let (status, second) = rest.split_once(',').unwrap_or_default();
            let code = second.trim_start().strip_prefix('"').and_then(|s| s.split('"').next());
            if let (Some(code), true) = (code, status.len() < 60) {
                let sent = codes.entry(code).or_default();
                if call != "Refused::new(" {
                    sent.insert(status.trim().trim_start_matches("StatusCode::"));
                }
            }
        }
    }
    for code in quoted(&text, ".refused(", ",") {
        codes.entry(code).or_default();
    }
    let mut exits: BTreeMap<&str, u8> = BTreeMap::new();
    for error in [
        Error::NotOnnx(String::new()),
        Error::Unsupported(Vec::new()),
        Error::Data(Vec::new()),
        Error::Config(Vec::new()),
        Error::Verification(String::new()),
        Error::TargetNotMet(String::new()),
        Error::Canceled,
        Error::Internal(String::new()),
    ] {
        exits.insert(error.code(), error.exit_status());
    }
    let (_, error) = text.split_once("pub fn code(&self) -> &'static str {").unwrap();
    assert_eq!(exits.keys().copied().collect::<BTreeSet<_>>(), quoted(error.split("pub fn").next().unwrap(), "=>", ","));
    let page = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let (errors, _) = page.split_once("## Warnings").unwrap();
    let rows = rows(errors);
    let mut documented: BTreeSet<&str> = BTreeSet::new();
    let mut faults = Vec::new();
    for row in &rows {
        let Some(code) = coded(&row[0]) else { continue };
        documented.insert(code);
        let exit = exits.get(code);
        if exit.is_some_and(|exit| row[1] != exit.to_string()) {
            faults.push(format!("{code}: exit status {}, {exit:?} in the code", row[1]));
        }
        let status = &row[if exit.is_some() { 2 } else { 1 }];
        let known = status.parse().ok().and_then(|s| StatusCode::from_u16(s).ok());
        let name = known.and_then(|s| s.canonical_reason()).unwrap_or_default().to_uppercase().replace([' ', '-'], "_");
        if let Some(sent) = codes.get(code)
            && sent.iter().any(|s| s != status && *s != name)
        {
            faults.push(format!("{code}: status {status}, {sent:?} in the code"));
        }
    }
    let known: BTreeSet<&str> = codes.into_keys().chain(exits.into_keys()).collect();
    assert!(known.len() > 25, "{known:?}");
    assert_eq!(documented, known);
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Their causes and cures are those of the report: see `src/convert/html/warnings.rs`.
#[test]
fn every_warning_code_is_documented() {
    let mut text = String::new();
    for part in ["graph", "quant", "proxy", "convert"] {
        sources(&root().join("src").join(part), &mut text);
    }
    let mut codes = quoted(&text, "code:", ",");
    codes.extend(quoted(&text, "code:", ".into()"));
    for call in ["note(", "warn(", "push(("] {
        codes.extend(quoted(&text, call, ","));
        codes.extend(quoted(&text, call, ".into()"));
    }
    let page = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let rows = rows(page.split_once("## Warnings").unwrap().1);
    let documented: BTreeSet<&str> = rows.iter().filter_map(|r| coded(&r[0])).collect();
    let missing: Vec<_> = codes.difference(&documented).collect();
    assert!(missing.is_empty() && codes.len() > 12, "{missing:?} of {codes:?}");
    let gone: Vec<_> = documented.iter().filter(|c| !text.contains(&format!("\"{c}\""))).collect();
    assert!(gone.is_empty(), "{gone:?}");
}
