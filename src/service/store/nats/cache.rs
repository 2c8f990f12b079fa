//! The folder of this process: files that are being written, and contents that were fetched. All of
//! it can be lost.

use super::super::{Digest, Staged, folder};
use crate::service::store_error::StoreError;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Bytes of fetched contents above which the ones that were used longest ago go: some of the
/// largest calibration sets.
const MAX_BYTES: u64 = 4 << 30;
/// Time for which a content that was asked for stays, as it is about to be read.
const IN_USE: Duration = Duration::from_secs(600);

pub struct Cache {
    staging: PathBuf,
    contents: PathBuf,
    most: u64,
    _lock: File,
}

impl Cache {
    /// Opens a folder, which is made if need be, and removes what an earlier process left
    /// unfinished.
    ///
    /// # Errors
    /// A message for the operator.
    pub fn open(dir: &Path) -> Result<Cache, String> {
        let lock = folder::take(dir)?;
        let cache = Cache { staging: dir.join("scratch"), contents: dir.join("cache"), most: MAX_BYTES, _lock: lock };
        let clear = || -> io::Result<()> {
            fs::create_dir_all(&cache.contents)?;
            fs::create_dir_all(&cache.staging)?;
            folder::clear(&cache.staging)
        };
        clear().map_err(|e| format!("{}: cannot write to the folder: {e}", dir.display()))?;
        Ok(cache)
    }

    pub fn stage(&self) -> Staged {
        Staged::new(&self.staging)
    }

    /// Whether the folder takes files.
    pub fn writable(&self) -> Result<(), StoreError> {
        folder::writable(&self.staging)
    }

    /// A content that is here.
    pub fn find(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.contents.join(digest.as_str());
        let file = File::options().append(true).open(&path).ok()?;
        // the time of its last use
        let _ = file.set_modified(SystemTime::now());
        Some(path)
    }

    /// Takes a whole content in.
    pub fn take(&self, staged: Staged) -> Result<PathBuf, StoreError> {
        let path = self.contents.join(staged.digest().as_str());
        staged.into_file()?.persist(&path).map_err(|e| e.error)?;
        self.shrink()?;
        Ok(path)
    }

    fn shrink(&self) -> io::Result<()> {
        let mut found = Vec::new();
        for file in fs::read_dir(&self.contents)? {
            let file = file?;
            // one that is gone was removed by another thread
            if let Ok(meta) = file.metadata() {
                found.push((meta.modified()?, meta.len(), file.path()));
            }
        }
        let mut bytes: u64 = found.iter().map(|f| f.1).sum();
        found.sort();
        let recent = SystemTime::now() - IN_USE;
        for (_, len, path) in found.into_iter().take_while(|f| f.0 < recent) {
            if bytes <= self.most {
                break;
            }
            let _ = fs::remove_file(path);
            bytes -= len;
        }
        Ok(())
    }

    /// Removes a content that the store no longer has.
    pub fn forget(&self, digest: &Digest) {
        let _ = fs::remove_file(self.contents.join(digest.as_str()));
    }

    /// Removes contents that were not used for longer than `keep`.
    pub fn expire(&self, keep: Duration) -> io::Result<()> {
        let before = SystemTime::now().checked_sub(keep.max(IN_USE)).unwrap_or(SystemTime::UNIX_EPOCH);
        for file in fs::read_dir(&self.contents)? {
            let file = file?;
            if file.metadata().and_then(|m| m.modified()).is_ok_and(|used| used < before) {
                let _ = fs::remove_file(file.path());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Cache, Digest, IN_USE};
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    fn put(cache: &Cache, text: &[u8], age: Duration) -> Digest {
        let mut staged = cache.stage();
        staged.write(text).unwrap();
        let path = cache.take(staged).unwrap();
        File::options().append(true).open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
        Digest::of(text)
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(dir.path()).unwrap();
        assert!(Cache::open(dir.path()).is_err_and(|e| e.contains("in use")));
        cache.most = 8;
        let (older, old) = (put(&cache, b"older", IN_USE * 3), put(&cache, b"old", IN_USE * 2));
        assert!(cache.find(&older).is_some(), "8 bytes may stay");
        let _ = put(&cache, b"old", IN_USE * 2);
        let new = put(&cache, b"new", Duration::ZERO);
        // `older` was just looked for
        assert_eq!([&older, &old, &new].map(|d| cache.find(d).is_some()), [true, false, true]);
        cache.expire(Duration::ZERO).unwrap();
        assert!(cache.find(&new).is_some(), "in use");
        cache.forget(&new);
        assert!(cache.find(&new).is_none());
    }
}
