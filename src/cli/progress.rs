//! Progress on stderr: one line redrawn on a terminal, one JSON line per event otherwise.

use super::screen::{CAREFUL, dumb, message_columns, plain, shortened, styled, width};
use crate::convert::progress::{Event, Step};
use std::io::{IsTerminal, Write, stderr};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Redrawing more often than this only costs time.
const REDRAW: Duration = Duration::from_millis(100);
/// How often the seconds of a stage are drawn.
const TICK: Duration = Duration::from_secs(1);
const BAR_WIDTH: usize = 20;

pub struct Progress {
    terminal: bool,
    /// When the stage began that is shown.
    since: Instant,
    /// When the first epoch ended, and which: a resumed run does not begin with the first.
    started: Option<(Instant, usize)>,
    drawn: Option<Instant>,
    /// A line without its end is on the screen.
    open: bool,
    /// Shows that a stage which has no steps goes on.
    ticker: Option<Ticker>,
}

/// Draws the seconds of a stage behind its name until it is dropped.
struct Ticker {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(what: String, since: Instant) -> Ticker {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let mut err = stderr().lock();
                let _ = err.write_all(running(&what, since).as_bytes());
                let _ = err.flush();
            }
        });
        Ticker { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The line of a stage that began at `since`.
fn running(what: &str, since: Instant) -> String {
    let seconds = since.elapsed().as_secs();
    let seconds = if seconds > 0 { format!(" {seconds} s") } else { String::new() };
    format!("\r\x1b[K{what} …{seconds}")
}

impl Progress {
    pub fn new() -> Progress {
        let terminal = stderr().is_terminal() && !dumb();
        Progress { terminal, since: Instant::now(), started: None, drawn: None, open: false, ticker: None }
    }

    /// Shows one event. A stderr that has gone is no reason to stop.
    pub fn event(&mut self, event: &Event) {
        // before stderr is taken: it writes there, too
        self.ticker = None;
        let mut err = stderr().lock();
        if !self.terminal {
            let _ = serde_json::to_writer(&mut err, event).map(|()| err.write_all(b"\n"));
            return;
        }
        match event {
            Event::Stage { stage, step: None } => self.show(&mut err, stage),
            Event::Stage { stage, step: Some(Step { step, steps }) } => self.redraw(&mut err, &format!("{stage} {step}/{steps}")),
            Event::Note { code, message } => {
                let _ = err.write_all(if self.open { b"\n" } else { b"" });
                let _ = writeln!(
                    anstream::AutoStream::auto(&mut err),
                    "{} {}",
                    styled(CAREFUL, &format!("note ({code}):")),
                    plain(message)
                );
                self.open = false;
            }
            Event::Epoch { epoch, epochs, .. } => {
                let (started, first) = *self.started.get_or_insert_with(|| (Instant::now(), *epoch));
                if epoch < epochs && self.drawn.is_some_and(|d| d.elapsed() < REDRAW) {
                    return;
                }
                self.drawn = Some(Instant::now());
                let _ = write!(err, "\r\x1b[K{}", epoch_line(event, first, started.elapsed(), message_columns()));
                self.open = true;
            }
        }
        let _ = err.flush();
    }

    /// Says what is being done, on a terminal only.
    #[cfg(feature = "remote")]
    pub fn stage(&mut self, what: &str) {
        if self.terminal {
            self.ticker = None;
            self.show(&mut stderr().lock(), what);
        }
    }

    fn show(&mut self, err: &mut impl Write, what: &str) {
        let _ = err.write_all(if self.open { b"\n" } else { b"" });
        self.since = Instant::now();
        self.redraw(err, what);
    }

    /// A step of what is shown.
    fn redraw(&mut self, err: &mut impl Write, what: &str) {
        // room for the seconds
        let what = shortened(what, message_columns().saturating_sub(12));
        let _ = err.write_all(running(&what, self.since).as_bytes());
        let _ = err.flush();
        self.open = true;
        self.ticker = Some(Ticker::start(what, self.since));
    }

    /// Ends the line that is being redrawn.
    pub fn finish(&mut self) {
        self.ticker = None;
        if std::mem::take(&mut self.open) {
            let _ = writeln!(stderr());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// One epoch in a line: what matters least is left out where the terminal is narrow.
fn epoch_line(event: &Event, first: usize, elapsed: Duration, columns: usize) -> String {
    let Event::Epoch { epoch, epochs, loss, metric, ebops, .. } = event else { return String::new() };
    let share = if *epochs == 0 { 1.0 } else { (*epoch as f64 / *epochs as f64).min(1.0) };
    let filled = (share * BAR_WIDTH as f64) as usize;
    let bar = format!("[{}{}]", "#".repeat(filled), "-".repeat(BAR_WIDTH - filled));
    // nothing is known before the second epoch
    let per_epoch = elapsed.as_secs_f64() / epoch.saturating_sub(first).max(1) as f64;
    let left = (per_epoch * epochs.saturating_sub(*epoch) as f64).round() as u64;
    let left = format!("{}:{:02} left", left / 60, left % 60);
    // by importance; shown in the order of the numbers
    let parts = [
        (1, format!("{epoch}/{epochs}")),
        (4, format!("EBOPs {ebops:.0}")),
        (3, format!("metric {metric:.4}")),
        (5, left),
        (0, bar),
        (2, format!("loss {loss:.4}")),
    ];
    let mut shown: Vec<&(usize, String)> = Vec::new();
    let mut used = 0;
    for part in &parts {
        // the last column stays free: some terminals go on to the next line there
        if used + width(&part.1) + 1 < columns || shown.is_empty() {
            used += width(&part.1) + 1;
            shown.push(part);
        }
    }
    shown.sort_by_key(|p| p.0);
    let line = shown.iter().map(|p| p.1.as_str()).collect::<Vec<_>>().join(" ");
    shortened(&line, columns.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_fits_a_line_and_tells_the_time_left() {
        let event = Event::Epoch { epoch: 75, epochs: 300, loss: 0.25, metric: 0.975, ebops: 5210.4, beta: 1e-6 };
        let line = |columns| epoch_line(&event, 25, Duration::from_secs(20), columns);
        assert_eq!(line(80), "[#####---------------] 75/300 loss 0.2500 metric 0.9750 EBOPs 5210 1:30 left");
        assert_eq!(line(60), "75/300 loss 0.2500 metric 0.9750 EBOPs 5210 1:30 left");
        assert_eq!(line(40), "75/300 metric 0.9750 EBOPs 5210");
        assert!((20..200).all(|columns| width(&line(columns)) < columns));
    }
}
