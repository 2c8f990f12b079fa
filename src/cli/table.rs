//! JSON documents for people: facts as aligned lines, lists of objects as tables.

use super::screen::{BAD, CAREFUL, GOOD, TITLE, padded, plain, shortened, styled, width, wrapped};
use anstyle::Style;
use serde_json::{Map, Value};

/// Cells longer than this and than half of the terminal, and longer lists, are cut: the whole is in
/// `--json`.
const MAX_CELL: usize = 44;
const MAX_LISTED: usize = 8;
/// Rows of a table that are shown.
const MAX_ROWS: usize = 60;
/// A text is not made narrower than this: the start and the end of a name can still be told.
const MIN_TEXT: usize = 24;

/// For programs only: `formats` says the same as lists of `k`, `i` and `f`.
const HIDDEN: [&str; 8] = ["bits_histogram", "f", "i", "k", "removed", "rounding", "schema", "sha256"];
/// Columns that come first; the others follow by name.
const FIRST: [&str; 5] = ["name", "tensor", "op", "number", "epoch"];

/// Renders a document in `columns`: facts first, then one table for each list of objects.
pub fn render(document: &Value, columns: usize) -> String {
    let mut facts = Vec::new();
    let mut tables = Vec::new();
    collect("", document, columns, &mut facts, &mut tables);
    let mut text = fact_lines(&facts, columns);
    for (title, rows) in tables {
        text += &format!("\n{}\n", styled(TITLE, &title));
        let told = |key: &str| rows.iter().all(|r| r.get(key).is_some());
        text += &match (told("message"), told("reason")) {
            (true, _) => messages(rows, "message", CAREFUL, columns),
            (_, true) => messages(rows, "reason", BAD, columns),
            _ => table(rows, columns),
        };
    }
    text
}

fn collect<'a>(
    path: &str,
    value: &'a Value,
    columns: usize,
    facts: &mut Vec<(String, String)>,
    tables: &mut Vec<(String, &'a [Value])>,
) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(k, _)| !HIDDEN.contains(&k.as_str())) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(&path, value, columns, facts, tables);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => tables.push((path.to_string(), items)),
        Value::Array(items) if items.is_empty() => facts.push((path.to_string(), "none".into())),
        // A message is a fact by itself: never cut.
        Value::String(s) => facts.push((path.to_string(), plain(s))),
        other => facts.push((path.to_string(), cell(other, columns))),
    }
}

/// Names and values, the values below each other and broken where they are long.
pub fn fact_lines(facts: &[(String, String)], columns: usize) -> String {
    let widest = facts.iter().map(|(k, _)| width(k)).max().unwrap_or(0).min(columns / 2);
    let mut text = String::new();
    for (key, value) in facts {
        let key = shortened(key, widest);
        let style = match (key.as_str(), value.as_str()) {
            ("supported", "yes") | ("verification.mismatches" | "mismatches", "0") => Some(GOOD),
            ("supported", _) | ("verification.mismatches", _) => Some(BAD),
            _ => None,
        };
        for (at, line) in wrapped(value, columns.saturating_sub(widest + 2)).into_iter().enumerate() {
            let line = style.map_or(line.clone(), |s| styled(s, &line));
            text += format!("{}  {line}", padded(if at == 0 { &key } else { "" }, widest, false)).trim_end();
            text.push('\n');
        }
    }
    text
}

/// Objects with a text: one paragraph each, after what it is about.
fn messages(rows: &[Value], key: &str, style: Style, columns: usize) -> String {
    let mut text = String::new();
    for row in rows.iter().take(MAX_ROWS) {
        let of = |key: &str| row.get(key).and_then(Value::as_str).map(plain).filter(|s| !s.is_empty());
        let head = ["code", "node", "name", "op"].map(of).into_iter().flatten().collect::<Vec<_>>().join(", ");
        for (at, line) in
            wrapped(&format!("{head}: {}", of(key).unwrap_or_default()), columns.saturating_sub(4)).iter().enumerate()
        {
            text += &match at {
                0 => format!("  {}\n", line.replacen(&head, &styled(style, &head), 1)),
                _ => format!("    {line}\n"),
            };
        }
    }
    text + &more(rows.len())
}

fn more(rows: usize) -> String {
    if rows > MAX_ROWS { format!("  … and {} more: --json has all\n", rows - MAX_ROWS) } else { String::new() }
}

/// A column of a table.
struct Column {
    /// `weights.count` stands in two lines.
    head: Vec<String>,
    cells: Vec<String>,
    numeric: bool,
    width: usize,
}

