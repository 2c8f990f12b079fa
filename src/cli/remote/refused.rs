//! Requests that a service refuses.

use crate::convert::error::NodeFault;
use crate::diagnostic::Code;
use serde_json::Value;
/// Longest answer that is read into memory where it is not a file of the job.
pub const MAX_DOCUMENT: u64 = 64 << 20;

/// What the service, or the way to it, has against a request.
#[derive(Debug, thiserror::Error)]
#[error("{server}: {detail}")]
pub struct Refused {
    server: String,
    code: String,
    detail: String,
    nodes: Vec<NodeFault>,
    faults: Vec<String>,
}

impl Refused {
    pub fn new(server: &str, code: Code, detail: impl Into<String>) -> Refused {
        Refused { server: server.into(), code: code.name().into(), detail: detail.into(), nodes: Vec::new(), faults: Vec::new() }
    }

    /// A problem document (RFC 9457), or what came in place of one.
    pub fn of(server: &str, document: &Value) -> Refused {
        let text = |key: &str| document.get(key).and_then(Value::as_str);
        let list = |key: &str| document.get(key).and_then(Value::as_array).into_iter().flatten();
        let node = |n: &Value| {
            let of = |key: &str| n.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
            NodeFault { name: of("name"), op: of("op"), reason: of("reason") }
        };
        Refused {
            server: server.into(),
            code: text("code").unwrap_or(Code::Internal.name()).into(),
            detail: text("detail").unwrap_or("the service does not say why").into(),
            nodes: list("nodes").map(node).collect(),
            faults: list("faults").filter_map(Value::as_str).map(String::from).collect(),
        }
    }

    pub fn code(&self) -> &str {
        &self.code
    }

    pub fn nodes(&self) -> &[NodeFault] {
        &self.nodes
    }

    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// As of a conversion on this machine.
    pub fn exit_status(&self) -> u8 {
        // a newer service may have codes that are not known here
        Code::from_name(&self.code).unwrap_or(Code::Internal).exit_status()
    }
}
