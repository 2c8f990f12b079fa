//! Selections of elements ([`crate::ops::Move::Select`]): where each element of a tensor is read at
//! most once only its number changes, and what nobody reads is left in it; else a 0/1 matrix per
//! tensor copies elements. Between positions what hls4ml has for the form of the selection.

use super::build::{int, ints};
use super::constant::{covering, quant_type};
use super::lower::Lower;
use super::part::{NOWHERE, Part, Stage, State, shape};
use crate::graph::{Node, ValueId, Window};
use crate::proxy::analysis::selection::{self, Structure};
use crate::proxy::error::Reason;
use crate::quant::FixedOp;
use crate::quant::interval::Span;

/// Most entries of a 0/1 matrix: hls4ml writes each as a number of a C++ file.
pub const MAX_ENTRIES: usize = 1 << 24;

impl<'a> Lower<'a> {
    pub(super) fn select(
        &mut self,
        node: &'a Node<FixedOp>,
        from: ValueId,
        source: &[Option<usize>],
    ) -> Result<Vec<Part>, Reason> {
        let to = node.output;
        if self.leads[to].is_empty() {
            return self.units(node, from, source);
        }
        match selection::of(source, &self.model.values[from].shape, &self.model.values[to].shape) {
            Some(Structure::Channels(channels)) => self.units(node, from, &channels),
            Some(Structure::Crop { window, tap }) => {
                self.each(node, from, |s, stem, part| s.cropped(stem, to, part, &window, tap))
            }
            Some(Structure::Repeat { factors }) => self.each(node, from, |s, stem, part| s.repeated(stem, part, factors)),
            Some(Structure::Blocks { block, cut }) => self.blocks(node, from, block, cut),
            None => Err(Reason::Structure("selects other elements at every position".into())),
        }
    }

    /// Every tensor of `from` on its own.
    fn each(
        &mut self,
        node: &'a Node<FixedOp>,
        from: ValueId,
        written: impl Fn(&mut Self, &str, Part) -> Result<Part, Reason>,
    ) -> Result<Vec<Part>, Reason> {
        let mut parts = Vec::new();
        for (at, part) in self.complete(&node.name, from)?.into_iter().enumerate() {
            let stem = format!("{}_p{at}", self.model.values[node.output].name);
            let part = self.plain(&node.name, from, part)?;
            let part = written(self, &stem, part)?;
            parts.push(self.placed(part, node.output, None)?);
        }
        Ok(parts)
    }

