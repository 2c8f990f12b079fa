//! `hgq-onnx verify`: bit-exact execution of a proxy on given inputs.

use super::prepare::lines;
use super::{DataFile, Error, NodeFault};
use crate::data::{Array, Arrays, DataError, DataLimits, Values, order::to_graph};
use crate::graph::channels;
use crate::verify::fixed::{FixedError, Program};

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
    for port in program.inputs() {
        let (name, shape) = (&port.name, &port.shape);
        let len: usize = shape.iter().product();
        let Some(array) = pick(&arrays, name, &["x", "x_test", "x_train"], program.inputs().len() == 1) else {
            faults.push(format!("inputs: no array `x` or `{name}`; the file has {}", names(&arrays)));
            continue;
        };
        let Ok(array) = array.map_err(|e| faults.push(format!("inputs: {e}"))) else { continue };
        let shape_given = array.shape.clone();
        let n = shape_given.first().copied().unwrap_or(0);
        if n == 0 {
            faults.push(format!("inputs: array `{}` has no samples", array.name));
            continue;
        }
        let sample = shape_given.get(1..).unwrap_or_default();
        let values = array.into_f32();
        let as_it_is = sample == shape || sample.len() < 2;
        if values.len() != n * len || !(as_it_is || sample == channels::to_first(shape)) {
            faults.push(format!("inputs: array of shape {shape_given:?} does not fit input `{name}`, {shape:?} per sample"));
            continue;
        }
        // images as the model that was converted takes them
        let values = if as_it_is { values } else { to_graph(&values, &channels::order(shape)) };
        if *samples.get_or_insert(n) != n {
            faults.push(format!("inputs: array for `{name}` has {n} samples, another has {}", samples.unwrap_or(0)));
            continue;
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            faults.push(format!("inputs: array for `{name}` is {} at index {at}", values[at]));
            continue;
        }
        rows.push(values);
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
        .zip(&ran.outputs)
        .map(|(sink, out)| (sink.name.clone(), sink.shape.iter().product(), out.to_f64()))
        .collect();
    let mut found = Verified {
        samples,
        mismatches: None,
        first: None,
        saturations: ran.saturations.iter().map(|s| s.1).sum(),
        port_overflow: ran.port_overflow,
        outputs,
    };
    if let Some(expected) = expected {
        compare(&mut found, &expected)?;
    }
    Ok(found)
}

fn compare(found: &mut Verified, expected: &Arrays) -> Result<(), Error> {
    let (mut mismatches, mut faults) = (0, Vec::new());
    let single = found.outputs.len() == 1;
    for (name, width, values) in &found.outputs {
        let Some(array) = pick(expected, name, &["y", "y_test", "x"], single) else {
            faults.push(format!("expected: no array `y` or `{name}`; the file has {}", names(expected)));
            continue;
        };
        let Ok(array) = array.map_err(|e| faults.push(format!("expected: {e}"))) else { continue };
        let wanted = to_f64(&array.values);
        if wanted.len() != values.len() {
            faults.push(format!(
                "expected: array of shape {:?} has not the {} values of output `{name}`",
                array.shape,
                values.len()
            ));
            continue;
        }
        for (at, (&got, &want)) in values.iter().zip(&wanted).enumerate() {
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
    Arrays::of(file, &DataLimits::default()).map_err(|e| faults.extend(lines(&e, what))).ok()
}

fn names(arrays: &Arrays) -> String {
    arrays.names().collect::<Vec<_>>().join(", ")
}

fn to_f64(values: &Values) -> Vec<f64> {
    match values {
        Values::F32(v) => v.iter().map(|&x| x as f64).collect(),
        Values::F64(v) => v.clone(),
        Values::I64(v) => v.iter().map(|&x| x as f64).collect(),
        Values::U64(v) => v.iter().map(|&x| x as f64).collect(),
    }
}

/// The array of this name, else, for a single tensor, one of the usual names.
fn pick(arrays: &Arrays, name: &str, usual: &[&str], single: bool) -> Option<Result<Array, DataError>> {
    let usual = if single { usual } else { &[] };
    std::iter::once(&name).chain(usual).find_map(|n| arrays.get(n))
}

fn refused(e: FixedError) -> Error {
    match e {
        FixedError::Graph(nodes) => {
            Error::Unsupported(nodes.into_iter().map(|n| NodeFault { name: n.node, op: n.op, reason: n.reason }).collect())
        }
        other => Error::NotOnnx(other.to_string()),
    }
}
