//! What the fuzzers (`fuzz/`) reach of rooms that are closed to others. No part of the interface.

use super::limits::Limits;
use super::problem::Problem;
use super::store::Store;
use super::upload::{Kind, Part, check, read};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::IntoResponse;
use std::convert::Infallible;

/// A part of each kind, one that may be left out, and one that may be named.
const PARTS: [Part; 3] = [
    Part::required("model", Kind::Model).or_digest(),
    Part::optional("calibration", Kind::Data).or_digest(),
    Part::optional("config", Kind::Config),
];

/// Reads a request whose body comes in `chunks`, and the data that it brought; the bytes of its
/// model.
///
/// # Errors
/// The status that it would be answered with.
pub async fn multipart(content_type: &str, chunks: Vec<Vec<u8>>, store: &dyn Store) -> Result<usize, StatusCode> {
    let body = Body::from_stream(futures_util::stream::iter(chunks.into_iter().map(Ok::<_, Infallible>)));
    let request = Request::builder().header(header::CONTENT_TYPE, content_type).body(body);
    let request = request.map_err(|_| StatusCode::BAD_REQUEST)?;
    let status = |problem: Problem| problem.into_response().status();
    let mut parts = read(request, &PARTS, &Limits::default(), store).await.map_err(status)?;
    if let Some(file) = parts.data("calibration").map_err(|e| status(e.into()))? {
        check::whole(Kind::Data, Ok(file)).map_err(status)?;
    }
    Ok(parts.take("model").map_err(|e| status(e.into()))?.len())
}
