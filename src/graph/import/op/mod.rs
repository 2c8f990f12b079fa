//! One handler per operator: checks the node, then emits an operation, folds a constant or makes an
//! alias.

pub mod activation;
pub mod arithmetic;
pub mod batch_norm;
pub mod bipolar;
pub mod cast;
pub mod clip;
pub mod concat;
pub mod constant;
pub mod conv;
mod dense;
pub mod flatten;
pub mod fold;
pub mod gemm;
pub mod identity;
pub mod label;
pub mod matmul;
pub mod merge;
pub mod pad;
pub mod pool;
pub mod qdq;
pub mod quant;
pub mod reshape;
pub mod shape;
pub mod softmax;
pub mod squeeze;
pub mod transpose;
mod window;
