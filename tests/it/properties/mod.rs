//! What holds for every format, every number and every small net, on thousands of random ones
//! (`proptest`). A failing case is told in its smallest form; it becomes a test of its own where it
//! belongs.

mod intervals;
mod kif;
mod rounding;

use proptest::test_runner::Config;

/// Cases of a property of numbers.
const CASES: u32 = 4000;

/// No files with failing seeds: a checkout stays as it is, and the message has the case itself.
fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}
