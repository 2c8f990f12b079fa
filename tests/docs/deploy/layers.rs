//! The Dockerfile's build stage, instruction by instruction, in a folder that has only the files
//! that it copies.

use super::dockerfile::{Instruction, Stage, is_sent, stages, text};
use super::root;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files that the build stage's COPY lines and the program's build can name.
const CONTEXT: [&str; 7] = [".dockerignore", "Cargo.toml", "Cargo.lock", "build.rs", "proto", "src", "LICENSE"];

/// Cargo as the RUN lines call it: checked and not linked, in the development profile, whose
/// libraries the tests have compiled. Nothing is there to install then.
const CHECKED: &str = r#"
cargo() {
    [ "$1" = build ] || { echo "these tests do not follow: cargo $*" >&2; exit 1; }
    shift
    arguments=
    while [ $# -gt 0 ]; do
        case $1 in --profile) shift ;; *) arguments="$arguments $1" ;; esac
        shift
    done
    "$CARGO" check --quiet $arguments
}
install() { :; }
"#;
/// Cargo itself; files go under the build folder instead of the root.
const BUILT: &str = r#"
cargo() { "$CARGO" "$@"; }
install() { command install "$@"; }
"#;

/// A build stage that is followed.
struct Build<'a> {
    /// What would be sent to the builder, less what .dockerignore names.
    context: &'a Path,
    dockerfile: &'a str,
    /// Where it is done; emptied first.
    dir: PathBuf,
    functions: &'a str,
    target: PathBuf,
}

impl Build<'_> {
    /// Follows the stage `build`.
    ///
    /// # Errors
    /// What an instruction says, or a file of the program that is not there in the end.
    fn follow(&self) -> Result<(), String> {
        let _ = fs::remove_dir_all(&self.dir);
        fs::create_dir_all(&self.dir).unwrap();
        let stages = stages(self.dockerfile);
        let stage = stages.iter().find(|s| s.name == "build").ok_or("no stage `build`")?;
        for instruction in &stage.instructions {
            let at = |e: String| format!("Dockerfile:{}: {} {}: {e}", instruction.line, instruction.word, instruction.rest);
            match instruction.word.as_str() {
                "WORKDIR" => {}
                "COPY" => self.copy(instruction).map_err(at)?,
                "RUN" => self.run(&instruction.rest).map_err(at)?,
                _ => return Err(at("these tests do not follow it".into())),
            }
        }
        let mut missing = Vec::new();
        differing(&self.context.join("src"), &self.dir.join("src"), &mut missing);
        if missing.is_empty() { Ok(()) } else { Err(format!("not what was built: {missing:?}")) }
    }

    fn copy(&self, instruction: &Instruction) -> Result<(), String> {
        let copy = instruction.copy();
        let ignore = fs::read_to_string(self.context.join(".dockerignore")).map_err(|e| format!(".dockerignore: {e}"))?;
        for source in &copy.sources {
            let from = self.context.join(source);
            if !from.exists() || !is_sent(&ignore, source) {
                return Err(format!("{source} is not there, or left out by .dockerignore"));
            }
            let mut to = self.dir.join(&copy.to);
            if from.is_file() && copy.to.ends_with('/') {
                to.push(Path::new(source).file_name().unwrap());
            }
            copy_all(&from, &to, &|path| is_sent(&ignore, &path.strip_prefix(self.context).unwrap().to_string_lossy()));
        }
        Ok(())
    }

    fn run(&self, commands: &str) -> Result<(), String> {
        let commands = commands.replace(" /out/", &format!(" {}/out/", self.dir.display()));
        let mut command = Command::new("sh");
        // what Cargo tells these tests of their package would pass for what it has to find out of
        // the copied one
        let of_this = |name: &str| name == "OUT_DIR" || ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|p| name.starts_with(p));
        for (name, _) in std::env::vars_os().filter(|(name, _)| of_this(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        let output = command
            .args(["-c", &format!("set -e\n{}\n{commands}", self.functions)])
            .current_dir(&self.dir)
            .env("CARGO", std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()))
            .env("CARGO_TARGET_DIR", &self.target)
            // nothing is compiled twice
            .env("CARGO_INCREMENTAL", "0")
            .output()
            .unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }
}

fn copy_all(from: &Path, to: &Path, sent: &dyn Fn(&Path) -> bool) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            if sent(&path) {
                copy_all(&path, &to.join(path.file_name().unwrap()), sent);
            }
        }
    } else {
        fs::write(to, fs::read(from).unwrap()).unwrap();
    }
}

/// Files below `of` that `other` lacks or has otherwise.
fn differing(of: &Path, other: &Path, found: &mut Vec<PathBuf>) {
    if of.is_dir() {
        for entry in fs::read_dir(of).unwrap() {
            let path = entry.unwrap().path();
            differing(&path, &other.join(path.file_name().unwrap()), found);
        }
    } else if fs::read(of).unwrap() != fs::read(other).unwrap_or_default() {
        found.push(of.into());
    }
}

/// The build folder of these tests: `target` of the checkout, or where it was moved to.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().into()
}

