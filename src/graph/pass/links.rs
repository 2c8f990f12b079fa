//! Producers and consumers of every value, so that a pass over the whole graph stays linear.

use super::super::Graph;

/// Computed once per sweep of a pass; the pass keeps what it relies on up to date.
pub struct Links {
    /// Node that computes each value, `None` for graph inputs.
    pub producer: Vec<Option<usize>>,
    /// Nodes that read each value.
    pub consumers: Vec<Vec<usize>>,
    pub is_output: Vec<bool>,
    /// Nodes that [`Links::sweep`] removes.
    pub dead: Vec<bool>,
}

impl Links {
    pub fn of(graph: &Graph) -> Self {
        let mut links = Links {
            producer: vec![None; graph.values.len()],
            consumers: vec![vec![]; graph.values.len()],
            is_output: vec![false; graph.values.len()],
            dead: vec![false; graph.nodes.len()],
        };
        for (index, node) in graph.nodes.iter().enumerate() {
            links.producer[node.output] = Some(index);
            for &input in &node.inputs {
                links.consumers[input].push(index);
            }
        }
        for &output in &graph.outputs {
            links.is_output[output] = true;
        }
        links
    }

    /// The node that reads `value`, if it is the only one and the value is not a graph output.
    pub fn only_consumer(&self, value: usize) -> Option<usize> {
        match self.consumers[value][..] {
            [only] if !self.is_output[value] => Some(only),
            _ => None,
        }
    }

    /// Removes the dead nodes; `true` if there are any.
    pub fn sweep(self, graph: &mut Graph) -> bool {
        let before = graph.nodes.len();
        let mut dead = self.dead.iter();
        graph.nodes.retain(|_| !dead.next().copied().unwrap_or(false));
        graph.nodes.len() != before
    }
}
