//! A data file: what it declares, every array, and the same arrays piece by piece.
#![no_main]

use hgq_onnx::data::{Arrays, DataFile, DataLimits, declared};
use hgq_onnx_fuzz as _;
use libfuzzer_sys::fuzz_target;

/// 8 MB of the widest numbers.
const LIMITS: DataLimits = DataLimits { members: 20, elements: 1 << 20 };

fuzz_target!(|bytes: &[u8]| {
    let file = DataFile::new("f", bytes.to_vec());
    let told = declared("f", &mut file.reader(), &LIMITS);
    let Ok(arrays) = Arrays::of(&file, &LIMITS) else { return };
    let names: Vec<String> = arrays.names().map(String::from).collect();
    let mut elements = 0;
    for name in names {
        let shape = arrays.shape(&name).expect("its name is listed").map(<[usize]>::to_vec);
        let Ok(array) = arrays.get(&name).expect("its name is listed") else { continue };
        let values = array.into_f32();
        assert_eq!(values.len(), shape.expect("it was read").iter().product::<usize>());
        elements += values.len() as u64;
        if let Some(mut stored) = arrays.stored(&name) {
            let whole = stored.read(0, values.len()).expect("it was read before");
            assert!(whole.iter().zip(&values).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    }
    // damage that a file is refused for may be in an array that nobody reads
    assert!(told.is_err() || told.is_ok_and(|told| told.elements >= elements));
});
