//! What makes the command line pleasant: tables that fit, colours where they are wanted,
//! completions, manual pages, `--dry-run`.

use crate::support::files::fixture;
use crate::support::program::{hgq, text};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use unicode_width::UnicodeWidthStr;

fn models(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            models(&path, into);
        } else if path.extension().is_some_and(|e| e == "onnx") {
            into.push(path);
        }
    }
}

fn too_wide(output: &Output) -> Vec<String> {
    text(&output.stdout).lines().filter(|l| l.width() > 80).map(String::from).collect()
}

#[test]
fn tables_fit_80_columns() {
    let mut all = Vec::new();
    models(&fixture(""), &mut all);
    if let Some(shared) = std::env::var_os("HGQ_SHARED") {
        models(&Path::new(&shared).join("models"), &mut all);
    }
    assert!(all.len() > 3);
    for model in &all {
        let output = hgq(Path::new("."), &["inspect", model.to_str().unwrap()]);
        assert_eq!(too_wide(&output), Vec::<String>::new(), "{}", model.display());
        assert!(output.status.code() == Some(0) || output.stdout.is_empty(), "{}: {}", model.display(), text(&output.stderr));
    }
    let dir = tempfile::tempdir().unwrap();
    let digits = |name: &str| fixture("digits").join(name).to_str().unwrap().to_string();
    let (model, calibration, train) = (digits("digits_mlp.onnx"), digits("calibration.npz"), digits("train.npz"));
    for args in [
        &["trace", &model, "--calibration", &calibration][..],
        &["convert", &model, "--calibration", &calibration, "--train", &train, "--epochs", "2", "--dry-run"],
        &["convert", &model, "--calibration", &calibration, "--train", &train, "--epochs", "2", "--out", "out"],
        &["verify", "out/proxy.onnx", "--inputs", &calibration],
    ] {
        let output = hgq(dir.path(), args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stdout).lines().count() > 3);
        assert_eq!(too_wide(&output), Vec::<String>::new(), "{args:?}");
    }
}

/// Runs in a terminal of its own (util-linux' `script`); `None` where there is none.
fn in_terminal(variables: &[(&str, &str)], command: &str) -> Option<String> {
    let mut script = Command::new("script");
    script.args(["-qec", command, "/dev/null"]).env("TERM", "xterm");
    // what the machine of the tests has says nothing
    for inherited in ["CI", "CLICOLOR", "CLICOLOR_FORCE", "NO_COLOR"] {
        script.env_remove(inherited);
    }
    let output = script.envs(variables.iter().copied()).output().ok()?;
    Some(text(&output.stdout))
}

