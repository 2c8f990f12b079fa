//! What a model is trained towards.

/// Targets of all samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One class per sample, below the number of outputs (0 or 1 of a single one).
    Labels(Vec<u32>),
    /// Probabilities of the classes, `[samples][width]`; each row adds up to 1.
    Shares { width: usize, values: Vec<f32> },
    /// Yes or no for each output value, `[samples][width]`, as two numbers: 0 and 1, or −1 and 1.
    /// `one_hot`: one yes in each row, the class. `logit`: the answer is the sign of a logit; else
    /// the side of the middle of the two on which the output is.
    Sides { width: usize, values: Vec<f32>, one_hot: bool, logit: bool },
    /// `[samples][width]`.
    Values { width: usize, values: Vec<f32> },
    /// One per output of a model with several, of which some have classes.
    Outputs(Vec<OutputTargets>),
}

/// Targets of one of several outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputTargets {
    /// Values that the output has per sample.
    pub width: usize,
    /// Anything but [`Targets::Outputs`].
    pub targets: Targets,
}

/// What an array of targets was taken for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Taken {
    /// Names of the outputs.
    pub outputs: Vec<String>,
    pub array: String,
    /// [`Targets::kind`]
    pub taken_as: &'static str,
    /// By what.
    pub because: String,
}

impl Targets {
    /// What they are, for reports.
    pub fn kind(&self) -> &'static str {
        match self {
            Targets::Labels(_) => "classes",
            Targets::Shares { .. } => "probabilities",
            Targets::Sides { one_hot: true, .. } => "classes",
            Targets::Sides { .. } => "yes_or_no",
            Targets::Values { .. } => "values",
            Targets::Outputs(_) => "by_output",
        }
    }

    /// The class of a sample, where there is one: the most likely of several, 1 for a yes of a
    /// single output.
    pub fn class(&self, sample: usize) -> Option<u32> {
        let row = |values: &'_ [f32], width: usize| values.get(sample * width..(sample + 1) * width).map(<[f32]>::to_vec);
        let largest = |row: Vec<f32>| (1..row.len()).fold(0, |best, c| if row[c] > row[best] { c } else { best }) as u32;
        match self {
            Targets::Labels(labels) => labels.get(sample).copied(),
            Targets::Shares { width, values } | Targets::Sides { width, values, one_hot: true, .. } => {
                row(values, *width).map(largest)
            }
            // no is 0 or −1
            Targets::Sides { width: 1, values, .. } => values.get(sample).map(|&v| u32::from(v > 0.0)),
            Targets::Sides { .. } | Targets::Values { .. } | Targets::Outputs(_) => None,
        }
    }

    /// The class of each sample, where each has one.
    pub fn classes(&self) -> Option<Vec<u32>> {
        let samples = match self {
            Targets::Labels(labels) => labels.len(),
            Targets::Shares { width, values } | Targets::Sides { width, values, .. } | Targets::Values { width, values } => {
                values.len() / (*width).max(1)
            }
            Targets::Outputs(_) => return None,
        };
        (0..samples).map(|sample| self.class(sample)).collect()
    }

    /// Whether they say which class a sample has, or which side each value is on.
    pub fn are_classes(&self) -> bool {
        match self {
            Targets::Labels(_) | Targets::Shares { .. } | Targets::Sides { .. } => true,
            Targets::Values { .. } => false,
            Targets::Outputs(parts) => parts.iter().any(|p| p.targets.are_classes()),
        }
    }

    /// The targets of the samples `indices`.
    pub fn select(&self, indices: &[usize]) -> Targets {
        let rows = |values: &[f32], width: usize| -> Vec<f32> {
            indices.iter().flat_map(|&i| &values[i * width..(i + 1) * width]).copied().collect()
        };
        match self {
            Targets::Labels(labels) => Targets::Labels(indices.iter().map(|&i| labels[i]).collect()),
            Targets::Shares { width, values } => Targets::Shares { width: *width, values: rows(values, *width) },
            &Targets::Sides { width, ref values, one_hot, logit } => {
                Targets::Sides { width, values: rows(values, width), one_hot, logit }
            }
            Targets::Values { width, values } => Targets::Values { width: *width, values: rows(values, *width) },
            Targets::Outputs(parts) => Targets::Outputs(
                parts.iter().map(|p| OutputTargets { width: p.width, targets: p.targets.select(indices) }).collect(),
            ),
        }
    }

    /// Whether both are classes, or values, or so output by output.
    pub fn same_kind(&self, other: &Targets) -> bool {
        match (self, other) {
            (Targets::Outputs(a), Targets::Outputs(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.targets.same_kind(&b.targets))
            }
            (Targets::Outputs(_), _) | (_, Targets::Outputs(_)) => false,
            (a, b) => a.are_classes() == b.are_classes(),
        }
    }
}
