//! The documentation does what it says: every command block of every page is run, in the order of the page, and what is named in passing
//! (flags, files) exists.
//!
//! A page is one script. ```` ```sh ```` blocks share a shell, ```` ```python ```` blocks a Python process; a block whose first line is
//! `# NAME.sh` or `# NAME.py` (and may go on with `:` and what it is) is saved under that name for later commands. `cargo run … --` is
//! the program under test, and ports 8080 and 4222 are free ones. What cannot run here says why in a comment before the block:
//! `<!-- not run: WHY -->`; `<!-- run with the exporters -->`: `python` there has PyTorch and others.

mod common;
#[path = "support/hls4ml.rs"]
mod hls4ml;

use axum::http::StatusCode;
use hgq_onnx::convert::{Error, JobConfig};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Seconds that a page may take: the slowest compiles C++ several times.
const PAGE_SECONDS: &str = "300";
/// What pages install to export models, and what they install for hls4ml.
const EXPORTERS: &str = "tests/support/exporters.txt";
/// Flags of other programs that pages name alone.
const OTHERS: [&str; 4] = ["--format", "--features", "--net", "--model"];
const HLS4ML: &str = "tests/support/hls4ml/requirements.txt";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README and everything in docs/, with their paths from the root.
fn pages() -> Vec<(String, String)> {
    let mut names: Vec<String> = vec!["README.md".into(), "python/README.md".into()];
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.extend(docs.filter(|n| n.ends_with(".md")).map(|n| format!("docs/{n}")));
    names.sort();
    names.into_iter().map(|n| (n.clone(), fs::read_to_string(root().join(n)).unwrap())).collect()
}

#[derive(Debug)]
struct Block {
    line: usize,
    language: String,
    text: String,
    /// The comment right before it.
    remark: Option<String>,
}

fn blocks(page: &str) -> Vec<Block> {
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
    fn file(&self) -> Option<&str> {
        let first = self.text.lines().next()?.strip_prefix("# ")?;
        let name = first.split([':', ' ']).next()?;
        (name.ends_with(".sh") || name.ends_with(".py")).then_some(name)
    }

    fn not_run(&self) -> bool {
        self.remark.as_ref().is_some_and(|r| r.starts_with("not run: ") && r.len() > "not run: ".len() + 5)
    }

    /// Whether `python` is the one of the frameworks that export models.
    fn exports(&self) -> bool {
        self.remark.as_deref() == Some("run with the exporters")
    }
}

/// The interpreter of the frameworks that export models.
fn exporters() -> Option<PathBuf> {
    hls4ml::environment("export-env", &root().join(EXPORTERS))
}

/// A folder in which the commands of a page find what a reader has: the checkout, and a model with its data.
fn workplace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.starts_with('.') && name != "target" && name != "out" {
            std::os::unix::fs::symlink(&path, dir.path().join(name)).unwrap();
        }
    }
    for (from, to) in [
        ("digits_mlp.onnx", "model.onnx"),
        ("calibration.npz", "calibration.npz"),
        ("calibration.npz", "x.npz"),
        ("train.npz", "train.npz"),
        ("test.npz", "validation.npz"),
    ] {
        fs::copy(common::fixture("digits").join(from), dir.path().join(to)).unwrap();
    }
    dir
}