fn table(rows: &[Value], columns: usize) -> String {
    let shown: Vec<Map<String, Value>> = rows.iter().take(MAX_ROWS).map(flat).collect();
    let mut keys: Vec<&str> = Vec::new();
    for key in shown.iter().flat_map(Map::keys) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    keys.sort_by_key(|c| FIRST.iter().position(|f| f == c).unwrap_or(FIRST.len()));
    let column = |key: &&str| {
        let head: Vec<String> = key.split('.').map(String::from).collect();
        let cells: Vec<String> = shown.iter().map(|row| row.get(*key).map_or_else(String::new, |v| cell(v, columns))).collect();
        let width = head.iter().chain(&cells).map(|s| width(s)).max().unwrap_or(0);
        let numeric = shown.iter().filter_map(|r| r.get(*key)).all(|v| v.is_number() || v.is_null());
        Column { head, cells, numeric, width }
    };
    let mut all: Vec<Column> = keys.iter().map(column).collect();
    shrink(&mut all, columns.saturating_sub(2));
    let mut text = String::new();
    // what does not fit beside the first column comes below, with the first column again
    let mut from = 1;
    loop {
        let mut used = all.first().map_or(0, |c| c.width) + 2;
        let fits = all[from.min(all.len())..].iter().take_while(|c| {
            used += c.width + 2;
            used <= columns
        });
        let to = from + fits.count().max(1);
        let part: Vec<&Column> = all.iter().take(1).chain(all.iter().take(to).skip(from)).collect();
        if from > 1 {
            text.push('\n');
        }
        text += &block(&part);
        from = to;
        if from >= all.len() {
            return text + &more(rows.len());
        }
    }
}

/// Makes texts narrower, the widest first, until all fit or no text is wide any more.
fn shrink(all: &mut [Column], columns: usize) {
    loop {
        let total: usize = all.iter().map(|c| c.width + 2).sum::<usize>().saturating_sub(2);
        let widest = all.iter_mut().filter(|c| !c.numeric && c.width > MIN_TEXT).max_by_key(|c| c.width);
        let (true, Some(widest)) = (total > columns, widest) else { return };
        widest.width -= 1;
    }
}

fn block(columns: &[&Column]) -> String {
    let line = |cells: &mut dyn Iterator<Item = (&str, &&Column)>| {
        let padded: Vec<String> = cells.map(|(s, c)| padded(&shortened(s, c.width), c.width, c.numeric)).collect();
        format!("  {}\n", padded.join("  ").trim_end())
    };
    let height = columns.iter().map(|c| c.head.len()).max().unwrap_or(0);
    let mut text = String::new();
    for at in 0..height {
        // heads stand on the first row
        let part = |c: &Column| c.head.len().checked_sub(height - at).and_then(|n| c.head.get(n)).cloned().unwrap_or_default();
        let heads: Vec<String> = columns.iter().map(|c| part(c)).collect();
        text += &line(&mut heads.iter().map(String::as_str).zip(columns));
    }
    for row in 0..columns.first().map_or(0, |c| c.cells.len()) {
        text += &line(&mut columns.iter().map(|c| c.cells.get(row).map_or("", String::as_str)).zip(columns));
    }
    text
}

/// One row, inner objects as `outer.inner`; something that is not an object is a row of its own.
fn flat(row: &Value) -> Map<String, Value> {
    fn add(prefix: &str, map: &Map<String, Value>, out: &mut Map<String, Value>) {
        for (key, value) in map.iter().filter(|(k, _)| !HIDDEN.contains(&k.as_str())) {
            let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                Value::Object(inner) if !inner.is_empty() => add(&name, inner, out),
                other => {
                    out.insert(name, other.clone());
                }
            }
        }
    }
    let mut out = Map::new();
    match row {
        Value::Object(map) => add("", map, &mut out),
        other => {
            out.insert("value".into(), other.clone());
        }
    }
    out
}

