//! The description of the interface: OpenAPI 3.1, made from the handlers themselves.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi};
use utoipa::{Modify, OpenApi as _};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "hgq-onnx",
        description = "Fine-tunes the bit widths of ONNX models by gradient (HGQ) and returns fixed-point proxies that stock hls4ml compiles bit-exactly. \
                       Errors are RFC 9457 problem documents with a stable `code`.",
    ),
    modifiers(&Bearer),
    security(("token" = [])),
    tags(
        (name = "jobs", description = "Conversions: `queued → running → succeeded | failed | canceled`"),
        (name = "sweeps", description = "Several conversions at once, and their common Pareto front"),
        (name = "artifacts", description = "What jobs made"),
        (name = "files", description = "Files that are sent once and named by digest in many jobs"),
        (name = "models", description = "Answers within seconds"),
        (name = "page", description = "The web page: static files"),
        (name = "operation", description = "For whoever runs the service"),
    )
)]
struct Described;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut OpenApi) {
        let http = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Needed where the service has a file of tokens"))
            .build();
        let components = description.components.get_or_insert_with(Components::new);
        components.add_security_scheme("token", SecurityScheme::Http(http));
    }
}

/// The description without paths.
pub fn start() -> OpenApi {
    Described::openapi()
}

/// The finished document as JSON.
pub fn document(description: &OpenApi) -> String {
    // the router's way to say that a parameter may have slashes is not OpenAPI's
    description.to_json().unwrap_or_default().replace("{*", "{")
}