fn executable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// `cargo`, `python` and `pip` as the commands of a page find them. Building this project again is not what is tested.
fn tools(dir: &Path, ports: &Ports, python: Option<&Path>, exporters: Option<&Path>) -> PathBuf {
    let bin = dir.join(".bin");
    fs::create_dir(&bin).unwrap();
    // where it does not say where to listen it is the port that others ask
    let program = format!(
        "#!/bin/sh\ncase \"$*\" in *--listen*) ;; serve*) set -- \"$@\" --listen 127.0.0.1:{} ;; esac\nexec '{}' \"$@\"\n",
        ports.http,
        env!("CARGO_BIN_EXE_hgq-onnx")
    );
    executable(&bin.join("hgq-onnx"), &program);
    // the installed one is found behind this one's folder
    let nats = format!("#!/bin/sh\nPATH=${{PATH#*:}}\nexec nats-server -a 127.0.0.1 -p {} \"$@\"\n", ports.nats);
    executable(&bin.join("nats-server"), &nats);
    let cargo = "#!/bin/sh\n\
        case \"$1 $2\" in\n\
        'run --release') while [ \"$1\" != -- ]; do shift; done; shift; exec hgq-onnx \"$@\" ;;\n\
        'build --release') mkdir -p target/release && ln -sf \"$(command -v hgq-onnx)\" target/release/hgq-onnx ;;\n\
        'test --features') [ \"$3\" = farm ] ;;\n\
        *) echo \"no such cargo command is expected: $*\" >&2; exit 1 ;;\n\
        esac\n";
    executable(&bin.join("cargo"), cargo);
    for (folder, python) in [("", python), ("exporters", exporters)] {
        let Some(python) = python else { continue };
        fs::create_dir_all(bin.join(folder)).unwrap();
        for name in ["python", "python3"] {
            executable(&bin.join(folder).join(name), &format!("#!/bin/sh\nexec '{}' \"$@\"\n", python.display()));
        }
    }
    // what a page installs is in one of the environments already; that the package itself installs is seen in tests/python.rs
    let pip = format!(
        "#!/bin/sh\n[ \"$1\" = install ] && shift\n\
        for package; do\n\
        name=${{package%%[=@ []*}}\n\
        [ \"$name\" = hgq-onnx ] || grep -qi \"^$name==\" {EXPORTERS} {HLS4ML} || {{ echo \"no environment has $name\" >&2; exit 1; }}\n\
        done\n"
    );
    executable(&bin.join("pip"), &pip);
    bin
}

/// Reads names of files and runs them in one namespace, one after the other.
const DRIVER: &str = "
import os, sys, traceback
answers, names = os.fdopen(os.dup(1), 'w'), {}
os.dup2(2, 1)
for path in sys.stdin:
    try:
        exec(compile(open(path.strip()).read(), path.strip(), 'exec'), names)
        said = 'ok'
    except BaseException:
        traceback.print_exc()
        said = 'failed'
    print(said, file=answers, flush=True)
";

fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Free ones in place of those that pages name.
struct Ports {
    http: u16,
    nats: u16,
}

impl Ports {
    fn free() -> Ports {
        // both held until both are known, or they could be one
        let [http, nats] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        Ports { http: http.local_addr().unwrap().port(), nats: nats.local_addr().unwrap().port() }
    }

    fn put_into(&self, text: &str) -> String {
        let http = format!("127.0.0.1:{}", self.http);
        let text = text.replace("127.0.0.1:8080", &http).replace("0.0.0.0:8080", &http);
        text.replace("127.0.0.1:4222", &format!("127.0.0.1:{}", self.nats))
    }
}

