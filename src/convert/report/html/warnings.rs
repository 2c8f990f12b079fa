//! Warnings, each with its cause and what can be done about it.

use super::doc::Doc;
use super::text::{escape, message, name};

/// Code, cause, cure. What needs no cure says so.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "softmax_dropped",
        "hls4ml’s Softmax is not exact.",
        "Nothing: the largest logit is the class. Apply Softmax to the outputs where probabilities are needed.",
    ),
    (
        "label_output_dropped",
        "The file has an output of labels (ArgMax or TopK): the scores they are decoded from are the output.",
        "Take the index of the largest logit.",
    ),
    ("output_dropped", "Two outputs have the same values.", "Read the one that is left."),
    (
        "port_renamed",
        "hls4ml cannot take the name of an input or output (input, result, C++ keywords, …).",
        "Use the name in the proxy in hls4ml; data files may have either.",
    ),
    ("output_order", "hls4ml has the outputs in the order of their nodes.", "Take outputs by name, not by position."),
    (
        "activations_not_annotated",
        "The file says how weights are quantized and not how activations are.",
        "Nothing: activations get quantizers as in a float file; or annotate them.",
    ),
    (
        "input_not_annotated",
        "The file has quantizers, but none on its input.",
        "Annotate the input in the file, or train for some epochs: it then gets a quantizer.",
    ),
    (
        "input_rounding",
        "hls4ml truncates inputs to 2^-16, so half-even rounding would see other values.",
        "Nothing, or quantize the data to 2^-16 beforehand.",
    ),
    (
        "input_half_even",
        "An input that rounds half to even is exact only for data on the port’s grid.",
        "Give data on that grid, or annotate FLOOR.",
    ),
    (
        "input_not_quantized",
        "The input has no quantizer: hls4ml truncates it to 2^-16 and wraps outside ±32768.",
        "Quantize the input in the file, or train for some epochs.",
    ),
    (
        "input_port",
        "Some inputs need more range or finer steps than fixed<32,16>.",
        "Set the input’s precision as in the block for hls4ml below.",
    ),
    (
        "scale_moved",
        "A scale of the file is no power of two.",
        "Check how far the outputs moved (proxy, max_abs_diff_vs_source); export with power-of-two scales to have none.",
    ),
    (
        "scale_regridded",
        "A scale of the file is no power of two.",
        "Check how far the outputs moved; export with power-of-two scales, or train: weights then find their bits.",
    ),
    ("input_layout", "hls4ml computes with the channels last.", "Turn the data, or convert with keep_input_layout."),
    ("output_layout", "hls4ml computes with the channels last.", "Turn the outputs where they are read."),
    (
        "reciprocal",
        "An average over a number of values that is no power of two has no exact factor.",
        "Nothing: training and hardware use the same factor. Pool over a power of two to avoid it.",
    ),
    (
        "half_up_ties",
        "QONNX rounds exact negative ties away from zero, the hardware rounds them up.",
        "Nothing, unless outputs must equal QONNX’s on exact ties.",
    ),
    (
        "alpha_rounded",
        "hls4ml keeps the first eight bits of a slope or an alpha.",
        "Nothing, or train with a number of eight bits.",
    ),
    (
        "import_unchecked",
        "tract could not execute the file for comparison.",
        "Compare some outputs with your own framework, with epochs 0.",
    ),
    (
        "import_differs",
        "The graph as read gives other values than tract.",
        "In annotated files sums on a tie explain it; else report it with the file.",
    ),
    ("second_opinion", "tract could not execute the proxy.", "Nothing: the integer execution was compared."),
    (
        "metric_drop",
        "The best model found, up to a point or one standard error, is worse than the source.",
        "Give more epochs or data, or ask with target_ebops or max_metric_drop for another trade.",
    ),
    (
        "annotation_lost",
        "A Gemm with alpha or beta scales a weight or bias that has a quantizer.",
        "Export without alpha and beta (PyTorch and Brevitas do) to keep its bits.",
    ),
    (
        "start_differs",
        "Tables, slopes or reciprocals keep the quantized start from following the source.",
        "Train, or give more init_bits; else read the metric of the proxy, not of the source.",
    ),
    ("cast_ignored", "A Cast to another float type changes nothing in fixed point.", "Nothing."),
    ("double_rounded", "Weights in double precision are read as float32.", "Nothing, or export in float32."),
    (
        "dead_model",
        "The proxy gives one answer for everything: no model found has more, or the one sent has no more either.",
        "With a target: a larger one. Without epochs: more init_bits, or train. Else more epochs, and for rare classes class_weights.",
    ),
    (
        "balanced_metric",
        "One class is so frequent that always giving it is about as accurate as the model sent.",
        "Nothing: rare classes count alike. metric accuracy judges by accuracy nevertheless; class_weights lets training count them, too.",
    ),
    (
        "few_validation_rows",
        "So few rows cannot tell which of two models is better.",
        "Give more rows with --validation, or a larger validation_fraction; else read every metric with its standard error.",
    ),
    (
        "validation_seen",
        "The model sent, or training, knows the validation rows: metrics on them are too good.",
        "Give rows with --validation that neither was trained on.",
    ),
    ("uniform_formats", "One format per layer widens what the file has.", "Use the form sums to keep the file’s formats."),
    ("freeze_unmatched", "No node has this name.", "Names are those of the file: see inspect."),
    ("layers_unmatched", "No node has this name, or it does not multiply.", "Names are those of the file: see inspect."),
    ("elementwise_left_out", "The element-wise form cannot hold these nodes.", "Use proxy.onnx: it needs no plug-in."),
    (
        "array_unread",
        "A data file has an array that is no input and no target of the model.",
        "Targets are called y (or by the name of the output): rename the array, or leave it out.",
    ),
    (
        "few_samples",
        "Ranges are taken from so few samples that others will be beyond them.",
        "Give some hundred calibration samples, or declare ranges (inputs, layers with range).",
    ),
    (
        "constant_inputs",
        "Some inputs never change in the data: the proxy keeps only what was seen.",
        "Give data in which they change, or declare their range (inputs, layers with range).",
    ),
    (
        "constant_channels",
        "Some channels never change in the data: the proxy has constants in their place.",
        "Nothing where the network does not use them; else give data in which they change, or declare their range.",
    ),
    (
        "unseen_classes",
        "Calibration shows no sample of some classes.",
        "Give calibration data of every class: verification covers what it shows.",
    ),
    (
        "range_exceeded",
        "The data go beyond a range or type that was declared.",
        "Declare a wider one, or check the scale of the data: values beyond are clipped.",
    ),
    (
        "range_unused",
        "A range was declared where nothing is quantized, or for a quantizer of the file that is taken over as it is.",
        "Names of quantizers are in the report (layers); those of the file follow a range only when they are trained.",
    ),
    (
        "table_input",
        "More bits were asked for in front of a function than hls4ml’s table takes.",
        "Nothing, or fewer init_bits for this node (layers).",
    ),
    ("diverged", "The loss or a weight was not finite.", "Lower learning_rate, or scale the inputs."),
    ("collapsed", "Too few bits are left for more than one answer.", "Give larger budgets, a larger target or a lower beta."),
];

