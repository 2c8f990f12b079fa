//! Where gradients go: which stage leaves the gradient of its inputs in which way.

use super::super::plan::{InputGrad, Plan, Step};

/// Fills the backward wiring of all stages.
pub fn wire(plan: &mut Plan) {
    let n = plan.buffers.len();
    // which buffers lead back to something that learns
    let mut learns = vec![false; n];
    for stage in &plan.stages {
        learns[stage.output().buffer] = stage.inputs().iter().any(|x| learns[x.buffer])
            || matches!(stage.step, Step::Dense { .. } | Step::Grouped { .. } | Step::Quantizer { .. });
    }
    let mut readers = vec![0usize; n];
    let mut maker = vec![None; n];
    for (index, stage) in plan.stages.iter().enumerate() {
        stage.inputs().iter().for_each(|x| readers[x.buffer] += 1);
        maker[stage.output().buffer] = Some(index);
    }
    readers[plan.output.buffer] += 1;
    let mut written = vec![false; n];
    written[plan.output.buffer] = true;
    for index in (0..plan.stages.len()).rev() {
        if !written[plan.stages[index].output().buffer] {
            plan.stages[index].dead = true;
            continue;
        }
        let mut grads = Vec::new();
        for x in plan.stages[index].inputs() {
            let b = x.buffer;
            let through = matches!(plan.stages[index].step, Step::Dense { .. })
                .then(|| maker[b].filter(|&m| readers[b] == 1 && fusible_backward(plan, m, x.row(), &readers)))
                .flatten();
            grads.push(match through {
                _ if !learns[b] => InputGrad::Skip,
                Some(m) => InputGrad::Through(m),
                None if written[b] => InputGrad::Add,
                None => InputGrad::Store,
            });
            written[b] |= learns[b];
        }
        for grad in &grads {
            if let InputGrad::Through(m) = *grad {
                plan.stages[m].quantizer_done = true;
            }
        }
        plan.stages[index].input_grads = grads;
    }
}

/// Whether the quantizer of stage `m` may run backward inside its consumer, which reads rows of
/// `row` floats: it works on such rows, and its own input gradient is not shared.
fn fusible_backward(plan: &Plan, m: usize, row: usize, readers: &[usize]) -> bool {
    let (quantizer, alone) = match plan.stages[m].step {
        Step::Dense { fused: Some(f), .. } => (f.quantizer, true),
        Step::Quantizer { quantizer, x, .. } => (quantizer, readers[x.buffer] == 1),
        Step::Dense { fused: None, .. }
        | Step::Grouped { .. }
        | Step::Unary { .. }
        | Step::Gather { .. }
        | Step::Pool { .. }
        | Step::Merge { .. } => return false,
    };
    alone && plan.quantizers[quantizer].op.stride() == row
}
