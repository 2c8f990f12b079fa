//! The HTTP service (docs/http.md): the same entry points as the command line, as jobs that
//! survive.
//!
//! [`api`] takes requests, [`upload`] their files, [`store`] keeps both and the queue, [`jobs`]
//! does the work.

mod api;
mod app;
pub mod auth;
mod checks;
mod digest;
pub mod document;
pub mod engine;
#[doc(hidden)]
pub mod fuzzing;
pub mod jobs;
pub mod limits;
mod listen;
mod metrics;
mod page;
mod problem;
mod rate;
pub mod record;
pub mod store;
pub mod store_error;
mod upload;

pub use api::router;
pub use app::App;
pub use auth::Tokens;
pub use engine::{Engine, Library};
pub use limits::Limits;
#[cfg(feature = "farm")]
pub use listen::work;
pub use listen::{check_address, serve};
pub use store::local::LocalStore;
#[cfg(feature = "farm")]
pub use store::nats::{NatsOptions, NatsStore};
