//! `hgq-onnx trace`: ranges and formats on calibration data, without training.

use super::config::{JobConfig, on_threads};
use super::documents::{Trace, TracedQuantizer, finite};
use super::error::Error;
use super::quantizers::quantizers;
use super::report::layers::{format_counts, layers};
use super::source::data::Blocks;
use super::source::declare::declare;
use super::source::values::SourceValues;
use super::source::{self, domain};
use crate::data::DataFile;
use crate::quant::exact::MinMax;
use crate::quant::{FixedModel, FixedOp, Model, QOp, ebops, hardware, interval};
use crate::trace::{FormatOptions, Ranges, Tracer, fix};

/// Samples from the start of the data that spreads are measured on.
const SPREAD_SAMPLES: usize = 4096;

/// Ranges and formats of every quantizer, EBOPs and hardware.
///
/// # Errors
/// See [`Error`].
pub fn trace(model: &[u8], calibration: &DataFile, config: &JobConfig) -> Result<Trace, Error> {
    config.check().map_err(Error::Config)?;
    // without training: annotations stand as they are, float tensors have their starting bits
    let config = JobConfig { epochs: 0, ..config.clone() };
    on_threads(&config, || {
        let source = source::load(model)?;
        let mut data = Blocks::open(&source, calibration, "calibration").map_err(Error::Data)?;
        let mut values = SourceValues::none(&source);
        data.each(|rows, n| values.add(&source, rows, n, false))?;
        let some = data.first(SPREAD_SAMPLES)?;
        let some: Vec<&[f32]> = some.iter().map(Vec::as_slice).collect();
        let spreads = domain::spreads(&source, &some, data.samples().min(SPREAD_SAMPLES))?;
        let sharing = domain::sharing(&source, &config, None);
        let (mut built, scales) = quantizers(&source, &config, &values.ranges, &spreads, &sharing)?;
        let warnings = declare(&mut built, &config, &source, &values.ranges, &scales)?;
        let inputs = || built.model.inputs.iter().enumerate();
        let reach: Vec<MinMax> = inputs().zip(values.reach(&source)).map(|((n, &v), range)| scales.range(n, v, &range)).collect();
        let tracer = Tracer::new(&built.model, &reach)?;
        let mut ranges = tracer.empty_ranges();
        data.each(|rows, n| {
            let scaled: Vec<_> = inputs().zip(rows).map(|((at, &v), x)| scales.rows(at, v, x)).collect();
            ranges.merge(&tracer.trace(&scaled.iter().map(|x| &x[..]).collect::<Vec<_>>(), n));
            Ok(())
        })?;
        let options = FormatOptions { cover_factor: config.cover_factor, lower_annotated: true };
        let fixed = scales.restore(&fix(&built.model, &ranges, &options)?)?;
        let ranges = Ranges { by_node: scales.restore_ranges(&built.model, &ranges.by_node), ..ranges };
        let bounds = interval::bounds(&fixed)?;
        let (counts, hardware) = (ebops::layers(&fixed, &bounds), hardware::count(&fixed, &bounds));
        let quantizers = quantizer_formats(&built.model, &fixed, &ranges);
        Ok(Trace {
            schema: "hgq-onnx/trace/1".into(),
            samples: data.samples(),
            warnings,
            quantizers,
            layers: layers(&fixed, &bounds, &counts, &hardware.0, &ranges),
            ebops: ebops::ebops(&fixed, &bounds),
            ebops_hgq2: ebops::ebops_hgq2(&fixed, &bounds),
            hardware: hardware.1.into(),
        })
    })
}

/// Range and formats of each quantizer of `model`.
fn quantizer_formats(model: &Model, fixed: &FixedModel, ranges: &Ranges) -> Vec<TracedQuantizer> {
    (0..fixed.nodes.len())
        .filter(|&n| matches!(model.nodes[n].op, QOp::Quantizer(_)))
        .map(|n| {
            let node = &fixed.nodes[n];
            let formats = if let FixedOp::Quantize(q) = &node.op { q.formats.clone() } else { Vec::new() };
            let range = ranges.by_node[n].as_ref();
            let each = |ends: &[f64]| ends.iter().map(|&v| finite(v)).collect();
            TracedQuantizer {
                name: node.name.clone(),
                tensor: fixed.values[node.output].name.clone(),
                min: range.map(|r| each(&r.min)),
                max: range.map(|r| each(&r.max)),
                k: formats.iter().map(|f| f.keep_negative as u8).collect(),
                i: formats.iter().map(|f| f.integer).collect(),
                f: formats.iter().map(|f| f.fractional).collect(),
                formats: format_counts(&formats),
            }
        })
        .collect()
}