/// The script of a page, and what is left out of it.
fn script(name: &str, blocks: &[Block], dir: &Path, ports: &Ports) -> (String, Vec<String>) {
    let mut script = String::from("set -euo pipefail\ntrap 'set +e; kill $(jobs -p) 2>/dev/null; wait' EXIT\n");
    let mut left_out = Vec::new();
    let mut python = false;
    for block in blocks {
        let at = format!("{name}:{}", block.line);
        if !["sh", "python"].contains(&block.language.as_str()) {
            continue;
        }
        if block.not_run() {
            left_out.push(format!("{at}: {}", block.remark.as_deref().unwrap_or_default()));
            continue;
        }
        if block.remark.as_deref() == Some("needs nats-server") && !runs("nats-server") {
            left_out.push(format!("{at}: nats-server is missing"));
            continue;
        }
        let text = ports.put_into(&block.text);
        if let Some(file) = block.file() {
            fs::write(dir.join(file), text).unwrap();
            continue;
        }
        writeln!(script, "echo '== {at}' >&2").unwrap();
        if block.language == "python" {
            if !std::mem::replace(&mut python, true) {
                fs::write(dir.join(".driver.py"), DRIVER).unwrap();
                script += "coproc PYTHON { exec python .driver.py; }\n";
            }
            let file = format!(".block{}.py", block.line);
            fs::write(dir.join(&file), text).unwrap();
            writeln!(script, "echo {file} >&\"${{PYTHON[1]}}\"; read -r said <&\"${{PYTHON[0]}}\"; [ \"$said\" = ok ]").unwrap();
            continue;
        }
        if block.exports() {
            script += "PATH=$PWD/.bin/exporters:$PATH\n";
        }
        for line in text.lines() {
            script += &format!("{line}\n");
            if line.contains("serve ") && line.ends_with('&') {
                // what a reader's hands take longer for
                writeln!(script, "for _ in $(seq 200); do curl -fs -o /dev/null http://127.0.0.1:{}/healthz && break; kill -0 $!; sleep 0.05; done", ports.http).unwrap();
            }
        }
        if text.lines().any(|l| l.ends_with('&')) {
            // what was started behind the last server has no answer to wait for, but must not have ended
            script += "sleep 1; for job in $(jobs -p); do kill -0 $job; done\n";
        }
        if block.exports() {
            script += "PATH=${PATH#*:}\n";
        }
    }
    (script, left_out)
}

/// Runs a page and says what it left out, or how it failed.
fn run(name: &str, page: &str) -> Result<Vec<String>, String> {
    let blocks = blocks(page);
    let here = |b: &&Block| b.language == "python" && b.file().is_none() && !b.not_run();
    let (with_hls4ml, exports) = (blocks.iter().any(|b| here(&b)), blocks.iter().any(Block::exports));
    let python = if with_hls4ml { hls4ml::python() } else { None };
    let exporters = if exports { exporters() } else { None };
    if with_hls4ml && python.is_none() || exports && exporters.is_none() {
        return Ok(vec![format!("{name}: all of it, for want of Python or a C++ compiler")]);
    }
    let dir = workplace();
    let ports = Ports::free();
    let bin = tools(dir.path(), &ports, python.as_deref(), exporters.as_deref());
    let (script, left_out) = script(name, &blocks, dir.path(), &ports);
    fs::write(dir.path().join(".page.sh"), &script).unwrap();
    let path = std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap()))).unwrap();
    let output = Command::new("timeout")
        .args([PAGE_SECONDS, "bash", ".page.sh"])
        .current_dir(dir.path())
        .env("PATH", path)
        .env("PYTHONPATH", hls4ml::package())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> = said.lines().filter(|l| !l.starts_with("{\"event\"")).collect();
    let tail = tail[tail.len().saturating_sub(40)..].join("\n");
    if output.status.success() { Ok(left_out) } else { Err(format!("{name}: {:?}\n{tail}\n", output.status.code())) }
}

/// Every page in a test of its own would hide one that was added: they run in two lanes, and each says what it left out.
#[test]
fn every_command_runs() {
    let only = std::env::var("HGQ_DOCS_PAGE").unwrap_or_default();
    let pages: Vec<_> = pages().into_iter().filter(|p| p.0.contains(&only)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((name, page)) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(run(name, page));
        }
        done
    };
    let done: Vec<Result<Vec<String>, String>> = std::thread::scope(|scope| {
        let lanes = [scope.spawn(work), scope.spawn(work)];
        lanes.into_iter().flat_map(|l| l.join().unwrap_or_else(|e| std::panic::resume_unwind(e))).collect()
    });
    let failed: Vec<&str> = done.iter().filter_map(|d| d.as_ref().err().map(String::as_str)).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    done.iter().flatten().flatten().for_each(|l| eprintln!("left out: {l}"));
}