#[test]
fn colours_are_for_terminals() {
    let program = env!("CARGO_BIN_EXE_hgq-onnx");
    let model = fixture("digits").join("digits_mlp.onnx");
    let inspect = format!("{program} inspect {}", model.display());
    let wrong = format!("{program} inspect none.onnx");
    let escape = |text: &str| text.contains('\u{1b}');
    for command in [&inspect, &wrong] {
        let Some(coloured) = in_terminal(&[], command) else {
            eprintln!("SKIPPED: `script` is missing");
            return;
        };
        assert!(escape(&coloured), "{coloured}");
        // also on a build server
        for ci in [&[][..], &[("CI", "true")]] {
            for variable in [("NO_COLOR", "1"), ("TERM", "dumb"), ("CLICOLOR", "0")] {
                let plain = in_terminal(&[&[variable], ci].concat(), command).unwrap();
                assert!(!escape(&plain), "{variable:?} {ci:?}: {plain:?}");
            }
        }
        let forced = in_terminal(&[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")], command).unwrap();
        assert!(escape(&forced), "{forced:?}");
    }
    let piped = hgq(Path::new("."), &["inspect", model.to_str().unwrap()]);
    assert!(!escape(&text(&piped.stdout)));
    assert!(!escape(&text(&hgq(Path::new("."), &["inspect", "none.onnx"]).stderr)));
    // on a terminal a training is one line that is drawn again
    let digits = |name: &str| fixture("digits").join(name).display().to_string();
    let dir = tempfile::tempdir().unwrap();
    let convert = format!(
        "stty rows 24 cols 60; {program} convert {} --calibration {} --train {} --epochs 30 --out {}/out",
        digits("digits_mlp.onnx"),
        digits("calibration.npz"),
        digits("train.npz"),
        dir.path().display()
    );
    let drawn = in_terminal(&[("NO_COLOR", "1")], &convert).unwrap();
    // what follows a line that is full begins in the next one by itself
    let redrawn = drawn.split("\r\u{1b}[2K").filter(|l| l.starts_with('['));
    let lines: Vec<&str> = redrawn.filter_map(|l| Some(l.split_once(" left")?.0)).collect();
    assert!(!lines.is_empty() && lines.iter().all(|l| l.width() + " left".len() <= 60), "{drawn:?}");
    assert!(drawn.contains("30/30") && drawn.contains("EBOPs") && drawn.contains("metric"), "{drawn:?}");
}

#[test]
fn shells_complete_and_manuals_render() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = hgq(dir.path(), &["completions", shell]);
        let script = text(&output.stdout);
        assert!(output.status.success() && script.contains("target-ebops") && script.contains("inspect"), "{shell}");
        if shell == "bash" {
            let path = dir.path().join("completion");
            std::fs::write(&path, &script).unwrap();
            // the words that follow `hgq-onnx convert --target`
            let ask = format!(
                "source {}; COMP_WORDS=(hgq-onnx convert --target); COMP_CWORD=2; \"$(complete -p hgq-onnx | sed 's/.*-F \\([^ ]*\\).*/\\1/')\" hgq-onnx --target convert; echo \"${{COMPREPLY[@]}}\"",
                path.display()
            );
            let answer = Command::new("bash").args(["-c", &ask]).output().unwrap();
            assert!(text(&answer.stdout).contains("--target-ebops"), "{}{}", text(&answer.stdout), text(&answer.stderr));
        }
    }
    assert_eq!(hgq(dir.path(), &["completions", "nosuchshell"]).status.code(), Some(3));
    let page = text(&hgq(dir.path(), &["man"]).stdout);
    assert!(page.contains(".TH hgq-onnx 1") && page.contains("convert") && page.contains("Exit status"), "{page}");
    assert!(hgq(dir.path(), &["man", "pages"]).status.success());
    let convert = std::fs::read_to_string(dir.path().join("pages/hgq-onnx-convert.1")).unwrap();
    for part in [".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", "target\\-ebops"] {
        assert!(convert.contains(part), "{part}: {convert}");
    }
    if let Ok(shown) = Command::new("man").args(["-l", "pages/hgq-onnx-convert.1"]).current_dir(dir.path()).output()
        && shown.status.success()
        && !shown.stdout.is_empty()
    {
        assert!(text(&shown.stdout).contains("--target-ebops"), "{}", text(&shown.stdout));
    }
}

