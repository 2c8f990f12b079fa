//! `POST /v1/verify`: executes a proxy in integers and compares it with expected outputs.

use super::App;
use crate::convert::error::Error;
use crate::convert::{DataLayout, Verified};
use crate::data::DataFile;
use crate::diagnostic::Code;
use crate::service::problem::Problem;
use crate::service::store_error::StoreError;
use crate::service::upload::{Kind, Part, read};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};

use serde::Deserialize;

const PARTS: [Part; 3] =
    [Part::required("model", Kind::Model), Part::required("inputs", Kind::Data), Part::optional("expected", Kind::Data)];

#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only described")]
pub struct Files {
    /// A proxy.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    model: Vec<u8>,
    /// Inputs as .npz or .npy.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    inputs: Vec<u8>,
    /// Outputs to compare with, as .npz or .npy.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    expected: Option<Vec<u8>>,
}

/// How the data are.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct How {
    /// Layout of arrays whose shape fits both: that of the model that was converted, or the
    /// proxy's.
    #[param(inline)]
    layout: DataLayout,
}

/// Execute a proxy in integers
///
/// Differing elements are the answer, not a failure of the request.
#[utoipa::path(
    post, path = "/v1/verify", operation_id = "verify", tag = "models",
    params(How),
    request_body(content = Files, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "`samples`, `mismatches` (null without `expected`), the `first` of them, `saturations`, and how `inputs` and `expected` were read", body = Object),
        Problem,
    )
)]
pub async fn post(
    State(app): State<App>,
    how: Result<Query<How>, QueryRejection>,
    request: Request,
) -> Result<Json<Verified>, Problem> {
    let app = app.0;
    let Query(How { layout }) = how.map_err(|e| Problem::new(Code::BadRequest, e.body_text()))?;
    let permit = app.checks.try_admit()?;
    let mut parts = read(request, &PARTS, &app.limits, &*app.store).await?;
    let engine = app.engine.clone();
    let work = move |_: &_| {
        let internal = |e: StoreError| Error::Internal(e.to_string());
        let model = parts.take("model").map_err(internal)?;
        let inputs = DataFile::new("inputs", parts.take("inputs").map_err(internal)?);
        engine.verify(&model, &inputs, parts.data("expected").map_err(internal)?.as_ref(), layout)
    };
    permit.run(&app.running, app.limits.job_time, work).await.map(Json)
}
