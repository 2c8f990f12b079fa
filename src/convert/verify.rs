//! `hgq-onnx verify`: bit-exact execution of a proxy on given inputs.

use super::{DataFile, Error, NodeFault};
use crate::data::{Array, Arrays};
use crate::verify::fixed::Program;

/// Result of executing a proxy bit-exactly.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Verified {
    pub samples: usize,
    /// Elements that differ from the expected outputs; `None` when none were given.
    pub mismatches: Option<usize>,
    /// First differing element: output name, sample, element, got, expected.
    pub first: Option<(String, usize, usize, f64, f64)>,
    /// Values that saturated, over all samples and Quant nodes.
    pub saturations: u64,
    /// Samples with an input outside hls4ml's input port.
    pub port_overflow: u64,
    /// Outputs by name: width of one sample, then all samples' values (exact in f64 up to 53 bits).
    #[serde(skip)]
    pub outputs: Vec<(String, usize, Vec<f64>)>,
}

/// Executes a proxy in integers and compares with expected outputs if there are any.
///
/// # Errors
/// See [`Error`].
pub fn verify(proxy: &[u8], inputs: &DataFile, expected: Option<&DataFile>) -> Result<Verified, Error> {
    let program = Program::from_bytes(proxy).map_err(refused)?;
    let mut faults = Vec::new();
    let arrays = read(inputs, "inputs", &mut faults);
    let expected = expected.and_then(|f| read(f, "expected", &mut faults));
    let Some(arrays) = arrays.filter(|_| faults.is_empty()) else { return Err(Error::Data(faults)) };
    let mut rows: Vec<Vec<f32>> = Vec::new();
    let mut samples = None;
    for (name, shape) in program.inputs() {
        let len: usize = shape.iter().product();
        let Some(array) = pick(&arrays, name, &["x", "x_test", "x_train"], program.inputs().len() == 1) else {
            faults.push(format!("inputs: no array `x` or `{name}`; the file has {:?}", arrays.names()));
            continue;
        };
        let n = array.shape.first().copied().unwrap_or(0);
        if n == 0 || array.values.len() != n * len {
            faults.push(format!("inputs: array of shape {:?} does not fit input `{name}`, {shape:?} per sample", array.shape));
            continue;
        }
        if *samples.get_or_insert(n) != n {
            faults.push(format!("inputs: array for `{name}` has {n} samples, another has {}", samples.unwrap_or(0)));
            continue;
        }
        if let Some(at) = array.values.iter().position(|v| !v.is_finite()) {
            faults.push(format!("inputs: array for `{name}` is {} at index {at}", array.values[at]));
            continue;
        }
        rows.push(array.values.iter().map(|&v| v as f32).collect());
    }
    if !faults.is_empty() {
        return Err(Error::Data(faults));
    }
    let samples = samples.unwrap_or(0);
    let slices: Vec<&[f32]> = rows.iter().map(|r| r.as_slice()).collect();
    let ran = program.run(&slices, samples).map_err(|e| Error::Internal(e.to_string()))?;
    let outputs: Vec<(String, usize, Vec<f64>)> = program
        .outputs()
        .iter()
        .enumerate()
        .map(|(o, (name, shape))| (name.clone(), shape.iter().product(), ran.to_f64(o)))
        .collect();
    let mut found = Verified { samples, mismatches: None, first: None, saturations: ran.saturations(), port_overflow: ran.port_overflow, outputs };
    if let Some(expected) = expected {
        compare(&mut found, &expected)?;
    }
    Ok(found)
}

fn compare(found: &mut Verified, expected: &Arrays) -> Result<(), Error> {
    let (mut mismatches, mut faults) = (0, Vec::new());
    let single = found.outputs.len() == 1;
    for (name, width, values) in &found.outputs {
        let Some(array) = pick(expected, name, &["y", "y_test"], single) else {
            faults.push(format!("expected: no array `y` or `{name}`; the file has {:?}", expected.names()));
            continue;
        };
        if array.values.len() != values.len() {
            faults.push(format!("expected: array of shape {:?} has not the {} values of output `{name}`", array.shape, values.len()));
            continue;
        }
        for (at, (&got, &want)) in values.iter().zip(&array.values).enumerate() {
            if got != want {
                mismatches += 1;
                found.first.get_or_insert_with(|| (name.clone(), at / width.max(&1), at % width.max(&1), got, want));
            }
        }
    }
    if !faults.is_empty() {
        return Err(Error::Data(faults));
    }
    found.mismatches = Some(mismatches);
    Ok(())
}

fn read(file: &DataFile, what: &str, faults: &mut Vec<String>) -> Option<Arrays> {
    Arrays::from_bytes(&file.bytes, &file.name).map_err(|e| faults.extend(e.lines(what))).ok()
}

fn pick<'a>(arrays: &'a Arrays, name: &str, usual: &[&str], single: bool) -> Option<&'a Array> {
    let mut names = vec![name];
    if single {
        names.extend(usual);
    }
    names.iter().find_map(|n| arrays.get(n)).or_else(|| if single { arrays.only() } else { None })
}

fn refused(e: crate::verify::fixed::ProgramError) -> Error {
    use crate::verify::fixed::ProgramError as P;
    match e {
        P::Unsupported(nodes) => {
            Error::Unsupported(nodes.into_iter().map(|n| NodeFault { name: n.node, op: n.op, reason: n.reason }).collect())
        }
        other => Error::NotOnnx(other.to_string()),
    }
}
