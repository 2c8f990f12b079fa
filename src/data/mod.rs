//! Data files: npy and npz.
