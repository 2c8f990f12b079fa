//! What operations are, each in one place: its name in ONNX, its function, what stock hls4ml computes for it, its derivative and its
//! limits. Import, training, exact evaluation and the proxy ask here; `verify` takes the values of the tables alone.

pub mod elementwise;
pub mod table;

pub use elementwise::Elementwise;
pub use table::Table;
