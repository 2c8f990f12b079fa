//! Samples of one data set after those of another.

use super::{Dataset, OutputTargets, Targets};
use std::sync::Arc;

/// The samples of `a`, then those of `b`, which is of the same model; `None` where only one of them
/// has targets, or theirs are of another kind.
pub fn join(a: &Dataset, b: &Dataset) -> Option<Dataset> {
    let targets = match (&a.targets, &b.targets) {
        (None, None) => None,
        (Some(a), Some(b)) => Some(both(a, b)?),
        (None, Some(_)) | (Some(_), None) => return None,
    };
    let inputs = a.inputs.iter().zip(&b.inputs).map(|(a, b)| Arc::new([&a[..], b].concat())).collect();
    Some(Dataset { inputs, samples: a.samples + b.samples, targets, taken: a.taken.clone(), unread: a.unread.clone() })
}

fn both(a: &Targets, b: &Targets) -> Option<Targets> {
    match (a, b) {
        (Targets::Labels(a), Targets::Labels(b)) => Some(Targets::Labels([&a[..], b].concat())),
        (Targets::Values { width, values: a }, Targets::Values { width: other, values: b }) if width == other => {
            Some(Targets::Values { width: *width, values: [&a[..], b].concat() })
        }
        (Targets::Shares { width, values: a }, Targets::Shares { width: other, values: b }) if width == other => {
            Some(Targets::Shares { width: *width, values: [&a[..], b].concat() })
        }
        (&Targets::Sides { width, values: ref a, one_hot, logit }, Targets::Sides { width: other, values: b, .. })
            if width == *other =>
        {
            Some(Targets::Sides { width, values: [&a[..], b].concat(), one_hot, logit })
        }
        (Targets::Outputs(a), Targets::Outputs(b)) if a.len() == b.len() => {
            let of = |(a, b): (&OutputTargets, &OutputTargets)| {
                Some(OutputTargets { width: a.width, targets: both(&a.targets, &b.targets)? })
            };
            a.iter().zip(b).map(of).collect::<Option<Vec<_>>>().map(Targets::Outputs)
        }
        (
            Targets::Labels(_) | Targets::Shares { .. } | Targets::Sides { .. } | Targets::Values { .. } | Targets::Outputs(_),
            _,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_behind_the_other() {
        let set = |from: u32, samples: usize| {
            let labels: Vec<u32> = (from..).take(samples).collect();
            let values: Vec<f32> = labels.iter().flat_map(|&v| [v as f32, 0.5]).collect();
            let part = |targets| OutputTargets { width: 2, targets };
            let targets =
                Targets::Outputs(vec![part(Targets::Labels(labels)), part(Targets::Values { width: 2, values: values.clone() })]);
            Dataset { inputs: vec![Arc::new(values)], samples, targets: Some(targets), taken: vec![], unread: vec![] }
        };
        assert_eq!(join(&set(0, 3), &set(3, 2)), Some(set(0, 5)));
        let none = Dataset { targets: None, ..set(0, 1) };
        assert_eq!((join(&set(0, 1), &none), join(&none, &none).map(|d| d.samples)), (None, Some(2)));
        let labels = Dataset { targets: Some(Targets::Labels(vec![0])), ..set(0, 1) };
        assert_eq!(join(&labels, &set(1, 1)), None);
    }
}