    /// Units by their numbers.
    fn units(&mut self, node: &'a Node<FixedOp>, from: ValueId, units: &[Option<usize>]) -> Result<Vec<Part>, Reason> {
        let to = node.output;
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); self.spans[from].len()];
        for (at, unit) in units.iter().enumerate().filter(|(at, _)| self.live[to][*at]) {
            unit.iter().for_each(|&unit| readers[unit].push(at));
        }
        let mut written = Vec::new();
        for (at, part) in self.partial(from).into_iter().enumerate() {
            let read: Vec<&[usize]> = part.elements.iter().map(|&e| readers.get(e).map_or(&[][..], Vec::as_slice)).collect();
            match read.iter().map(|r| r.len()).max().unwrap_or(0) {
                0 => {}
                1 => {
                    let elements = read.iter().map(|r| r.first().copied().unwrap_or(NOWHERE)).collect();
                    written.push(Part { elements, ..part });
                }
                _ => written.push(self.copies(&format!("{}_p{at}", self.model.values[to].name), to, &part, &read)?),
            }
        }
        self.joined(to, written)
    }

    /// The units of `value` that read each element of `part`, in one tensor.
    fn copies(&mut self, stem: &str, value: ValueId, part: &Part, read: &[&[usize]]) -> Result<Part, Reason> {
        let mut units: Vec<usize> = read.iter().flat_map(|r| r.iter().copied()).collect();
        units.sort_unstable();
        if read.len().saturating_mul(units.len()) > MAX_ENTRIES {
            return Err(Reason::Selection { from: read.len(), to: units.len(), limit: MAX_ENTRIES });
        }
        let mut weights = vec![Span::ZERO; read.len() * units.len()];
        for ((row, readers), &negated) in read.iter().enumerate().zip(&part.negated) {
            let one = if negated { -1 } else { 1 };
            for reader in *readers {
                let column = units.partition_point(|u| u < reader);
                weights[row * units.len() + column] = Span::new(one, one, 0);
            }
        }
        let kif = covering(units.iter().map(|&e| &self.spans[value][e]));
        let product = self.product(stem, part, None, &weights, &vec![Span::ZERO; units.len()], false)?;
        let out = self.b.name(&format!("{stem}_copies"));
        let exact = quant_type("a copied element", kif, false)?;
        let tensor = self.b.quant(product, out, &shape(&part.lead, units.len()), exact);
        Ok(Part::new(tensor, &part.lead, units, false, kif.keep_negative))
    }

    /// A convolution of each channel whose kernel is 1 at `tap` and 0 elsewhere.
    fn cropped(&mut self, stem: &str, value: ValueId, part: Part, window: &Window, tap: usize) -> Result<Part, Reason> {
        let units = part.elements.len();
        let depthwise = self.target.has_depthwise() && units > 1;
        let rows = if depthwise { 1 } else { units };
        let mut weights = vec![Span::ZERO; window.taps() * rows * units];
        for unit in 0..units {
            let row = tap * rows + if depthwise { 0 } else { unit };
            weights[row * units + unit] = Span::new(1, 1, 0);
        }
        let window = Window {
            input: [window.input[0], window.input[1], units],
            groups: if depthwise { units } else { 1 },
            ..window.clone()
        };
        let kif = covering(part.elements.iter().map(|&e| &self.spans[value][e]));
        let product = self.product(stem, &part, Some(&window), &weights, &vec![Span::ZERO; units], depthwise)?;
        let lead = super::part::lead_behind(&window, &part.lead);
        let out = self.b.name(&format!("{stem}_cropped"));
        let tensor = self.b.quant(product, out, &shape(&lead, units), quant_type("what is cropped", kif, false)?);
        Ok(Part::new(tensor, &lead, part.elements, false, kif.keep_negative))
    }

    /// Each row and column several times: a tensor behind itself along the last axis, read as a
    /// longer one.
    fn repeated(&mut self, stem: &str, part: Part, factors: [usize; 2]) -> Result<Part, Reason> {
        let units = part.elements.len();
        let (height, width) = match part.lead[..] {
            [width] => (1, width),
            [height, width] => (height, width),
            _ => return Err(Reason::Structure("repeats positions on more than two axes".into())),
        };
        let [down, along] = factors;
        let mut tensor = part.tensor.clone();
        // pixels, then rows
        for (times, outer, row) in [(along, height * width, units), (down, height, width * along * units)] {
            if times > 1 {
                let out = self.b.name(&format!("{stem}_rows"));
                let rows = self.b.reshape(tensor, out, &[1, outer, row]);
                tensor = self.side_by_side(stem, &rows, outer, row, times);
            }
        }
        let lead = if part.lead.len() == 1 { vec![width * along] } else { vec![height * down, width * along] };
        let out = self.b.name(&format!("{stem}_repeated"));
        let tensor = self.b.reshape(tensor, out, &shape(&lead, units));
        Ok(Part { tensor, lead, ..part })
    }

    /// `times` copies of a tensor `[1, outer, row]` along its last axis.
    fn side_by_side(&mut self, stem: &str, tensor: &str, outer: usize, row: usize, times: usize) -> String {
        let mut joined = tensor.to_string();
        for count in 2..=times {
            let out = self.b.name(&format!("{stem}_twice"));
            let both = vec![joined, tensor.to_string()];
            joined = self.b.node("Concat", both, out, &[1, outer, row * count], vec![int("axis", 2)]);
        }
        joined
    }

    /// Channels as positions: axes change their places, then rows and columns are cut off.
    fn blocks(
        &mut self,
        node: &'a Node<FixedOp>,
        from: ValueId,
        block: [usize; 2],
        cut: [usize; 2],
    ) -> Result<Vec<Part>, Reason> {
        let to = node.output;
        let (channels, units) = (self.spans[from].len(), self.spans[to].len());
        let whole = match &self.parts(from)[..] {
            [p] if p.is_whole(channels) && !p.bare => p.clone(),
            parts => self.selected(&node.name, from, parts.to_vec(), (0..channels).collect())?,
        };
        let stem = self.model.values[to].name.clone();
        let [height, width] = match whole.lead[..] {
            [width] => [1, width],
            [height, width] => [height, width],
            _ => return Err(Reason::Structure("moves channels to more than two axes of positions".into())),
        };
        let split = [1, height, width, block[0], block[1], units];
        let out = self.b.name(&format!("{stem}_split"));
        let tensor = self.b.reshape(whole.tensor.clone(), out, &split);
        let out = self.b.name(&format!("{stem}_blocks"));
        let moved = [1, height, block[0], width, block[1], units];
        let tensor = self.b.node("Transpose", vec![tensor], out, &moved, vec![ints("perm", &[0, 1, 3, 2, 4, 5])]);
        let full = [height * block[0], width * block[1]];
        let out = self.b.name(&format!("{stem}_full"));
        let line = whole.lead.len() == 1 && block[0] == 1;
        let lead = if line { vec![full[1]] } else { full.to_vec() };
        let tensor = self.b.reshape(tensor, out, &shape(&lead, units));
        let part = Part::new(tensor, &lead, (0..units).collect(), false, whole.signed);
        let positions = &self.leads[to];
        let kept = if positions.len() == 1 { [1, positions[0]] } else { [positions[0], positions[1]] };
        if kept == full {
            return Ok(vec![self.placed(part, to, None)?]);
        }
        let kernel = [full[0] - kept[0] + 1, full[1] - kept[1] + 1];
        let window = Window { input: [full[0], full[1], units], kernel, stride: [1, 1], pads: [0; 4], groups: units };
        let part = self.cropped(&stem, to, part, &window, cut[0] * kernel[1] + cut[1])?;
        Ok(vec![self.placed(part, to, None)?])
    }

    /// The tensors of `value`, of which some elements may be [`NOWHERE`].
    pub(super) fn partial(&mut self, value: ValueId) -> Vec<Part> {
        if let Some(stage) = self.pending(value) {
            let parts = self.materialise(&Stage { value, ..stage });
            self.states[value] = Some(State::Parts(parts));
        }
        match &self.states[value] {
            Some(State::Parts(parts)) => parts.clone(),
            _ => Vec::new(),
        }
    }

    /// The tensors of `value`, constant units that are read among them: where only some positions
    /// are read later, or zeros are put around, they are no longer constants.
    pub(super) fn complete(&mut self, node: &str, value: ValueId) -> Result<Vec<Part>, Reason> {
        let mut parts = self.parts(value);
        let held = |e: &usize| parts.iter().any(|p| p.elements.contains(e));
        let missing: Vec<usize> = self.live_units(value).into_iter().filter(|e| !held(e)).collect();
        parts.extend(self.constant_part(node, value, missing)?);
        Ok(parts)
    }

    /// Constant units of `value` as a tensor; `None` for no units.
    pub(super) fn constant_part(&mut self, node: &str, value: ValueId, units: Vec<usize>) -> Result<Option<Part>, Reason> {
        if units.is_empty() {
            return Ok(None);
        }
        let nothing = self.nothing(&self.leads[value].clone())?;
        self.selected(node, value, vec![nothing], units).map(Some)
    }

    /// The part without elements that are nowhere.
    pub(super) fn without_nowhere(&mut self, value: ValueId, part: Part) -> Result<Part, Reason> {
        if !part.elements.contains(&NOWHERE) {
            return Ok(part);
        }
        let elements = part.elements.iter().copied().filter(|&e| e != NOWHERE).collect();
        let name = self.model.values[value].name.clone();
        self.selected(&name, value, vec![part], elements)
    }
}
