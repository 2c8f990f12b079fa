//! The domain `qonnx.custom_op.channels_last`. tract finds an operator by its type alone, and one
//! file may use both `Conv`s, so the nodes of this domain are renamed before tract reads the file
//! and registered under their new names.

use tract_onnx::model::OnnxOpRegister;

use super::{batch_norm, conv, pool};
use crate::onnx::{CHANNELS_LAST, proto::ModelProto};

const PREFIX: &str = "ChannelsLast";

pub fn register(ops: &mut OnnxOpRegister) {
    ops.insert("ChannelsLastConv", conv::parse);
    ops.insert("ChannelsLastMaxPool", pool::parse_max);
    ops.insert("ChannelsLastAveragePool", pool::parse_average);
    ops.insert("ChannelsLastBatchNormalization", batch_norm::parse);
}

/// Gives the nodes of the domain names of their own.
pub fn rename(model: &mut ModelProto) {
    for node in model.graph.iter_mut().flat_map(|g| &mut g.node).filter(|n| n.domain() == CHANNELS_LAST) {
        node.op_type = Some(format!("{PREFIX}{}", node.op_type()));
    }
}
