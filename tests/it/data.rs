//! Data files: what is read, and what each fault says.

use std::io::Write;

use hgq_onnx::data::{
    Arrays, DataError, DataLimits, Dataset, Ends, InputShape, OutputShape, OutputTargets, Samples, Targets, Values, split,
};
use hgq_onnx::graph::channels;
use hgq_onnx::{DataFile, JobConfig};
use npyz::WriterBuilder;

/// A npy file written by hand: header text and raw bytes.
fn npy(descr: &str, fortran: bool, shape: &str, raw: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(raw);
    bytes
}

fn f32s(shape: &str, values: &[f32]) -> Vec<u8> {
    npy("<f4", false, shape, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
}

fn i64s(shape: &str, values: &[i64]) -> Vec<u8> {
    npy("<i8", false, shape, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
}

fn npz(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut archive = npyz::npz::NpzWriter::new(&mut bytes);
    for (name, member) in members {
        archive.zip_writer().start_file(format!("{name}.npy"), Default::default()).unwrap();
        archive.zip_writer().write_all(member).unwrap();
    }
    archive.zip_writer().finish().unwrap();
    drop(archive);
    bytes.into_inner()
}

fn read(bytes: &[u8]) -> Result<Arrays, DataError> {
    Arrays::from_bytes("data.npz", bytes, &DataLimits::default())
}

fn output(len: usize) -> [OutputShape; 1] {
    [OutputShape::new("out", len)]
}

fn dataset(members: &[(&str, Vec<u8>)]) -> Result<Dataset, DataError> {
    Dataset::from_arrays(&read(&npz(members)).unwrap(), &[InputShape::new("image", vec![2])], &output(3), "training")
}

#[track_caller]
fn faults(members: &[(&str, Vec<u8>)]) -> Vec<String> {
    match dataset(members) {
        Err(DataError::Faults { faults, file, what }) => {
            assert_eq!((file.as_str(), what.as_str()), ("data.npz", "training"));
            faults
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn number_types_and_byte_orders() {
    let ints = |descr: &str, raw: &[u8]| match read(&npy(descr, false, "(2,)", raw)).unwrap().get("x").unwrap().unwrap().values {
        Values::I64(v) => v,
        Values::U64(v) => v.iter().map(|&x| x as i64).collect(),
        other => panic!("{other:?}"),
    };
    assert_eq!(ints("|i1", &[0xff, 3]), [-1, 3]);
    assert_eq!(ints("|u1", &[0xff, 3]), [255, 3]);
    assert_eq!(ints("|b1", &[1, 0]), [1, 0]);
    assert_eq!(ints("<i2", &[0xfe, 0xff, 1, 2]), [-2, 513]);
    assert_eq!(ints(">i2", &[0xff, 0xfe, 2, 1]), [-2, 513]);
    assert_eq!(ints(">u4", &[0, 0, 1, 0, 255, 0, 0, 0]), [256, 0xff00_0000]);
    assert_eq!(ints("<u8", &[&5u64.to_le_bytes()[..], &[0; 8]].concat()), [5, 0]);
    let floats = |descr: &str, raw: &[u8]| read(&npy(descr, false, "(2,)", raw)).unwrap().get("x").unwrap().unwrap().into_f32();
    assert_eq!(floats("<f2", &[0x00, 0x3c, 0x00, 0xc1]), [1.0, -2.5]);
    assert_eq!(floats(">f4", &[1.5f32.to_be_bytes(), (-2.0f32).to_be_bytes()].concat()), [1.5, -2.0]);
    assert_eq!(floats("<f8", &[0.25f64.to_le_bytes(), 3.0f64.to_le_bytes()].concat()), [0.25, 3.0]);
}

#[test]
fn fortran_order_is_transposed() {
    let values: Vec<u8> = [1f32, 4.0, 2.0, 5.0, 3.0, 6.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let arrays = read(&npy("<f4", true, "(2, 3)", &values)).unwrap();
    assert_eq!(arrays.get("x").unwrap().unwrap().into_f32(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let cube: Vec<u8> = (0..24).map(|i| i as u8).collect();
    let arrays = read(&npy("|u1", true, "(2, 3, 4)", &cube)).unwrap();
    // element (i, j, k) is stored at i + 2j + 6k
    let expected: Vec<f32> = (0..24).map(|e| (e / 12 + 2 * (e / 4 % 3) + 6 * (e % 4)) as f32).collect();
    assert_eq!(arrays.get("x").unwrap().unwrap().into_f32(), expected);
}

#[test]
fn what_another_writer_wrote() {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut archive = npyz::npz::NpzWriter::new(&mut bytes);
    let mut writer = archive.array::<f64>("x", Default::default()).unwrap().default_dtype().shape(&[2, 2]).begin_nd().unwrap();
    writer.extend([1.0, 2.0, 3.0, 4.5]).unwrap();
    writer.finish().unwrap();
    archive.zip_writer().finish().unwrap();
    drop(archive);
    let data =
        Dataset::from_arrays(&read(&bytes.into_inner()).unwrap(), &[InputShape::new("i", vec![2])], &output(1), "calibration")
            .unwrap();
    assert_eq!((data.samples, data.inputs[0].as_slice()), (2, &[1.0, 2.0, 3.0, 4.5][..]));
}

#[test]
fn names_and_fallbacks() {
    let x = f32s("(2, 2)", &[1.0, 2.0, 3.0, 4.0]);
    let other = f32s("(2, 2)", &[9.0; 4]);
    for (members, first) in [
        (vec![("image", x.clone()), ("x", other.clone())], 1.0),
        (vec![("x", x.clone()), ("x_train", other.clone())], 1.0),
        (vec![("x_train", x.clone()), ("x_test", other.clone())], 1.0),
    ] {
        assert_eq!(dataset(&members).unwrap().inputs[0][0], first);
    }
    let labels = |n: i64| i64s("(2,)", &[0, n]);
    let train = dataset(&[("x_train", x.clone()), ("y_train", labels(1)), ("y", labels(2))]).unwrap();
    assert_eq!(train.targets, Some(Targets::Labels(vec![0, 1])));
    // two inputs need their names
    let both = read(&npz(&[("a", x.clone()), ("b", f32s("(2,)", &[5.0, 6.0]))])).unwrap();
    let inputs = [InputShape::new("a", vec![1, 2]), InputShape::new("b", vec![])];
    assert_eq!(Dataset::from_arrays(&both, &inputs, &output(1), "calibration").unwrap().rows()[1], [5.0, 6.0]);
    let inputs = [InputShape::new("a", vec![2]), InputShape::new("c", vec![])];
    assert!(Dataset::from_arrays(&both, &inputs, &output(1), "calibration").unwrap_err().to_string().contains("`c`"));
}

#[test]
fn targets_in_every_form() {
    let x = || ("x", f32s("(2, 2)", &[1.0, 2.0, 3.0, 4.0]));
    let targets = |y: Vec<u8>| dataset(&[x(), ("y", y)]).unwrap().targets.unwrap();
    assert_eq!(targets(i64s("(2,)", &[2, 0])), Targets::Labels(vec![2, 0]));
    assert_eq!(targets(i64s("(2, 1)", &[2, 0])), Targets::Labels(vec![2, 0]));
    assert_eq!(targets(i64s("(2, 3)", &[0, 1, 0, 1, 0, 0])), Targets::Labels(vec![1, 0]));
    let counts = Targets::Values { width: 3, values: vec![0.0, 1.0, 1.0, 1.0, 0.0, 0.0] };
    assert_eq!(targets(i64s("(2, 3)", &[0, 1, 1, 1, 0, 0])), counts);
    let values = Targets::Values { width: 3, values: vec![0.5; 6] };
    assert_eq!(targets(f32s("(2, 3)", &[0.5; 6])), values);
    let binary = read(&npz(&[x(), ("y", i64s("(2,)", &[1, 0]))])).unwrap();
    let of = |ends| {
        let output = [OutputShape { ends, ..OutputShape::new("out", 1) }];
        let data = Dataset::from_arrays(&binary, &[InputShape::new("image", vec![2])], &output, "training").unwrap();
        assert_eq!((data.taken[0].array.as_str(), data.taken[0].outputs[0].as_str()), ("y", "out"));
        data.targets.unwrap()
    };
    assert_eq!((of(Ends::Open), of(Ends::Sigmoid)), (Targets::Labels(vec![1, 0]), Targets::Labels(vec![1, 0])));
    // what has bounds is not a logit
    let reached = Targets::Sides { width: 1, values: vec![1.0, 0.0], one_hot: false, logit: false };
    assert_eq!(of(Ends::Bounded), reached);
}

#[test]
fn several_outputs_have_their_targets_by_name() {
    let x = || ("x", f32s("(2, 2)", &[1.0, 2.0, 3.0, 4.0]));
    let outputs = [OutputShape::new("a", 3), OutputShape::new("b", 1), OutputShape::new("y", 2)];
    let load = |members: &[(&str, Vec<u8>)]| {
        Dataset::from_arrays(&read(&npz(members)).unwrap(), &[InputShape::new("x", vec![2])], &outputs, "training")
    };
    let (a, b) = (("a", i64s("(2,)", &[2, 0])), ("b", f32s("(2, 1)", &[0.0, 1.0])));
    let y = ("y", f32s("(2, 2)", &[0.1, 0.2, 0.3, 0.4]));
    let part = |width, targets| OutputTargets { width, targets };
    let mixed = load(&[x(), a.clone(), b.clone(), y.clone()]).unwrap().targets.unwrap();
    let want = Targets::Outputs(vec![
        part(3, Targets::Labels(vec![2, 0])),
        part(1, Targets::Labels(vec![0, 1])),
        part(2, Targets::Values { width: 2, values: vec![0.1, 0.2, 0.3, 0.4] }),
    ]);
    assert_eq!(mixed, want);
    assert!(mixed.same_kind(&mixed.select(&[1])) && !mixed.same_kind(&Targets::Labels(vec![])));
    assert_eq!(mixed.select(&[1, 0, 1]).select(&[1]), mixed.select(&[0]));
    // values of all outputs are one array, sent together or apart
    let floats = f32s("(2, 3)", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let apart = load(&[x(), ("a", floats), ("b", f32s("(2,)", &[0.5, 1.0])), y.clone()]).unwrap().targets.unwrap();
    let joined = vec![1.0, 2.0, 3.0, 0.5, 0.1, 0.2, 4.0, 5.0, 6.0, 1.0, 0.3, 0.4];
    assert_eq!(apart, Targets::Values { width: 6, values: joined.clone() });
    assert_eq!(load(&[x(), ("y", f32s("(2, 6)", &joined))]).unwrap().targets.unwrap(), apart);
    // every fault, by the names of outputs and arrays
    let fault = |members: &[(&str, Vec<u8>)]| load(members).unwrap_err().to_string();
    let text = fault(&[x(), ("a", i64s("(2,)", &[3, 0])), y]);
    assert!(text.contains("label 3 at index 0") && text.contains("none for `b`"), "{text}");
    let text = fault(&[x(), ("y", i64s("(2,)", &[1, 0]))]);
    assert!(text.contains("3 outputs") && text.contains("`a`, `b`, `y`") && text.contains("6 per sample"), "{text}");
    let text = fault(&[x(), a, b, ("y", f32s("(3, 2)", &[0.0; 6]))]);
    assert!(text.contains("`y` has 3") && text.contains("`a` has 2"), "{text}");
    // a single output has a name, too
    let one = [OutputShape::new("scores", 3)];
    let named = read(&npz(&[x(), ("scores", i64s("(2,)", &[2, 0]))])).unwrap();
    let data = Dataset::from_arrays(&named, &[InputShape::new("x", vec![2])], &one, "training").unwrap();
    assert_eq!(data.targets, Some(Targets::Labels(vec![2, 0])));
}

#[test]
fn every_fault_is_named_at_once() {
    let x = || ("x", f32s("(2, 2)", &[1.0, 2.0, 3.0, 4.0]));
    let found = faults(&[("x", f32s("(2, 2)", &[1.0, f32::NAN, f32::INFINITY, 4.0])), ("y", i64s("(2,)", &[1, 3]))]);
    assert_eq!(found.len(), 2);
    assert!(found[0].contains("`x`") && found[0].contains("2 value(s)") && found[0].contains("index 1"), "{found:?}");
    assert!(found[1].contains("label 3 at index 1") && found[1].contains("0..3"), "{found:?}");
    assert!(faults(&[x(), ("y", i64s("(2,)", &[-1, 0]))])[0].contains("label -1 at index 0"));
    let shape = &faults(&[("x", f32s("(2, 3)", &[0.0; 6]))])[0];
    assert!(shape.contains("[2, 3]") && shape.contains("[N, 2]"), "{shape}");
    assert!(faults(&[("x", f32s("(0, 2)", &[]))])[0].contains("no samples"));
    assert!(faults(&[x(), ("y", i64s("(3,)", &[0, 1, 2]))])[0].contains("`x` has 2, `y` has 3"));
    assert!(faults(&[("z", f32s("(2, 2)", &[0.0; 4]))])[0].contains("the file has z"));
    assert!(faults(&[x(), ("y", f32s("(2,)", &[0.0, 1.0]))])[0].contains("integer type"));
    assert!(faults(&[x(), ("y", f32s("(2, 3)", &[f32::NAN; 6]))])[0].contains("`y`"));
    assert!(faults(&[("x", npy("<U3", false, "(2,)", &[0; 24]))])[0].contains("<U3"));
    for text in [npy("<U3", false, "(2,)", &[0; 24]), npy("|O", false, "(2,)", &[0; 16])] {
        let fault = &faults(&[x(), ("y", text)])[0];
        assert!(fault.contains("targets are numbers") && fault.contains("return_inverse"), "{fault}");
    }
    // an array nobody asks for may be of any type, and is named
    let beside = dataset(&[x(), ("classes", npy("<U3", false, "(2,)", &[0; 24]))]).unwrap();
    assert_eq!(beside.unread, ["classes"]);
}

#[test]
fn files_that_are_no_data() {
    for (bytes, expected) in [
        (&b"label,x0,x1\n1,2,3\n"[..], "signature"),
        (b"", "empty"),
        (b"PK\x03\x04 not really", "damaged zip"),
        (&npz(&[]), "no .npy members"),
    ] {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.contains("data.npz") && error.contains(expected), "{error}");
    }
    let whole = npz(&[("x", f32s("(2, 2)", &[1.0, 2.0, 3.0, 4.0]))]);
    for end in 0..whole.len() {
        let _ = read(&whole[..end]).map(|arrays| arrays.get("x").map(|a| a.is_ok()));
    }
    assert!(matches!(Arrays::open("/no/such/file.npz", &DataLimits::default()), Err(DataError::Io { .. })));
}

#[test]
fn declared_sizes_are_checked_before_allocation() {
    // 8 TB declared in a file of a few bytes
    let huge = npy("<f4", false, "(1000000, 2000000)", &[0; 4]);
    assert!(read(&huge).unwrap_err().to_string().contains("more than"));
    let overflow = npy("<f4", false, "(18446744073709551615, 18446744073709551615)", &[]);
    assert!(read(&overflow).unwrap_err().to_string().contains("more than"));
    // within the limit but not there
    let short = npz(&[("x", npy("<f4", false, "(1000000, 2)", &[0; 4]))]);
    assert!(read(&short).unwrap().get("x").unwrap().unwrap_err().to_string().contains("truncated"));
    // a megabyte of zeros after a header of two values
    let long = npz(&[("x", npy("<f4", false, "(2,)", &vec![0; 1 << 20]))]);
    assert!(read(&long).unwrap().get("x").unwrap().is_err());
    let limits = DataLimits { members: 1, elements: 3 };
    let one = f32s("(2,)", &[0.0; 2]);
    assert!(Arrays::from_bytes("f", &npz(&[("a", one.clone()), ("b", one.clone())]), &limits).is_err());
    let limits = DataLimits { members: 2, elements: 3 };
    let arrays = Arrays::from_bytes("f", &npz(&[("a", one.clone()), ("b", one)]), &limits).unwrap();
    assert!(arrays.get("a").unwrap().is_ok() && arrays.get("b").unwrap().is_err());
}

#[test]
fn splits_are_deterministic_and_complete() {
    let samples = 100;
    let values: Vec<f32> = (0..2 * samples).map(|v| v as f32).collect();
    let labels: Vec<i64> = (0..samples).map(|v| v % 3).collect();
    let data = dataset(&[("x", f32s("(100, 2)", &values)), ("y", i64s("(100,)", &labels))]).unwrap();
    let split = |seed| {
        let (train, validation) = split(data.samples, data.targets.as_ref(), 0.2, seed);
        (data.select(&train), data.select(&validation))
    };
    let (train, validation) = split(7);
    assert_eq!((train.samples, validation.samples), (80, 20));
    assert_eq!(split(7), (train.clone(), validation.clone()));
    assert_ne!(split(8).1, validation);
    let mut all: Vec<f32> = [&train.inputs[0][..], &validation.inputs[0][..]].concat();
    all.sort_by(f32::total_cmp);
    assert_eq!(all, values);
    let Some(Targets::Labels(labels)) = &validation.targets else { panic!() };
    for (row, &label) in validation.inputs[0].chunks(2).zip(labels) {
        assert_eq!(row[0] as u32 / 2 % 3, label);
    }
}

#[test]
fn images_are_taken_with_the_channels_first_or_last() {
    // two samples of two channels of 1×3 pixels; pixel p of channel c is 10·c + p
    let first = f32s("(2, 2, 1, 3)", &[0.0, 1.0, 2.0, 10.0, 11.0, 12.0, 0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
    let last = f32s("(2, 1, 3, 2)", &[0.0, 10.0, 1.0, 11.0, 2.0, 12.0, 0.0, 10.0, 1.0, 11.0, 2.0, 12.0]);
    let flat = f32s("(2, 6)", &[0.0, 1.0, 2.0, 10.0, 11.0, 12.0, 0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
    let shape = vec![1, 3, 2];
    let input = InputShape { name: "x".into(), order: Some(channels::order(&shape)), shape };
    for array in [first, last, flat] {
        let read = read(&npz(&[("x", array)])).unwrap();
        let data = Dataset::from_arrays(&read, std::slice::from_ref(&input), &output(2), "calibration").unwrap();
        assert_eq!(data.inputs[0][..6], [0.0, 10.0, 1.0, 11.0, 2.0, 12.0]);
    }
    let wrong = read(&npz(&[("x", f32s("(2, 3, 1, 2)", &[0.0; 12]))])).unwrap();
    assert!(Dataset::from_arrays(&wrong, &[input], &output(2), "calibration").unwrap_err().to_string().contains("[N, 2, 1, 3]"));
}

/// A npz of compressed members.
fn compressed(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, bytes) in members {
        archive.start_file(format!("{name}.npy"), options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn samples_read_block_by_block_are_those_of_the_data_set() {
    let values: Vec<f32> = (0..5 * 2 * 3 * 4).map(|v| v as f32 / 8.0).collect();
    let whole = f32s("(5, 4, 2, 3)", &values);
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    // channels first in the file, last in the graph
    let order: Vec<usize> = (0..24).map(|e| e % 4 * 6 + e / 4).collect();
    let input = InputShape { name: "image".into(), shape: vec![2, 3, 4], order: Some(order) };
    let files = [
        whole.clone(),
        npz(&[("image", whole.clone())]),
        compressed(&[("image", whole.clone())]),
        npy("<f4", true, "(5, 4, 2, 3)", &raw),
        f32s("(5, 24)", &values),
        f32s("(5, 2, 3, 4)", &values),
    ];
    for bytes in files {
        let arrays = read(&bytes).unwrap();
        let inputs = [input.clone()];
        let data = Dataset::from_arrays(&arrays, &inputs, &[], "calibration").unwrap();
        let mut blocks = Samples::from_arrays(&arrays, &inputs, "calibration").unwrap();
        assert_eq!((blocks.samples, data.samples), (5, 5));
        let first = blocks.rows(0, 2).unwrap()[0].to_vec();
        let rest = blocks.rows(2, 3).unwrap()[0].to_vec();
        assert_eq!([first, rest].concat(), data.rows()[0]);
    }
}

#[test]
fn faults_of_samples_are_found_where_they_are() {
    let inputs = [InputShape::new("x", vec![2])];
    let arrays = read(&f32s("(3, 2)", &[0.0, 1.0, 2.0, 3.0, f32::NAN, 5.0])).unwrap();
    let mut blocks = Samples::from_arrays(&arrays, &inputs, "calibration").unwrap();
    assert_eq!(*blocks.rows(0, 2).unwrap()[0], [0.0, 1.0, 2.0, 3.0]);
    let fault = blocks.rows(2, 1).unwrap_err().to_string();
    assert!(fault.contains("`x`") && fault.contains("flat index 4"), "{fault}");
    let wrong = read(&npz(&[("a", f32s("(3, 2)", &[0.0; 6])), ("b", f32s("(4, 2)", &[0.0; 8]))])).unwrap();
    let inputs = [InputShape::new("a", vec![2]), InputShape::new("b", vec![3]), InputShape::new("c", vec![1])];
    let Err(DataError::Faults { faults, .. }) = Samples::from_arrays(&wrong, &inputs, "calibration") else { panic!() };
    assert!(faults.len() == 2 && faults[0].contains("`c`") && faults[1].contains("`b`"), "{faults:?}");
}

/// A byte that changed on the way is not data: also where arrays are read piece by piece.
#[test]
fn a_wrong_checksum_is_reported() {
    let model = crate::support::files::read("digits/digits_mlp.onnx");
    let whole = crate::support::files::npz(64, &crate::support::files::images(100), None);
    let trace = |bytes: Vec<u8>| hgq_onnx::trace(&model, &DataFile::new("c.npz", bytes), &JobConfig::default());
    assert_eq!(trace(whole.clone()).unwrap().samples, 100);
    let mut damaged = whole;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let error = trace(damaged).unwrap_err().to_string();
    assert!(error.contains("c.npz") && error.to_lowercase().contains("checksum"), "{error}");
}
