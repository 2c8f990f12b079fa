//! compose.yaml and the Kubernetes manifests: valid by their schemas, and fitting the program; and
//! that a wrong one is found.

use super::kubernetes::Objects;
use super::{compose, root};
use crate::support::hls4ml;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `schema.py` says of some files: their documents in order, and faults.
pub struct Read {
    pub documents: Vec<Value>,
    pub faults: Vec<String>,
}

/// Reads and validates files of a kind; `None` where there is no Python.
pub fn read(kind: &str, files: &[PathBuf]) -> Option<Read> {
    let here = root().join("tests/docs/deploy");
    let python = hls4ml::plain_environment("deploy-env", &here.join("requirements.txt"), "no manifest was validated")?;
    let output = Command::new(python).arg(here.join("schema.py")).arg(kind).args(files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let documents = files.iter().flat_map(|f| said["documents"][f.to_str().unwrap()].as_array().cloned().unwrap_or_default());
    let faults = said["faults"].as_array().unwrap().iter().map(|f| f.as_str().unwrap().to_string()).collect();
    Some(Read { documents: documents.collect(), faults })
}

pub fn kubernetes_files() -> Vec<PathBuf> {
    let folder = fs::read_dir(root().join("deploy/kubernetes")).unwrap();
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn compose_file() -> PathBuf {
    root().join("deploy/compose.yaml")
}

/// Faults of files of a kind, by the schema and by what they say of the program.
fn faults(kind: &str, files: &[PathBuf]) -> Option<Vec<String>> {
    let Read { documents, mut faults } = read(kind, files)?;
    if faults.is_empty() {
        faults = match kind {
            "compose" => documents.iter().flat_map(compose::faults).collect(),
            _ => Objects(documents.iter().collect()).faults(),
        };
    }
    Some(faults)
}

#[test]
#[ignore = "needs Python"]
fn compose_is_valid_and_fits_the_program() {
    if let Some(faults) = faults("compose", &[compose_file()]) {
        assert_eq!(faults, Vec::<String>::new());
    }
}

#[test]
#[ignore = "needs Python"]
fn kubernetes_manifests_are_valid_and_fit_the_program() {
    let files = kubernetes_files();
    assert!(files.len() >= 2, "{files:?}");
    if let Some(faults) = faults("kubernetes", &files) {
        assert_eq!(faults, Vec::<String>::new());
    }
}

/// A file with one thing changed, and what must be said of it.
type Change = (&'static str, &'static str, &'static str);

/// Each change alone, in a copy of the files.
fn each_is_found(kind: &str, files: &[PathBuf], changes: &[Change]) {
    for (from, to, says) in changes {
        let dir = tempfile::tempdir().unwrap();
        let mut changed = 0;
        let spoil = |path: &PathBuf| {
            let text = fs::read_to_string(path).unwrap();
            changed += usize::from(text.contains(from));
            let copy = dir.path().join(path.file_name().unwrap_or(Path::new("file").as_os_str()));
            fs::write(&copy, text.replacen(from, to, 1)).unwrap();
            copy
        };
        let copies: Vec<PathBuf> = files.iter().map(spoil).collect();
        assert_eq!(changed, 1, "{from}: in one file");
        let Some(faults) = faults(kind, &copies) else { return };
        assert!(faults.iter().any(|f| f.contains(says)), "{from} → {to}: {says}: {faults:#?}");
    }
}

#[test]
#[ignore = "needs Python"]
fn a_wrong_compose_file_is_found() {
    let changes: [Change; 11] = [
        ("depends_on: [nats]", "depends_on: [nuts]", "nuts"),
        ("read_only: true", "readonly: true", "readonly"),
        ("read_only: true", "read_only: \"yes\"", "read_only"),
        ("read_only: true", "read_only: false", "root file system"),
        ("      - /scratch:uid=65532,gid=65532", "      - /tmp:uid=65532", "--data /scratch"),
        ("uid=65532,gid=65532", "mode=1777", "user 0"),
        ("\"nats://nats:4222\", \"--jobs\"", "\"nats://nats:4223\", \"--jobs\"", "4223"),
        ("\"--jobs\", \"0\"", "\"--job\", \"0\"", "--job"),
        ("8080:8080", "8080:80", "0.0.0.0:8080"),
        ("  jobs: {}", "  job: {}", "`jobs` is not declared"),
        ("stop_grace_period: 15s", "stop_grace_period: 15s\n    stop_grace_period: 16s", "twice"),
    ];
    each_is_found("compose", &[compose_file()], &changes);
}

#[test]
#[ignore = "needs Python"]
fn a_wrong_kubernetes_manifest_is_found() {
    let changes: [Change; 16] = [
        ("automountServiceAccountToken: false", "automountServiceToken: false", "automountServiceToken"),
        ("minReplicas: 2", "minReplicas: two", "minReplicas"),
        ("apiVersion: autoscaling/v2", "apiVersion: autoscaling/v2beta1", "HorizontalPodAutoscaler"),
        ("--nats-replicas=3", "--replicas=3", "--replicas"),
        ("- worker\n", "- work\n", "work"),
        ("--data=/scratch", "--data=/data", "--data /data"),
        ("mountPath: /etc/hgq-onnx", "mountPath: /etc/hgq", "--tokens"),
        ("name: scratch, mountPath", "name: scrap, mountPath", "scrap"),
        ("--listen=0.0.0.0:8080", "--listen=0.0.0.0:8081", "8081"),
        ("httpGet: {path: /healthz, port: http}", "httpGet: {path: /healthz, port: web}", "web"),
        ("targetPort: http", "targetPort: htp", "htp"),
        ("    app: hgq-onnx-serve\n  ports", "    app: hgq-onnx\n  ports", "selects no pod"),
        ("    kind: Deployment\n    name: hgq-onnx-worker", "    kind: Deployment\n    name: hgq-worker", "hgq-worker"),
        ("--nats=nats://hgq-nats:4222", "--nats=nats://nats:4222", "nats://nats:4222"),
        ("runAsUser: 65532\n        runAsGroup", "runAsUser: 65533\n        runAsGroup", "65533"),
        ("          configMap:\n            name: hgq-nats", "          configMap:\n            name: nats", "ConfigMap"),
    ];
    each_is_found("kubernetes", &kubernetes_files(), &changes);
}
