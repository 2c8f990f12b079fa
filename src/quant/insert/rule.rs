//! Settings of the nodes whose names match a pattern.

use crate::quant::Granularity;

/// What is trained of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learns {
    /// Weights and bias.
    pub weights: bool,
    pub bits: bool,
}

/// Settings of the nodes whose names match `pattern`; `None` says nothing. The last rule that
/// matches and has a setting decides on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// See [`matches()`]. The quantizer after a node has its name, and one of its own (the node's
    /// and `_q`).
    pub pattern: String,
    pub weights: Option<Granularity>,
    pub activations: Option<Granularity>,
    /// Fractional bits that float weights start with.
    pub init_weight_f: Option<f32>,
    /// The same for activations.
    pub init_activation_f: Option<f32>,
    pub learns: Option<Learns>,
    /// Factor of β for the EBOPs of the node's product.
    pub beta_scale: Option<f32>,
}

/// Fractional bits of float tensors where no rule says it and nobody looks for better ones.
pub const INIT_F: f32 = 4.0;

/// What the rules say of one node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    pub weights: Granularity,
    pub activations: Granularity,
    pub init_weight_f: Option<f32>,
    pub init_activation_f: Option<f32>,
    pub learns: Learns,
    pub beta_scale: f32,
}

impl Rule {
    /// A rule that says nothing yet.
    pub fn new(pattern: impl Into<String>) -> Rule {
        Rule { pattern: pattern.into(), ..Rule::default() }
    }
}

/// What `rules` say of a node that goes by any of `names`.
pub fn settings(rules: &[Rule], names: &[&str]) -> Settings {
    let hit: Vec<&Rule> = rules.iter().rev().filter(|r| names.iter().any(|name| matches(&r.pattern, name))).collect();
    fn last<T>(rules: &[&Rule], of: impl Fn(&Rule) -> Option<T>) -> Option<T> {
        rules.iter().find_map(|r| of(r))
    }
    Settings {
        weights: last(&hit, |r| r.weights).unwrap_or_default(),
        activations: last(&hit, |r| r.activations).unwrap_or_default(),
        init_weight_f: last(&hit, |r| r.init_weight_f),
        init_activation_f: last(&hit, |r| r.init_activation_f),
        learns: last(&hit, |r| r.learns).unwrap_or(Learns { weights: true, bits: true }),
        beta_scale: last(&hit, |r| r.beta_scale).unwrap_or(1.0),
    }
}

/// Whether `name` is `pattern`, in which every `*` stands for any characters or none. In time
/// `pattern × name` at most.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    // the leftmost place of each part leaves most for the others
    for part in middle.split('*').filter(|p| !p.is_empty()) {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, yes, no) in [
            ("conv1", &["conv1"][..], &["conv", "conv12", "a/conv1"][..]),
            ("conv*", &["conv", "conv1", "conv*"], &["con", "a/conv"]),
            ("*/Relu", &["/Relu", "/1/Relu", "/Relu/Relu"], &["Relu", "/1/Relu_1"]),
            ("/*/Gemm*", &["/0/Gemm", "/a/b/Gemm_q", "//Gemm"], &["/Gemm", "0/Gemm"]),
            ("*a*ab", &["aab", "xaxab", "aabab"], &["ab", "aaba"]),
            ("ab*ba", &["abba", "abxba"], &["aba"]),
            ("**", &["", "x"], &[]),
            ("", &[""], &["x"]),
            ("é*ü", &["éü", "éxü"], &["é"]),
        ] {
            yes.iter().for_each(|name| assert!(matches(pattern, name), "{pattern} {name}"));
            no.iter().for_each(|name| assert!(!matches(pattern, name), "{pattern} {name}"));
        }
        let many = "*a".repeat(2000);
        assert!(!matches(&many, &"a".repeat(1999)) && matches(&many, &"a".repeat(2000)));
    }

    #[test]
    fn the_last_rule_with_a_setting_decides() {
        let rules = [
            Rule { init_weight_f: Some(3.0), activations: Some(Granularity::Tensor), ..Rule::new("*") },
            Rule { init_weight_f: Some(6.0), beta_scale: Some(0.5), ..Rule::new("conv*") },
            Rule { beta_scale: Some(2.0), ..Rule::new("*2") },
        ];
        let of = |name| settings(&rules, &[name]);
        assert_eq!(
            (of("conv2").init_weight_f, of("conv2").beta_scale, of("conv2").activations),
            (Some(6.0), 2.0, Granularity::Tensor)
        );
        assert_eq!((of("conv1").init_weight_f, of("conv1").beta_scale), (Some(6.0), 0.5));
        assert_eq!((of("fc").init_weight_f, of("fc").beta_scale, of("fc").init_activation_f), (Some(3.0), 1.0, None));
        assert_eq!(settings(&rules, &["fc", "fc2"]).beta_scale, 2.0);
    }
}
