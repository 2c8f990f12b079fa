//! Names that survive hls4ml and its code generator: `[A-Za-z_][A-Za-z0-9_]*`, no C++ keyword, no
//! name that hls4ml keeps for itself (a layer, an attribute of layers, a variable of the generated
//! code), unique, and none that hls4ml makes of another one.

use std::collections::HashSet;

/// C++ keywords and names of the generated project; a tensor of this name would not compile.
const RESERVED: &[&str] = &[
    "alignas",
    "alignof",
    "and",
    "and_eq",
    "asm",
    "auto",
    "bitand",
    "bitor",
    "bool",
    "break",
    "case",
    "catch",
    "char",
    "class",
    "compl",
    "const",
    "constexpr",
    "const_cast",
    "continue",
    "decltype",
    "default",
    "delete",
    "do",
    "double",
    "dynamic_cast",
    "else",
    "enum",
    "explicit",
    "export",
    "extern",
    "false",
    "float",
    "for",
    "friend",
    "goto",
    "if",
    "inline",
    "int",
    "long",
    "main",
    "mutable",
    "myproject",
    "namespace",
    "new",
    "nnet",
    "noexcept",
    "not",
    "not_eq",
    "nullptr",
    "operator",
    "or",
    "or_eq",
    "private",
    "protected",
    "proxy",
    "public",
    "register",
    "reinterpret_cast",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "static_assert",
    "static_cast",
    "std",
    "struct",
    "switch",
    "template",
    "this",
    "thread_local",
    "throw",
    "true",
    "try",
    "typedef",
    "typeid",
    "typename",
    "union",
    "unsigned",
    "using",
    "virtual",
    "void",
    "volatile",
    "wchar_t",
    "while",
    "xor",
    "xor_eq",
];

/// Lower-case macros of the C library and of g++, and names that `using namespace std` brings in.
const MACROS: &[&str] = &[
    "assert", "errno", "linux", "unix", "stdin", "stdout", "stderr", "cin", "cout", "cerr", "endl", "signbit", "isnan", "isinf",
    "isfinite",
];

/// Attributes that hls4ml 1.3.0 keeps for each layer beside its outputs: a tensor of such a name
/// takes the attribute's place.
const ATTRIBUTES: &[&str] =
    &["config_cpp", "function_cpp", "include_header", "op", "quantizer", "result", "reuse_factor", "strategy", "target_cycles"];

/// hls4ml 1.3.0's own layer, and variables of the functions that it writes around a model (top
/// level, bridge to Python, test benches of Vivado, Vitis and Catapult): an input of such a name is
/// declared twice, or hides what the line after reads.
const HLS4ML: &[&str] = &[
    "input",
    "loaded_weights",
    "in",
    "pr",
    "e",
    "i",
    "k",
    "cstr",
    "current",
    "fin",
    "fpr",
    "fout",
    "iline",
    "pline",
    "argc",
    "argv",
    "tb_in",
    "tb_out",
    "use_random",
    "s_weights_dir",
];

/// Prefixes that the generated code numbers: `w2`, `layer3_out`.
const NUMBERED: &[&str] = &["w", "b", "s", "layer", "config", "index"];

/// Endings of names that the generated code makes: types (`x_result_t`, `input2_t`), and the ports
/// of the bridge (`x_ap`).
const ENDINGS: &[&str] = &["_t", "_ap"];

/// What hls4ml's passes put in front of a layer's name, or after it, for a layer of their own: one
/// of the two would be lost.
const PASS_PREFIXES: &[&str] =
    &["Dense_", "Conv1D_", "Conv2D_", "DepthwiseConv1D_", "DepthwiseConv2D_", "bn_", "clone_", "repack_", "zp1d_", "zp2d_"];
const PASS_SUFFIX: &str = "_act";

/// What hls4ml puts after the name of a tensor with several readers, in io_stream.
const COPIES: &[&str] = &["_cpy1", "_cpy2", "_cpy3", "_cpy4", "_cpy5", "_cpy6", "_cpy7"];

/// Gives out names.
#[derive(Debug, Default)]
pub struct Namer {
    used: HashSet<String>,
    /// What hls4ml would make a used name of.
    stems: HashSet<String>,
}

