//! What an operator watches: Prometheus metrics of this process.

use super::jobs::State;
use super::store::Depth;
use crate::convert::job::Artifacts;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::time::Instant;

/// Seconds of a stage: from reading a small model to training a large one.
const SECONDS: [f64; 12] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0];
/// EBOPs of a proxy as shares of those of the quantized model that training started from.
/// Upper bounds of LUTs: from what a trigger has room for to the largest FPGAs.
const LUTS: [f64; 9] = [100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6];
const SHARES: [f64; 9] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    state: String,
    code: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfStage {
    stage: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Refused {
    code: String,
}

#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    queued: Gauge,
    running: Gauge,
    ended: Family<Ended, Counter>,
    stages: Family<OfStage, Histogram>,
    share: Histogram,
    luts: Histogram,
    received: Counter,
    sent: Counter,
    refused: Family<Refused, Counter>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut inner = Inner {
            registry: Registry::with_prefix("hgq_onnx"),
            queued: Gauge::default(),
            running: Gauge::default(),
            ended: Family::default(),
            stages: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            share: Histogram::new(SHARES),
            luts: Histogram::new(LUTS),
            received: Counter::default(),
            sent: Counter::default(),
            refused: Family::default(),
        };
        let registry = &mut inner.registry;
        registry.register("jobs_queued", "Jobs that wait for a worker", inner.queued.clone());
        registry.register("jobs_running", "Jobs that workers have", inner.running.clone());
        registry.register("jobs", "Jobs that ended in this process, by state and code of the problem", inner.ended.clone());
        registry.register_with_unit("job_stage", "Time of jobs by stage", Unit::Seconds, inner.stages.clone());
        registry.register(
            "job_ebops_share",
            "EBOPs of proxies against the model that training started from",
            inner.share.clone(),
        );
        registry.register("job_luts", "LUTs of proxies, estimated", inner.luts.clone());
        registry.register_with_unit("received", "Files that clients sent", Unit::Bytes, inner.received.clone());
        registry.register_with_unit("sent", "Artifacts that clients fetched", Unit::Bytes, inner.sent.clone());
        registry.register("problems", "Requests that were not successful, by code", inner.refused.clone());
        Metrics(Arc::new(inner))
    }
}

impl Metrics {
    pub fn job_ended(&self, state: State, code: &str) {
        self.0.ended.get_or_create(&Ended { state: state.name().into(), code: code.into() }).inc();
    }

    pub fn converted(&self, made: &Artifacts) {
        self.0.luts.observe(made.luts as f64);
        if made.report.start_ebops > 0 {
            self.0.share.observe(made.ebops as f64 / made.report.start_ebops as f64);
        }
    }

    pub fn received(&self, bytes: u64) {
        self.0.received.inc_by(bytes);
    }

    pub fn sent(&self, bytes: u64) {
        self.0.sent.inc_by(bytes);
    }

    pub fn refused(&self, code: &str) {
        self.0.refused.get_or_create(&Refused { code: code.into() }).inc();
    }

    /// Times the stages of one job.
    pub fn stages(&self) -> Stages {
        Stages { metrics: self.clone(), now: None }
    }

    /// The exposition format of Prometheus (OpenMetrics text).
    ///
    /// # Errors
    /// Never in practice: it is written into memory.
    pub fn text(&self, depth: Depth) -> Result<String, std::fmt::Error> {
        self.0.queued.set(depth.queued as i64);
        self.0.running.set(depth.running as i64);
        let mut text = String::new();
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }
}

/// See [`Metrics::stages`].
pub struct Stages {
    metrics: Metrics,
    now: Option<(String, Instant)>,
}

impl Stages {
    pub fn enter(&mut self, stage: &str) {
        self.end();
        self.now = Some((stage.to_string(), Instant::now()));
    }

    pub fn end(&mut self) {
        if let Some((stage, since)) = self.now.take() {
            let stage = OfStage { stage };
            self.metrics.0.stages.get_or_create(&stage).observe(since.elapsed().as_secs_f64());
        }
    }
}
