//! Wakes those who wait for something to happen to a job: one watch over all records for the whole
//! process.

use super::bucket::Bucket;
use super::fault::fault;
use super::names;
use crate::service::record::JobId;
use crate::service::store_error::StoreError;
use async_nats::Client;
use async_nats::jetstream::consumer::{DeliverPolicy, push};
use futures_util::StreamExt;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Pause before a watch that ended is begun again.
const PAUSE: Duration = Duration::from_secs(1);

/// JobNotifier ring with the revision of the record.
#[derive(Clone, Default)]
pub struct JobNotifier(Arc<Mutex<HashMap<JobId, watch::Sender<u64>>>>);

impl JobNotifier {
    /// What is rung from now on is heard.
    pub fn listen(&self, id: &JobId) -> watch::Receiver<u64> {
        let mut notifier = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notifier.retain(|_, bell| bell.receiver_count() > 0);
        notifier.entry(id.clone()).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    fn notify(&self, id: &JobId, revision: u64) {
        let notifier = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = notifier.get(id) {
            bell.send_replace(revision);
        }
    }

    fn ring_all(&self) {
        let notifier = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notifier.values().for_each(|bell| bell.send_modify(|_| ()));
    }

    /// Watches the records, forever.
    pub async fn watch(self, client: Client, jobs: Bucket) {
        loop {
            if let Err(error) = self.watch_records(&client, &jobs).await {
                tracing::warn!(%error, "records cannot be watched");
            }
            // whatever was missed is looked for now
            self.ring_all();
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn watch_records(&self, client: &Client, jobs: &Bucket) -> Result<(), StoreError> {
        let config = push::OrderedConfig {
            deliver_subject: client.new_inbox(),
            filter_subject: jobs.subject(">"),
            deliver_policy: DeliverPolicy::New,
            // records are long, and most are of jobs that nobody here waits for
            headers_only: true,
            ..push::OrderedConfig::default()
        };
        let mut changes = jobs.stream.create_consumer(config).await.map_err(fault)?.messages().await.map_err(fault)?;
        self.ring_all();
        while let Some(change) = changes.next().await {
            let change = change.map_err(fault)?;
            let revision = change.info().map_or(0, |i| i.stream_sequence);
            if let Some(id) = names::job(change.subject.as_str()) {
                self.notify(&id, revision);
            }
        }
        Ok(())
    }
}
