//! Progress on stderr: a bar on a terminal, one JSON line per event otherwise.

use super::screen::{CAREFUL, dumb, plain, styled};
use crate::convert::progress::{Event, Step};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

/// How often the seconds of a stage are drawn.
const TICK: Duration = Duration::from_millis(500);
const STAGE: &str = "{msg} … {elapsed}";
const EPOCHS: &str = "[{bar:10.#-}] {pos}/{len} {wide_msg} {eta} left";

/// Shows the events of one job.
pub struct Progress {
    terminal: bool,
    target: fn() -> ProgressDrawTarget,
    shown: Option<Shown>,
}

/// What is drawn now.
struct Shown {
    bar: ProgressBar,
    epochs: bool,
}

impl Progress {
    pub fn new() -> Progress {
        let terminal = stderr().is_terminal() && !dumb();
        Progress { terminal, target: ProgressDrawTarget::stderr, shown: None }
    }

    /// Shows one event. A stderr that has gone is no reason to stop.
    pub fn event(&mut self, event: &Event) {
        if !self.terminal {
            let mut err = stderr().lock();
            let _ = serde_json::to_writer(&mut err, event).map(|()| err.write_all(b"\n"));
            return;
        }
        match event {
            Event::Stage { stage, step: None } => self.show(stage),
            Event::Stage { stage, step: Some(Step { step, steps }) } => match &self.shown {
                Some(Shown { bar, epochs: false }) => bar.set_message(format!("{stage} {step}/{steps}")),
                Some(Shown { epochs: true, .. }) | None => self.show(&format!("{stage} {step}/{steps}")),
            },
            Event::Note { code, message } => {
                let note = format!("{} {}", styled(CAREFUL, &format!("note ({code}):")), plain(message));
                let print = || drop(writeln!(anstream::stderr(), "{note}"));
                match &self.shown {
                    Some(shown) => shown.bar.suspend(print),
                    None => print(),
                }
            }
            Event::Epoch { epoch, epochs, loss, metric, ebops, .. } => {
                let bar = self.epochs(*epoch as u64, *epochs as u64);
                bar.set_message(format!("EBOPs {ebops:.0} metric {metric:.4} loss {loss:.4}"));
                bar.set_position(*epoch as u64);
            }
        }
    }

    /// Says what is being done, on a terminal only.
    #[cfg(feature = "remote")]
    pub fn stage(&mut self, what: &str) {
        if self.terminal {
            self.show(what);
        }
    }

    fn show(&mut self, what: &str) {
        let bar = self.next(ProgressBar::no_length(), STAGE, false);
        bar.set_message(plain(what));
        bar.enable_steady_tick(TICK);
    }

    /// The bar of the epochs; a resumed run does not begin with the first, and what went before
    /// says nothing of the time left.
    fn epochs(&mut self, first: u64, epochs: u64) -> &ProgressBar {
        if self.shown.as_ref().is_none_or(|shown| !shown.epochs) {
            self.next(ProgressBar::new(epochs), EPOCHS, true).set_position(first);
        }
        // it is there now
        &self.shown.get_or_insert_with(|| Shown { bar: ProgressBar::hidden(), epochs: true }).bar
    }

    /// What was shown stays above.
    fn next(&mut self, bar: ProgressBar, template: &str, epochs: bool) -> &ProgressBar {
        self.finish();
        bar.set_draw_target((self.target)());
        // a template of this file
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("#-"));
        }
        &self.shown.insert(Shown { bar, epochs }).bar
    }

    /// Ends what is drawn.
    pub fn finish(&mut self) {
        if let Some(shown) = self.shown.take() {
            shown.bar.abandon();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
