//! Warnings, each with its cause and what can be done about it.

use super::doc::Doc;
use super::text::{escape, message, name};
use crate::diagnostic::Code;

/// The section.
pub fn section(report: Doc) -> String {
    let head = "<h2 id=\"warnings\">Warnings</h2>";
    let mut rows = String::new();
    for w in report.list("/warnings") {
        let code = w.text("/code");
        let (cause, cure) = Code::from_name(code).map_or(("", ""), |c| (c.cause(), c.cure()));
        let node = w.text("/node");
        rows += &format!(
            "<tr><th scope=\"row\"><code>{}</code></th><td class=\"text\">{}{}</td><td class=\"text\">{}</td>\
             <td class=\"text\">{}</td></tr>",
            escape(code),
            if node.is_empty() { String::new() } else { format!("{}: ", name(node)) },
            message(w.text("/message")),
            escape(cause),
            escape(cure)
        );
    }
    match rows.is_empty() {
        true => format!("{head}<p>None.</p>"),
        false => format!("{head}{}", super::table("Warnings", &["code", "<what was found", "<cause", "<what to do"], &rows)),
    }
}
