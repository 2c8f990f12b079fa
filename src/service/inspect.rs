//! `POST /v1/inspect`: what is in a model and what of it is supported.

use super::App;
use super::multipart::{Kind, Part, read};
use super::problem::Problem;
use axum::Json;
use axum::extract::{Request, State};
use serde_json::Value;

const PARTS: [Part; 1] = [Part::required("model", Kind::Model)];

pub async fn post(State(app): State<App>, request: Request) -> Result<Json<Value>, Problem> {
    let app = app.0;
    let place = app.checks.enter()?;
    let model = read(request, &PARTS, &app.limits).await?.take("model");
    let engine = app.engine.clone();
    place.run(&app.running, app.limits.job_time, move |_| engine.inspect(&model)).await.map(Json)
}
