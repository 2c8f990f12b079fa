//! Axes of tensors of data as the file counts them, with the batch among them.

use super::context::{Context, NodeView};
use super::fault::Fault;
use super::item::Item;
use crate::graph::dag::ValueId;

/// A tensor of data and which of its axes is the batch; `None` in a file without one.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub value: ValueId,
    pub batch: Option<usize>,
}

impl<'m> Context<'m> {
    /// A data input, wherever its batch is.
    ///
    /// # Errors
    /// Where it is anything else.
    pub fn seen(&self, node: &NodeView<'m>, index: usize) -> Result<Seen, Fault> {
        match self.item(node, index)? {
            Item::Turned { value, batch } => Ok(Seen { value, batch: Some(batch) }),
            _ => Ok(Seen { value: self.data(node, index)?, batch: self.batch }),
        }
    }

    /// Its shape with the batch as an axis of size 1.
    pub fn full_shape(&self, seen: Seen) -> Vec<usize> {
        let mut shape = self.shape(seen.value).to_vec();
        if let Some(at) = seen.batch {
            shape.insert(at.min(shape.len()), 1);
        }
        shape
    }

    /// A value with the batch at axis `batch`.
    pub fn turned(&self, value: ValueId, batch: Option<usize>) -> Item {
        match batch {
            Some(batch) if self.batch != Some(batch) => Item::Turned { value, batch },
            _ => Item::Data(value),
        }
    }

    /// The axis of a sample of `rank` axes that the file calls `axis`.
    ///
    /// # Errors
    /// The batch, or none.
    pub fn sample_axis(&self, axis: i64, rank: usize) -> Result<usize, Fault> {
        let batches = usize::from(self.batch.is_some());
        match normalised(axis, rank + batches)? {
            0 if batches == 1 => Err(Fault::new(format!("axis {axis} is the batch; only the axes after it are supported"))),
            axis => Ok(axis - batches),
        }
    }
}

/// `axis` counted from the front.
///
/// # Errors
/// One that a tensor of `rank` axes does not have.
pub fn normalised(axis: i64, rank: usize) -> Result<usize, Fault> {
    let at = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    let fault = || Fault::new(format!("axis {axis} is none of the {rank} of its input"));
    usize::try_from(at).ok().filter(|&at| at < rank).ok_or_else(fault)
}

/// The shape without the axis at `batch`.
pub fn sample_of(full: &[usize], batch: Option<usize>) -> Vec<usize> {
    full.iter().enumerate().filter(|(axis, _)| Some(*axis) != batch).map(|(_, &d)| d).collect()
}