/// The section.
pub fn section(report: Doc) -> String {
    let head = "<h2 id=\"warnings\">Warnings</h2>";
    let mut rows = String::new();
    for w in report.list("/warnings") {
        let code = w.text("/code");
        let (cause, cure) = KNOWN.iter().find(|k| k.0 == code).map_or(("", ""), |k| (k.1, k.2));
        let node = w.text("/node");
        rows += &format!(
            "<tr><th scope=\"row\"><code>{}</code></th><td class=\"text\">{}{}</td><td class=\"text\">{}</td>\
             <td class=\"text\">{}</td></tr>",
            escape(code),
            if node.is_empty() { String::new() } else { format!("{}: ", name(node)) },
            message(w.text("/message")),
            escape(cause),
            escape(cure)
        );
    }
    match rows.is_empty() {
        true => format!("{head}<p>None.</p>"),
        false => format!("{head}{}", super::table("Warnings", &["code", "<what was found", "<cause", "<what to do"], &rows)),
    }
}

#[cfg(test)]
mod tests {
    use super::KNOWN;

    /// The documentation lists the same codes, causes and cures.
    #[test]
    fn the_documentation_says_the_same() {
        let documented = include_str!("../../../../docs/errors.md");
        let (_, table) = documented.split_once("## Warnings").unwrap();
        let listed: Vec<String> = table.lines().filter(|l| l.starts_with("| `")).map(String::from).collect();
        let known: Vec<String> = KNOWN.iter().map(|(code, cause, cure)| format!("| `{code}` | {cause} | {cure} |")).collect();
        assert_eq!(listed, known);
    }
}
