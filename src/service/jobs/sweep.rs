//! Sweeps: one request, several values of some fields of the configuration, a job for every
//! combination, one Pareto front of all.

use crate::convert::task::metric::less_is_better;
use crate::service::record::{JobId, Record, State};
use serde::Serialize;
use serde_json::{Map, Value};

/// Jobs of one sweep: their combinations multiply quickly.
pub const MAX_JOBS: usize = 256;

/// The configurations of a sweep: `base` with every combination of the values in `fields`, the last
/// field's changing fastest.
///
/// # Errors
/// Every fault of the two texts.
pub fn combinations(base: Option<&[u8]>, fields: &[u8]) -> Result<Vec<Vec<u8>>, Vec<String>> {
    let base: Map<String, Value> = match base {
        Some(text) => serde_json::from_slice(text).map_err(|e| vec![format!("config: {e}")])?,
        None => Map::new(),
    };
    let fields: Map<String, Value> = serde_json::from_slice(fields).map_err(|e| vec![format!("sweep: {e}")])?;
    let mut faults = Vec::new();
    let mut all = vec![base];
    if fields.is_empty() {
        faults.push("sweep: no field is swept: give an object such as {\"seed\": [0, 1, 2]}".into());
    }
    for (field, values) in &fields {
        let Some(values) = values.as_array().filter(|v| !v.is_empty()) else {
            faults.push(format!("sweep: {field}: a list of values is expected"));
            continue;
        };
        if all.len().saturating_mul(values.len()) > MAX_JOBS {
            faults.push(format!("sweep: more than {MAX_JOBS} combinations"));
            break;
        }
        let with = |config: &Map<String, Value>, value: &Value| {
            let mut config = config.clone();
            config.insert(field.clone(), value.clone());
            config
        };
        all = all.iter().flat_map(|config| values.iter().map(move |value| with(config, value))).collect();
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let texts = all.iter().map(|config| serde_json::to_vec(config).map_err(|e| vec![format!("sweep: {e}")]));
    texts.collect()
}

/// A member of the front of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Member {
    /// The job that found it.
    pub job: String,
    /// Its number in that job's front.
    pub number: u64,
    pub ebops: u64,
    /// Estimated; none of jobs of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub luts: Option<u64>,
    pub metric: f64,
    pub loss: f64,
    /// Where its proxy is fetched.
    pub proxy: String,
}

/// What members are compared by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Order {
    /// Whether less of the metric is better.
    pub less_is_better: bool,
    /// Whether sizes are LUTs, where every member has them.
    pub by_luts: bool,
}

/// Members of a job's own front, from its report, and what it compared them by.
pub fn members(job: &JobId, report: &Value) -> (Vec<Member>, Order) {
    let one = |p: &Value| {
        let number = p["number"].as_u64()?;
        Some(Member {
            job: job.to_string(),
            number,
            ebops: p["ebops"].as_u64()?,
            luts: p["luts"].as_u64(),
            metric: p["metric"].as_f64()?,
            loss: p["loss"].as_f64()?,
            proxy: format!("/v1/jobs/{job}/artifacts/pareto/{number}/proxy.onnx"),
        })
    };
    let found = report["pareto"].as_array().into_iter().flatten().filter_map(one).collect();
    let less_is_better = report["metric"].as_str().is_some_and(less_is_better);
    (found, Order { less_is_better, by_luts: report["count"] == "luts" })
}

/// Members that no other equals or beats in size and metric, in order of size; of equals, the one
/// of the first job.
pub fn front(mut all: Vec<Member>, order: Order) -> Vec<Member> {
    let goodness = |m: &Member| if order.less_is_better { -m.metric } else { m.metric };
    let by_luts = order.by_luts && all.iter().all(|m| m.luts.is_some());
    let size = |m: &Member| if by_luts { m.luts.unwrap_or(u64::MAX) } else { m.ebops };
    all.sort_by(|a, b| size(a).cmp(&size(b)).then(goodness(b).total_cmp(&goodness(a))));
    let mut best = f64::NEG_INFINITY;
    all.retain(|m| {
        let better = goodness(m) > best;
        best = best.max(goodness(m));
        better
    });
    all
}

/// How the jobs of a sweep stand: running while one of them is, failed or canceled if one is.
pub fn state(jobs: &[Record]) -> State {
    let any = |state: State| jobs.iter().any(|j| j.state == state);
    let order = [State::Running, State::Queued, State::Failed, State::Canceled];
    let first = order.into_iter().find(|s| any(*s)).unwrap_or(State::Succeeded);
    let begun = jobs.iter().any(|j| j.state != State::Queued);
    if first == State::Queued && begun { State::Running } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_once() {
        let found = combinations(Some(b"{\"epochs\": 3}"), b"{\"seed\": [0, 1], \"target_ebops\": [10, 20, 30]}").unwrap();
        let found: Vec<Value> = found.iter().map(|t| serde_json::from_slice(t).unwrap()).collect();
        assert_eq!(found.len(), 6);
        assert_eq!(found[4], serde_json::json!({"epochs": 3, "seed": 1, "target_ebops": 20}));
        assert_eq!(combinations(None, b"{\"seed\": [7]}").unwrap(), [b"{\"seed\":7}".to_vec()]);
    }

    #[test]
    fn every_fault_is_told() {
        let says = |base: Option<&[u8]>, fields: &str| combinations(base, fields.as_bytes()).unwrap_err();
        assert_eq!(says(None, "{\"seed\": 1, \"epochs\": []}").len(), 2);
        assert!(says(None, "{}")[0].contains("no field"));
        assert!(says(None, "[]")[0].starts_with("sweep: "));
        assert!(says(Some(b"[]"), "{\"seed\": [1]}")[0].starts_with("config: "));
        let many: Vec<u32> = (0..257).collect();
        assert!(says(None, &format!("{{\"seed\": {many:?}}}"))[0].contains("256"));
    }

    #[test]
    fn fronts_merge() {
        let of = |job: &str, ebops, metric| Member {
            job: job.into(),
            number: 0,
            ebops,
            luts: Some(400 - ebops),
            metric,
            loss: 0.0,
            proxy: String::new(),
        };
        let all = vec![of("a", 100, 0.9), of("a", 200, 0.95), of("b", 100, 0.9), of("b", 150, 0.96), of("b", 300, 0.99)];
        let order = Order::default();
        let found = front(all.clone(), order);
        let shown: Vec<(&str, u64)> = found.iter().map(|m| (m.job.as_str(), m.ebops)).collect();
        assert_eq!(shown, [("a", 100), ("b", 150), ("b", 300)]);
        let luts = front(all.clone(), Order { by_luts: true, ..order });
        assert_eq!(luts.iter().map(|m| m.ebops).collect::<Vec<_>>(), [300]);
        let unknown = front(all.iter().map(|m| Member { luts: None, ..m.clone() }).collect(), Order { by_luts: true, ..order });
        assert_eq!(unknown.len(), found.len());
        let errors: Vec<u64> = front(all, Order { less_is_better: true, ..order }).iter().map(|m| m.ebops).collect();
        assert_eq!(errors, [100]);
    }
}
