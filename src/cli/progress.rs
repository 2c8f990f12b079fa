//! Progress on stderr: one line redrawn on a terminal, one JSON line per event otherwise.

use crate::convert::Event;
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Redrawing more often than this only costs time.
const REDRAW: Duration = Duration::from_millis(100);
const BAR_WIDTH: usize = 20;

pub struct Progress {
    terminal: bool,
    started: Option<Instant>,
    drawn: Option<Instant>,
    /// A line without its end is on the screen.
    open: bool,
}

impl Progress {
    pub fn new() -> Progress {
        let terminal = stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
        Progress { terminal, started: None, drawn: None, open: false }
    }

    /// Shows one event. A stderr that has gone is no reason to stop.
    pub fn event(&mut self, event: &Event) {
        let mut err = stderr().lock();
        if !self.terminal {
            let _ = serde_json::to_writer(&mut err, event).map(|()| err.write_all(b"\n"));
            return;
        }
        match event {
            Event::Stage { stage } => {
                let _ = write!(err, "{}\r\x1b[K{stage} …", if self.open { "\n" } else { "" });
                self.open = true;
            }
            Event::Note { code, message } => {
                let _ = writeln!(err, "{}note ({code}): {message}", if self.open { "\n" } else { "" });
                self.open = false;
            }
            Event::Epoch { epoch, epochs, .. } => {
                let started = *self.started.get_or_insert_with(Instant::now);
                if epoch < epochs && self.drawn.is_some_and(|d| d.elapsed() < REDRAW) {
                    return;
                }
                self.drawn = Some(Instant::now());
                let _ = write!(err, "\r\x1b[K{}", epoch_line(event, started.elapsed()));
                self.open = true;
            }
        }
        let _ = err.flush();
    }

    /// Ends the line that is being redrawn.
    pub fn finish(&mut self) {
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

/// One epoch in less than 80 columns.
fn epoch_line(event: &Event, elapsed: Duration) -> String {
    let Event::Epoch { epoch, epochs, loss, metric, ebops, .. } = event else { return String::new() };
    let share = if *epochs == 0 { 1.0 } else { (*epoch as f64 / *epochs as f64).min(1.0) };
    let filled = (share * BAR_WIDTH as f64) as usize;
    let bar = format!("{}{}", "#".repeat(filled), "-".repeat(BAR_WIDTH - filled));
    let left = if share > 0.0 { elapsed.as_secs_f64() * (1.0 - share) / share } else { 0.0 };
    let left = format!("{}:{:02}", left as u64 / 60, left as u64 % 60);
    format!("[{bar}] {epoch}/{epochs} loss {loss:.4} metric {metric:.4} EBOPs {ebops:.0} {left}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_fits_a_line_and_tells_the_time_left() {
        let event = Event::Epoch { epoch: 75, epochs: 300, loss: 0.25, metric: 0.975, ebops: 5210.4, beta: 1e-6 };
        let line = epoch_line(&event, Duration::from_secs(30));
        assert_eq!(line, "[#####---------------] 75/300 loss 0.2500 metric 0.9750 EBOPs 5210 1:30");
        assert!(line.len() < 80);
    }
}
