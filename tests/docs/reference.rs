//! The golden vectors are what the formulas of docs/hgq-spec.md give.

use super::pages::root;
use crate::support::hls4ml;
use std::process::Command;

#[test]
#[ignore = "needs Python"]
fn golden_vectors_are_recomputed() {
    let Some(python) = hls4ml::python() else { return };
    let output = Command::new(python)
        .arg(root().join("tests/reference/recompute.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().filter(|l| l.ends_with(" recomputed, 0 differ")).count(), 6, "{said}");
}