/// Rows of the tables of a page: the cells of each.
fn rows(page: &str) -> Vec<Vec<String>> {
    let rows = page.lines().filter_map(|l| l.strip_prefix("| ")?.strip_suffix('|'));
    rows.map(|r| r.split('|').map(|c| c.trim().to_string()).collect()).collect()
}

/// The code at the beginning of a cell: `` `code` ``.
fn coded(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.split('`').next()
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                flatten(&if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, value, into);
            }
        }
        other => {
            into.insert(path.to_string(), other.clone());
        }
    }
}

#[test]
fn every_field_is_documented_with_its_default() {
    let mut fields = BTreeMap::new();
    flatten("", &serde_json::to_value(JobConfig::default()).unwrap(), &mut fields);
    // absent by default, with parts
    let beta = r#"{"beta": {"start": 1, "end": 1, "schedule": "piecewise", "points": [[0, 1]]}}"#;
    let mut parts = BTreeMap::new();
    flatten("", &serde_json::to_value(JobConfig::parse(beta.as_bytes()).unwrap()).unwrap(), &mut parts);
    fields.remove("beta");
    fields.extend(parts.into_iter().filter(|p| p.0.starts_with("beta.")).map(|p| (p.0, Value::Null)));
    fields.insert("beta.schedule".into(), "log".into());
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let mut documented = BTreeSet::new();
    let mut faults = Vec::new();
    for row in rows(&page) {
        let Some(field) = coded(&row[0]) else { continue };
        assert!(documented.insert(field.to_string()), "{field} twice");
        let Some(default) = fields.get(field) else { continue };
        let said = row[1].trim_matches('`');
        let agrees = match default {
            Value::Number(n) => said.parse::<f64>().is_ok_and(|v| (v - n.as_f64().unwrap()).abs() < 1e-6),
            Value::Bool(b) => said == b.to_string(),
            Value::String(s) => said == s,
            _ => !row[1].is_empty() && said.parse::<f64>().is_err(),
        };
        if !agrees {
            faults.push(format!("{field}: {said} is documented, {default} is the default"));
        }
    }
    let known: BTreeSet<String> = fields.into_keys().collect();
    assert_eq!(documented, known);
    assert!(faults.is_empty(), "{faults:#?}");
}

/// ```` ```json ```` blocks are configurations.
#[test]
fn every_configuration_is_taken() {
    let mut taken = 0;
    for (name, page) in pages() {
        for block in blocks(&page).iter().filter(|b| b.language == "json" && !b.not_run()) {
            let read = JobConfig::from_json(block.text.as_bytes());
            assert!(read.is_ok(), "{name}:{}: {read:?}", block.line);
            taken += 1;
        }
    }
    assert!(taken > 0);
}

