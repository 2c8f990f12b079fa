//! Text and numbers for people. Names and messages of a file or a request pass through here: they
//! are anything a file says.

use maud::{Markup, html};

/// Characters of a name that are shown; the rest is in its tooltip …
const SHOWN: usize = 60;
/// … up to this many: a name may be as long as the file.
const TOLD: usize = 400;
/// Characters of a message that are shown.
const MESSAGE: usize = 2000;

/// A text in which control characters, and those that turn the direction of what follows, are shown
/// as such. What is markup in it is escaped where it is written.
pub fn clean(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' => '\u{2424}',
        c if c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
            '\u{fffd}'
        }
        c => c,
    };
    text.chars().map(shown).collect()
}

/// [`clean`] of a text of several lines, which stay lines.
pub fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

/// The first `most` characters, with an ellipsis where there are more.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_string(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A name; a long one is cut and whole in its tooltip.
pub fn name(text: &str) -> Markup {
    let long = text.chars().nth(SHOWN).is_some();
    html! { code title=[long.then(|| tooltip(text))] { (clean(&cut(text, SHOWN))) } }
}

/// A name or description for an attribute or the `<title>` of a drawing.
pub fn tooltip(text: &str) -> String {
    clean(&cut(text, TOLD))
}

/// A message.
pub fn message(text: &str) -> String {
    clean(&cut(text, MESSAGE))
}

/// A number for people: whole ones in groups of three digits, others with four significant ones; a
/// dash for what is none.
pub fn number(v: f64) -> String {
    if !v.is_finite() {
        return "–".into();
    }
    let size = v.abs();
    if v.fract() == 0.0 && size < 1e15 {
        return grouped(v as i64);
    }
    if !(1e-3..1e7).contains(&size) {
        return signed(v, format!("{size:.2e}"));
    }
    let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
    let text = format!("{size:.decimals$}");
    match text.contains('.') {
        true => signed(v, text.trim_end_matches('0').trim_end_matches('.').to_string()),
        false => grouped(v.round() as i64),
    }
}

/// [`number`] of what may be missing.
pub fn maybe(v: Option<f64>) -> String {
    number(v.unwrap_or(f64::NAN))
}

/// A whole number for people.
pub fn count(n: impl TryInto<u64>) -> String {
    number(n.try_into().map_or(f64::NAN, |n| n as f64))
}

/// Digits in groups of three, from four digits on.
fn grouped(v: i64) -> String {
    let digits = v.unsigned_abs().to_string();
    let mut out = String::new();
    for (at, c) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    signed(v as f64, out)
}

/// The digits of `v` with its sign.
fn signed(v: f64, digits: String) -> String {
    if v < 0.0 { format!("−{digits}") } else { digits }
}

/// `part` of `whole` as a percentage.
pub fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.1} %", 100.0 * part / whole) } else { "–".into() }
}

/// A coordinate in a drawing.
pub fn px(v: f64) -> String {
    let text = format!("{v:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let all = [0.0, 999.0, 1234567.0, -1000.0, 0.97654321, -12.3456, 123456.7, 1.0e-9, 2.5e7 + 0.5, f64::NAN, 0.5];
        let texts: Vec<String> = all.into_iter().map(number).collect();
        let expected = ["0", "999", "1,234,567", "−1,000", "0.9765", "−12.35", "123,457", "1.00e-9", "2.50e7", "–", "0.5"];
        assert_eq!(texts, expected);
        assert_eq!((percent(1.0, 3.0), percent(1.0, 0.0)), ("33.3 %".to_string(), "–".to_string()));
        assert_eq!((px(3.04), px(3.25)), ("3".to_string(), "3.2".to_string()));
    }

    #[test]
    fn nothing_of_a_name_is_markup() {
        let code = name("<a href=\"x\" b='&'>\n\t\u{202e}").into_string();
        assert_eq!(code, "<code>&lt;a href=&quot;x&quot; b='&amp;'&gt;␤\u{fffd}\u{fffd}</code>");
        let long = "ä".repeat(100_000);
        assert!(name(&long).into_string().chars().count() < 600);
        assert_eq!((cut("abc", 3), cut("abcd", 3)), ("abc".to_string(), "ab…".to_string()));
    }
}
