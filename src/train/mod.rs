//! The autodiff engine and the training loop.