#[test]
fn a_dry_run_says_what_would_happen_and_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["digits_mlp.onnx", "calibration.npz", "train.npz"] {
        std::fs::copy(fixture("digits").join(name), dir.path().join(name)).unwrap();
    }
    let before = std::fs::read_dir(dir.path()).unwrap().count();
    let job = ["convert", "digits_mlp.onnx", "--calibration", "calibration.npz", "--train", "train.npz", "--out", "out"];
    let with = |extra: &[&str]| hgq(dir.path(), &[&job[..], extra].concat());
    let plan = |extra: &[&str]| -> Value {
        let output = with(&[&["--dry-run", "--json"], extra].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let long = plan(&["--target-ebops", "3000", "--epochs", "200"]);
    assert_eq!(long["training"]["beta_control"]["budgets"], serde_json::json!([4800.0, 3000.0, 1890.0, 1200.0]));
    assert_eq!((&long["data"]["training_samples"], &long["training"]["batch_size"]), (&1293.into(), &32.into()));
    assert_eq!(long["training"]["loss"], "cross_entropy");
    assert_eq!((&long["out"]["files_to_be_replaced"], &long["out"]["goes_on_from"]), (&0.into(), &Value::Null));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), before);
    // what it says is what happens
    let done = with(&["--epochs", "2", "--json"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    let short = plan(&["--epochs", "2"]);
    assert_eq!(short["start"]["ebops"], report["start_ebops"]);
    assert_eq!(short["source"]["metric"], report["source"]["metric"]);
    assert!(short["out"]["files_to_be_replaced"].as_u64() > Some(4));
    // the faults of the real thing, all at once
    for extra in [&["--config", "none.json"][..], &["--target-ebops", "0", "--cover-factor", "-1"], &["--metric", "auc"]] {
        let (dry, real) = (with(&[extra, &["--dry-run"]].concat()), with(extra));
        assert_eq!(dry.status.code(), Some(3), "{extra:?}");
        assert_eq!(text(&dry.stderr).lines().last(), text(&real.stderr).lines().last(), "{extra:?}");
    }
}

/// What was misspelt is suggested.
#[test]
fn misspelt_names_are_recognised() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("job.json"), r#"{"target_ebop": 5}"#).unwrap();
    let digits = |name: &str| fixture("digits").join(name).to_str().unwrap().to_string();
    let (model, calibration) = (digits("digits_mlp.onnx"), digits("calibration.npz"));
    let output = hgq(dir.path(), &["convert", &model, "--calibration", &calibration, "--config", "job.json"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("did you mean `target_ebops`?"), "{}", text(&output.stderr));
    std::fs::write(dir.path().join("job.json"), r#"{"epochz": 3, "tarjet_ebops": 5}"#).unwrap();
    let output = hgq(dir.path(), &["convert", &model, "--calibration", &calibration, "--config", "job.json"]);
    for name in ["epochs", "target_ebops"] {
        assert!(text(&output.stderr).contains(&format!("did you mean `{name}`?")), "{}", text(&output.stderr));
    }
    // values that do not fit are named with their fields, all of them, also negative ones on the
    // command line
    std::fs::write(dir.path().join("job.json"), r#"{"proxy": {"form": "foo"}, "layers": [{"match": "a", "rang": [0, 1]}]}"#)
        .unwrap();
    let output = hgq(dir.path(), &["convert", &model, "--calibration", &calibration, "--config", "job.json"]);
    for said in [
        "job.json: proxy.form: unknown variant `foo`",
        "`uniform`",
        "job.json: unknown field `layers[0].rang`: did you mean `range`?",
    ] {
        assert!(text(&output.stderr).contains(said), "{said}: {}", text(&output.stderr));
    }
    let wrong = ["--target-ebops", "-3", "--cover-factor", "-1.5", "--max-metric-drop", "-0.1"];
    let output = hgq(dir.path(), &[&["convert", &model, "--calibration", &calibration], &wrong[..]].concat());
    assert_eq!(output.status.code(), Some(3));
    for said in ["target_ebops: at least 1", "cover_factor: above 0", "max_metric_drop: not negative"] {
        assert!(text(&output.stderr).contains(said), "{said}: {}", text(&output.stderr));
    }
    let inspect: Value = serde_json::from_slice(&hgq(dir.path(), &["inspect", &model, "--json"]).stdout).unwrap();
    let layer = inspect["layers"][0]["name"].as_str().unwrap();
    let misspelt = format!("{layer}x");
    let output =
        hgq(dir.path(), &["convert", &model, "--calibration", &calibration, "--epochs", "1", "--freeze", &misspelt, "--json"]);
    assert!(text(&output.stdout).contains(&format!("did you mean `{layer}`?")), "{}", text(&output.stdout));
}
