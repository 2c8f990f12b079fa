//! Jobs in the hands of this process: taken from the queue, kept in progress, ended or given back.

use super::super::Claim;
use super::bucket::On;
use super::names;
use super::row::Row;
use super::submit::Parts;
use crate::service::record::{JobId, State};
use crate::service::store_error::StoreError;
use async_nats::jetstream::AckKind;
use async_nats::jetstream::message::Acker;
use std::collections::HashMap;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

/// Heartbeats within the time after which a job without one is given to another worker: one or two
/// may get lost.
const BEATS: u32 = 4;
/// Times the ack wait that a job waits, at most, after it has lost several workers in a row.
const MAX_DELAY: u32 = 10;
/// Changes by others that may come in between: only a cancel.
const TRIES: usize = 10;

/// A job that is this process's.
struct Held {
    attempt: u32,
    /// The record as this process wrote or read it last, and its revision.
    now: Mutex<(Row, u64)>,
    acker: Arc<Acker>,
    beat: AbortHandle,
}

/// What becomes of a job that the queue hands out.
enum ClaimOutcome {
    Claimed(Box<(Claim, Row, u64)>),
    /// Nobody is to do it any more.
    Finished,
    Deferred(Duration),
}

impl Drop for Held {
    fn drop(&mut self) {
        self.beat.abort();
    }
}

#[derive(Clone)]
pub struct Claims {
    parts: Parts,
    ack_wait: Duration,
    held: Arc<SyncMutex<HashMap<JobId, Arc<Held>>>>,
}

impl Claims {
    pub fn new(parts: Parts, ack_wait: Duration) -> Claims {
        Claims { parts, ack_wait, held: Arc::default() }
    }

