//! Wakes those who wait for something to happen to a job.

use crate::service::record::JobId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

#[derive(Default)]
pub struct JobNotifier(Mutex<HashMap<JobId, watch::Sender<()>>>);

impl JobNotifier {
    /// What is rung from now on is heard.
    pub fn listen(&self, id: &JobId) -> watch::Receiver<()> {
        let mut notifier = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notifier.retain(|_, bell| bell.receiver_count() > 0);
        notifier.entry(id.clone()).or_insert_with(|| watch::channel(()).0).subscribe()
    }

    pub fn notify(&self, id: &JobId) {
        let notifier = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = notifier.get(id) {
            bell.send_replace(());
        }
    }
}
