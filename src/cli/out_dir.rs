//! The output directory of `convert`: written beside it and renamed, so that it has all files of
//! one run or is as it was.
//!
//! A new directory appears by one rename. In an existing one only the files of an earlier run are
//! replaced (`proxy.onnx`, `proxy_elementwise.onnx`, `hls4ml_config.json`, `report.html`,
//! `report.json`, `pareto/pareto.json`, `pareto/{n}/proxy.onnx`); if a rename fails, those done are
//! undone.

use super::files;
use crate::convert::error::Error;
use crate::convert::job::Artifacts;
use crate::convert::progress::CheckpointStore;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A path that does not exist yet is created with its parents; they go again if the run fails.
pub struct OutDir {
    path: PathBuf,
}

/// Removes a directory tree when dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl OutDir {
    /// Checks before the long computation that the directory can be written; leaves nothing behind.
    ///
    /// # Errors
    /// [`Error::Config`] if it is a file, or if a directory cannot be created there.
    pub fn check(path: &Path) -> Result<OutDir, Error> {
        let fault = |text: String| Error::Config(vec![format!("--out {}: {text}", path.display())]);
        if path.file_name().is_none() && !path.is_dir() {
            return Err(fault("not a directory".into()));
        }
        // `.` and `..` have no parent to stage in by name; the real path has.
        let path = if path.exists() { path.canonicalize().map_err(|e| fault(e.to_string()))? } else { path.to_path_buf() };
        if path.exists() && !path.is_dir() {
            return Err(fault("exists and is not a directory".into()));
        }
        let existing = path.ancestors().skip(1).find(|p| p.as_os_str().is_empty() || p.exists());
        let existing = existing.filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let probe = files::sibling_path(&existing.join("out"), "probe");
        fs::create_dir(&probe).map_err(|e| fault(format!("cannot create a directory in {}: {e}", existing.display())))?;
        drop(Temporary(probe));
        Ok(OutDir { path })
    }

    /// What a run would find and do here, for `--dry-run`.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn plan(&self) -> io::Result<Value> {
        let old = if self.path.is_dir() { self.earlier_files()? } else { Vec::new() };
        let checkpoint = self.checkpoint().file;
        Ok(json!({
            "directory": self.path.display().to_string(),
            "files_to_be_replaced": old.len(),
            "goes_on_from": if checkpoint.exists() { json!(checkpoint.display().to_string()) } else { Value::Null },
        }))
    }

    /// The checkpoint of a run, beside the directory: that one stays as it is until all is done.
    pub fn checkpoint(&self) -> Checkpoint {
        let mut name = self.path.file_name().unwrap_or_default().to_os_string();
        name.push(".checkpoint");
        Checkpoint { file: self.path.with_file_name(name), written: false }
    }

    /// Puts `files` (relative path, bytes) in place of those of an earlier run.
    ///
    /// # Errors
    /// I/O; the directory is then as it was.
    pub fn install(&self, files: &[(PathBuf, &[u8])]) -> io::Result<()> {
        let parent = files::parent(&self.path);
        let created: Vec<&Path> = parent.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists()).collect();
        let result = fs::create_dir_all(parent).and_then(|()| self.stage(files));
        if result.is_err() {
            for directory in created {
                let _ = fs::remove_dir(directory);
            }
        }
        result
    }

    fn stage(&self, files: &[(PathBuf, &[u8])]) -> io::Result<()> {
        let stage = Temporary(files::sibling_path(&self.path, "new"));
        fs::create_dir(&stage.0)?;
        for (name, bytes) in files {
            let path = stage.0.join(name);
            fs::create_dir_all(files::parent(&path))?;
            fs::write(&path, bytes)?;
        }
        // Renaming a directory over an empty or absent one is one step.
        let occupied = self.path.is_dir() && fs::read_dir(&self.path)?.next().is_some();
        if !occupied { fs::rename(&stage.0, &self.path) } else { self.replace(&stage.0, files) }
    }

    /// File by file, for a directory that has something in it.
    fn replace(&self, stage: &Path, files: &[(PathBuf, &[u8])]) -> io::Result<()> {
        let backup = Temporary(files::sibling_path(&self.path, "old"));
        fs::create_dir(&backup.0)?;
        let mut undo: Vec<(PathBuf, PathBuf)> = Vec::new();
        let mut shift = |from: PathBuf, to: PathBuf| {
            fs::create_dir_all(files::parent(&to))?;
            fs::rename(&from, &to)?;
            undo.push((from, to));
            Ok(())
        };
        let old = self.earlier_files()?;
        let moved: io::Result<()> = (old.iter().try_for_each(|f| shift(self.path.join(f), backup.0.join(f))))
            .and_then(|()| files.iter().try_for_each(|(f, _)| shift(stage.join(f), self.path.join(f))));
        if moved.is_err() {
            for (from, to) in undo.iter().rev() {
                let _ = fs::rename(to, from);
            }
        }
        // Directories of numbers that are no longer there; those with other files in them stay.
        for file in old.iter().chain(files.iter().map(|(f, _)| f)) {
            for directory in file.ancestors().skip(1).filter(|d| !d.as_os_str().is_empty()) {
                let _ = fs::remove_dir(self.path.join(directory));
            }
        }
        moved
    }

    /// Relative paths of what an earlier run wrote here.
    fn earlier_files(&self) -> io::Result<Vec<PathBuf>> {
        let mut names: Vec<PathBuf> =
            ["proxy.onnx", "proxy_elementwise.onnx", "hls4ml_config.json", "report.html", "report.json", "pareto/pareto.json"]
                .map(PathBuf::from)
                .into();
        let pareto = self.path.join("pareto");
        if pareto.is_dir() {
            for entry in fs::read_dir(pareto)? {
                let name = entry?.file_name();
                if name.to_str().is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
                    names.push(Path::new("pareto").join(name).join("proxy.onnx"));
                }
            }
        }
        names.retain(|n| self.path.join(n).is_file());
        Ok(names)
    }
}

