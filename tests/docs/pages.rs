//! The pages, their code blocks and their tables.

use std::fs;
use std::path::Path;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README and everything in docs/, with their paths from the root.
pub fn pages() -> Vec<(String, String)> {
    let mut names: Vec<String> = vec!["README.md".into(), "python/README.md".into()];
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.extend(docs.filter(|n| n.ends_with(".md")).map(|n| format!("docs/{n}")));
    names.sort();
    names.into_iter().map(|n| (n.clone(), fs::read_to_string(root().join(n)).unwrap())).collect()
}

#[derive(Debug)]
pub struct Block {
    pub line: usize,
    pub language: String,
    pub text: String,
    /// The comment right before it.
    pub remark: Option<String>,
}

pub fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut remark = None;
    let mut open: Option<Block> = None;
    for (at, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some("")) => found.extend(open.take()),
            (Some(block), _) => block.text += &format!("{line}\n"),
            (None, Some(language)) => {
                open = Some(Block { line: at + 1, language: language.into(), text: String::new(), remark: remark.take() });
            }
            (None, None) => {
                let comment = line.trim().strip_prefix("<!--").and_then(|l| l.strip_suffix("-->"));
                if let Some(text) = comment {
                    remark = Some(text.trim().to_string());
                } else if !line.trim().is_empty() {
                    remark = None;
                }
            }
        }
    }
    assert!(open.is_none(), "a code block without its end");
    found
}

impl Block {
    /// The file that it is, if it is one.
    pub fn file(&self) -> Option<&str> {
        let first = self.text.lines().next()?.strip_prefix("# ")?;
        let name = first.split([':', ' ']).next()?;
        (name.ends_with(".sh") || name.ends_with(".py")).then_some(name)
    }

    pub fn not_run(&self) -> bool {
        self.remark.as_ref().is_some_and(|r| r.starts_with("not run: ") && r.len() > "not run: ".len() + 5)
    }

    /// Whether `python` is the one of the frameworks that export models.
    pub fn exports(&self) -> bool {
        self.remark.as_deref() == Some("run with the exporters")
    }
}

/// Rows of the tables of a page: the cells of each.
pub fn rows(page: &str) -> Vec<Vec<String>> {
    let rows = page.lines().filter_map(|l| l.strip_prefix("| ")?.strip_suffix('|'));
    rows.map(|r| r.split('|').map(|c| c.trim().to_string()).collect()).collect()
}

/// The code at the beginning of a cell: `` `code` ``.
pub fn coded(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.split('`').next()
}
