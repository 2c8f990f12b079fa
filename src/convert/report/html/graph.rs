//! The exact model as a picture: operations in boxes, formats on the edges.

use super::layout::{Edge, layout};
use super::plot::{drawing, label};
use super::text::{clean, cut, px, tooltip};
use crate::convert::report::layers::counted;
use crate::graph::ValueId;
use crate::quant::ebops::wire_formats;
use crate::quant::interval::AllBounds;
use crate::quant::model::kind;
use crate::quant::{FixedModel, FixedOp, Kif};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Nodes of a graph that is drawn: more are no picture any more.
const MAX_NODES: usize = 250;
/// Size of a box, and the distance of ranks: room for the format below the box.
const BOX: (f64, f64) = (200.0, 40.0);
const RANK: f64 = 84.0;
/// Characters in a box and on an edge.
const IN_BOX: usize = 26;
const ON_EDGE: usize = 34;
/// Formats that a tooltip lists.
const LISTED: usize = 12;

/// The section.
pub fn section(model: &FixedModel, bounds: &AllBounds) -> Markup {
    html! {
        h2 id="graph" { "Graph" }
        @if model.nodes.len() > MAX_NODES {
            p { "The model has " (model.nodes.len()) " operations, too many for a picture." }
        } @else {
            p {
                "What the proxy computes, before its operations are split by format. On the edges: shape, and the formats "
                code { "fixed<width, integer bits with sign>" }
                " or the range of widths; point at one for all formats."
            }
            div class="scroll" tabindex="0" role="region" aria-label="Graph" { (picture(model, bounds)) }
        }
    }
}

/// A box: a graph input or a node, and the value that leaves it.
struct Item<'a> {
    name: &'a str,
    op: &'a str,
    value: ValueId,
}

fn picture(model: &FixedModel, bounds: &AllBounds) -> Markup {
    let (items, reads) = items(model);
    let placed = layout(&reads);
    let (nodes, inputs, outputs) = (model.nodes.len(), model.inputs.len(), model.outputs.len());
    let description = format!("Graph of {nodes} operations from {inputs} inputs to {outputs} outputs");
    let inside = html! {
        @for Edge { way, .. } in &placed.edges { (line(way)) }
        @for (item, &(x, rank)) in items.iter().zip(&placed.boxes) {
            (boxed(item, x, top(rank), model.outputs.contains(&item.value)))
            (below(model, bounds, item.value, x, top(rank)))
        }
    };
    drawing(placed.width, RANK * placed.ranks as f64, "graph", &description, &inside)
}

/// The boxes, and for each which earlier ones it reads.
fn items(model: &FixedModel) -> (Vec<Item<'_>>, Vec<Vec<usize>>) {
    let mut items: Vec<Item> = Vec::new();
    let mut of_value: BTreeMap<ValueId, usize> = BTreeMap::new();
    let mut reads: Vec<Vec<usize>> = Vec::new();
    for &value in &model.inputs {
        if of_value.insert(value, items.len()).is_none() {
            items.push(Item { name: &model.values[value].name, op: "input", value });
            reads.push(Vec::new());
        }
    }
    for node in &model.nodes {
        of_value.insert(node.output, items.len());
        items.push(Item { name: &node.name, op: kind(&node.op), value: node.output });
        reads.push(node.inputs.iter().filter_map(|v| of_value.get(v).copied()).collect());
    }
    (items, reads)
}

/// The upper edge of the boxes of a rank.
fn top(rank: usize) -> f64 {
    8.0 + RANK * rank as f64
}

/// An edge along the middles and ranks that it passes.
fn line(way: &[(f64, usize)]) -> Markup {
    let mut d = String::new();
    for pair in way.windows(2) {
        let ((x0, r0), (x1, r1)) = (pair[0], pair[1]);
        let (y0, y1) = (top(r0) + BOX.1, top(r1));
        let start = if d.is_empty() { format!("M{} {}", px(x0), px(y0)) } else { format!("V{}", px(y0)) };
        let middle = px((y0 + y1) / 2.0);
        d += &format!("{start}C{} {middle} {} {middle} {} {}", px(x0), px(x1), px(x1), px(y1));
    }
    html! { path class="edge" d=(d) {} }
}

/// A box with its names; `x` is its middle, `y` its upper edge.
fn boxed(item: &Item, x: f64, y: f64, is_output: bool) -> Markup {
    let class = match item.op {
        "input" => "node source",
        "Quant" => "node quant",
        "Dense" | "Conv" => "node product",
        _ => "node",
    };
    let told = format!("{} ({}{})", item.name, item.op, if is_output { ", output" } else { "" });
    let second = if is_output { format!("{} · output", item.op) } else { item.op.to_string() };
    html! {
        g {
            title { (tooltip(&told)) }
            rect class=(class) x=(px(x - BOX.0 / 2.0)) y=(px(y)) width=(px(BOX.0)) height=(px(BOX.1)) rx="5" {}
            (label(x, y + 17.0, "middle", &cut(item.name, IN_BOX)))
            (label(x, y + 33.0, "middle", &second))
        }
    }
}

/// Shape and formats of a value, below the box at `x` and `y`.
fn below(model: &FixedModel, bounds: &AllBounds, value: ValueId, x: f64, y: f64) -> Markup {
    let shape: Vec<String> = model.values[value].shape.iter().map(ToString::to_string).collect();
    let (short, all) = formats(model, bounds, value);
    let text = cut(&format!("{} · {short}", shape.join("×")), ON_EDGE);
    html! {
        g class="format" {
            title { (tooltip(&all)) }
            text class="halo" x=(px(x)) y=(px(y + BOX.1 + 16.0)) text-anchor="middle" { (clean(&text)) }
        }
    }
}

/// The formats of a value in short, and all of them.
fn formats(model: &FixedModel, bounds: &AllBounds, value: ValueId) -> (String, String) {
    if model.inputs.contains(&value) {
        return ("float".into(), "as sent".into());
    }
    let counts = counted(&wire_formats(model, bounds, value));
    let bits = || counts.keys().map(Kif::bits);
    let (least, most) = (bits().min().unwrap_or(0), bits().max().unwrap_or(0));
    let exact = model.producer(value).is_some_and(|n| !matches!(model.nodes[n].op, FixedOp::Quantize(_)));
    let short = match counts.len() {
        1 => counts.keys().next().map(spelled).unwrap_or_default(),
        _ if least == most => format!("{most} bits"),
        _ => format!("{least} to {most} bits"),
    };
    let mut all: Vec<String> = counts.iter().take(LISTED).map(|(f, n)| format!("{n} × {}", spelled(f))).collect();
    if counts.len() > LISTED {
        all.push(format!("and {} more formats", counts.len() - LISTED));
    }
    let how = if exact { "wide enough for every value that can occur: " } else { "" };
    (short, format!("{how}{}", all.join(", ")))
}

/// As hls4ml spells it.
fn spelled(f: &Kif) -> String {
    let name = if f.keep_negative { "fixed" } else { "ufixed" };
    if f.is_zero() { "constant 0".into() } else { format!("{name}<{},{}>", f.bits(), f.integer + i32::from(f.keep_negative)) }
}
