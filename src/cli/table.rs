//! JSON documents for people: facts as aligned lines, lists of objects as tables.

use serde_json::{Map, Value};

/// Cells and lists longer than this are cut: the whole is in `--json`.
const MAX_CELL: usize = 44;
const MAX_LISTED: usize = 8;
/// Rows of a table that are shown.
const MAX_ROWS: usize = 60;

/// For programs only: `formats` says the same as lists of `k`, `i` and `f`.
const HIDDEN: [&str; 8] = ["bits_histogram", "f", "i", "k", "removed", "rounding", "schema", "sha256"];
/// Columns that come first; the others follow by name.
const FIRST: [&str; 5] = ["name", "tensor", "op", "number", "epoch"];

/// Renders a document: facts first, then one table for each list of objects.
pub fn render(document: &Value) -> String {
    let mut facts = Vec::new();
    let mut tables = Vec::new();
    collect("", document, &mut facts, &mut tables);
    let width = facts.iter().map(|(k, _)| k.chars().count()).max().unwrap_or(0);
    let mut text: String = facts.iter().map(|(k, v)| format!("{k:width$}  {v}\n")).collect();
    for (title, rows) in tables {
        text += &format!("\n{title}\n{}", table(rows));
    }
    text
}

fn collect<'a>(path: &str, value: &'a Value, facts: &mut Vec<(String, String)>, tables: &mut Vec<(String, &'a [Value])>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(k, _)| !HIDDEN.contains(&k.as_str())) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(&path, value, facts, tables);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => tables.push((path.to_string(), items)),
        Value::Array(items) if items.is_empty() => facts.push((path.to_string(), "none".into())),
        // A message is a fact by itself: never cut.
        Value::String(s) => facts.push((path.to_string(), plain(s))),
        other => facts.push((path.to_string(), cell(other))),
    }
}

fn table(rows: &[Value]) -> String {
    let shown: Vec<Map<String, Value>> = rows.iter().take(MAX_ROWS).map(flat).collect();
    let mut columns: Vec<&str> = Vec::new();
    for key in shown.iter().flat_map(Map::keys) {
        if !columns.contains(&key.as_str()) {
            columns.push(key);
        }
    }
    columns.sort_by_key(|c| FIRST.iter().position(|f| f == c).unwrap_or(FIRST.len()));
    let cells: Vec<Vec<String>> =
        shown.iter().map(|row| columns.iter().map(|c| row.get(*c).map_or_else(String::new, cell)).collect()).collect();
    let widths: Vec<usize> = (columns.iter().enumerate())
        .map(|(i, c)| cells.iter().filter_map(|r| r.get(i)).map(|s| s.chars().count()).max().unwrap_or(0).max(c.chars().count()))
        .collect();
    let line = |cells: &mut dyn Iterator<Item = (&str, bool)>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|((s, right), &w)| if right { format!("{s:>w$}") } else { format!("{s:w$}") }).collect();
        format!("  {}\n", padded.join("  ").trim_end())
    };
    let numeric: Vec<bool> =
        columns.iter().map(|c| shown.iter().filter_map(|r| r.get(*c)).all(|v| v.is_number() || v.is_null())).collect();
    let mut text = line(&mut columns.iter().copied().zip(numeric.iter().copied()));
    for row in &cells {
        text += &line(&mut row.iter().map(String::as_str).zip(numeric.iter().copied()));
    }
    if rows.len() > MAX_ROWS {
        text += &format!("  … and {} more\n", rows.len() - MAX_ROWS);
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

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".into(),
        Value::String(s) => plain(s),
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
            let listed: Vec<String> = items.iter().take(MAX_LISTED).map(cell).collect();
            let more = if items.len() > MAX_LISTED { format!(", … ({})", items.len()) } else { String::new() };
            format!("{}{more}", listed.join(", "))
        }
        Value::Object(map) => format_count(map).unwrap_or_else(|| value.to_string()),
    };
    if text.chars().count() > MAX_CELL { text.chars().take(MAX_CELL - 1).chain(['…']).collect() } else { text }
}

/// `count×(k,i,f)` for an entry of a list of formats.
fn format_count(map: &Map<String, Value>) -> Option<String> {
    Some(format!("{}×({},{},{})", map.get("count")?, map.get("k")?, map.get("i")?, map.get("f")?))
}

/// Names come from the user's file: control characters must not reach the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
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

    #[test]
    fn facts_and_tables() {
        let text = render(&json!({
            "ebops": 5210, "proxy": {"metric": 0.975, "loss": 1.5e-9},
            "layers": [{"name": "dense", "weights": {"count": 2048}}, {"name": "out", "weights": {"count": 7}, "note": "x"}],
        }));
        let expected = "\
ebops         5210
proxy.loss    1.5000e-9
proxy.metric  0.975

layers
  name   weights.count  note
  dense           2048
  out                7  x
";
        assert_eq!(text, expected);
    }

    #[test]
    fn long_lists_and_formats_are_short() {
        let f = json!({"k": 1, "i": 2, "f": -3, "bits": 0, "count": 9});
        let numbers: Vec<i64> = (0..9).rev().collect();
        assert_eq!(
            render(&json!({"rows": [{"a": [f], "b": numbers}]})),
            "\nrows\n  a          b\n  9×(1,2,-3)  0 … 8 (9)\n".replace("a          b", "a           b")
        );
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(render(&json!({"name": "a\u{1b}[2Jb"})), "name  a\u{fffd}[2Jb\n");
    }
}
