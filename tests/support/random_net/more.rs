//! Blocks that select elements, reduce axes or are made of other operators.

use super::super::onnx::Attr;
use super::{Dialect, Maker, Tap};
use hgq_onnx::onnx::Tensor;

impl Maker {
    /// One of the blocks of this file.
    pub(super) fn more(&mut self, x: Tap) -> Tap {
        self.moved = true;
        match self.rng.below(14) {
            0 | 1 => self.slice(x),
            2 => self.gather(x),
            3 => self.split(x),
            4 => self.resize(x),
            5 => self.blocks(x),
            6 | 7 => self.reduce(x),
            8 => self.powers(x),
            9 => self.prelu(x),
            10 => self.dilated(x),
            11 | 12 => self.transposed_conv(x),
            _ => self.choice(x),
        }
    }

    fn integers(&mut self, values: &[i64]) -> String {
        let name = self.name("ints");
        self.net.constant(&name, Tensor::i64(vec![values.len()], values.to_vec()));
        name
    }

    /// An axis of more than one element, batch not counted.
    fn axis(&mut self, x: &Tap) -> Option<usize> {
        let long: Vec<usize> = (0..x.shape.len()).filter(|&axis| x.shape[axis] > 1).collect();
        (!long.is_empty()).then(|| long[self.rng.below(long.len())])
    }

    fn slice(&mut self, x: Tap) -> Tap {
        let Some(axis) = self.axis(&x) else { return x };
        let size = x.shape[axis];
        // tract pulls a step of two over what is in front of it, and gets lost
        let step = if x.shape.len() == 1 { 1 + self.rng.below(2) } else { 1 };
        let start = self.rng.below(size - 1);
        let end = start + 1 + self.rng.below(size - start);
        let rows = (end - start).div_ceil(step);
        let inputs = [start, end, axis + 1, step].map(|v| self.integers(&[v as i64]));
        self.recipe.push(format!("slice axis {axis} {start}..{end} by {step}"));
        let names: Vec<&str> = std::iter::once(&x.name[..]).chain(inputs.iter().map(|i| &i[..])).collect();
        let name = self.op("Slice", &names, &[]);
        let mut shape = x.shape.clone();
        shape[axis] = rows;
        Tap { name, shape, ..x }
    }

    /// Rows in any order, some more than once.
    fn gather(&mut self, x: Tap) -> Tap {
        let Some(axis) = self.axis(&x) else { return x };
        let rows: Vec<i64> = (0..1 + self.rng.below(x.shape[axis] + 1)).map(|_| self.rng.below(x.shape[axis]) as i64).collect();
        let indices = self.integers(&rows);
        self.recipe.push(format!("gather axis {axis} {rows:?}"));
        let name = self.op("Gather", &[&x.name, &indices], &[("axis", Attr::I(axis as i64 + 1))]);
        let mut shape = x.shape.clone();
        shape[axis] = rows.len();
        Tap { name, shape, ..x }
    }

    /// Two parts that are joined the other way round.
    fn split(&mut self, x: Tap) -> Tap {
        let Some(axis) = self.axis(&x) else { return x };
        let first = 1 + self.rng.below(x.shape[axis] - 1);
        let sizes = self.integers(&[first as i64, (x.shape[axis] - first) as i64]);
        let (a, b) = (self.name("split"), self.name("split"));
        self.net.node("Split", &[&x.name, &sizes], &a, &[("axis", Attr::I(axis as i64 + 1))]);
        if let Some(node) = self.net.graph.node.last_mut() {
            node.output.push(b.clone());
        }
        self.recipe.push(format!("split axis {axis} at {first}"));
        let name = self.op("Concat", &[&b, &a], &[("axis", Attr::I(axis as i64 + 1))]);
        Tap { name, ..x }
    }

