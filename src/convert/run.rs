//! A conversion in five calls: prepare → search → choose → emit → report.

use super::emit::emit;
use super::error::Error;
use super::job::{Artifacts, Job};
use super::memory::Peak;
use super::prepared::prepare;
use super::progress::{CheckpointStore, Event, Reporter};
use super::report::{found_to_say, report};
use super::search::{choose, search};
use std::sync::atomic::AtomicBool;

/// Runs all stages.
///
/// # Errors
/// See [`Error`].
pub fn run(
    job: &Job,
    progress: &mut (dyn FnMut(Event) + Send),
    keeper: &mut dyn CheckpointStore,
    cancel: &AtomicBool,
) -> Result<Artifacts, Error> {
    let memory = Peak::start();
    let mut reporter = Reporter::new(progress);
    let prepared = prepare(job, &mut |stage| reporter.enter(stage))?;
    reporter.tell(&prepared.warnings);
    let judge = prepared.judge(&job.config);
    let found = search(&prepared, &judge, &mut reporter, keeper, cancel)?;
    let chosen = choose(&prepared, &judge, &found)?;
    let emitted = emit(&prepared, &judge, &found, &chosen, &mut reporter, cancel)?;
    let warnings = found_to_say(&prepared, &found, &chosen, &emitted);
    reporter.tell(&warnings[prepared.warnings.len()..]);
    report(&prepared, &judge, &found, &chosen, emitted, &warnings, reporter, &memory)
}
