//! An operator of our own inside tract: where the shape of the result comes from, and its values.
//!
//! tract wants a chain of traits for that; [`tract_op`] writes them from one implementation of
//! [`Operator`]. All of them need shapes without symbols, which the executor's fixed batch gives.

use tract_onnx::tract_core::internal::*;

/// An operator on f32 tensors with one result.
pub trait Operator {
    /// Shape of the result; `shapes` are those of the inputs.
    fn shape(&self, shapes: &[Vec<usize>]) -> TractResult<Vec<usize>>;

    fn evaluate(&self, inputs: &[TValue]) -> TractResult<Tensor>;
}

/// Sizes without symbols.
pub fn sizes(dims: &[TDim]) -> TractResult<Vec<usize>> {
    dims.iter().map(|d| Ok(d.to_usize()?)).collect()
}

/// The values of a tensor as f64.
pub fn values(tensor: &Tensor) -> TractResult<Vec<f64>> {
    let tensor = tensor.cast_to::<f64>()?;
    Ok(tensor.to_plain_array_view::<f64>()?.iter().copied().collect())
}

/// Implements tract's traits for an [`Operator`] with the given numbers of inputs.
macro_rules! tract_op {
    ($op:ty, $name:literal, $arity:pat) => {
        impl tract_onnx::tract_hir::internal::Expansion for $op {
            fn name(&self) -> StaticName {
                $name.into()
            }

            fn rules<'r, 'p: 'r, 's: 'r>(
                &'s self,
                solver: &mut tract_onnx::tract_hir::internal::Solver<'r>,
                inputs: &'p [tract_onnx::tract_hir::internal::TensorProxy],
                outputs: &'p [tract_onnx::tract_hir::internal::TensorProxy],
            ) -> tract_onnx::tract_hir::internal::InferenceResult {
                if !matches!(inputs.len(), $arity) {
                    bail!("{} does not take {} inputs", $name, inputs.len());
                }
                tract_onnx::tract_hir::internal::check_output_arity(outputs, 1)?;
                solver.equals(&outputs[0].datum_type, f32::datum_type())?;
                solver.given_all(inputs.iter().map(|i| &i.shape), move |solver, shapes| {
                    let shapes: Vec<TVec<TDim>> = shapes;
                    let shapes = shapes.iter().map(|s| $crate::verify::tract::op::sizes(s)).collect::<TractResult<Vec<_>>>()?;
                    let shape = $crate::verify::tract::op::Operator::shape(self, &shapes)?;
                    let shape: TVec<TDim> = shape.iter().map(|d| d.to_dim()).collect();
                    solver.equals(&outputs[0].shape, shape)
                })
            }

            fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
                model.wire_node(prefix, self.clone(), inputs)
            }
        }

        impl Op for $op {
            fn name(&self) -> StaticName {
                $name.into()
            }

            op_as_typed_op!();
        }

        impl EvalOp for $op {
            op_out_of_plan!();

            fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
                Ok(tvec!($crate::verify::tract::op::Operator::evaluate(self, &inputs)?.into_tvalue()))
            }
        }

        impl TypedOp for $op {
            fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
                let shapes = inputs.iter().map(|i| $crate::verify::tract::op::sizes(&i.shape.to_tvec()));
                let shape = $crate::verify::tract::op::Operator::shape(self, &shapes.collect::<TractResult<Vec<_>>>()?)?;
                Ok(tvec!(f32::datum_type().fact(shape)))
            }

            as_op!();
        }
    };
}

pub(super) use tract_op;
