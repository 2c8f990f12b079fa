//! The object store. Every object has a name of its own and is never written again, so that a
//! record names either all of it or nothing.

use super::super::Digest;
use super::fault::{ANSWER, asked, damaged, fault, late, nonce};
use super::{bucket, names};
use crate::service::record::JobId;
use crate::service::store_error::StoreError;
use async_nats::jetstream::object_store::{DeleteErrorKind, GetErrorKind, ObjectInfo, ObjectStore};
use async_nats::jetstream::stream::{self, Stream};
use futures_util::StreamExt;
use std::collections::HashSet;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes that are read at once: those of one message.
const PIECE: usize = 128 << 10;
/// Age at which an object that no record names was left by a process that is gone: none takes so
/// long between its last byte and its record.
const LEFT: Duration = Duration::from_secs(3600);

#[derive(Clone)]
pub struct Objects {
    store: ObjectStore,
    stream: Stream,
}

pub fn config(replicas: usize) -> stream::Config {
    stream::Config {
        name: format!("OBJ_{}", names::OBJECTS),
        subjects: vec![format!("$O.{}.C.>", names::OBJECTS), format!("$O.{}.M.>", names::OBJECTS)],
        discard: stream::DiscardPolicy::New,
        allow_rollup: true,
        num_replicas: replicas,
        ..stream::Config::default()
    }
}

/// A new name for an object with this content.
pub fn file_name(digest: &Digest) -> Result<String, StoreError> {
    Ok(format!("file.{digest}.{}", nonce()?))
}

/// A new name for a checkpoint.
pub fn checkpoint_name(id: &JobId) -> Result<String, StoreError> {
    Ok(format!("checkpoint.{id}.{}", nonce()?))
}

impl Objects {
    pub fn new(store: ObjectStore, stream: Stream) -> Objects {
        Objects { store, stream }
    }

    pub async fn put(&self, name: &str, content: &mut (impl AsyncRead + Unpin)) -> Result<(), StoreError> {
        self.store.put(name, content).await.map_err(fault)?;
        Ok(())
    }

    /// Shows an object piece by piece.
    pub async fn read(&self, name: &str, mut see: impl FnMut(&[u8]) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let found = asked(|| async {
            self.store.get(name).await.map_err(|e| match e.kind() {
                GetErrorKind::NotFound => StoreError::Internal("a content is gone".into()),
                _ => fault(e),
            })
        });
        let mut object = found.await?;
        let mut piece = vec![0; PIECE];
        loop {
            match tokio::time::timeout(ANSWER, object.read(&mut piece)).await.map_err(late)? {
                Ok(0) => return Ok(()),
                Ok(n) => see(&piece[..n])?,
                Err(e) if e.kind() == std::io::ErrorKind::InvalidData => return Err(damaged("a content")),
                Err(e) => return Err(fault(e)),
            }
        }
    }

    /// Removes an object; one that is gone already is not a fault.
    pub async fn delete(&self, name: &str) -> Result<(), StoreError> {
        match self.store.delete(name).await {
            Err(e) if e.kind() != DeleteErrorKind::NotFound => Err(fault(e)),
            _ => Ok(()),
        }
    }

    /// Removes what no record names, markers of deleted objects, and pieces of objects that were
    /// never finished; returns the number of objects.
    pub async fn sweep(&self, named: &HashSet<String>) -> Result<usize, StoreError> {
        let (mut whole, mut left, mut markers) = (HashSet::new(), Vec::new(), Vec::new());
        let old = time::OffsetDateTime::now_utc() - LEFT;
        bucket::scan(&self.stream, &format!("$O.{}.M.>", names::OBJECTS), |subject, _, value| {
            let info: ObjectInfo = serde_json::from_slice(&value).map_err(damaged)?;
            if info.deleted {
                markers.push(subject.to_string());
            } else if !named.contains(&info.name) && info.modified.is_some_and(|m| m < old) {
                left.push(info.name);
            }
            whole.insert(info.nuid);
            Ok(())
        })
        .await?;
        for name in &left {
            self.delete(name).await?;
        }
        for subject in markers {
            self.stream.purge().filter(subject).await.map_err(fault)?;
        }
        let prefix = format!("$O.{}.C.", names::OBJECTS);
        let mut pieces = self.stream.info_with_subjects(format!("{prefix}>")).await.map_err(fault)?;
        let mut removed = left.len();
        while let Some(found) = pieces.next().await {
            let (subject, _) = found.map_err(fault)?;
            if subject.strip_prefix(&prefix).is_none_or(|nuid| whole.contains(nuid)) {
                continue;
            }
            let last = self.stream.get_last_raw_message_by_subject(&subject).await;
            if last.is_ok_and(|m| m.time < old) {
                self.stream.purge().filter(subject).await.map_err(fault)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
