//! The writers: stages of the exact model become nodes that hls4ml takes.

pub mod build;
pub mod constant;
pub mod conv;
pub mod copy;
pub mod elementwise;
pub mod input_layout;
pub mod join;
pub mod linear;
pub mod lower;
pub mod merge;
pub mod offset;
pub mod one_bit;
pub mod output;
pub mod part;
pub mod pieces;
pub mod pool;
pub mod quantize;
pub mod readers;
pub mod repack;
pub mod reshape;
mod select;
pub mod taps;
pub mod tensor_names;