/// A file that is replaced in one step.
pub struct Checkpoint {
    file: PathBuf,
    /// By this run.
    written: bool,
}

impl Checkpoint {
    /// Removes it unless it is still of use; what is left of it.
    pub fn discard_if_done(&self, done: &Result<Artifacts, Error>) -> Option<&Path> {
        match done {
            Err(Error::Canceled) => {}
            // one that this run never came to may serve the next
            Err(_) if !self.written => {}
            _ => drop(fs::remove_file(&self.file)),
        }
        self.file.is_file().then_some(&self.file)
    }
}

impl CheckpointStore for Checkpoint {
    fn load(&mut self) -> Option<Vec<u8>> {
        fs::read(&self.file).ok()
    }

    /// A checkpoint that cannot be written is no reason to end a run that can go on without.
    fn save(&mut self, checkpoint: &[u8]) {
        let parent = fs::create_dir_all(files::parent(&self.file)).is_ok();
        self.written |= parent && files::write_atomically(&self.file, checkpoint).is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![root.to_path_buf()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                found.push(path.strip_prefix(root).unwrap().display().to_string());
                if path.is_dir() {
                    open.push(path);
                }
            }
        }
        found.sort();
        found
    }

    fn files(names: &[&str], bytes: &'static [u8]) -> Vec<(PathBuf, &'static [u8])> {
        names.iter().map(|n| (PathBuf::from(n), bytes)).collect()
    }

    #[test]
    fn a_new_directory_appears_with_its_parents_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let out = OutDir::check(&root.path().join("a/b")).unwrap();
        assert!(tree(root.path()).is_empty(), "the check leaves nothing");
        out.install(&files(&["proxy.onnx", "pareto/0/proxy.onnx"], b"1")).unwrap();
        assert_eq!(tree(root.path()), ["a", "a/b", "a/b/pareto", "a/b/pareto/0", "a/b/pareto/0/proxy.onnx", "a/b/proxy.onnx"]);
    }

    #[test]
    fn only_files_of_an_earlier_run_are_replaced() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("out");
        let first = [
            "proxy.onnx",
            "report.html",
            "report.json",
            "pareto/pareto.json",
            "pareto/0/proxy.onnx",
            "pareto/1/proxy.onnx",
            "pareto/2/proxy.onnx",
        ];
        OutDir::check(&dir).unwrap().install(&files(&first, b"old")).unwrap();
        fs::write(dir.join("notes.txt"), "mine").unwrap();
        fs::write(dir.join("pareto/1/notes.txt"), "mine").unwrap();
        OutDir::check(&dir).unwrap().install(&files(&["proxy.onnx", "pareto/0/proxy.onnx"], b"new")).unwrap();
        let expected = ["notes.txt", "pareto", "pareto/0", "pareto/0/proxy.onnx", "pareto/1", "pareto/1/notes.txt", "proxy.onnx"];
        assert_eq!(tree(&dir), expected);
        assert_eq!(fs::read(dir.join("proxy.onnx")).unwrap(), b"new");
        assert_eq!(tree(root.path()).len(), expected.len() + 1, "nothing beside it");
    }

    #[test]
    fn a_failure_half_way_is_undone() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("out");
        OutDir::check(&dir).unwrap().install(&files(&["proxy.onnx", "report.json"], b"old")).unwrap();
        // A foreign directory where a file must go: its rename fails after proxy.onnx has been
        // replaced.
        fs::create_dir_all(dir.join("pareto/pareto.json/x")).unwrap();
        let before = tree(root.path());
        OutDir::check(&dir).unwrap().install(&files(&["proxy.onnx", "pareto/pareto.json", "report.json"], b"new")).unwrap_err();
        assert_eq!(tree(root.path()), before);
        assert_eq!(fs::read(dir.join("proxy.onnx")).unwrap(), b"old");
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("out");
        fs::write(&file, "x").unwrap();
        assert!(OutDir::check(&file).err().unwrap().to_string().contains("not a directory"));
        let below = OutDir::check(&file.join("deeper")).err().unwrap().to_string();
        assert!(below.contains("cannot create a directory"), "{below}");
    }
}