/// The same place in every run: what Cargo keeps of it is written over and does not grow.
fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("deploy").join(name)
}

/// A copy of what the builder is sent, to be spoiled.
fn context() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    CONTEXT.iter().for_each(|name| copy_all(&root().join(name), &dir.path().join(name), &|_| true));
    dir
}

fn checked(name: &str, context: &Path, dockerfile: &str) -> Result<(), String> {
    Build { context, dockerfile, dir: place(name), functions: CHECKED, target: target() }.follow()
}

#[test]
#[ignore = "needs minutes: the program is compiled again and again"]
fn the_image_has_every_file_that_its_build_reads() {
    checked("whole", root(), &text()).unwrap();
}

#[test]
#[ignore = "needs minutes: the program is compiled again and again"]
fn a_file_that_the_image_lacks_fails() {
    let text = text();
    for left_out in [" build.rs", " Cargo.lock", "COPY proto proto\n", "COPY src src\n"] {
        let without = text.replacen(left_out, "", 1);
        assert_ne!(without, text, "{left_out}");
        assert!(checked("spoiled", root(), &without).is_err(), "built without{left_out}");
    }
    for (file, added, says) in [
        // a target of a file that only the checkout has
        ("Cargo.toml", "\n[[test]]\nname = \"docs\"\nrequired-features = [\"farm\"]\n", "docs"),
        ("src/main.rs", "\nconst _: &str = include_str!(\"../docs/farm.md\");\n", "farm.md"),
        (".dockerignore", "\nproto\n", "proto"),
    ] {
        let context = context();
        let path = context.path().join(file);
        fs::write(&path, fs::read_to_string(&path).unwrap() + added).unwrap();
        let fault = checked("spoiled", context.path(), &text).expect_err(file);
        assert!(fault.contains(says), "{file}: {fault}");
    }
}

/// What the last stage copies is in the checkout or made by the build.
#[test]
fn what_the_image_copies_exists() {
    let stages = stages(&text());
    let made: String = stages.iter().filter(|s| s.name == "build").flat_map(runs).collect();
    let ignore = fs::read_to_string(root().join(".dockerignore")).unwrap();
    for copy in stages.last().unwrap().instructions.iter().filter(|i| i.word == "COPY").map(Instruction::copy) {
        for source in &copy.sources {
            match copy.from.as_deref() {
                None => assert!(root().join(source).exists() && is_sent(&ignore, source), "{source}"),
                Some("build") => assert!(made.split_whitespace().any(|word| word == source), "{source} is not made: {made}"),
                Some(other) => panic!("no stage {other}"),
            }
        }
    }
}

fn runs(stage: &Stage) -> impl Iterator<Item = &str> {
    stage.instructions.iter().filter(|i| i.word == "RUN").map(|i| i.rest.as_str())
}

/// The Dockerfile's own commands on an empty program with this project's profiles: a name of a
/// function or a line of debug information would be left in it as they would in the real one.
#[test]
fn the_program_of_the_image_has_neither_symbols_nor_debug_information() {
    let context = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = context.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let profiles = manifest.find("[profile.").map(|at| &manifest[at..]).expect("profiles");
    assert!(!profiles.contains("\n[dependencies"), "profiles stand last");
    let head = "[package]\nname = \"hgq-onnx\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[features]\nfarm = []\n[workspace]\n";
    write("Cargo.toml", &format!("{head}{profiles}"));
    write("Cargo.lock", "version = 4\n[[package]]\nname = \"hgq-onnx\"\nversion = \"0.1.0\"\n");
    write(".dockerignore", "");
    write("build.rs", "fn main() {}\n");
    write("proto/empty", "");
    write("src/lib.rs", "");
    write("src/main.rs", "fn main() { println!(\"{:?}\", std::env::args()) }\n");
    let dir = place("stripped");
    let target = dir.join("target");
    Build { context: context.path(), dockerfile: &text(), dir: dir.clone(), functions: BUILT, target }.follow().unwrap();
    let program = fs::read(dir.join("out/hgq-onnx")).unwrap();
    let sections = sections(&program);
    assert!(sections.iter().any(|s| s == ".text"), "{sections:?}");
    assert!(!sections.iter().any(|s| s == ".symtab" || s.starts_with(".debug")), "{sections:?}");
}

/// Names of the sections of a 64-bit ELF file.
fn sections(program: &[u8]) -> Vec<String> {
    let number = |at: usize, bytes: usize| program[at..][..bytes].iter().rev().fold(0, |n, &b| n << 8 | usize::from(b));
    // e_shoff, e_shentsize, e_shnum, e_shstrndx; of a section sh_name and sh_offset
    let (table, size, count, names) = (number(0x28, 8), number(0x3a, 2), number(0x3c, 2), number(0x3e, 2));
    let names = number(table + names * size + 0x18, 8);
    let name = |n: usize| program[names + number(table + n * size, 4)..].iter().take_while(|&&b| b != 0).copied().collect();
    (0..count).map(|n| String::from_utf8(name(n)).unwrap()).collect()
}
