//! Proxies of whole jobs in stock hls4ml, which must give what the executor gives.

use super::hls4ml;
use super::jobs::outputs;

/// A proxy, inputs, and the outputs that stock hls4ml must give.
pub struct Case {
    name: String,
    proxy: Vec<u8>,
    x: Vec<f32>,
    samples: usize,
    output: String,
    want: Vec<f64>,
}

impl Case {
    /// The outputs are the executor's.
    pub fn new(name: &str, proxy: &[u8], x: &[f32], width: usize) -> Case {
        let (output, want) = outputs(proxy, x);
        Case { name: name.into(), proxy: proxy.to_vec(), x: x.to_vec(), samples: x.len() / width, output, want }
    }
}

/// Lets hls4ml compute all cases; panics on any mismatch.
pub fn judge(cases: &[Case]) {
    let list: Vec<hls4ml::Job> = cases
        .iter()
        .map(|c| hls4ml::Job {
            proxy: &c.proxy,
            inputs: vec![&c.x],
            settings: serde_json::Value::Null,
            samples: c.samples,
            expected: vec![(c.output.as_str(), c.want.clone())],
            port: None,
        })
        .collect();
    let Some(verdicts) = hls4ml::check(&list) else { return };
    for (case, verdict) in cases.iter().zip(&verdicts) {
        assert_eq!(verdict.mismatches, 0, "hls4ml, {}: {}", case.name, verdict.note);
        assert_eq!(verdict.elements, case.want.len() as u64, "hls4ml, {}", case.name);
    }
}
