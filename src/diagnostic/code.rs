//! Every code there is: docs/errors.md and the cures in report.html are made of this table.

use super::{Kind, WARNING, conversion, remote, request};
use std::fmt;

/// From rows `Variant = "name", kind, "cause", "cure";`.
macro_rules! codes {
    ($($variant:ident = $name:literal, $kind:expr, $cause:literal, $cure:literal;)*) => {
        /// What went wrong or should be known, as programs read it: stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[derive(utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $cause] $variant,)*
        }

        impl Code {
            /// In the order of docs/errors.md.
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            /// As it is written.
            pub fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }

            /// The code of this name.
            pub fn from_name(name: &str) -> Option<Code> {
                match name { $($name => Some(Code::$variant),)* _ => None }
            }

            /// Where it comes from, with its statuses.
            pub fn kind(self) -> Kind {
                match self { $(Code::$variant => $kind,)* }
            }

            /// Why it comes, in Markdown.
            pub fn cause(self) -> &'static str {
                match self { $(Code::$variant => $cause,)* }
            }

            /// What to do, in Markdown.
            pub fn cure(self) -> &'static str {
                match self { $(Code::$variant => $cure,)* }
            }
        }
    };
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

codes! {
    NotOnnx = "not_onnx", conversion(2, 400, "The model is not an ONNX file"),
        "The bytes are no ONNX file, or one that breaks the format.",
        "Export again; a file by Git LFS may be its pointer only. Weights in a second file must be stored in the model (`external_data=False`).";
    UnsupportedModel = "unsupported_model", conversion(2, 422, "The model has nodes that cannot be converted"),
        "Nodes that hls4ml or fixed point cannot express.",
        "Every one is listed with its reason and what to use instead; `hgq-onnx inspect` lists them without data.";
    BadData = "bad_data", conversion(3, 400, "Data are wrong"),
        "A data file is malformed or has other shapes, names, types or labels than the model needs, NaN, or no samples.",
        "Each fault names file and array. `x` (or one array per input, by its name) and `y`, samples first.";
    BadConfig = "bad_config", conversion(3, 400, "The job configuration is wrong"),
        "An unknown field, a value out of range, fields that exclude each other, or more than the service allows.",
        "[All fields](configuration.md); limits of a service: [its options](http.md#limits).";
    TargetNotMet = "target_not_met", conversion(1, 422, "No model reaches the target"),
        "No model that was found reaches the target, also with 0 epochs and in mode `calibrate`; or all of them give one answer for everything, where the one sent has several.",
        "The nearest one is delivered nevertheless. More epochs, a larger target, a larger `max_metric_drop`.";
    VerificationFailed = "verification_failed", conversion(1, 422, "The proxy does not equal the trained model"),
        "The proxy gives other values than the trained model.",
        "A fault of hgq-onnx: please report it with the files. Nothing is delivered.";
    Canceled = "canceled", conversion(4, 503, "Canceled"),
        "A signal, or a call that cancels the job.",
        "The same command goes on from the checkpoint.";
    Internal = "internal", conversion(4, 500, "Internal error"),
        "A fault of hgq-onnx.",
        "Please report it; over HTTP the cause is in the log.";
    MissingPart = "missing_part", request(4, 400, "A part is missing"),
        "A part that is needed was not sent.",
        "`detail` names it: `-F calibration=@x.npz`";
    UnknownPart = "unknown_part", request(4, 400, "A part is not known"),
        "A part that the route does not take.",
        "`detail` lists those that it takes.";
    DuplicatePart = "duplicate_part", request(4, 400, "A part is given twice"),
        "A part was sent twice, or as a file and by its digest.",
        "Send it once.";
    BadRequest = "bad_request", request(3, 400, "The request is not well-formed"),
        "A malformed body, query or header, or a body that ends early.",
        "`detail` says where; let the client write the multipart body.";
    UnknownDigest = "unknown_digest", request(4, 400, "No such file was sent"),
        "No file with this digest was sent by this caller, or it has expired.",
        "Send the file, to `/v1/files` or with the job.";
    DigestMismatch = "digest_mismatch", request(4, 400, "The content has another digest"),
        "The content has another digest than its path says.",
        "Hash what is sent (SHA-256), and send it again.";
    Unauthorized = "unauthorized", request(3, 401, "A token is needed"),
        "No token, or one that is not known.",
        "`Authorization: Bearer TOKEN`; `hgq-onnx token NAME` makes one.";
    NotFound = "not_found", request(4, 404, "No such resource"),
        "No such route, job, sweep, artifact or file, or another caller's.",
        "Ids come from the answer that made them; ended jobs go after `--keep`.";
    MethodNotAllowed = "method_not_allowed", request(4, 405, "The resource does not have this method"),
        "The route has no such method.",
        "`/openapi.json` has them all.";
    RequestTimeout = "request_timeout", request(4, 408, "The request arrives too slowly"),
        "The request came too slowly.",
        "Send it again; large data once to `/v1/files`; `--read-timeout`, `--body-timeout`.";
    NotDone = "not_done", request(4, 409, "The job is not done"),
        "The job has no artifacts yet, or none at all.",
        "Wait with `?wait=60s`, and look at `state`.";
    TooLarge = "too_large", request(3, 413, "The request is too large"),
        "A request or part above a limit.",
        "Fewer samples (calibration needs some thousand), or `--max-body`, `--max-model`.";
    TooMuchMemory = "too_much_memory", request(3, 413, "The job needs too much memory"),
        "The job would need more memory than a job may.",
        "Fewer samples, or `--max-memory`.";
    UnsupportedMediaType = "unsupported_media_type", request(4, 415, "Wrong content type"),
        "Not `multipart/form-data`, or a part of a type that cannot be right.",
        "`curl -F`; files without a type or as `application/octet-stream`.";
    IdempotencyKeyReused = "idempotency_key_reused", request(4, 422, "The key belongs to another request"),
        "The key was used for another request.",
        "A new key for a new request.";
    Busy = "busy", request(4, 429, "The service is busy"),
        "As many jobs run and wait as may.",
        "Again after `Retry-After`; more workers, or `--queue`.";
    RateLimit = "rate_limit", request(4, 429, "Too many requests"),
        "More requests per second than a caller may send.",
        "Again after `Retry-After`; `?wait=` in place of polling.";
    TimeLimit = "time_limit", request(4, 503, "The job takes too long"),
        "The job, inspection or verification took longer than the service allows.",
        "Fewer epochs or samples, or `--max-time`.";
    Stopping = "stopping", request(4, 503, "The service is stopping"),
        "The service stops.",
        "The job goes on when it runs again: `Location` says where it is.";
    StorageFull = "storage_full", request(4, 503, "The store is full"),
        "The store has no room.",
        "Free the disk, or a shorter `--keep`.";
    StorageUnavailable = "storage_unavailable", request(4, 503, "The store cannot be used"),
        "The store cannot be reached.",
        "Again later; `/readyz` says when.";
    WorkerLost = "worker_lost", request(4, 500, "The job's workers ended"),
        "The job ended its worker again and again, mostly for want of memory.",
        "Fewer samples, a larger machine.";
    Unreachable = "unreachable", remote(4),
        "Nothing answers at the address, or the connection broke five times.",
        "Is it running, is it the right port? `hgq-onnx health --url URL`";
    NotAService = "not_a_service", remote(3),
        "Something answers that is not hgq-onnx.",
        "Check the address; something in between may ask for a login.";
    SoftmaxDropped = "softmax_dropped", WARNING,
        "hls4ml’s Softmax is not exact.",
        "Nothing: the largest logit is the class. Apply Softmax to the outputs where probabilities are needed.";
    LabelOutputDropped = "label_output_dropped", WARNING,
        "The file has an output of labels (ArgMax or TopK): the scores they are decoded from are the output.",
        "Take the index of the largest logit.";
    OutputDropped = "output_dropped", WARNING,
        "Two outputs have the same values.",
        "Read the one that is left.";
    PortRenamed = "port_renamed", WARNING,
        "hls4ml cannot take the name of an input or output (input, result, C++ keywords, …).",
        "Use the name in the proxy in hls4ml; data files may have either.";
    OutputOrder = "output_order", WARNING,
        "hls4ml has the outputs in the order of their nodes.",
        "Take outputs by name, not by position.";
    ActivationsNotAnnotated = "activations_not_annotated", WARNING,
        "The file says how weights are quantized and not how activations are.",
        "Nothing: activations get quantizers as in a float file; or annotate them.";
    InputNotAnnotated = "input_not_annotated", WARNING,
        "The file has quantizers, but none on its input.",
        "Annotate the input in the file, or train for some epochs: it then gets a quantizer.";
    InputRounding = "input_rounding", WARNING,
        "hls4ml truncates inputs to 2^-16, so half-even rounding would see other values.",
        "Nothing, or quantize the data to 2^-16 beforehand.";
    InputHalfEven = "input_half_even", WARNING,
        "An input that rounds half to even is exact only for data on the port’s grid.",
        "Give data on that grid, or annotate FLOOR.";
    InputNotQuantized = "input_not_quantized", WARNING,
        "The input has no quantizer: hls4ml truncates it to 2^-16 and wraps outside ±32768.",
        "Quantize the input in the file, or train for some epochs.";
    InputPort = "input_port", WARNING,
        "Some inputs need more range or finer steps than fixed<32,16>.",
        "Set the input’s precision as in the block for hls4ml below.";
    ScaleMoved = "scale_moved", WARNING,
        "A scale of the file is not a power of two.",
        "Check how far the outputs moved (proxy, max_abs_diff_vs_source); export with power-of-two scales to have none.";
    ScaleRegridded = "scale_regridded", WARNING,
        "A scale of the file is not a power of two.",
        "Check how far the outputs moved; export with power-of-two scales, or train: weights then find their bits.";
    InputLayout = "input_layout", WARNING,
        "hls4ml computes with the channels last.",
        "Turn the data, or convert with keep_input_layout.";
    OutputLayout = "output_layout", WARNING,
        "hls4ml computes with the channels last.",
        "Turn the outputs where they are read.";
    Reciprocal = "reciprocal", WARNING,
        "An average over a number of values that is not a power of two has no exact factor.",
        "Nothing: training and hardware use the same factor. Pool over a power of two to avoid it.";
    HalfUpTies = "half_up_ties", WARNING,
        "QONNX rounds exact negative ties away from zero, the hardware rounds them up.",
        "Nothing, unless outputs must equal QONNX’s on exact ties.";
    AlphaRounded = "alpha_rounded", WARNING,
        "hls4ml keeps the first eight bits of a slope or an alpha.",
        "Nothing, or train with a number of eight bits.";
    ImportUnchecked = "import_unchecked", WARNING,
        "tract could not execute the file for comparison.",
        "Compare some outputs with your own framework, with epochs 0.";
    ImportDiffers = "import_differs", WARNING,
        "The graph as read gives other values than tract.",
        "In annotated files sums on a tie explain it; else report it with the file.";
    SecondOpinion = "second_opinion", WARNING,
        "tract could not execute the proxy.",
        "Nothing: the integer execution was compared.";
    MetricDrop = "metric_drop", WARNING,
        "The best model found, up to a point or one standard error, is worse than the source.",
        "Give more epochs or data, or ask with target_ebops or max_metric_drop for another trade.";
    AnnotationLost = "annotation_lost", WARNING,
        "A Gemm with alpha or beta scales a weight or bias that has a quantizer.",
        "Export without alpha and beta (PyTorch and Brevitas do) to keep its bits.";
    StartDiffers = "start_differs", WARNING,
        "Tables, slopes or reciprocals keep the quantized start from following the source.",
        "Train, or give more init_bits; else read the metric of the proxy, not of the source.";
    CastIgnored = "cast_ignored", WARNING,
        "A Cast to another float type changes nothing in fixed point.",
        "Nothing.";
    NoBatchAxis = "no_batch_axis", WARNING,
        "The file's inputs are single vectors without a batch axis.",
        "Nothing: the proxy has a batch axis in front, data have their samples first.";
    IntegerPort = "integer_port", WARNING,
        "An input or output of the file holds integers.",
        "Inputs: give the integers as floats. Outputs: the proxy gives the values that the integers stand for.";
    BatchReduced = "batch_reduced", WARNING,
        "A reduction or a recurrent layer runs along the batch too; it is made for each sample.",
        "Nothing where the file is meant for one sample at a time; else name the axes.";
    Approximated = "approximated", WARNING,
        "hls4ml has no exact form of a function: a near one of its tables takes its place.",
        "Compare `import.max_abs_diff_vs_source`, and train: the proxy is exact for what is trained.";
    DoubleRounded = "double_rounded", WARNING,
        "Weights in double precision are read as float32.",
        "Nothing, or export in float32.";
    DeadModel = "dead_model", WARNING,
        "The proxy gives one answer for everything: no model found has more, or the one sent has no more either.",
        "With a target: a larger one. Without epochs: more init_bits, or train. Else more epochs, and for rare classes class_weights.";
    BalancedMetric = "balanced_metric", WARNING,
        "One class is so frequent that always giving it is about as accurate as the model sent.",
        "Nothing: rare classes count alike. metric accuracy judges by accuracy nevertheless; class_weights lets training count them, too.";
    FewValidationRows = "few_validation_rows", WARNING,
        "So few rows cannot tell which of two models is better.",
        "Give more rows with --validation, or a larger validation_fraction; else read every metric with its standard error.";
    ValidationSeen = "validation_seen", WARNING,
        "The model sent, or training, knows the validation rows: metrics on them are too good.",
        "Give rows with --validation that neither was trained on.";
    UniformFormats = "uniform_formats", WARNING,
        "One format per layer widens what the file has.",
        "Use the form sums to keep the file’s formats.";
    DeprecatedField = "deprecated_field", WARNING,
        "The configuration has a field of an earlier version.",
        "Write what the message says in its place: the next version refuses the field.";
    LayersUnmatched = "layers_unmatched", WARNING,
        "No node has this name, or it does not multiply.",
        "Names are those of the file: see inspect.";
    ElementwiseLeftOut = "elementwise_left_out", WARNING,
        "The element-wise form cannot hold these nodes.",
        "Use proxy.onnx: it needs no plug-in.";
    ArrayUnread = "array_unread", WARNING,
        "A data file has an array that is not an input and no target of the model.",
        "Targets are called y (or by the name of the output): rename the array, or leave it out.";
    FewSamples = "few_samples", WARNING,
        "Ranges are taken from so few samples that others will be beyond them.",
        "Give some hundred calibration samples, or declare ranges (inputs, layers with range).";
    ConstantInputs = "constant_inputs", WARNING,
        "Some inputs never change in the data: the proxy keeps only what was seen.",
        "Give data in which they change, or declare their range (inputs, layers with range).";
    ConstantChannels = "constant_channels", WARNING,
        "Some channels never change in the data: the proxy has constants in their place.",
        "Nothing where the network does not use them; else give data in which they change, or declare their range.";
    UnseenClasses = "unseen_classes", WARNING,
        "Calibration shows no sample of some classes.",
        "Give calibration data of every class: verification covers what it shows.";
    RangeExceeded = "range_exceeded", WARNING,
        "The data go beyond a range or type that was declared.",
        "Declare a wider one, or check the scale of the data: values beyond are clipped.";
    RangeUnused = "range_unused", WARNING,
        "A range was declared where nothing is quantized, or for a quantizer of the file that is taken over as it is.",
        "Names of quantizers are in the report (layers); those of the file follow a range only when they are trained.";
    TableInput = "table_input", WARNING,
        "More bits were asked for in front of a function than hls4ml’s table takes.",
        "Nothing, or fewer init_bits for this node (layers).";
    Diverged = "diverged", WARNING,
        "The loss or a weight was not finite.",
        "Lower learning_rate, or scale the inputs.";
    Collapsed = "collapsed", WARNING,
        "Too few bits are left for more than one answer.",
        "Give larger budgets, a larger target or a lower beta.";
    Resumed = "resumed", WARNING,
        "The run was stopped before and goes on from its checkpoint.",
        "Nothing: the files are those of a run that was not stopped.";
    CheckpointIgnored = "checkpoint_ignored", WARNING,
        "The checkpoint found is of another model, data, configuration or version.",
        "Nothing: the run starts anew.";
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn a_code_is_written_by_its_name() {
        for &code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
            assert_eq!(Code::from_name(code.name()), Some(code));
        }
    }
}
