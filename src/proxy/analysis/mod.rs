//! What is known of a model before it is written: ranges, layouts, what is read, what is constant.

pub mod layout;
pub mod pass;
pub mod prune;
pub mod selection;
pub mod spans;
pub mod uniform;
