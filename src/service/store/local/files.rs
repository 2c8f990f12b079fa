//! The folder of contents. See the layout in [`super`].

use super::super::{Digest, Staged, folder};
use crate::service::record::{Artifact, JobId, now};
use crate::service::store_error::StoreError;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

pub struct Files {
    contents: PathBuf,
    staging: PathBuf,
    checkpoints: PathBuf,
}

/// A content whose bytes are on disk, or were when it was looked for.
pub struct Synced {
    content: Content,
    digest: Digest,
    bytes: u64,
}

enum Content {
    /// In its place already, or about to be by another artifact with the same content.
    There(Box<Staged>),
    File(NamedTempFile),
}

impl Content {
    fn into_file(self) -> Result<NamedTempFile, StoreError> {
        match self {
            Content::There(staged) => on_disk(*staged),
            Content::File(file) => Ok(file),
        }
    }
}

fn on_disk(staged: Staged) -> Result<NamedTempFile, StoreError> {
    let file = staged.into_file()?;
    file.as_file().sync_all()?;
    Ok(file)
}

impl Files {
    /// # Errors
    /// When the folders cannot be made.
    pub fn open(dir: &Path) -> io::Result<Files> {
        let files = Files { contents: dir.join("files"), staging: dir.join("staging"), checkpoints: dir.join("checkpoints") };
        for folder in [&files.contents, &files.staging, &files.checkpoints] {
            fs::create_dir_all(folder)?;
        }
        Ok(files)
    }

    pub fn stage(&self) -> Staged {
        Staged::new(&self.staging)
    }

    /// Whether the folder takes files.
    pub fn writable(&self) -> Result<(), StoreError> {
        folder::writable(&self.staging)
    }

    /// Writes out what is not in its place yet.
    ///
    /// # Errors
    /// [`StoreError::Full`] and others.
    pub fn synced(&self, staged: Vec<(String, Staged)>) -> Result<Vec<(String, Synced)>, StoreError> {
        let mut written = HashSet::new();
        let one = |(name, staged): (String, Staged)| {
            let (digest, bytes) = (staged.digest(), staged.bytes());
            let there = !written.insert(digest.clone()) || self.path(&digest).exists();
            let content = if there { Content::There(Box::new(staged)) } else { Content::File(on_disk(staged)?) };
            Ok((name, Synced { content, digest, bytes }))
        };
        staged.into_iter().map(one).collect()
    }

    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.contents.join(&digest.as_str()[..2]).join(digest.as_str())
    }

    /// Puts a content in its place, where `owner` may use it in jobs.
    pub fn keep_of(&self, tx: &Transaction, synced: Synced, owner: &str) -> Result<Digest, StoreError> {
        let Artifact { digest, .. } = self.keep(tx, String::new(), synced)?;
        tx.execute("INSERT OR IGNORE INTO owned VALUES (?1, ?2)", params![digest.as_str(), owner])?;
        Ok(digest)
    }

    /// Puts a content in its place and notes it.
    pub fn keep(&self, tx: &Transaction, name: String, synced: Synced) -> Result<Artifact, StoreError> {
        let Synced { content, digest, bytes } = synced;
        let path = self.path(&digest);
        let known = "SELECT 1 FROM file WHERE digest = ?1";
        let known = tx.query_row(known, [digest.as_str()], |_| Ok(())).optional()?.is_some();
        if !known || !path.exists() {
            let folder = path.parent().unwrap_or(&self.contents);
            fs::create_dir_all(folder)?;
            content.into_file()?.persist(&path).map_err(|e| e.error)?;
            File::open(folder)?.sync_all()?;
        }
        let note = "INSERT INTO file VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET used = excluded.used";
        tx.execute(note, params![digest.as_str(), bytes, now()])?;
        Ok(Artifact { name, digest, bytes })
    }

    pub fn checkpoint(&self, id: &JobId) -> Result<Option<Vec<u8>>, StoreError> {
        match fs::read(self.checkpoints.join(id.as_str())) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    pub fn save_checkpoint(&self, id: &JobId, bytes: &[u8]) -> Result<(), StoreError> {
        let mut file = NamedTempFile::new_in(&self.staging)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(self.checkpoints.join(id.as_str())).map_err(|e| e.error)?;
        Ok(())
    }

    pub fn drop_checkpoint(&self, id: &JobId) {
        // one that stays is found when what is old goes
        let _ = fs::remove_file(self.checkpoints.join(id.as_str()));
    }

    /// All contents in the folder.
    pub fn contents(&self) -> io::Result<Vec<(Digest, PathBuf)>> {
        let mut found = Vec::new();
        for folder in fs::read_dir(&self.contents)? {
            let folder = folder?.path();
            if !folder.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder)? {
                let path = file?.path();
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                found.extend(Digest::parse(&name).map(|digest| (digest, path)));
            }
        }
        Ok(found)
    }

    /// Jobs that have a checkpoint, and the files.
    pub fn checkpoints(&self) -> io::Result<Vec<(Option<JobId>, PathBuf)>> {
        let job = |path: PathBuf| (path.file_name().and_then(|n| JobId::parse(&n.to_string_lossy())), path);
        fs::read_dir(&self.checkpoints)?.map(|file| Ok(job(file?.path()))).collect()
    }

    /// Removes what an earlier process left unfinished.
    pub fn clear_staging(&self) -> io::Result<()> {
        folder::clear(&self.staging)
    }
}

/// Bytes of a content that `owner` has sent; looking at it counts as use.
pub fn owned(database: &Connection, owner: &str, digest: &Digest) -> Result<Option<u64>, StoreError> {
    let find = "SELECT bytes FROM file JOIN owned USING (digest) WHERE digest = ?1 AND owner = ?2";
    let found = database.query_row(find, params![digest.as_str(), owner], |row| row.get(0)).optional()?;
    if found.is_some() {
        database.execute("UPDATE file SET used = ?2 WHERE digest = ?1", params![digest.as_str(), now()])?;
    }
    Ok(found)
}