/// A value in the tables of a terminal that has `columns`.
fn cell(value: &Value, columns: usize) -> String {
    let most = MAX_CELL.max(columns / 2);
    let text = match value {
        Value::Null => "-".into(),
        // names differ at their ends
        Value::String(s) => shortened(&plain(s), most),
        Value::Bool(b) => if *b { "yes" } else { "no" }.into(),
        // Whole numbers as they are, others with the digits that a reader uses.
        Value::Number(n) => match n.as_f64() {
            Some(v) if !(n.is_i64() || n.is_u64()) => short(v),
            _ => n.to_string(),
        },
        Value::Array(items) if items.len() > MAX_LISTED && items.iter().all(Value::is_number) => {
            let numbers = || items.iter().filter_map(Value::as_f64);
            let (low, high) = (numbers().fold(f64::INFINITY, f64::min), numbers().fold(f64::NEG_INFINITY, f64::max));
            format!("{} … {} ({})", short(low), short(high), items.len())
        }
        Value::Array(items) => {
            let listed: Vec<String> = items.iter().take(MAX_LISTED).map(|v| cell(v, columns)).collect();
            let more = if items.len() > MAX_LISTED { format!(", … ({})", items.len()) } else { String::new() };
            format!("{}{more}", listed.join(", "))
        }
        Value::Object(map) => format_count(map).unwrap_or_else(|| value.to_string()),
    };
    if text.chars().count() > most { text.chars().take(most - 1).chain(['…']).collect() } else { text }
}

/// `count×(k,i,f)` for an entry of a list of formats.
fn format_count(map: &Map<String, Value>) -> Option<String> {
    Some(format!("{}×({},{},{})", map.get("count")?, map.get("k")?, map.get("i")?, map.get("f")?))
}

fn short(v: f64) -> String {
    if v == 0.0 || (1e-4..1e7).contains(&v.abs()) {
        let text = format!("{v:.6}");
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        format!("{v:.4e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(document: &Value, columns: usize) -> String {
        anstream::adapter::strip_str(&render(document, columns)).to_string()
    }

    #[test]
    fn facts_and_tables() {
        let text = rendered(
            &json!({
                "ebops": 5210, "proxy": {"metric": 0.975, "loss": 1.5e-9},
                "layers": [{"name": "dense", "weights": {"count": 2048}}, {"name": "out", "weights": {"count": 7}, "note": "x"}],
            }),
            80,
        );
        let expected = "\
ebops         5210
proxy.loss    1.5000e-9
proxy.metric  0.975

layers
         weights
  name     count  note
  dense     2048
  out          7  x
";
        assert_eq!(text, expected);
    }

    #[test]
    fn long_lists_and_formats_are_short() {
        let f = json!({"k": 1, "i": 2, "f": -3, "bits": 0, "count": 9});
        let numbers: Vec<i64> = (0..9).rev().collect();
        let text = rendered(&json!({"rows": [{"a": [f], "b": numbers}]}), 80);
        assert_eq!(text, "\nrows\n  a           b\n  9×(1,2,-3)  0 … 8 (9)\n");
    }

    #[test]
    fn what_is_too_wide_is_shortened_and_then_comes_below() {
        let row = |n: u32| json!({"name": format!("/model/encoder/layer.{n}/attention/dense"), "a": n, "bb": 1e6, "cc": -12.5, "dd": 1e6});
        let text = rendered(&json!({"rows": [row(0), row(1)]}), 40);
        let expected = "
rows
  name                      a       bb
  /model/encod…ntion/dense  0  1000000
  /model/encod…ntion/dense  1  1000000

  name                         cc
  /model/encod…ntion/dense  -12.5
  /model/encod…ntion/dense  -12.5

  name                           dd
  /model/encod…ntion/dense  1000000
  /model/encod…ntion/dense  1000000
";
        assert_eq!(text, expected);
        assert!(rendered(&json!({"note": "word ".repeat(40)}), 40).lines().all(|l| width(l) <= 40));
    }

    #[test]
    fn wide_terminals_show_long_names() {
        let name = format!("/model/encoder/layer.0/{}/dense", "attention".repeat(5));
        let text = |columns| rendered(&json!({"rows": [{"name": name}]}), columns);
        assert!(text(200).contains(&name));
        // both ends are there
        assert!(text(80).contains("/model/encoder/") && text(80).contains('…') && text(80).contains("ion/dense"), "{}", text(80));
    }

    #[test]
    fn messages_are_whole() {
        let text =
            rendered(&json!({"warnings": [{"code": "c", "node": "n", "message": "a long message that needs two lines"}]}), 40);
        assert_eq!(text, "\nwarnings\n  c, n: a long message that needs two\n    lines\n");
        let text = rendered(&json!({"unsupported": [{"name": "n", "op": "Einsum", "reason": "use MatMul"}]}), 40);
        assert_eq!(text, "\nunsupported\n  n, Einsum: use MatMul\n");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(rendered(&json!({"name": "a\u{1b}[2Jb"}), 80), "name  a\u{fffd}[2Jb\n");
    }
}
