//! Which part of the slowest comparisons a run makes: the same for the same sources, another one
//! when they change.

use std::fs;
use std::path::{Path, PathBuf};

/// `HGQ_SAMPLE`, else a number from the text of all sources: not from the date, so that a run can
/// be repeated.
pub fn sample() -> u64 {
    if let Some(asked) = std::env::var("HGQ_SAMPLE").ok().and_then(|v| v.parse().ok()) {
        return asked;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    list(&root, &mut files);
    files.sort();
    let text = files.iter().flat_map(|f| fs::read(f).expect("a source"));
    // FNV-1a; 40 bits leave room to multiply
    text.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)) >> 24
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}

/// One of every four of what takes long, which of them as the sample says; with `HGQ_ALL`
/// (`.ci/long`) all. Each four are drawn for themselves: neighbours differ in one setting, and no
/// value of it is left out.
pub fn quarter<T>(all: Vec<T>) -> Vec<T> {
    const OF: usize = 4;
    if std::env::var_os("HGQ_ALL").is_some() || all.len() < OF {
        return all;
    }
    let bits = sample().wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    let drawn = |at: usize| (bits >> (2 * (at / OF) % 64) & 3) as usize == at % OF;
    all.into_iter().enumerate().filter(|(at, _)| drawn(*at)).map(|(_, one)| one).collect()
}
