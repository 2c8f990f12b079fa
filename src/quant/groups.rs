//! Which elements of a tensor share one bit width (docs/hgq-spec.md#a1-1).

use serde::{Deserialize, Serialize};

/// Granularity of bit widths, as in the job configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Granularity {
    /// One width per element.
    #[default]
    Element,
    /// One width per channel: the last axis.
    Channel,
    /// One width for the tensor.
    Tensor,
}

/// Map from element to group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    count: usize,
    /// Empty: element `e` is group `e`.
    of: Vec<u32>,
    elements: usize,
}

impl Groups {
    /// Groups of a tensor of `shape` (last axis = channel). For activations, `shape` is one sample:
    /// the batch is shared and counts as 1 in the degeneracy.
    pub fn new(granularity: Granularity, shape: &[usize]) -> Self {
        let elements = shape.iter().product();
        let channels = shape.last().copied().unwrap_or(1).max(1);
        match granularity {
            Granularity::Element => Groups { count: elements, of: Vec::new(), elements },
            Granularity::Channel => {
                Groups { count: channels, of: (0..elements).map(|e| (e % channels) as u32).collect(), elements }
            }
            Granularity::Tensor => Groups { count: 1, of: vec![0; elements], elements },
        }
    }

    /// One group per element.
    pub fn elementwise(elements: usize) -> Self {
        Groups { count: elements, of: Vec::new(), elements }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn elements(&self) -> usize {
        self.elements
    }

    /// True when every element has its own width.
    pub fn is_elementwise(&self) -> bool {
        self.of.is_empty()
    }

    /// The group of element `e`.
    #[inline]
    pub fn of(&self, e: usize) -> usize {
        if self.of.is_empty() { e } else { self.of[e] as usize }
    }

    /// Elements per group, the degeneracy `n_g` (docs/hgq-spec.md#a1-1); all groups of a tensor are
    /// equally large.
    pub fn degeneracy(&self) -> usize {
        (self.elements / self.count.max(1)).max(1)
    }

    /// One value per element from one per group.
    pub fn expand<T: Copy>(&self, per_group: &[T]) -> Vec<T> {
        (0..self.elements).map(|e| per_group[self.of(e)]).collect()
    }
}