impl Namer {
    /// A name nobody has yet: the sanitised `stem`, with `_2`, `_3`, … when it is taken.
    pub fn unique(&mut self, stem: &str) -> String {
        let base = sanitize(stem);
        let mut name = base.clone();
        let mut count = 1usize;
        while self.is_taken(&name) {
            count += 1;
            name = format!("{base}_{count}");
        }
        self.stems.extend(stems(&name).into_iter().map(str::to_string));
        self.used.insert(name.clone());
        name
    }

    /// True where somebody has the name, or a name that hls4ml makes of it or makes it of.
    fn is_taken(&self, name: &str) -> bool {
        self.used.contains(name) || self.stems.contains(name) || stems(name).iter().any(|stem| self.used.contains(*stem))
    }
}

/// The names that hls4ml would make `name` of: a layer's by its passes, and a copy of its tensor.
fn stems(name: &str) -> Vec<&str> {
    let copied = COPIES.iter().find_map(|copy| name.strip_suffix(copy));
    let layers = [Some(name), copied].into_iter().flatten();
    let passed = layers.flat_map(|n| PASS_PREFIXES.iter().filter_map(|p| n.strip_prefix(p)).chain(n.strip_suffix(PASS_SUFFIX)));
    passed.chain(copied).collect()
}

/// `stem` in the alphabet of docs/hls4ml-contract.md#a-graph.
pub fn sanitize(stem: &str) -> String {
    let mut name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert_str(0, "t_");
    }
    let numbered =
        NUMBERED.iter().any(|p| name.strip_prefix(p).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())));
    let made = ENDINGS.iter().any(|end| name.ends_with(end));
    let listed = [RESERVED, HLS4ML, ATTRIBUTES].iter().any(|list| list.contains(&name.as_str()));
    if numbered || made || listed || macro_like(&name) {
        name.push_str("_tensor");
    }
    name
}

/// Names that C headers define as macros: hundreds of capitals (`NAN`, `EOF`, `M_PI`, `E2BIG`), `I`
/// of complex numbers, and some others.
fn macro_like(name: &str) -> bool {
    let capitals =
        name.len() > 1 && !name.contains(|c: char| c.is_ascii_lowercase()) && name.contains(|c: char| c.is_ascii_uppercase());
    capitals || name == "I" || MACROS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_generated_code() {
        assert_eq!(sanitize("/fc1/Gemm:0"), "_fc1_Gemm_0");
        assert_eq!(sanitize("3.weight"), "t_3_weight");
        assert_eq!(
            (sanitize("int").as_str(), sanitize("layer4_out").as_str(), sanitize("").as_str()),
            ("int_tensor", "layer4_out_tensor", "t_")
        );
        let renamed = ["NAN", "errno", "M_PI", "E2BIG", "I"].map(sanitize);
        assert_eq!(renamed, ["NAN_tensor", "errno_tensor", "M_PI_tensor", "E2BIG_tensor", "I_tensor"]);
        assert_eq!((sanitize("X").as_str(), sanitize("Y1x").as_str(), sanitize("_3").as_str()), ("X", "Y1x", "_3"));
        let kept = ["input", "result", "in", "y_t", "x_ap"].map(sanitize);
        assert_eq!(kept, ["input_tensor", "result_tensor", "in_tensor", "y_t_tensor", "x_ap_tensor"]);
        assert_eq!(["output", "data", "x_t_1"].map(sanitize), ["output", "data", "x_t_1"]);
        let mut n = Namer::default();
        assert_eq!((n.unique("a.b"), n.unique("a/b"), n.unique("a_b")), ("a_b".into(), "a_b_2".into(), "a_b_3".into()));
    }

    #[test]
    fn what_hls4ml_makes_of_a_name_is_left_to_it() {
        let mut n = Namer::default();
        let names = ["h", "h_act", "Dense_h", "clone_y", "y", "y_cpy3", "bn_z"].map(|name| n.unique(name));
        assert_eq!(names, ["h", "h_act_2", "Dense_h_2", "clone_y", "y_2", "y_cpy3", "bn_z"]);
        // tensors are called like layers, and copied under that name
        assert_eq!(["Dense_h_cpy1", "h_act_cpy7"].map(|name| n.unique(name)), ["Dense_h_cpy1_2", "h_act_cpy7_2"]);
    }
}
