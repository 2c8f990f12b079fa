//! `POST /v1/verify`: executes a proxy in integers and compares it with expected outputs.

use super::App;
use super::multipart::{Kind, Part, read};
use super::problem::Problem;
use crate::convert::{DataFile, Verified};
use axum::Json;
use axum::extract::{Request, State};

const PARTS: [Part; 3] =
    [Part::required("model", Kind::Model), Part::required("inputs", Kind::Data), Part::optional("expected", Kind::Data)];

/// Differing elements are the answer, not a failure of the request: 200 with `mismatches`.
pub async fn post(State(app): State<App>, request: Request) -> Result<Json<Verified>, Problem> {
    let app = app.0;
    let place = app.checks.enter()?;
    let mut parts = read(request, &PARTS, &app.limits).await?;
    let model = parts.take("model");
    let inputs = DataFile { name: "inputs".into(), bytes: parts.take("inputs") };
    let expected = parts.data("expected");
    let engine = app.engine.clone();
    let work = move |_: &_| engine.verify(&model, &inputs, expected.as_ref());
    place.run(&app.running, app.limits.job_time, work).await.map(Json)
}
