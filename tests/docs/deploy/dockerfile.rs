//! The Dockerfile and .dockerignore, as far as these tests follow them.

use super::root;
use std::fs;

/// One instruction, its continued lines joined.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    pub line: usize,
    pub word: String,
    pub rest: String,
}

/// What one `FROM` begins.
#[derive(Debug, PartialEq)]
pub struct Stage {
    /// After `AS`.
    pub name: String,
    pub instructions: Vec<Instruction>,
}

/// `COPY [--from=STAGE] [--chown=…] SOURCE… TO`
#[derive(Debug, PartialEq)]
pub struct Copy {
    pub from: Option<String>,
    pub sources: Vec<String>,
    pub to: String,
}

pub fn text() -> String {
    fs::read_to_string(root().join("Dockerfile")).unwrap()
}

/// The stages in order.
pub fn stages(text: &str) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for instruction in instructions(text) {
        if instruction.word == "FROM" {
            let name = instruction.rest.split_once(" AS ").map_or("", |(_, name)| name.trim());
            stages.push(Stage { name: name.into(), instructions: Vec::new() });
        } else if let Some(stage) = stages.last_mut() {
            stage.instructions.push(instruction);
        } else {
            assert_eq!(instruction.word, "ARG", "line {}: only ARG stands before FROM", instruction.line);
        }
    }
    stages
}

fn instructions(text: &str) -> Vec<Instruction> {
    let mut found: Vec<Instruction> = Vec::new();
    let mut continued = false;
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (part, more) = line.strip_suffix('\\').map_or((line, false), |part| (part.trim_end(), true));
        match found.last_mut() {
            Some(last) if continued => {
                last.rest.push(' ');
                last.rest.push_str(part);
            }
            _ => {
                let (word, rest) = part.split_once(' ').unwrap_or((part, ""));
                found.push(Instruction { line: n + 1, word: word.to_ascii_uppercase(), rest: rest.trim().into() });
            }
        }
        continued = more;
    }
    found
}

impl Instruction {
    /// This `COPY`.
    pub fn copy(&self) -> Copy {
        let (flags, mut paths): (Vec<&str>, Vec<&str>) = self.rest.split_whitespace().partition(|w| w.starts_with("--"));
        let to = paths.pop().unwrap_or_default().to_string();
        assert!(
            !paths.is_empty() && !self.rest.contains(['*', '[', '$']),
            "line {}: a form these tests do not follow",
            self.line
        );
        let from = flags.iter().find_map(|f| f.strip_prefix("--from=")).map(String::from);
        Copy { from, sources: paths.into_iter().map(String::from).collect(), to }
    }

    /// The words of an instruction in JSON form, `CMD ["a", "b"]`.
    pub fn words(&self) -> Vec<String> {
        let list = self.rest.find('[').map_or("", |at| &self.rest[at..]);
        serde_json::from_str(list).unwrap_or_else(|e| panic!("line {}: {e}: {}", self.line, self.rest))
    }
}

/// Whether .dockerignore, `lines`, lets `path` into the build: the last line that fits decides.
pub fn is_sent(ignore: &str, path: &str) -> bool {
    let mut sent = true;
    for line in ignore.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (pattern, back) = line.strip_prefix('!').map_or((line, false), |p| (p, true));
        assert!(pattern == "*" || !pattern.contains(['*', '?', '[']), ".dockerignore: {line}: a form these tests do not follow");
        let pattern = pattern.trim_matches('/');
        if pattern == "*" || path == pattern || path.strip_prefix(pattern).is_some_and(|rest| rest.starts_with('/')) {
            sent = back;
        }
    }
    sent
}

#[test]
fn instructions_are_read_with_their_continued_lines() {
    let stages = stages(
        "ARG A=1\n# c\nFROM x AS build\nRUN a \\\n  # c\n  && b\nFROM y\ncopy --from=build --chown=1:1 /a /b c/\nCMD [\"d\"]\n",
    );
    assert_eq!((stages.len(), stages[0].name.as_str(), stages[1].name.as_str()), (2, "build", ""));
    assert_eq!(stages[0].instructions, [Instruction { line: 4, word: "RUN".into(), rest: "a && b".into() }]);
    let copy = Copy { from: Some("build".into()), sources: vec!["/a".into(), "/b".into()], to: "c/".into() };
    assert_eq!((stages[1].instructions[0].copy(), stages[1].instructions[1].words()), (copy, vec!["d".to_string()]));
}

#[test]
fn the_last_line_of_the_ignored_decides() {
    let ignore = "*\n!src\nsrc/a\n!Cargo.toml\n";
    for (path, sent) in
        [("src", true), ("src/b/c", true), ("src/a", false), ("src/a/d", false), ("srcs", false), ("Cargo.toml", true)]
    {
        assert_eq!(is_sent(ignore, path), sent, "{path}");
    }
}
