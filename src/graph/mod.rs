//! `ModelProto → Graph`: a typed graph with static shapes, channels last, constants folded into
//! operations and BatchNormalization folded into weights. `import` reads the file, `pass/` holds
//! one rewrite per file.

pub mod annotation;
pub mod channels;
pub mod dag;
pub mod eval;
pub mod import;
pub mod op;
pub mod pass;
pub mod window;

pub use annotation::{QuantSpec, RoundingMode};
pub use dag::{Dag, Node, Value, ValueId};
pub use import::{ImportError, Imported, Refusal, import};
pub use op::{Affine, Dense, Op};
pub use window::Window;

/// The imported model.
pub type Graph = Dag<Op>;
