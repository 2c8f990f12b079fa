//! The body of a request with files: whole, and in small pieces.
#![no_main]

use hgq_onnx::service::{LocalStore, fuzzing};
use hgq_onnx_fuzz as _;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

struct Place {
    runtime: Runtime,
    store: LocalStore,
    _folder: TempDir,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let store = LocalStore::open(folder.path()).expect("a store");
    Place { runtime: Builder::new_current_thread().enable_time().build().expect("a runtime"), store, _folder: folder }
});

fuzz_target!(|bytes: &[u8]| {
    let read = |piece: usize| {
        let chunks = bytes.chunks(piece).map(<[u8]>::to_vec).collect();
        PLACE.runtime.block_on(fuzzing::multipart("multipart/form-data; boundary=b", chunks, &PLACE.store))
    };
    let whole = read(bytes.len().max(1));
    // how it arrives makes no difference
    assert_eq!(whole, read(7));
});
