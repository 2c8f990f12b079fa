//! What pages name in passing exists: flags, files, headings; and no kind of block is looked at by
//! nobody.

use super::pages::{Block, anchors, blocks, coded, pages, root, rows};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Flags of other programs that pages name alone.
const OTHERS: [&str; 5] = ["--format", "--features", "--include-ignored", "--net", "--model"];

/// What is not a shell or Python is read otherwise: configurations below, and commands of
/// pipelines, which are commands of their page.
#[test]
fn every_block_is_looked_at() {
    let mut faults = Vec::new();
    for (name, page) in pages() {
        let blocks = blocks(&page);
        let saved: BTreeSet<&str> = blocks.iter().filter_map(Block::file).collect();
        for block in &blocks {
            let at = format!("{name}:{}", block.line);
            match block.language.as_str() {
                "sh" | "python" | "json" => {}
                // listings of commands: their flags are checked
                "" => {
                    let others = block.text.lines().filter(|l| !l.starts_with("hgq-onnx "));
                    faults.extend(others.map(|l| format!("{at}: not a command of the program: {l}")));
                }
                "yaml" => {
                    let lines = block.text.lines().map(str::trim);
                    let commands: Vec<&str> =
                        lines.filter_map(|l| l.strip_prefix("- run: ").or(l.strip_prefix("- sh "))).collect();
                    let known = |c: &&str| c.split_whitespace().last().is_some_and(|file| saved.contains(file));
                    if commands.is_empty() || !commands.iter().all(known) {
                        faults.push(format!("{at}: {commands:?} are not all scripts of this page"));
                    }
                }
                other => faults.push(format!("{at}: nothing checks blocks of {other:?}")),
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Files of the project that are named in passing exist.
#[test]
fn every_path_exists() {
    let mut seen = 0;
    let mut missing = Vec::new();
    for (name, page) in pages() {
        // a package's page may name its own
        let folders = [root(), root().join(&name).parent().unwrap()].map(Path::to_path_buf);
        for word in page.split('`').skip(1).step_by(2).flat_map(str::split_whitespace) {
            let first = word.split('/').next().unwrap();
            let ours = ["src", "tests", "docs", "examples", "deploy", "fixtures", "python", "proto"].contains(&first);
            if ours && word.len() > first.len() + 1 {
                seen += 1;
                if !folders.iter().any(|f| f.join(word).exists()) {
                    missing.push(format!("{name}: {word}"));
                }
            }
        }
    }
    assert!(missing.is_empty() && seen > 10, "{missing:#?}");
}

fn help(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_hgq-onnx")).args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Numbers of the table of limits are the defaults of `serve`.
#[test]
fn limits_have_their_defaults() {
    let told = help(&["serve", "--help"]);
    let options: Vec<&str> = told.split("\n      --").skip(1).collect();
    let page = fs::read_to_string(root().join("docs/http.md")).unwrap();
    let limits = page.split("\n## ").find(|s| s.starts_with("Limits")).unwrap();
    let mut compared = 0;
    for row in rows(limits) {
        let Some(flag) = coded(&row[0]) else { continue };
        let option = options.iter().find(|o| o.split_whitespace().next() == flag.strip_prefix("--")).unwrap();
        let default = option.split("[default: ").nth(1).unwrap().split(']').next().unwrap();
        // one that depends on the machine is the same text
        assert!(
            row[1].split_whitespace().next() == Some(default) || default.ends_with(&row[1]),
            "{flag}: {} and {default}",
            row[1]
        );
        compared += 1;
    }
    assert!(compared > 10, "{compared}");
}

/// Flags that are named anywhere are flags of the program.
#[test]
fn every_flag_exists() {
    let main = help(&["--help"]);
    let commands = main.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands: Vec<&str> = commands.lines().filter_map(|l| l.strip_prefix("  ")?.split_whitespace().next()).collect();
    // not listed: for containers
    let known: String = commands.iter().chain([&"health"]).map(|c| help(&[c, "--help"])).collect::<String>() + &main;
    let mut unknown = Vec::new();
    for (name, page) in pages() {
        // in code, as the first thing or after a command of ours
        let spans = page.split('`').skip(1).step_by(2).map(str::trim);
        let lines =
            page.lines().map(str::trim).filter(|l| l.starts_with("hgq-onnx ") || l.starts_with("cargo run --release -- "));
        for code in spans.filter(|s| s.starts_with("--") || s.starts_with("hgq-onnx ")).chain(lines) {
            let own = code.split(" -- ").last().unwrap_or_default();
            let flags = own.split_whitespace().filter(|w| w.starts_with("--") && w.len() > 2);
            for flag in flags.map(|f| f.split('=').next().unwrap_or(f).trim_end_matches([',', ']', '.'])) {
                let there =
                    known.split(flag).skip(1).any(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-'));
                if !there && !OTHERS.contains(&flag) {
                    unknown.push(format!("{name}: {flag}"));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// Relative links lead to files, and their anchors to headings or to anchors of the page.
#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for (name, page) in pages() {
        let from = root().join(&name);
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { from.clone() } else { from.parent().unwrap().join(file) };
            let Ok(text) = fs::read_to_string(&target).or_else(|e| if target.is_dir() { Ok(String::new()) } else { Err(e) })
            else {
                broken.push(format!("{name}: {link}"));
                continue;
            };
            if !heading.is_empty() && !anchors(&text).contains(heading) {
                broken.push(format!("{name}: {link}: no such heading"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
