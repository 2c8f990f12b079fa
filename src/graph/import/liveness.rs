//! Which nodes contribute to a graph output, and how often each tensor is read.

use std::collections::HashMap;

use crate::onnx::proto::GraphProto;

/// Operators whose output is their first input.
pub const ALIASES: [&str; 3] = ["Identity", "Dropout", "Cast"];

/// See the module.
pub struct Liveness<'m> {
    /// One flag per node of the file.
    pub nodes: Vec<bool>,
    /// Reads of each tensor by live nodes and graph outputs. Reads of an alias count for the tensor
    /// it stands for, and the alias itself is not a read.
    pub uses: HashMap<&'m str, usize>,
}

/// Walks the nodes backwards (the file is in topological order; where it is not, import says so).
pub fn analyse(file: &GraphProto) -> Liveness<'_> {
    let mut nodes = vec![false; file.node.len()];
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for output in &file.output {
        *uses.entry(output.name()).or_default() += 1;
    }
    for (index, node) in file.node.iter().enumerate().rev() {
        let reads: usize = node.output.iter().filter_map(|output| uses.get(output.as_str())).sum();
        if reads == 0 {
            continue;
        }
        nodes[index] = true;
        let alias = ALIASES.contains(&node.op_type());
        for (position, input) in node.input.iter().enumerate().filter(|(_, i)| !i.is_empty()) {
            *uses.entry(input.as_str()).or_default() += if alias && position == 0 { reads } else { 1 };
        }
    }
    Liveness { nodes, uses }
}
