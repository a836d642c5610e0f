//! ONNX `TopK`: along any axis, brought to the end.

use gatefold_core::{Tensors, TopK};

use super::archive::Array;
use super::family::{as_rows, axis_last};
use super::job::{Case, OpJob, Stop};
use super::onnx::Node;

/// The one whole number of an input.
fn count(array: &Array) -> Result<usize, Stop> {
    match array.values[..] {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, and beyond the row refused later"
        )]
        [k] if k >= 0.0 && k.fract() == 0.0 => Ok(k as usize),
        _ => Err(Stop::Wrong(format!("k: expected one whole number, got {:?}", array.values))),
    }
}

/// Reads a node. Whole numbers, which f32 holds up to 2^24, are ranked as floats; what is not to be sorted may be.
pub(super) fn read(node: &Node<'_>) -> Result<Case, Stop> {
    node.only(&["axis", "largest", "sorted"])?;
    let x = node.need("x")?;
    let order = axis_last(x.dims.len(), node.int("axis")?.unwrap_or(-1))?;
    let rows = as_rows(x, &order)?;
    let mut case = Case::default();
    let dtype = if x.is_float() {
        Node::storage("x", x)?
    } else if x.values.iter().all(|v| v.abs() <= f64::from(1 << 24)) {
        case.notes.push("whole numbers as f32".into());
        gatefold_core::Dtype::F32
    } else {
        return Err(Stop::NotSupported("whole numbers beyond f32".into()));
    };
    let largest = node.int("largest")?.unwrap_or(1) != 0;
    let op = TopK { largest, dtype, ..TopK::new(rows.dims[0], rows.dims[1], count(node.need("k")?)?) };
    let inputs = Tensors::new().with("x", rows.tensor(dtype)?);
    case.jobs.push(Box::new(OpJob { op, inputs, from_earlier: Vec::new() }));
    for output in ["values", "indices"] {
        if let Some(array) = node.output(output)? {
            case.wants.push(node.want(output, &as_rows(array, &order)?)?);
        }
    }
    Ok(case)
}
