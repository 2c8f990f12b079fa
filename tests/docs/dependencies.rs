//! The oldest compiler that Cargo.toml names is the one that the dependencies take, and that the
//! pages name. What the sources use of the standard library is a lint's affair
//! (`clippy::incompatible_msrv`).

use super::pages::root;
use serde_json::Value;
use std::fs;
use std::process::Command;

/// `1.91` and `1.91.0` in numbers.
fn version(text: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = text.split('.').filter_map(|n| n.parse().ok()).collect();
    numbers.resize(3, 0);
    numbers
}

/// This package and all that are built for its program and its tests.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1", "--features", "farm"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    found["packages"].as_array().unwrap().clone()
}

#[test]
fn dependencies_take_the_oldest_compiler() {
    let packages = packages();
    let own = env!("CARGO_PKG_RUST_VERSION");
    let newer = |p: &Value| p["rust_version"].as_str().is_some_and(|v| version(v) > version(own));
    let newer: Vec<&str> = packages.iter().filter(|p| newer(p)).filter_map(|p| p["name"].as_str()).collect();
    assert!(newer.is_empty() && packages.len() > 100, "newer than {own}: {newer:?} of {}", packages.len());
}

#[test]
fn pages_name_the_oldest_compiler() {
    let own = env!("CARGO_PKG_RUST_VERSION");
    for page in ["README.md", "CONTRIBUTING.md", "docs/getting-started.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        assert!(text.contains(&format!("Rust {own} or newer")), "{page} names another one than {own}");
    }
}
