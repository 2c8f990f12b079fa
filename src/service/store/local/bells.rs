//! Wakes those who wait for something to happen to a job.

use crate::service::record::JobId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

#[derive(Default)]
pub struct Bells(Mutex<HashMap<JobId, watch::Sender<()>>>);

impl Bells {
    /// What is rung from now on is heard.
    pub fn listen(&self, id: &JobId) -> watch::Receiver<()> {
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bells.retain(|_, bell| bell.receiver_count() > 0);
        bells.entry(id.clone()).or_insert_with(|| watch::channel(()).0).subscribe()
    }

    pub fn ring(&self, id: &JobId) {
        let bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(id) {
            bell.send_replace(());
        }
    }
}
