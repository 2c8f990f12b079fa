//! The pages, their code blocks and their tables.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What `file` must contain: `HGQ_UPDATE_DOCS=1` writes it.
pub fn write_or_compare(file: &Path, text: &str) {
    if std::env::var_os("HGQ_UPDATE_DOCS").is_some() {
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, text).expect("written");
    }
    let written = fs::read_to_string(file).unwrap_or_default();
    let first = written.lines().zip(text.lines()).find(|(a, b)| a != b);
    assert!(written == text, "{}: HGQ_UPDATE_DOCS=1 writes it anew; first difference {first:?}", file.display());
}

/// README, its neighbours and everything in docs/, with their paths from the root.
pub fn pages() -> Vec<(String, String)> {
    let others = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "python/README.md"];
    let mut names: Vec<String> = others.map(String::from).into();
    for folder in ["docs", "docs/design"] {
        let docs = fs::read_dir(root().join(folder)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.extend(docs.filter(|n| n.ends_with(".md")).map(|n| format!("{folder}/{n}")));
    }
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

/// What links may lead to in a page: its headings as links spell them, and the anchors that it sets
/// itself.
pub fn anchors(page: &str) -> BTreeSet<String> {
    let slug = |heading: &str| -> String {
        let kept = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        kept.replace(' ', "-")
    };
    let headings = page.lines().filter(|l| l.starts_with('#')).map(|l| slug(l.trim_start_matches('#').trim()));
    let own = page.split("<a id=\"").skip(1).filter_map(|rest| rest.split_once('"')).map(|(id, _)| id.to_string());
    headings.chain(own).collect()
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
