//! Events of a running job on their way into the store: in batches, as an epoch may take a
//! millisecond.

use crate::convert::progress::Event;
use crate::service::store::{Claim, NewEvent, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// Time in which events are gathered before they are stored.
const GATHERING: Duration = Duration::from_millis(100);
/// Events stored at once.
const BATCH: usize = 1000;

/// Takes events until all senders are gone, and stores them.
pub fn store_events(store: Arc<dyn Store>, claim: Claim) -> (mpsc::UnboundedSender<NewEvent>, JoinHandle<()>) {
    let (send, mut receive) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        while let Some(first) = receive.recv().await {
            let mut batch = vec![first];
            let until = Instant::now() + GATHERING;
            while batch.len() < BATCH
                && let Ok(Some(next)) = timeout_at(until, receive.recv()).await
            {
                batch.push(next);
            }
            // an event that cannot be stored is no reason to end a job
            if let Err(error) = store.append(&claim, batch).await {
                tracing::warn!(job = %claim.id, %error, "events were not stored");
            }
        }
    });
    (send, task)
}

/// The event in its stored form; what is not a number in JSON (an infinite loss) is null.
pub fn event(event: &Event) -> NewEvent {
    let kind = match event {
        Event::Stage { .. } => "stage",
        Event::Epoch { .. } => "epoch",
        Event::Note { .. } => "note",
    };
    NewEvent { kind, data: serde_json::to_string(event).unwrap_or_else(|_| "null".into()) }
}
