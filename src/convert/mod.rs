//! `run(model, data, config) → artifacts`.
