//! docs/errors.md: its tables are those of the codes.

use super::pages::{root, write_or_compare};
use hgq_onnx::diagnostic::{Code, Kind, Statuses};
use std::fmt::Write;

/// The rows of one table.
fn rows(row: impl Fn(Code) -> Option<String>) -> String {
    Code::ALL.iter().filter_map(|&code| row(code)).fold(String::new(), |mut text, row| {
        let _ = writeln!(text, "{row}");
        text
    })
}

/// `page` with `table` in place of the rows that stand below the line that begins with `head`.
fn with_table(page: &str, head: &str, table: &str) -> String {
    let start = page.find(head).unwrap_or_else(|| panic!("{head}"));
    let body = start + page[start..].match_indices('\n').nth(1).expect("a line below the head").0 + 1;
    let end = body + page[body..].split_inclusive('\n').take_while(|l| l.starts_with('|')).map(str::len).sum::<usize>();
    format!("{}{table}{}", &page[..body], &page[end..])
}

#[test]
fn errors_md_has_every_code_with_its_cause_and_cure() {
    let said = |code: Code| (code.name(), code.cause(), code.cure());
    let failure = |wanted: fn(Kind) -> Option<Statuses>| {
        rows(|code| {
            let ((name, cause, cure), s) = (said(code), wanted(code.kind())?);
            Some(format!("| `{name}` | {} | {} | {cause} | {cure} |", s.exit, s.http))
        })
    };
    let conversion = failure(|kind| if let Kind::Conversion(s) = kind { Some(s) } else { None });
    let request = failure(|kind| if let Kind::Request(s) = kind { Some(s) } else { None });
    let remote = rows(|code| {
        let (name, cause, cure) = said(code);
        let Kind::Remote { exit } = code.kind() else { return None };
        Some(format!("| `{name}` | {exit} | {cause} | {cure} |"))
    });
    let warning = rows(|code| {
        let (name, cause, cure) = said(code);
        matches!(code.kind(), Kind::Warning).then(|| format!("| `{name}` | {cause} | {cure} |"))
    });
    let file = root().join("docs/errors.md");
    let mut page = std::fs::read_to_string(&file).expect("docs/errors.md");
    let sections = ["## Failures of a conversion", "## Failures of requests", "codes are its own:", "## Warnings"];
    for (section, table) in sections.into_iter().zip([conversion, request, remote, warning]) {
        let start = page.find(section).expect(section);
        let (before, rest) = page.split_at(start);
        page = format!("{before}{}", with_table(rest, "| code", &table));
    }
    write_or_compare(&file, &page);
}
