//! Small models against tract's execution of the same bytes.

use super::eval::evaluate;
use super::loops;
use super::onnx::Net;
use hgq_onnx::data::Rng;
use hgq_onnx::graph::{self, Graph, Refusal};
use hgq_onnx::onnx;
use hgq_onnx::verify::tract;

/// What these tests ask of a model.
pub trait Checked {
    /// Imports the model and compares it with tract on random samples; returns the graph.
    fn agrees(&self) -> Graph;
    /// Why it is refused.
    fn refusals(&self) -> Vec<Refusal>;
}

impl Checked for Net {
    #[track_caller]
    fn agrees(&self) -> Graph {
        let model = self.model();
        let imported = graph::import(&model).unwrap_or_else(|e| panic!("{e}"));
        let graph = imported.graph.clone();
        let samples = 37;
        let mut rng = Rng::new(5);
        let x: Vec<f32> = (0..samples * graph.len_of(graph.inputs[0])).map(|_| (6.0 * rng.unit() - 3.0) as f32).collect();
        let ours = evaluate(&imported, &[&x], samples);
        let theirs = tract::run(&onnx::encode(&model), &[&x], samples).unwrap();
        assert_eq!(ours[0].len(), theirs[0].len());
        let worst = ours[0].iter().zip(&theirs[0]).map(|(a, &b)| (a - f64::from(b)).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-5, "{worst}");
        assert!(ours[0].iter().any(|v| *v != ours[0][0]), "constant output");
        assert_eq!(graph.values[graph.outputs[0]].name, self.last);
        graph
    }

    #[track_caller]
    fn refusals(&self) -> Vec<Refusal> {
        loops::refusals(self)
    }
}