    /// Takes a job, if one waits.
    pub async fn take(&self) -> Result<Option<Claim>, StoreError> {
        for caller in self.parts.queue.turns().await? {
            while let Some(message) = self.parts.queue.pull(&caller).await? {
                let (message, acker) = message.split();
                match self.begin(message.subject.as_str()).await {
                    Ok(ClaimOutcome::Claimed(begun)) => {
                        let (claim, row, revision) = *begun;
                        self.hold(&claim, row, revision, acker);
                        return Ok(Some(claim));
                    }
                    Ok(ClaimOutcome::Finished) => ack(&acker, AckKind::Ack).await?,
                    Ok(ClaimOutcome::Deferred(delay)) => ack(&acker, AckKind::Nak(Some(delay))).await?,
                    Err(error) => {
                        // if this is not heard either, the job comes back by itself
                        let _ = acker.ack_with(AckKind::Nak(None)).await;
                        return Err(error);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Makes a job of the queue this process's.
    async fn begin(&self, subject: &str) -> Result<ClaimOutcome, StoreError> {
        let Some(id) = names::job(subject) else { return Ok(ClaimOutcome::Finished) };
        loop {
            let Some((mut row, revision)) = self.parts.rows.get(&id).await? else { return Ok(ClaimOutcome::Finished) };
            let mut later = None;
            if row.state == State::Running {
                // it came again: its worker is gone, or was not heard for too long
                row.take_back();
                // the first time by chance; one that ends its workers lets other jobs go first
                let times = row.lost.saturating_sub(1).min(MAX_DELAY);
                later = (times > 0 && !row.state.is_final()).then(|| self.ack_wait * times);
            }
            if row.state == State::Queued && later.is_none() {
                // the same may have been asked for twice, and the other one is done by now
                match self.parts.done_before(&row).await? {
                    Some(earlier) if self.use_files(&earlier, &id).await? => row.finish_like(&earlier),
                    _ => row.begin(),
                }
            }
            let over = row.state.is_final();
            let checkpoint = if over { row.checkpoint.take() } else { None };
            let Some(revision) = self.parts.rows.set(&id, &mut row, On::Revision(revision)).await? else { continue };
            if let Some(delay) = later {
                return Ok(ClaimOutcome::Deferred(delay));
            }
            if !over {
                let claim = Claim { id, attempt: row.attempts, spec: row.spec.clone(), owner: row.owner.clone() };
                return Ok(ClaimOutcome::Claimed(Box::new((claim, row, revision))));
            }
            self.drop_checkpoint(checkpoint).await;
            return Ok(ClaimOutcome::Finished);
        }
    }

    async fn use_files(&self, earlier: &Row, id: &JobId) -> Result<bool, StoreError> {
        self.parts.files.touch_all(earlier.artifacts.iter().map(|a| &a.digest), Some(id)).await
    }

    fn hold(&self, claim: &Claim, row: Row, revision: u64, acker: Acker) {
        let acker = Arc::new(acker);
        let (progress, pause) = (acker.clone(), self.ack_wait / BEATS);
        let beat = tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                // what is sent while NATS is away arrives when it is back
                let _ = progress.ack_with(AckKind::Progress).await;
            }
        });
        let held = Held { attempt: claim.attempt, now: Mutex::new((row, revision)), acker, beat: beat.abort_handle() };
        self.lock().insert(claim.id.clone(), Arc::new(held));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Arc<Held>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self, claim: &Claim) -> Result<Arc<Held>, StoreError> {
        self.lock().get(&claim.id).filter(|h| h.attempt == claim.attempt).cloned().ok_or(StoreError::Lost)
    }

    /// Ends the heartbeat of a job that is not this process's any more.
    fn release(&self, claim: &Claim) {
        let mut held = self.lock();
        if held.get(&claim.id).is_some_and(|h| h.attempt == claim.attempt) {
            held.remove(&claim.id);
        }
    }

    /// Whether the job is to be canceled, by its record of at least `revision`.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when it is another worker's.
    pub async fn is_canceled(&self, claim: &Claim, revision: u64) -> Result<bool, StoreError> {
        let held = self.held(claim)?;
        let mut now = held.now.lock().await;
        if now.1 < revision || revision == 0 {
            self.refresh(claim, &mut now).await?;
        }
        Ok(now.0.cancel)
    }

    async fn refresh(&self, claim: &Claim, now: &mut (Row, u64)) -> Result<(), StoreError> {
        match self.parts.rows.get(&claim.id).await? {
            Some((row, revision)) if row.state == State::Running && row.attempts == claim.attempt => *now = (row, revision),
            _ => {
                self.release(claim);
                return Err(StoreError::Lost);
            }
        }
        Ok(())
    }

    /// Changes the record of a job that is this process's; returns it before and after.
    pub async fn change(
        &self,
        claim: &Claim,
        change: impl Fn(&mut Row) -> Result<(), StoreError>,
    ) -> Result<(Row, Row), StoreError> {
        let held = self.held(claim)?;
        let mut now = held.now.lock().await;
        for _ in 0..TRIES {
            let before = now.0.clone();
            let mut row = before.clone();
            change(&mut row)?;
            if let Some(revision) = self.parts.rows.set(&claim.id, &mut row, On::Revision(now.1)).await? {
                *now = (row.clone(), revision);
                return Ok((before, row));
            }
            self.refresh(claim, &mut now).await?;
        }
        Err(StoreError::Unavailable(format!("{} is changed all the time", claim.id)))
    }

    pub async fn checkpoint(&self, claim: &Claim) -> Result<Option<String>, StoreError> {
        let held = self.held(claim)?;
        let now = held.now.lock().await;
        Ok(now.0.checkpoint.clone())
    }

    /// After the record says that the job is over.
    pub async fn over(&self, claim: &Claim, before: Row) {
        self.answer(claim, AckKind::Ack).await;
        self.drop_checkpoint(before.checkpoint).await;
    }

    /// After the record says that the job is queued.
    pub async fn given_back(&self, claim: &Claim) {
        self.answer(claim, AckKind::Nak(None)).await;
        self.parts.queue.wake().await;
    }

    /// Tells the queue. The record is what counts: a job whose answer is lost comes again and is
    /// looked up in it.
    async fn answer(&self, claim: &Claim, kind: AckKind) {
        let Ok(held) = self.held(claim) else { return };
        self.release(claim);
        if let Err(error) = ack(&held.acker, kind).await {
            tracing::warn!(job = %claim.id, %error, "the queue was not told");
        }
    }

    /// One that stays is found when what is old goes.
    pub async fn drop_checkpoint(&self, object: Option<String>) {
        if let Some(object) = object {
            let _ = self.parts.objects.delete(&object).await;
        }
    }
}

async fn ack(acker: &Acker, kind: AckKind) -> Result<(), StoreError> {
    let told = tokio::time::timeout(super::fault::ANSWER, acker.double_ack_with(kind)).await.map_err(super::fault::late)?;
    told.map_err(super::fault::boxed)
}

/// Gives a job back that was taken for somebody who no longer waits.
pub async fn release_claim(claims: Claims, claim: Claim) {
    let done = claims.change(&claim, |row| {
        row.give_back();
        Ok(())
    });
    if done.await.is_ok() {
        claims.given_back(&claim).await;
    }
}
