//! A key-value bucket, in the layout of NATS' own (`nats kv` reads it). Reads go to the leader of
//! its stream: what was written is seen. Removal leaves no markers after.

use super::fault::{ANSWER, asked, boxed, damaged, fault, late, nonce};
use crate::service::store_error::StoreError;
use async_nats::header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_ID};
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::stream::{self, LastRawMessageErrorKind, Stream};
use async_nats::{HeaderMap, HeaderValue};
use futures_util::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Messages that are asked for at once.
const BATCH: u64 = 256;
/// Time after which the server forgets a reader that is gone.
const READER_GONE: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct Bucket {
    context: Context,
    pub stream: Stream,
    prefix: String,
}

/// A value and the number of its last change.
pub struct Entry {
    pub key: String,
    pub value: Vec<u8>,
    pub revision: u64,
}

impl Entry {
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, StoreError> {
        serde_json::from_slice(&self.value).map_err(damaged)
    }
}

/// What a change is made on.
#[derive(Clone, Copy)]
pub enum On {
    Anything,
    Nothing,
    Revision(u64),
}

/// The stream of a bucket.
pub fn config(bucket: &str, replicas: usize) -> stream::Config {
    stream::Config {
        name: format!("KV_{bucket}"),
        subjects: vec![format!("$KV.{bucket}.>")],
        max_messages_per_subject: 1,
        discard: stream::DiscardPolicy::New,
        allow_rollup: true,
        num_replicas: replicas,
        ..stream::Config::default()
    }
}

impl Bucket {
    pub fn new(context: Context, stream: Stream, bucket: &str) -> Bucket {
        Bucket { context, stream, prefix: format!("$KV.{bucket}.") }
    }

    pub fn subject(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    pub async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let subject = self.subject(key);
        let last = || async {
            match self.stream.get_last_raw_message_by_subject(&subject).await {
                Ok(m) => Ok(Some(Entry { key: key.to_string(), value: m.payload.to_vec(), revision: m.sequence })),
                Err(e) if matches!(e.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(None),
                Err(e) => Err(fault(e)),
            }
        };
        asked(last).await
    }

    /// The new revision; `None` when there is something else than `on`.
    pub async fn set(&self, key: &str, value: &impl Serialize, on: On) -> Result<Option<u64>, StoreError> {
        let value = serde_json::to_vec(value).map_err(damaged)?;
        let mut headers = HeaderMap::new();
        // what is sent again as there was no answer is stored once
        headers.insert(NATS_MESSAGE_ID, nonce()?);
        match on {
            On::Anything => {}
            On::Nothing => headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(0u64)),
            On::Revision(n) => headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(n)),
        }
        let set = || async {
            let publish = self.context.publish_with_headers(self.subject(key), headers.clone(), value.clone().into());
            match async { publish.await?.await }.await {
                Ok(ack) => Ok(Some(ack.sequence)),
                Err(e) if e.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
                Err(e) => Err(fault(e)),
            }
        };
        asked(set).await
    }

    /// Removes a value unless it was changed since `revision`.
    pub async fn remove(&self, key: &str, revision: u64) -> Result<bool, StoreError> {
        let purge = || async { self.stream.purge().filter(self.subject(key)).sequence(revision + 1).await.map_err(fault) };
        Ok(asked(purge).await?.purged > 0)
    }

    /// Removes all values with keys like `pattern`.
    pub async fn remove_all(&self, pattern: &str) -> Result<(), StoreError> {
        asked(|| async { self.stream.purge().filter(self.subject(pattern)).await.map_err(fault) }).await?;
        Ok(())
    }

    /// Shows all values with keys like `pattern`, in the order of their last changes. One that is
    /// changed meanwhile may come twice, the newer one later.
    pub async fn each(&self, pattern: &str, mut see: impl FnMut(Entry) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let prefix = self.prefix.len();
        scan(&self.stream, &self.subject(pattern), |subject, revision, value| {
            see(Entry { key: subject.get(prefix..).unwrap_or_default().to_string(), value, revision })
        })
        .await
    }
}

/// Shows all messages of a stream on subjects like `filter`.
pub async fn scan(
    stream: &Stream,
    filter: &str,
    mut see: impl FnMut(&str, u64, Vec<u8>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let config = pull::Config {
        filter_subject: filter.to_string(),
        ack_policy: AckPolicy::None,
        inactive_threshold: READER_GONE,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    let reader = asked(|| async { stream.create_consumer(config.clone()).await.map_err(fault) }).await?;
    let mut left = reader.cached_info().num_pending;
    while left > 0 {
        let wanted = left.min(BATCH);
        let mut batch = reader.fetch().max_messages(wanted as usize).messages().await.map_err(fault)?;
        let mut got = 0;
        while got < wanted {
            let Some(message) = tokio::time::timeout(ANSWER, batch.next()).await.map_err(late)? else { break };
            let message = message.map_err(boxed)?;
            let info = message.info().map_err(boxed)?;
            (left, got) = (info.pending, got + 1);
            see(message.subject.as_str(), info.stream_sequence, message.payload.to_vec())?;
            if left == 0 {
                break;
            }
        }
        if got == 0 {
            break;
        }
    }
    // a reader that stays is forgotten by the server
    let _ = stream.delete_consumer(&reader.cached_info().name).await;
    Ok(())
}
