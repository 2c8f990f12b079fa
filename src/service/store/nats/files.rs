//! Contents: an entry for each digest names the object that holds it, and every use changes the
//! entry. So a content that is about to be removed is removed only if nobody used it meanwhile, and
//! one whose entry is gone is sent anew, as another object.

use super::super::{Digest, Staged};
use super::bucket::{Bucket, On};
use super::cache::Cache;
use super::objects::{self, Objects};
use crate::service::record::{JobId, now};
use crate::service::store_error::StoreError;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// Changes by others that may come in between: many requests use the same data at once.
const TRIES: usize = 1000;
/// Running jobs that are noted as makers of one content. Jobs with the same result at the same time
/// are rare.
const MAX_MAKERS: usize = 64;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileRow {
    pub object: String,
    pub bytes: u64,
    /// Callers that have sent it.
    pub owners: Vec<String>,
    /// Jobs that made it, and whose records name it as soon as they are over.
    pub makers: Vec<JobId>,
    /// Time of the last use, in milliseconds since 1970.
    pub used: i64,
}

#[derive(Clone)]
pub struct Files {
    pub entries: Bucket,
    pub objects: Objects,
    pub cache: Arc<Cache>,
}

/// Who uses a content.
#[derive(Clone, Copy)]
pub enum User<'a> {
    Owner(&'a str),
    Maker(&'a JobId),
}

impl FileRow {
    fn add(&mut self, user: User) {
        match user {
            User::Owner(name) if !self.owners.iter().any(|o| o == name) => self.owners.push(name.to_string()),
            User::Maker(id) if !self.makers.contains(id) => self.makers.push(id.clone()),
            _ => {}
        }
        let many = self.makers.len().saturating_sub(MAX_MAKERS);
        self.makers.drain(..many);
    }
}

impl Files {
    /// Stores a content for `user`.
    pub async fn keep(&self, staged: &Staged, user: User<'_>) -> Result<(), StoreError> {
        let (digest, bytes) = (staged.digest(), staged.bytes());
        loop {
            if self.touch(&digest, |row| row.add(user)).await?.is_some() {
                return Ok(());
            }
            let object = objects::file_name(&digest)?;
            self.objects.put(&object, &mut staged.stream()?).await?;
            let mut row = FileRow { object: object.clone(), bytes, owners: Vec::new(), makers: Vec::new(), used: now() };
            row.add(user);
            if self.entries.set(digest.as_str(), &row, On::Nothing).await?.is_some() {
                return Ok(());
            }
            // somebody else sent it at the same time
            self.objects.delete(&object).await?;
        }
    }

    /// Notes a use, and what else `change` does; `None` when there is no such content.
    pub async fn touch(&self, digest: &Digest, change: impl Fn(&mut FileRow)) -> Result<Option<FileRow>, StoreError> {
        for _ in 0..TRIES {
            let Some(entry) = self.entries.get(digest.as_str()).await? else { return Ok(None) };
            let mut row: FileRow = entry.json()?;
            change(&mut row);
            row.used = now();
            if self.entries.set(digest.as_str(), &row, On::Revision(entry.revision)).await?.is_some() {
                return Ok(Some(row));
            }
        }
        Err(StoreError::Unavailable("a file is used by too many at once".into()))
    }

    /// Bytes of a content that `owner` has sent; looking at it counts as use.
    pub async fn owned(&self, owner: &str, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let Some(entry) = self.entries.get(digest.as_str()).await? else { return Ok(None) };
        if !entry.json::<FileRow>()?.owners.iter().any(|o| o == owner) {
            return Ok(None);
        }
        Ok(self.touch(digest, |_| ()).await?.map(|row| row.bytes))
    }

    /// Notes that `user` uses all of these; `false` when one is gone.
    pub async fn touch_all(&self, digests: impl Iterator<Item = &Digest>, maker: Option<&JobId>) -> Result<bool, StoreError> {
        for digest in digests {
            let used = self.touch(digest, |row| maker.into_iter().for_each(|id| row.add(User::Maker(id)))).await?;
            if used.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A file of this machine with the content, fetched if need be.
    pub async fn open(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        if let Some(path) = self.cache.find(digest) {
            return Ok(path);
        }
        let gone = || StoreError::Internal("a content is gone".into());
        let row: FileRow = self.entries.get(digest.as_str()).await?.ok_or_else(gone)?.json()?;
        let mut staged = self.cache.stage();
        self.objects.read(&row.object, |piece| staged.write(piece)).await?;
        if staged.digest() != *digest {
            return Err(super::fault::damaged(format!("content {digest}")));
        }
        self.cache.take(staged)
    }

    pub async fn read(&self, object: &str) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        self.objects
            .read(object, |piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            })
            .await?;
        Ok(bytes)
    }
}
