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
    let latency = of(Strategy::Latency);
    let is_possible = |strategy: &Strategy| Target { backend, io, strategy: *strategy }.refused().is_none();
    let others = Strategy::ALL.into_iter().filter(is_possible).map(|s| (s.name(), of(s))).filter(|(_, how)| *how != latency);
    let others: Vec<String> = others.map(|(name, how)| format!("; with `{name}` {how}")).collect();
    latency + &others.concat()
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
    let possible = |backend, io| Target { backend, io, strategy: Strategy::DistributedArithmetic }.refused().is_none();
    let row = rows.iter().find(|r| r[0] == "strategy `distributed_arithmetic`").unwrap();
    for (column, cell) in columns.iter().zip(&row[1..]) {
        let all = Backend::ALL.into_iter().flat_map(|backend| Io::ALL.map(|io| (backend, io)));
        let mut named = all.filter(|(backend, io)| column.contains(backend.name()) && column.contains(io.name()));
        assert!(named.all(|(backend, io)| *cell == if possible(backend, io) { "exact" } else { "refused" }), "{column}");
    }
    // and the row of heads
    assert_eq!((compared, rows.len()), (Feature::ALL.len() * 8, Feature::ALL.len() + 2));
}
