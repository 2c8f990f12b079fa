//! The table of what is exact for which settings of hls4ml is the one in the code.

use super::pages::{root, rows};
use hgq_onnx::proxy::target::{Backend, Feature, Io, Strategy, Target, Verdict};
use std::fs;

/// What a cell says of a feature.
fn cell(feature: Feature, backend: Backend, io: Io) -> String {
    let of = |strategy| match feature.verdict(Target { backend, io, strategy }) {
        Verdict::Exact => "exact".to_string(),
        Verdict::Written(how) => how.to_string(),
        Verdict::Refused(_) => "refused".to_string(),
    };
    let (latency, resource) = (of(Strategy::Latency), of(Strategy::Resource));
    if latency == resource { latency } else { format!("{latency}; with `Resource` {resource}") }
}

#[test]
fn the_table_of_settings_is_that_of_the_code() {
    let page = fs::read_to_string(root().join("docs/proxy.md")).unwrap();
    let section = page.split("\n## ").find(|s| s.starts_with("Settings that were compiled")).unwrap();
    let header = section.lines().find(|l| l.starts_with("| what |")).unwrap();
    let columns: Vec<&str> = header.trim_matches('|').split('|').map(str::trim).skip(1).collect();
    let rows = rows(section);
    let mut compared = 0;
    for feature in Feature::ALL {
        let row = rows.iter().find(|r| r[0] == feature.name()).unwrap_or_else(|| panic!("no row `{}`", feature.name()));
        for backend in Backend::ALL {
            for io in Io::ALL {
                let named = |c: &&str| c.contains(backend.name()) && c.contains(io.name());
                let at = columns.iter().position(named).unwrap_or_else(|| panic!("no column of {backend:?}, {io:?}"));
                assert_eq!(row[at + 1], cell(feature, backend, io), "{}, {backend:?}, {io:?}", feature.name());
                compared += 1;
            }
        }
    }
    // and the row of heads
    assert_eq!((compared, rows.len()), (Feature::ALL.len() * 8, Feature::ALL.len() + 1));
}
