//! How a proxy meets the outside: its ports' names and layouts in the source, and the settings of
//! hls4ml that it is written for.

use crate::convert::config::JobConfig;
use crate::convert::source::Source;
use crate::proxy::ports::SourcePort;
use crate::proxy::target::Target;

/// See the module. By default ports have no names of a source, and the settings are hls4ml's.
#[derive(Default)]
pub struct Interface {
    /// Per input: the order in which the proxy takes it, where that is not the graph's.
    pub orders: Vec<Option<Vec<usize>>>,
    /// The source's inputs and outputs, in the order of the graph.
    pub inputs: Vec<SourcePort>,
    pub outputs: Vec<SourcePort>,
    pub target: Target,
}

impl Interface {
    pub fn new(source: &Source, config: &JobConfig) -> Interface {
        let orders = source.proxy_orders(config).to_vec();
        let turned = |at: usize| orders.get(at).is_some_and(Option::is_some);
        let inputs = source.input_shapes().into_iter().enumerate();
        let inputs = inputs.map(|(at, i)| SourcePort { channels_first: i.order.is_some() && !turned(at), name: i.name });
        let outputs = source.graph.outputs.iter().zip(&source.output_orders);
        let outputs =
            outputs.map(|(&o, order)| SourcePort { name: source.graph.values[o].name.clone(), channels_first: order.is_some() });
        Interface { inputs: inputs.collect(), outputs: outputs.collect(), orders, target: config.hls4ml.target() }
    }
}
