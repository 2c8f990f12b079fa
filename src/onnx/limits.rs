//! What the codec accepts before it spends memory. Every limit is a named constant with its reason;
//! [`Limits`] lets a service lower them.

/// Largest file. The nets this program can turn into a circuit have under 10⁷ weights (40 MB in
/// float32).
pub const MAX_BYTES: usize = 256 << 20;
/// Most nodes of all graphs together. A large MLP in QCDQ spelling has a few hundred;
/// the rewrites of the graph take quadratic time.
pub const MAX_NODES: usize = 20_000;
/// Most initializers: a handful per node.
pub const MAX_INITIALIZERS: usize = 100_000;
/// Most nested messages of any kind. One occupies up to 600 bytes in memory but only 2 in the file.
pub const MAX_MESSAGES: usize = 500_000;
/// Most protobuf fields. One string occupies 24 bytes in memory but only 2 in the file.
pub const MAX_FIELDS: usize = 4_000_000;
/// Deepest nesting of messages; prost itself stops at 100.
pub const MAX_DEPTH: usize = 64;
/// Most dimensions of a tensor.
pub const MAX_RANK: usize = 16;
/// Most elements of one tensor, so that a product of dimensions cannot ask for more than the
/// largest file could hold.
pub const MAX_ELEMENTS: usize = MAX_BYTES;

/// The limits of one [`decode`](crate::onnx::codec::decode) call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`MAX_BYTES`].
    pub bytes: usize,
    /// See [`MAX_NODES`].
    pub nodes: usize,
    /// See [`MAX_INITIALIZERS`].
    pub initializers: usize,
    /// See [`MAX_MESSAGES`].
    pub messages: usize,
    /// See [`MAX_FIELDS`].
    pub fields: usize,
    /// See [`MAX_DEPTH`].
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bytes: MAX_BYTES,
            nodes: MAX_NODES,
            initializers: MAX_INITIALIZERS,
            messages: MAX_MESSAGES,
            fields: MAX_FIELDS,
            depth: MAX_DEPTH,
        }
    }
}