    fn resize(&mut self, x: Tap) -> Tap {
        if x.shape.len() != 3 || x.shape[1] * x.shape[2] > 40 {
            return self.slice(x);
        }
        let (down, along) = (1 + self.rng.below(2), 1 + self.rng.below(3));
        let scales = self.name("scales");
        self.net.constant(&scales, Tensor::f32(vec![4], vec![1.0, 1.0, down as f32, along as f32]));
        let attributes = [
            ("mode", Attr::S("nearest")),
            ("coordinate_transformation_mode", Attr::S("asymmetric")),
            ("nearest_mode", Attr::S("floor")),
        ];
        self.recipe.push(format!("resize {down} {along}"));
        let name = self.op("Resize", &[&x.name, "", &scales], &attributes);
        let shape = vec![x.shape[0], x.shape[1] * down, x.shape[2] * along];
        Tap { name, shape, ..x }
    }

    fn blocks(&mut self, x: Tap) -> Tap {
        let two = [("blocksize", Attr::I(2))];
        match x.shape[..] {
            [c, h, w] if c.is_multiple_of(4) => {
                let mode = self.pick(&["DCR", "CRD"]);
                self.recipe.push(format!("depth to space {mode}"));
                let name = self.op("DepthToSpace", &[&x.name], &[("blocksize", Attr::I(2)), ("mode", Attr::S(mode))]);
                Tap { name, shape: vec![c / 4, 2 * h, 2 * w], ..x }
            }
            [c, h, w] if h.is_multiple_of(2) && w.is_multiple_of(2) => {
                self.recipe.push("space to depth".into());
                let name = self.op("SpaceToDepth", &[&x.name], &two);
                Tap { name, shape: vec![4 * c, h / 2, w / 2], ..x }
            }
            _ => self.gather(x),
        }
    }

    fn reduce(&mut self, x: Tap) -> Tap {
        let mut axes: Vec<i64> = (0..x.shape.len()).filter(|_| self.chance(2)).map(|axis| axis as i64 + 1).collect();
        if axes.is_empty() {
            axes.push(x.shape.len() as i64);
        }
        // an f32 mean of three meets ties that it misses in fixed point
        let exact = axes.iter().all(|&axis| x.shape[axis as usize - 1].is_power_of_two());
        let op = self.pick(&["ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean"][..if exact { 4 } else { 3 }]);
        let keep = ("keepdims", Attr::I(1));
        let name = if op == "ReduceSum" {
            let given = self.integers(&axes);
            self.op(op, &[&x.name, &given], &[keep])
        } else {
            self.op(op, &[&x.name], &[("axes", Attr::Is(&axes)), keep])
        };
        let mut shape = x.shape.clone();
        axes.iter().for_each(|&axis| shape[axis as usize - 1] = 1);
        self.recipe.push(format!("{op} {axes:?}"));
        let reduced = self.quantized(Tap { name, shape, unsigned: x.unsigned }, 6, 3);
        // broadcast against what it was made of
        if self.chance(2) {
            self.recipe.push("broadcast".into());
            let name = self.op("Add", &[&x.name, &reduced.name], &[]);
            return self.quantized(Tap { name, ..x }, 6, 3);
        }
        reduced
    }

    fn powers(&mut self, x: Tap) -> Tap {
        // tract mixes up the types of integers
        if self.dialect == Dialect::Qcdq {
            return self.prelu(x);
        }
        let op = self.pick(&["Abs", "Pow", "Neg"]);
        self.recipe.push(op.into());
        let name = match op {
            "Pow" => {
                let two = self.name("two");
                self.net.constant(&two, Tensor::f32(vec![], vec![2.0]));
                self.op(op, &[&x.name, &two], &[])
            }
            _ => self.op(op, &[&x.name], &[]),
        };
        self.quantized(Tap { name, unsigned: op != "Neg", ..x }, 6, 3)
    }

