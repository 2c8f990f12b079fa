//! Runs the commands of a page.

use super::pages::{Block, blocks, pages, root};
use crate::support::files::fixture;
use crate::support::hls4ml;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Seconds that a page may take: the slowest compiles C++ several times.
const PAGE_SECONDS: &str = "900";
/// What pages install to export models, and what they install for hls4ml.
const EXPORTERS: &str = "tests/support/exporters.txt";
const HLS4ML: &str = "tests/support/hls4ml/requirements.txt";

/// The interpreter of the frameworks that export models: six gigabytes, most of them libraries of
/// graphics processors that torch links to.
fn exporters() -> Option<PathBuf> {
    hls4ml::environment("export-env", &root().join(EXPORTERS))
}

/// A folder in which the commands of a page find what a reader has: the checkout, and a model with
/// its data.
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
        fs::copy(fixture("digits").join(from), dir.path().join(to)).unwrap();
    }
    dir
}

fn executable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// `cargo`, `python` and `pip` as the commands of a page find them. Building this project again is
/// not what is tested.
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
    // the installed one is found after this one's folder
    let nats = format!("#!/bin/sh\nPATH=${{PATH#*:}}\nexec nats-server -a 127.0.0.1 -p {} \"$@\"\n", ports.nats);
    executable(&bin.join("nats-server"), &nats);
    let cargo = "#!/bin/sh\n\
        case \"$1 $2\" in\n\
        'run --release') while [ \"$1\" != -- ]; do shift; done; shift; exec hgq-onnx \"$@\" ;;\n\
        'build --release') mkdir -p target/release && ln -sf \"$(command -v hgq-onnx)\" target/release/hgq-onnx ;;\n\
        'test --locked') [ \"$3 $4\" = '--features farm' ] ;;\n\
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
    // what a page installs is in one of the environments already; that the package itself installs
    // is seen in tests/hls4ml/python.rs
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
            // what was started after the last server has no answer to wait for, but must not have
            // ended
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
    if exports && std::env::var_os("HGQ_ALL").is_none() {
        return Ok(vec![format!("{name}: all of it, it exports models: HGQ_ALL=1 runs it")]);
    }
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

/// Every page in a test of its own would hide one that was added: they run in two lanes, and each
/// says what it left out.
#[test]
#[ignore = "needs Python, hls4ml and what exports models"]
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
