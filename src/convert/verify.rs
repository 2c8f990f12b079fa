//! `hgq-onnx verify`: bit-exact execution of a proxy on given inputs.

use super::error::{Error, NodeFault};
use super::feed::{self, DataLayout, Fed};
use super::source::data::lines;
use crate::data::{Arrays, DataFile, DataLimits, Values};
use crate::onnx::{Limits, codec};
use crate::proxy::ports::{self, Port};
use crate::verify::fixed::FixedError;
use crate::verify::fixed::program::Program;

/// Names that the array of a single input, or output, may have besides its own.
const INPUT_NAMES: [&str; 3] = ["x", "x_test", "x_train"];
const OUTPUT_NAMES: [&str; 3] = ["y", "y_test", "x"];

/// Result of executing a proxy bit-exactly.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Verified {
    /// How many were run.
    pub samples: usize,
    /// Elements that differ from the expected outputs; `None` when none were given.
    pub mismatches: Option<usize>,
    /// First differing element: output name, sample, element, got, expected.
    pub first: Option<(String, usize, usize, f64, f64)>,
    /// Values that saturated, over all samples and Quant nodes.
    pub saturations: u64,
    /// Samples with an input outside hls4ml's input port.
    pub port_overflow: u64,
    /// Which array each input was read from, and in which layout.
    pub inputs: Vec<Fed>,
    /// The same of the expected outputs; empty when none were given.
    pub expected: Vec<Fed>,
    /// Outputs by name: width of one sample, then all samples' values (exact in f64 up to 53 bits),
    /// in the proxy's layout.
    #[serde(skip)]
    pub outputs: Vec<(String, usize, Vec<f64>)>,
}

/// Executes a proxy in integers and compares with expected outputs if there are any. Arrays have
/// the names of the model that was converted, or the proxy's; one whose shape fits both layouts is
/// read in `layout`. Flat outputs are in the proxy's, as this program writes them.
///
/// # Errors
/// See [`Error`].
pub fn verify(proxy: &[u8], inputs: &DataFile, expected: Option<&DataFile>, layout: DataLayout) -> Result<Verified, Error> {
    let model = codec::decode(proxy, &Limits::default()).map_err(|e| refused(e.into()))?;
    let program = Program::from_model(&model).map_err(refused)?;
    let ports = feed::ports(&program, ports::stated(&model));
    let mut faults = Vec::new();
    let arrays = read(inputs, "inputs", &mut faults);
    let expected = expected.and_then(|f| read(f, "expected", &mut faults));
    let Some(arrays) = arrays.filter(|_| faults.is_empty()) else { return Err(Error::Data(faults)) };
    let (mut rows, mut fed, mut samples) = (Vec::new(), Vec::new(), None);
    let names = feed::locate(&arrays, &ports.inputs, &INPUT_NAMES, "inputs", &mut faults);
    for (port, name) in ports.inputs.iter().zip(names) {
        let Some(array) = name.and_then(|name| arrays.get(&name)) else { continue };
        let Ok(array) = array.map_err(|e| faults.push(format!("inputs: {e}"))) else { continue };
        let Some((n, values, how)) = feed::input(array, port, layout, &mut faults) else { continue };
        if *samples.get_or_insert(n) != n {
            faults.push(format!("inputs: array `{}` has {n} samples, another has {}", how.array, samples.unwrap_or(0)));
        }
        rows.push(values);
        fed.push(how);
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
        inputs: fed,
        expected: Vec::new(),
        outputs,
    };
    if let Some(expected) = expected {
        compare(&mut found, &expected, &ports.outputs, layout)?;
    }
    Ok(found)
}

fn compare(found: &mut Verified, expected: &Arrays, ports: &[Port], layout: DataLayout) -> Result<(), Error> {
    let (mut mismatches, mut faults) = (0, Vec::new());
    let names = feed::locate(expected, ports, &OUTPUT_NAMES, "expected", &mut faults);
    for ((port, array), (name, width, values)) in ports.iter().zip(names).zip(&found.outputs) {
        let Some(array) = array.and_then(|array| expected.get(&array)) else { continue };
        let Ok(array) = array.map_err(|e| faults.push(format!("expected: {e}"))) else { continue };
        let read = match feed::layout_of(&array.shape, port, layout, DataLayout::Proxy) {
            Ok(read) => read,
            Err(what) => {
                faults.push(format!("expected: array `{}` {what}", array.name));
                continue;
            }
        };
        if array.shape.iter().product::<usize>() != values.len() {
            faults.push(format!(
                "expected: array `{}` has {} samples, the inputs have {}",
                array.name, array.shape[0], found.samples
            ));
            continue;
        }
        let wanted = feed::in_order(to_f64(&array.values), &array.shape, port, read);
        for (at, (&got, &want)) in values.iter().zip(&wanted).enumerate() {
            if got != want {
                mismatches += 1;
                found.first.get_or_insert_with(|| (name.clone(), at / width.max(&1), at % width.max(&1), got, want));
            }
        }
        found.expected.push(Fed { port: port.name.clone(), source: port.source.clone(), array: array.name, layout: read });
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

fn to_f64(values: &Values) -> Vec<f64> {
    match values {
        Values::F32(v) => v.iter().map(|&x| x as f64).collect(),
        Values::F64(v) => v.clone(),
        Values::I64(v) => v.iter().map(|&x| x as f64).collect(),
        Values::U64(v) => v.iter().map(|&x| x as f64).collect(),
    }
}

fn refused(e: FixedError) -> Error {
    match e {
        FixedError::Graph(nodes) => {
            Error::Unsupported(nodes.into_iter().map(|n| NodeFault { name: n.node, op: n.op, reason: n.reason }).collect())
        }
        other => Error::NotOnnx(other.to_string()),
    }
}