    fn prelu(&mut self, x: Tap) -> Tap {
        let c = x.shape[0];
        let slope = self.name("slope");
        let values = (0..c).map(|_| [0.5, 0.25, -0.5, 0.125][self.rng.below(4)]).collect();
        self.net.constant(&slope, Tensor::f32([&[c], &vec![1; x.shape.len() - 1][..]].concat(), values));
        self.recipe.push("prelu".into());
        let name = self.op("PRelu", &[&x.name, &slope], &[]);
        self.quantized(Tap { name, unsigned: false, ..x }, 6, 3)
    }

    fn dilated(&mut self, x: Tap) -> Tap {
        let spatial = x.shape[1..].to_vec();
        if spatial.is_empty() || spatial.iter().any(|&s| s < 3) {
            return self.prelu(x);
        }
        let outputs = 1 + self.rng.below(3);
        // one bit has no zero between the taps
        let w = self.weight_of(&[&[outputs, x.shape[0]], &vec![2; spatial.len()][..]].concat(), false);
        let two = vec![2; spatial.len()];
        let name = self.op("Conv", &[&x.name, &w], &[("dilations", Attr::Is(&two))]);
        let shape = std::iter::once(outputs).chain(spatial.iter().map(|s| s - 2)).collect();
        self.recipe.push("dilated conv".into());
        self.activated(Tap { name, shape, unsigned: false })
    }

    fn transposed_conv(&mut self, x: Tap) -> Tap {
        let spatial = x.shape[1..].to_vec();
        if spatial.is_empty() || spatial.iter().product::<usize>() > 40 {
            return self.split(x);
        }
        let outputs = 1 + self.rng.below(3);
        let kernel: Vec<usize> = spatial.iter().map(|_| 1 + self.rng.below(3)).collect();
        let stride: Vec<usize> = spatial.iter().map(|_| 1 + self.rng.below(2)).collect();
        let pads: Vec<usize> = kernel.iter().chain(&kernel).map(|&k| self.rng.below(k.min(2))).collect();
        let n = spatial.len();
        let size = |a: usize| ((spatial[a] - 1) * stride[a] + kernel[a]).checked_sub(pads[a] + pads[n + a]).filter(|&s| s > 0);
        let sizes: Option<Vec<usize>> = (0..n).map(size).collect();
        let Some(sizes) = sizes else { return self.split(x) };
        let w = self.weight_of(&[&[x.shape[0], outputs], &kernel[..]].concat(), false);
        let long = |v: &[usize]| v.iter().map(|&d| d as i64).collect::<Vec<_>>();
        let (k, s, p) = (long(&kernel), long(&stride), long(&pads));
        let attributes = [("kernel_shape", Attr::Is(&k)), ("strides", Attr::Is(&s)), ("pads", Attr::Is(&p))];
        let b = self.vector(outputs);
        let name = self.op("ConvTranspose", &[&x.name, &w, &b], &attributes);
        self.recipe.push(format!("transposed conv {kernel:?}/{stride:?} pads {pads:?}"));
        self.activated(Tap { name, shape: [&[outputs], &sizes[..]].concat(), unsigned: false })
    }

    /// Gates of the values themselves, or a bound for every channel.
    fn choice(&mut self, x: Tap) -> Tap {
        if self.dialect == Dialect::Float && self.chance(2) {
            self.recipe.push("hard swish".into());
            let (alpha, beta) = (("alpha", Attr::F(0.25)), ("beta", Attr::F(0.5)));
            let gate = self.op("HardSigmoid", &[&x.name], &[alpha, beta]);
            let name = self.op("Mul", &[&x.name, &gate], &[]);
            return Tap { name, unsigned: false, ..x };
        }
        let c = x.shape[0];
        let bound = self.name("bound");
        let values = self.values(c);
        self.net.constant(&bound, Tensor::f32([&[c], &vec![1; x.shape.len() - 1][..]].concat(), values));
        let op = self.pick(&["Max", "Min"]);
        self.recipe.push(format!("{op} with a vector"));
        let name = self.op(op, &[&x.name, &bound], &[]);
        self.quantized(Tap { name, unsigned: false, ..x }, 6, 3)
    }
}
