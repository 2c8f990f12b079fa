//! Which port of a proxy is which input or output of the model that was converted, and in which
//! layout: stated in the file's metadata, so that whoever has the file can feed it with the
//! source's data.

use super::form::Proxy;
use crate::graph::channels;
use crate::onnx::proto::{ModelProto, ValueInfoProto};
use crate::onnx::{info, metadata};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Key of the file's metadata, whose value is [`Ports`] as JSON.
const METADATA_KEY: &str = "hgq_onnx.ports";

/// How a port's layout relates to the source's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// The same.
    #[default]
    AsSource,
    /// The channels are last; the source has them first.
    ChannelsLast,
}

/// One port of a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Port {
    /// In the proxy.
    pub name: String,
    /// In the source.
    pub source: String,
    pub layout: Layout,
    /// Of one sample, in the layout of the proxy.
    pub shape: Vec<usize>,
    /// Of one sample, in the layout of the source.
    pub source_shape: Vec<usize>,
}

impl Port {
    /// Element `j` of the proxy's sample is element `order[j]` of the source's; `None` where they
    /// are alike.
    pub fn order(&self) -> Option<Vec<usize>> {
        (self.layout == Layout::ChannelsLast).then(|| channels::order(&self.shape))
    }
}

/// All ports of a proxy, each list in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ports {
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
}

/// A port of the source: its name, and whether it has the channels first where the graph has them
/// last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePort {
    pub name: String,
    pub channels_first: bool,
}

/// States in `proxy` what its ports are; `inputs` and `outputs` are the source's, in the order of
/// the exact model. Inputs that take the source's layout (through a Transpose) are not
/// `channels_first` here.
pub fn state(proxy: &mut Proxy, inputs: &[SourcePort], outputs: &[SourcePort]) -> Ports {
    let Some(graph) = &proxy.model.graph else { return Ports::default() };
    let ports = Ports {
        inputs: graph.input.iter().zip(inputs).map(|(info, source)| port(info, source)).collect(),
        outputs: (graph.output.iter().zip(&proxy.output_order))
            .filter_map(|(info, &at)| Some(port(info, outputs.get(at)?)))
            .collect(),
    };
    // text of strings and numbers: it can be written
    proxy.state(METADATA_KEY, serde_json::to_string(&ports).unwrap_or_default());
    ports
}

fn port(info: &ValueInfoProto, source: &SourcePort) -> Port {
    let dims = info::dims(info).unwrap_or_default();
    let shape: Vec<usize> = dims.iter().skip(1).map(|d| info::size(d).unwrap_or(1)).collect();
    let (layout, source_shape) = match source.channels_first {
        true => (Layout::ChannelsLast, channels::to_first(&shape)),
        false => (Layout::AsSource, shape.clone()),
    };
    Port { name: info.name().to_string(), source: source.name.clone(), layout, shape, source_shape }
}

/// The ports that a proxy states; `None` where it states none that fit its own.
pub fn stated(model: &ModelProto) -> Option<Ports> {
    let ports: Ports = serde_json::from_str(metadata::stated(model, METADATA_KEY)?).ok()?;
    let graph = model.graph.as_ref()?;
    let fit = |list: &[Port], infos: &[ValueInfoProto]| {
        let same = |(port, info): (&Port, &ValueInfoProto)| {
            let dims = info::dims(info).unwrap_or_default();
            let sizes: Option<Vec<usize>> = dims.iter().skip(1).map(info::size).collect();
            let source_shape = match port.layout {
                Layout::AsSource => port.shape.clone(),
                Layout::ChannelsLast => channels::to_first(&port.shape),
            };
            port.name == info.name() && sizes.as_ref() == Some(&port.shape) && port.source_shape == source_shape
        };
        list.len() == infos.len() && list.iter().zip(infos).all(same)
    };
    (fit(&ports.inputs, &graph.input) && fit(&ports.outputs, &graph.output)).then_some(ports)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::proto::{GraphProto, tensor_proto::DataType};
    use crate::proxy::DEFAULT_PORT;
    use crate::proxy::write::build::value_info;
    use prost::Message;

    fn source(name: &str, channels_first: bool) -> SourcePort {
        SourcePort { name: name.into(), channels_first }
    }

    #[test]
    fn what_is_stated_is_read_back() {
        let info = |name: &str, shape: &[usize]| value_info(name, DataType::Float, shape);
        let graph = GraphProto {
            input: vec![info("input_tensor", &[1, 4, 4])],
            output: vec![info("b_q", &[1, 3]), info("a_q", &[1, 2])],
            ..GraphProto::default()
        };
        let model = ModelProto { graph: Some(graph), ..ModelProto::default() };
        let mut proxy =
            Proxy { model, bytes: vec![], warnings: vec![], input_port: DEFAULT_PORT, removed: vec![], output_order: vec![1, 0] };
        let ports = state(&mut proxy, &[source("input", true)], &[source("a", false), source("b", false)]);
        assert_eq!(ports.outputs.iter().map(|p| p.source.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(ports.inputs[0].order(), Some(channels::order(&[4, 4])));
        assert_eq!(stated(&ModelProto::decode(&proxy.bytes[..]).unwrap()), Some(ports));
        // another file's metadata, or edited ones
        proxy.model.graph.as_mut().unwrap().output.pop();
        assert_eq!(stated(&proxy.model), None);
    }
}
