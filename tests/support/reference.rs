//! Recorded arrays, in the repository and in the reference material beside it (`../shared`, or
//! where `HGQ_SHARED` says).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Arrays of an `.npz` by name, as f64 with shape.
pub struct Arrays(BTreeMap<String, (Vec<usize>, Vec<f64>)>);

/// A file or folder of the shared reference material, `None` (with a note) where that is absent.
/// Tests that need it say so (`ignore`): only who asks for them comes here.
pub fn shared(name: &str) -> Option<PathBuf> {
    let root =
        std::env::var_os("HGQ_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join(name);
    if !path.exists() {
        eprintln!("skipped: there is no {}", path.display());
        return None;
    }
    Some(path)
}

pub fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

impl Arrays {
    pub fn load(path: &Path) -> Arrays {
        let mut archive = npyz::npz::NpzArchive::open(path).unwrap();
        let names: Vec<String> = archive.array_names().map(String::from).collect();
        let mut arrays = BTreeMap::new();
        for name in names {
            let file = archive.by_name(&name).unwrap().unwrap();
            let shape = file.shape().iter().map(|&n| n as usize).collect();
            let dtype = file.dtype().descr();
            let values = if dtype.contains("f4") {
                file.into_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
            } else if dtype.contains("i8") {
                file.into_vec::<i64>().unwrap().into_iter().map(|v| v as f64).collect()
            } else if dtype.contains("i1") {
                file.into_vec::<i8>().unwrap().into_iter().map(f64::from).collect()
            } else if dtype.contains("u1") {
                file.into_vec::<u8>().unwrap().into_iter().map(f64::from).collect()
            } else if dtype.contains("f8") {
                file.into_vec::<f64>().unwrap()
            } else if dtype.contains("u4") {
                file.into_vec::<u32>().unwrap().into_iter().map(f64::from).collect()
            } else if dtype.contains("i4") {
                file.into_vec::<i32>().unwrap().into_iter().map(f64::from).collect()
            } else {
                continue; // strings, bools: not needed
            };
            arrays.insert(name, (shape, values));
        }
        Arrays(arrays)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn get(&self, name: &str) -> &[f64] {
        &self.0.get(name).unwrap_or_else(|| panic!("no array {name}")).1
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.0.get(name).unwrap_or_else(|| panic!("no array {name}")).0
    }

    pub fn f32(&self, name: &str) -> Vec<f32> {
        self.get(name).iter().map(|&v| v as f32).collect()
    }

    pub fn labels(&self, name: &str) -> Vec<i64> {
        self.get(name).iter().map(|&v| v as i64).collect()
    }

    pub fn u32(&self, name: &str) -> Vec<u32> {
        self.get(name).iter().map(|&v| v as u32).collect()
    }
}
