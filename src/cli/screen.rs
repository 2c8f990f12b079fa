//! The terminal: how wide it is, and what is coloured on it. What goes anywhere else has 80 columns
//! and no colours; `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and `TERM=dumb` are honoured (by
//! anstream).

use anstyle::{AnsiColor, Style};
use std::io::{IsTerminal, Write};
use unicode_width::UnicodeWidthStr;

/// Columns where nobody says how many there are.
const COLUMNS: usize = 80;
/// Fewer cannot hold a table.
const MIN_COLUMNS: usize = 40;

/// `TERM=dumb` means no colours, where anstream goes by `CI` first: a build server's terminal may
/// well be a dumb one.
pub fn begin() {
    let set = |name| std::env::var_os(name).is_some();
    if dumb() && !set("CLICOLOR") && !set("CLICOLOR_FORCE") {
        anstream::ColorChoice::Never.write_global();
    }
}

/// Whether the terminal says that it can do nothing but print.
pub fn dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|t| t == "dumb")
}

pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const CAREFUL: Style = AnsiColor::Yellow.on_default();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const TITLE: Style = Style::new().bold();

/// Columns of stdout.
pub fn columns() -> usize {
    of_terminal(std::io::stdout().is_terminal(), || terminal_size::terminal_size_of(std::io::stdout())).max(MIN_COLUMNS)
}

fn of_terminal(is_terminal: bool, size: impl Fn() -> Option<(terminal_size::Width, terminal_size::Height)>) -> usize {
    let found = is_terminal.then(size).flatten().map(|(width, _)| usize::from(width.0));
    found.filter(|&w| w > 0).unwrap_or(COLUMNS)
}

pub fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Names come from the user's file: control characters must not reach the terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Filled up to `columns`.
pub fn padded(text: &str, columns: usize, right: bool) -> String {
    let fill = " ".repeat(columns.saturating_sub(width(text)));
    if right { format!("{fill}{text}") } else { format!("{text}{fill}") }
}

/// At most `columns` wide: what is too long loses its middle, as names differ at their ends.
pub fn shortened(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.into();
    }
    let (head, tail) = (columns.saturating_sub(1).div_ceil(2), columns.saturating_sub(1) / 2);
    let taken = |chars: &mut dyn Iterator<Item = char>, most: usize| {
        let mut used = 0;
        chars
            .take_while(|c| {
                used += width(c.encode_utf8(&mut [0; 4]));
                used <= most
            })
            .collect::<Vec<char>>()
    };
    let start = taken(&mut text.chars(), head);
    let end = taken(&mut text.chars().rev(), tail);
    start.into_iter().chain(['…']).chain(end.into_iter().rev()).collect()
}

/// Lines of at most `columns`, broken between words; a longer word is broken anywhere.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let mut word = word.to_string();
            if !line.is_empty() && width(&line) + 1 + width(&word) > columns {
                lines.push(std::mem::take(&mut line));
            }
            while width(&word) > columns {
                let mut used = 0;
                let cut = word.char_indices().find(|(_, c)| {
                    used += width(c.encode_utf8(&mut [0; 4]));
                    used > columns
                });
                // one character is always taken, however wide
                let at = cut.map_or(word.len(), |(at, c)| if at == 0 { c.len_utf8() } else { at });
                let rest = word.split_off(at);
                lines.push(std::mem::replace(&mut word, rest));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line += &word;
        }
        if !line.is_empty() || paragraph.is_empty() {
            lines.push(line);
        }
    }
    lines
}

/// Writes to stdout, coloured where that is wanted; a reader that has gone (`| head`) is not a
/// failure.
pub fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(anstream::stdout(), "{}", text.trim_end_matches('\n')) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(anyhow::Error::new(e).context("stdout")),
        _ => Ok(()),
    }
}

/// One message on stderr, after a coloured word; nobody reading it is not a failure.
pub fn tell(style: Style, word: &str, message: &str) {
    let _ = writeln!(anstream::stderr(), "{} {}", styled(style, word), plain(message));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fit() {
        assert_eq!(shortened("/model/encoder/layer.0/dense", 11), "/mode…dense");
        assert_eq!(shortened("層層層層層層", 7), "層…層");
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefgh i", 3), ["abc", "def", "gh", "i"]);
        assert_eq!(wrapped("層層", 1), ["層", "層"]);
        assert_eq!(padded("層", 4, true), "  層");
    }
}