/// What is no shell or Python is read otherwise: configurations below, and commands of pipelines, which are commands of their page.
#[test]
fn every_block_is_looked_at() {
    let mut faults = Vec::new();
    for (name, page) in pages() {
        let blocks = blocks(&page);
        let saved: BTreeSet<&str> = blocks.iter().filter_map(Block::file).collect();
        for block in &blocks {
            let at = format!("{name}:{}", block.line);
            match block.language.as_str() {
                "sh" | "python" | "json" => {}
                // listings of commands: their flags are checked
                "" => {
                    let others = block.text.lines().filter(|l| !l.starts_with("hgq-onnx "));
                    faults.extend(others.map(|l| format!("{at}: not a command of the program: {l}")));
                }
                "yaml" => {
                    let lines = block.text.lines().map(str::trim);
                    let commands: Vec<&str> =
                        lines.filter_map(|l| l.strip_prefix("- run: ").or(l.strip_prefix("- sh "))).collect();
                    let known = |c: &&str| c.split_whitespace().last().is_some_and(|file| saved.contains(file));
                    if commands.is_empty() || !commands.iter().all(known) {
                        faults.push(format!("{at}: {commands:?} are not all scripts of this page"));
                    }
                }
                other => faults.push(format!("{at}: nothing checks blocks of {other:?}")),
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Files of the project that are named in passing exist.
#[test]
fn every_path_exists() {
    let mut seen = 0;
    let mut missing = Vec::new();
    for (name, page) in pages() {
        // a package's page may name its own
        let folders = [root(), root().join(&name).parent().unwrap()].map(Path::to_path_buf);
        for word in page.split('`').skip(1).step_by(2).flat_map(str::split_whitespace) {
            let first = word.split('/').next().unwrap();
            let ours = ["src", "tests", "docs", "examples", "deploy", "fixtures", "python", "proto"].contains(&first);
            if ours && word.len() > first.len() + 1 {
                seen += 1;
                if !folders.iter().any(|f| f.join(word).exists()) {
                    missing.push(format!("{name}: {word}"));
                }
            }
        }
    }
    assert!(missing.is_empty() && seen > 10, "{missing:#?}");
}

/// Rust sources, without their tests.
fn sources(dir: &Path, into: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            // calls that are broken over lines become one
            into.push_str(&text.split("#[cfg(test)]").next().unwrap().split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}

/// The texts between quotes right behind each `before`.
fn quoted<'a>(text: &'a str, before: &str, after: &str) -> BTreeSet<&'a str> {
    let behind = text.split(before).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"'));
    let code = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_lowercase() || "_-".contains(c));
    behind.filter(|(s, rest)| code(s) && rest.trim_start().starts_with(after)).map(|(s, _)| s).collect()
}

#[test]
fn every_error_code_is_documented_with_its_status() {
    let mut text = String::new();
    sources(&root().join("src"), &mut text);
    // `Problem::new(StatusCode::X, "code", …)` and the like; those of `--server` have no status
    let mut codes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for call in ["Problem::new(", "Document::new(", "Refused::new("] {
        for rest in text.split(call).skip(1) {
            let (status, second) = rest.split_once(',').unwrap_or_default();
            let code = second.trim_start().strip_prefix('"').and_then(|s| s.split('"').next());
            if let (Some(code), true) = (code, status.len() < 60) {
                let sent = codes.entry(code).or_default();
                if call != "Refused::new(" {
                    sent.insert(status.trim().trim_start_matches("StatusCode::"));
                }
            }
        }
    }
    for code in quoted(&text, ".refused(", ",") {
        codes.entry(code).or_default();
    }
    let mut exits: BTreeMap<&str, u8> = BTreeMap::new();
    for error in [
        Error::NotOnnx(String::new()),
        Error::Unsupported(Vec::new()),
        Error::Data(Vec::new()),
        Error::Config(Vec::new()),
        Error::Verification(String::new()),
        Error::TargetNotMet(String::new()),
        Error::Canceled,
        Error::Internal(String::new()),
    ] {
        exits.insert(error.code(), error.exit_status());
    }
    let (_, error) = text.split_once("pub fn code(&self) -> &'static str {").unwrap();
    assert_eq!(exits.keys().copied().collect::<BTreeSet<_>>(), quoted(error.split("pub fn").next().unwrap(), "=>", ","));
    let page = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let (errors, _) = page.split_once("## Warnings").unwrap();
    let rows = rows(errors);
    let mut documented: BTreeSet<&str> = BTreeSet::new();
    let mut faults = Vec::new();
    for row in &rows {
        let Some(code) = coded(&row[0]) else { continue };
        documented.insert(code);
        let exit = exits.get(code);
        if exit.is_some_and(|exit| row[1] != exit.to_string()) {
            faults.push(format!("{code}: exit status {}, {exit:?} in the code", row[1]));
        }
        let status = &row[if exit.is_some() { 2 } else { 1 }];
        let known = status.parse().ok().and_then(|s| StatusCode::from_u16(s).ok());
        let name = known.and_then(|s| s.canonical_reason()).unwrap_or_default().to_uppercase().replace([' ', '-'], "_");
        if let Some(sent) = codes.get(code)
            && sent.iter().any(|s| s != status && *s != name)
        {
            faults.push(format!("{code}: status {status}, {sent:?} in the code"));
        }
    }
    let known: BTreeSet<&str> = codes.into_keys().chain(exits.into_keys()).collect();
    assert!(known.len() > 25, "{known:?}");
    assert_eq!(documented, known);
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Their causes and cures are those of the report: see `src/convert/html/warnings.rs`.
#[test]
fn every_warning_code_is_documented() {
    let mut text = String::new();
    for part in ["graph", "quant", "proxy", "convert"] {
        sources(&root().join("src").join(part), &mut text);
    }
    let mut codes = quoted(&text, "code:", ",");
    codes.extend(quoted(&text, "code:", ".into()"));
    for call in ["note(", "warn(", "push(("] {
        codes.extend(quoted(&text, call, ","));
        codes.extend(quoted(&text, call, ".into()"));
    }
    let page = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let rows = rows(page.split_once("## Warnings").unwrap().1);
    let documented: BTreeSet<&str> = rows.iter().filter_map(|r| coded(&r[0])).collect();
    let missing: Vec<_> = codes.difference(&documented).collect();
    assert!(missing.is_empty() && codes.len() > 12, "{missing:?} of {codes:?}");
    let gone: Vec<_> = documented.iter().filter(|c| !text.contains(&format!("\"{c}\""))).collect();
    assert!(gone.is_empty(), "{gone:?}");
}

/// Flags that are named anywhere are flags of the program.
#[test]
fn every_flag_exists() {
    let help = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_hgq-onnx")).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let main = help(&["--help"]);
    let commands = main.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands: Vec<&str> = commands.lines().filter_map(|l| l.strip_prefix("  ")?.split_whitespace().next()).collect();
    // not listed: for containers
    let known: String = commands.iter().chain([&"health"]).map(|c| help(&[c, "--help"])).collect::<String>() + &main;
    let mut unknown = Vec::new();
    for (name, page) in pages() {
        // in code, as the first thing or behind a command of ours
        let spans = page.split('`').skip(1).step_by(2).map(str::trim);
        let lines =
            page.lines().map(str::trim).filter(|l| l.starts_with("hgq-onnx ") || l.starts_with("cargo run --release -- "));
        for code in spans.filter(|s| s.starts_with("--") || s.starts_with("hgq-onnx ")).chain(lines) {
            let own = code.split(" -- ").last().unwrap_or_default();
            let flags = own.split_whitespace().filter(|w| w.starts_with("--") && w.len() > 2);
            for flag in flags.map(|f| f.split('=').next().unwrap_or(f).trim_end_matches([',', ']', '.'])) {
                let there =
                    known.split(flag).skip(1).any(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-'));
                if !there && !OTHERS.contains(&flag) {
                    unknown.push(format!("{name}: {flag}"));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// Relative links lead to files, and their anchors to headings.
#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let anchor = |heading: &str| -> String {
        let kept = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        kept.replace(' ', "-")
    };
    for (name, page) in pages() {
        let from = root().join(&name);
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { from.clone() } else { from.parent().unwrap().join(file) };
            let Ok(text) = fs::read_to_string(&target).or_else(|e| if target.is_dir() { Ok(String::new()) } else { Err(e) })
            else {
                broken.push(format!("{name}: {link}"));
                continue;
            };
            let headings = text.lines().filter(|l| l.starts_with('#')).map(|l| anchor(l.trim_start_matches('#').trim()));
            if !heading.is_empty() && !headings.into_iter().any(|h| h == heading) {
                broken.push(format!("{name}: {link}: no such heading"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
