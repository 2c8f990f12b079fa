//! Which array of a data file belongs to which port of a proxy, and in which layout it is: by what
//! the proxy states about its source.

use crate::data::order::to_graph;
use crate::data::{Array, Arrays};
use crate::graph::channels;
use crate::proxy::ports::{Layout, Port, Ports};
use crate::verify::fixed::program::Program;
use serde::{Deserialize, Serialize};

/// The layout of arrays whose shape fits both the source's and the proxy's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DataLayout {
    /// That of the model that was converted.
    #[default]
    Source,
    /// That of the proxy, which is hls4ml's.
    Proxy,
}

/// How an array was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fed {
    /// Name of the port in the proxy.
    pub port: String,
    /// Its name in the model that was converted.
    pub source: String,
    /// The array.
    pub array: String,
    /// How its elements were ordered.
    pub layout: DataLayout,
}

/// The ports of a proxy: as it states them, or as they are where it states nothing.
pub fn ports(program: &Program, stated: Option<Ports>) -> Ports {
    let port = |name: &str, shape: &[usize]| Port {
        name: name.into(),
        source: name.into(),
        layout: Layout::AsSource,
        shape: shape.to_vec(),
        source_shape: shape.to_vec(),
    };
    let (inputs, outputs) = (program.inputs().len(), program.outputs().len());
    stated.filter(|s| s.inputs.len() == inputs && s.outputs.len() == outputs).unwrap_or_else(|| Ports {
        inputs: program.inputs().iter().map(|p| port(&p.name, &p.shape)).collect(),
        outputs: program.outputs().iter().map(|p| port(&p.name, &p.shape)).collect(),
    })
}

/// The name of the array for each port. A file has the source's names or the proxy's; where it
/// could be both, the source's. A single port also takes one of the `usual` names.
pub fn locate(arrays: &Arrays, ports: &[Port], usual: &[&str], what: &str, faults: &mut Vec<String>) -> Vec<Option<String>> {
    let has = |name: &str| arrays.contains(name);
    if let [port] = ports {
        let names = [port.source.as_str(), port.name.as_str()].into_iter().chain(usual.iter().copied());
        let found = names.into_iter().find(|n| has(n)).map(str::to_string);
        if found.is_none() {
            faults.push(missing(arrays, port, usual, what));
        }
        return vec![found];
    }
    let by_source = ports.iter().all(|p| has(&p.source));
    if by_source || ports.iter().all(|p| has(&p.name)) {
        return ports.iter().map(|p| Some(if by_source { &p.source } else { &p.name }.clone())).collect();
    }
    let mut taken: Vec<String> = Vec::new();
    ports
        .iter()
        .map(|port| {
            let free = |n: &&String| has(n) && !taken.contains(*n);
            let found = [&port.source, &port.name].into_iter().find(free).cloned();
            match &found {
                Some(name) => taken.push(name.clone()),
                None => faults.push(missing(arrays, port, &[], what)),
            }
            found
        })
        .collect()
}

fn missing(arrays: &Arrays, port: &Port, usual: &[&str], what: &str) -> String {
    let mut names: Vec<&str> = usual.iter().take(1).copied().collect();
    names.push(&port.source);
    if port.name != port.source {
        names.push(&port.name);
    }
    names.dedup();
    let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    format!("{what}: no array {}; the file has {}", names.join(" or "), arrays.names().collect::<Vec<_>>().join(", "))
}

/// The layout in which an array of `shape` (samples first) holds `port`, where it fits. A flat
/// array of an input is in the source's, as a conversion reads it; `flat` says which it is.
///
/// # Errors
/// What is wrong with it.
pub fn layout_of(shape: &[usize], port: &Port, asked: DataLayout, flat: DataLayout) -> Result<DataLayout, String> {
    let (&n, sample) = shape.split_first().ok_or("is a single number; its first axis must be the samples")?;
    if n == 0 {
        return Err("has no samples".into());
    }
    let len: usize = port.shape.iter().product();
    if sample.len() < 2 && sample.iter().product::<usize>() == len {
        return Ok(if asked == DataLayout::Proxy { DataLayout::Proxy } else { flat });
    }
    let fits = |layout| match layout {
        DataLayout::Source => alike(sample, &port.source_shape),
        DataLayout::Proxy => alike(sample, &port.shape),
    };
    // no note of the source: images with their channels first are known by their shape
    let turned = port.layout == Layout::AsSource && port.shape.len() > 1 && sample == channels::to_first(&port.shape);
    match asked {
        DataLayout::Source if fits(DataLayout::Source) => Ok(DataLayout::Source),
        DataLayout::Source if turned => Ok(DataLayout::Source),
        DataLayout::Source | DataLayout::Proxy if fits(DataLayout::Proxy) => Ok(DataLayout::Proxy),
        DataLayout::Source | DataLayout::Proxy => {
            let mut takes = vec![format!("{:?} per sample in the proxy's layout", port.shape)];
            if asked == DataLayout::Source && port.source_shape != port.shape {
                takes.insert(0, format!("{:?} in the source's layout", port.source_shape));
            }
            Err(format!("of shape {shape:?} does not fit `{}`: {}", port.source, takes.join(" or ")))
        }
    }
}

/// Equal but for axes of one element, which move nothing.
fn alike(a: &[usize], b: &[usize]) -> bool {
    a.iter().filter(|&&d| d != 1).eq(b.iter().filter(|&&d| d != 1))
}

/// The values of an array in the proxy's order.
pub fn in_order<T: Copy>(values: Vec<T>, shape: &[usize], port: &Port, layout: DataLayout) -> Vec<T> {
    let order = match (layout, port.order()) {
        (DataLayout::Proxy, _) => None,
        (DataLayout::Source, Some(order)) => Some(order),
        (DataLayout::Source, None) => {
            let turned = shape.get(1..).is_some_and(|s| s.len() > 1 && !alike(s, &port.shape));
            turned.then(|| channels::order(&port.shape))
        }
    };
    match order {
        Some(order) => to_graph(&values, &order),
        None => values,
    }
}

/// The values of `port` in `array`, in the proxy's order, and how they were read.
pub fn input(array: Array, port: &Port, asked: DataLayout, faults: &mut Vec<String>) -> Option<(usize, Vec<f32>, Fed)> {
    let (name, shape) = (array.name.clone(), array.shape.clone());
    let layout = match layout_of(&shape, port, asked, DataLayout::Source) {
        Ok(layout) => layout,
        Err(what) => {
            faults.push(format!("inputs: array `{name}` {what}"));
            return None;
        }
    };
    let values = array.into_f32();
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        faults.push(format!("inputs: array `{name}` is {} at index {at}", values[at]));
        return None;
    }
    let fed = Fed { port: port.name.clone(), source: port.source.clone(), array: name, layout };
    Some((shape[0], in_order(values, &shape, port, layout), fed))
}
