//! What operations are, each in one place: its name in ONNX, its function, what stock hls4ml
//! computes for it, its derivative and its limits. Import, training, exact evaluation and the proxy
//! ask here; `verify` takes the values of the tables alone.

pub mod elementwise;
pub mod merge;
pub mod movement;
pub mod table;

pub use elementwise::Elementwise;
pub use merge::Merge;
pub use movement::Move;
pub use table::Table;

/// `v·2^by` without loss, `by ≥ 0`.
pub fn shl(v: i128, by: i32) -> Option<i128> {
    if v == 0 {
        return Some(0);
    }
    let room = v.unsigned_abs().leading_zeros() as i32 - 2;
    (0..=room).contains(&by).then(|| v << by)
}
