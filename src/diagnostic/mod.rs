//! What the user should know: one type for all that is found, one table of codes with causes and
//! cures.

mod code;

pub use code::Code;

/// Something the user should know.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Diagnostic {
    /// What programs read.
    pub code: Code,
    /// What people read.
    pub message: String,
    /// The node or value of the model that it is about.
    pub node: Option<String>,
}

impl Diagnostic {
    /// Of the whole job.
    pub fn new(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic { code, message: message.into(), node: None }
    }

    /// Of one node or value.
    pub fn at(code: Code, node: impl Into<String>, message: impl Into<String>) -> Diagnostic {
        Diagnostic { code, message: message.into(), node: Some(node.into()) }
    }
}

/// Where a code comes from, and what programs get with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A conversion ended without a proxy.
    Conversion(Statuses),
    /// The service refused a request or gave a job up.
    Request(Statuses),
    /// `convert --server` did not get through to a service.
    Remote {
        /// Exit status of the command line.
        exit: u8,
    },
    /// Nothing ended: the report says it.
    Warning,
}

/// How a failure is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statuses {
    /// Exit status of the command line: 3 for what the caller can mend, see docs/errors.md.
    pub exit: u8,
    /// HTTP status of the service.
    pub http: u16,
    /// `title` of the problem document.
    pub title: &'static str,
}

const WARNING: Kind = Kind::Warning;

const fn conversion(exit: u8, http: u16, title: &'static str) -> Kind {
    Kind::Conversion(Statuses { exit, http, title })
}

const fn request(exit: u8, http: u16, title: &'static str) -> Kind {
    Kind::Request(Statuses { exit, http, title })
}

const fn remote(exit: u8) -> Kind {
    Kind::Remote { exit }
}

/// Exit status of a fault of this program.
const INTERNAL: u8 = 4;

impl Code {
    /// Exit status of the command line.
    pub fn exit_status(self) -> u8 {
        match self.kind() {
            Kind::Conversion(statuses) | Kind::Request(statuses) => statuses.exit,
            Kind::Remote { exit } => exit,
            Kind::Warning => 0,
        }
    }

    /// What a problem document says; of a code that is none, that something is wrong here.
    pub fn statuses(self) -> Statuses {
        match self.kind() {
            Kind::Conversion(statuses) | Kind::Request(statuses) => statuses,
            Kind::Remote { .. } | Kind::Warning => Statuses { exit: INTERNAL, http: 500, title: "Internal error" },
        }
    }
}
