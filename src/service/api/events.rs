//! `/v1/jobs/{id}/events`: what happens to a job, as server-sent events. Stored, so that whoever
//! reconnects misses nothing.

use super::{App, Owner, own_job};
use crate::diagnostic::Code;
use crate::service::jobs::worker::Phase;
use crate::service::jobs::{JobId, State as JobState, StoredEvent};
use crate::service::limits::{KEEP_ALIVE, LONGEST_WAIT};
use crate::service::problem::Problem;
use axum::extract::{Extension, Path, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use std::convert::Infallible;
use std::time::Duration;

/// Header with the number of the last event that a client has seen.
const LAST_EVENT_ID: &str = "last-event-id";

/// Follow a job
///
/// Server-sent events `state`, `stage`, `epoch` and `note`, each with its number as `id`, from
/// after `Last-Event-ID` on; the stream ends after the last state.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/events", operation_id = "followJob", tag = "jobs",
    params(
        ("id" = String, Path, description = "Name of the job"),
        ("Last-Event-ID" = Option<u32>, Header, description = "Number of the last event that is known"),
    ),
    responses(
        (status = 200, description = "The events", body = String, content_type = "text/event-stream"),
        Problem,
    )
)]
pub async fn get(
    State(app): State<App>,
    Extension(owner): Extension<Owner>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = own_job(&app, &owner, &id).await?;
    let after = last_seen(&headers)?;
    Ok(Sse::new(stream_of(app, record.id, after)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

fn last_seen(headers: &HeaderMap) -> Result<u64, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(0) };
    let number = value.to_str().ok().and_then(|t| t.parse().ok());
    let text = "Last-Event-ID is the number of an event";
    number.ok_or_else(|| Problem::new(Code::BadRequest, text))
}

/// Events after number `after` until the job ends or the process does.
fn stream_of(app: App, id: JobId, after: u64) -> impl Stream<Item = Result<Event, Infallible>> {
    let batches = stream::unfold(Some(after), move |after| {
        let (app, id) = (app.clone(), id.clone());
        async move {
            let after = after?;
            // nothing more happens to a job that has ended
            let ended = app.0.store.job(&id).await.ok()??.state.is_final();
            let wait = if ended { Duration::ZERO } else { LONGEST_WAIT };
            let batch = tokio::select! {
                batch = app.0.store.events(&id, after, wait) => batch.ok()?,
                // the client reconnects, to whoever serves then
                () = app.0.reached(Phase::Draining) => return None,
            };
            let next = match batch.last() {
                Some(last) if is_end(last) => None,
                Some(last) => Some(last.seq),
                None => (!ended).then_some(after),
            };
            Some((stream::iter(batch), next))
        }
    });
    batches.flatten().map(|e| Ok(Event::default().id(e.seq.to_string()).event(e.kind).data(e.data)))
}

fn is_end(event: &StoredEvent) -> bool {
    let state = || serde_json::from_str::<serde_json::Value>(&event.data).ok()?["state"].as_str().and_then(JobState::parse);
    event.kind == "state" && state().is_some_and(JobState::is_final)
}
