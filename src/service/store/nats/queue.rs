//! The queue: a work-queue stream of JetStream with a subject for each job and a durable consumer
//! for each caller. Which jobs wait and run, who has them and for how long is what the consumers
//! know; nothing of it is kept here.

use super::super::Depth;
use super::fault::{ANSWER, asked, boxed, fault, late};
use super::names;
use crate::service::record::JobId;
use crate::service::store_error::StoreError;
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, FromConsumer, Info, pull};
use async_nats::jetstream::stream::{self, LastRawMessageErrorKind, RetentionPolicy, Stream};
use async_nats::jetstream::{Context, Message};
use futures_util::{StreamExt, TryStreamExt};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Time in which a job that is queued twice (an answer was lost) is queued once.
const DUPLICATES: Duration = Duration::from_secs(120);
/// Pause before listening to [`names::WAKE`] again.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Queue {
    context: Context,
    stream: Stream,
    /// Time without a heartbeat after which a job is given to another worker.
    ack_wait: Duration,
    /// Callers that have a consumer for sure.
    known: Arc<Mutex<HashSet<String>>>,
    woken: watch::Sender<()>,
}

/// The stream.
pub fn config(replicas: usize) -> stream::Config {
    stream::Config {
        name: names::QUEUE.into(),
        subjects: vec![names::queue_subjects()],
        retention: RetentionPolicy::WorkQueue,
        max_messages_per_subject: 1,
        discard: stream::DiscardPolicy::New,
        discard_new_per_subject: true,
        duplicate_window: DUPLICATES,
        num_replicas: replicas,
        ..stream::Config::default()
    }
}

impl Queue {
    pub fn new(context: Context, stream: Stream, ack_wait: Duration) -> Queue {
        Queue { context, stream, ack_wait, known: Arc::default(), woken: watch::Sender::new(()) }
    }

    /// Queues a job, once.
    pub async fn push(&self, owner: &str, id: &JobId) -> Result<(), StoreError> {
        self.know(owner).await?;
        if self.find(owner, id).await?.is_none() {
            let mut headers = HeaderMap::new();
            headers.insert(async_nats::header::NATS_MESSAGE_ID, id.as_str());
            let push = || async {
                let text = id.as_str().to_string().into();
                let publish = self.context.publish_with_headers(names::queued(owner, id), headers.clone(), text);
                async { publish.await?.await }.await.map_err(fault)
            };
            asked(push).await?;
        }
        self.wake().await;
        Ok(())
    }

    /// Makes the caller's consumer, if it is not there.
    async fn know(&self, owner: &str) -> Result<(), StoreError> {
        let token = names::owner(owner);
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&token) {
            return Ok(());
        }
        let config = pull::Config {
            durable_name: Some(token.clone()),
            filter_subject: names::queue_of(&token),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.ack_wait,
            // how often a job may be begun is counted in its record: what a worker gives back does
            // not count
            max_deliver: -1,
            max_ack_pending: -1,
            ..pull::Config::default()
        };
        asked(|| async { self.stream.create_consumer(config.clone()).await.map_err(fault) }).await?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(token);
        Ok(())
    }

    /// Tells idle workers that there is something; one that does not hear it looks soon anyway.
    pub async fn wake(&self) {
        let _ = tokio::time::timeout(ANSWER, self.context.client().publish(names::WAKE, String::new().into())).await;
    }

    async fn find(&self, owner: &str, id: &JobId) -> Result<Option<u64>, StoreError> {
        let subject = names::queued(owner, id);
        let last = || async {
            match self.stream.get_last_raw_message_by_subject(&subject).await {
                Ok(message) => Ok(Some(message.sequence)),
                Err(e) if matches!(e.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(None),
                Err(e) => Err(fault(e)),
            }
        };
        asked(last).await
    }

    /// Takes a job out that nobody is to do.
    pub async fn remove(&self, owner: &str, id: &JobId) -> Result<(), StoreError> {
        if let Some(sequence) = self.find(owner, id).await? {
            self.stream.delete_message(sequence).await.map_err(fault)?;
        }
        Ok(())
    }

    async fn consumers(&self) -> Result<Vec<Info>, StoreError> {
        asked(|| async { self.stream.consumers().try_collect().await.map_err(fault) }).await
    }

    /// Jobs that were given back or lost count as running until the next worker has them.
    pub async fn depth(&self) -> Result<Depth, StoreError> {
        let count = |depth: Depth, i: &Info| Depth {
            queued: depth.queued + i.num_pending as usize,
            running: depth.running + i.num_ack_pending,
        };
        Ok(self.consumers().await?.iter().fold(Depth::default(), count))
    }

    /// Callers that may have a job to take: those with the fewest running ones first, of these the
    /// ones who were served longest ago.
    pub async fn turns(&self) -> Result<Vec<Consumer<pull::Config>>, StoreError> {
        let mut callers = self.consumers().await?;
        // a running one may be one whose worker is gone
        callers.retain(|i| i.num_pending > 0 || i.num_ack_pending > 0);
        callers.sort_by_key(|i| (i.num_ack_pending, i.delivered.last_active, i.created));
        let consumer = |info: Info| {
            let config = pull::Config::try_from_consumer_config(info.config.clone()).map_err(boxed)?;
            Ok(Consumer::new(config, info, self.context.clone()))
        };
        callers.into_iter().map(consumer).collect()
    }

    /// The next job of a caller, if one waits.
    pub async fn pull(&self, caller: &Consumer<pull::Config>) -> Result<Option<Message>, StoreError> {
        let mut batch = caller.fetch().max_messages(1).messages().await.map_err(fault)?;
        let message = tokio::time::timeout(ANSWER, batch.next()).await.map_err(late)?;
        message.transpose().map_err(boxed)
    }

    /// Changes when a job is queued.
    pub fn woken(&self) -> watch::Receiver<()> {
        self.woken.subscribe()
    }

    /// Listens for what is queued, forever.
    pub async fn listen(self) {
        loop {
            if let Ok(mut calls) = self.context.client().subscribe(names::WAKE).await {
                while calls.next().await.is_some() {
                    self.woken.send_replace(());
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
