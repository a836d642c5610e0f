//! WebNN conformance cases of the web platform tests: metadata `case` with `op`, `arguments` and a tolerance in ULP, tensors
//! `in.* out.* f64.*`.

use gatefold_core::{Dtype, Gemm, RowFunction, Rowwise, Tensors};
use serde_json::Value;

use super::archive::{Archive, Array};
use super::family::{as_rows, axis_last};
use super::job::{Case, OpJob, Stop, Want};
use super::onnx::{Node, log_sum_exp_over, rows_case};

/// The only tensor of a kind: its name is free.
fn only<'a>(file: &'a Archive, kind: &str) -> Result<&'a Array, Stop> {
    let mut names = file.arrays.keys().filter(|name| name.split('.').next() == Some(kind));
    match (names.next(), names.next()) {
        (Some(name), None) => Ok(file.need(name)?),
        _ => Err(Stop::Wrong(format!("expected one tensor {kind}.*"))),
    }
}

/// What an output must be: the f64 result, or the published one, within the file's count of ULP of the storage type.
fn want(file: &Archive, output: &str, dtype: Dtype, values: &Array) -> Result<Want, Stop> {
    let ulps = match file.case.get("tolerance").and_then(Value::as_array).map(Vec::as_slice) {
        Some([unit, count]) if unit == "ULP" => count.as_f64(),
        _ => None,
    };
    let ulps = ulps.ok_or_else(|| Stop::Wrong("tolerance: expected [\"ULP\", count] in the metadata".into()))?;
    // An ULP is between 2^-(digits + 1) and 2^-digits of a normal number, and never less than the smallest denormal.
    let (digits, smallest) = if dtype == Dtype::F16 { (10, -24) } else { (23, -149) };
    let (absolute, relative) = (ulps * 2f64.powi(smallest), ulps * 2f64.powi(-digits - 1));
    Ok(Want { output: output.into(), dims: values.dims.clone(), values: values.values.clone(), absolute, relative })
}

/// Most elements of an operand whose leading dimensions are written out.
const MOST_ELEMENTS: usize = 1 << 26;

/// An operand of a product as a batch of matrices, and whether one serves all. Leading dimensions of 1 are repeated to `lead`.
fn matrices(x: &Array, lead: &[usize]) -> Result<(Array, bool), Stop> {
    let split = x.dims.len().checked_sub(2).ok_or_else(|| Stop::NotSupported("matmul of a vector".into()))?;
    let (own, size) = x.dims.split_at(split);
    let matrix: usize = size.iter().product();
    if own.iter().product::<usize>() == 1 {
        return Ok((x.reshaped(&[1, size[0], size[1]])?, true));
    }
    let broadcasts =
        own.len() <= lead.len() && own.iter().rev().zip(lead.iter().rev()).all(|(&o, &l)| o == 1 || o == l);
    if !broadcasts {
        return Err(Stop::Wrong(format!("matmul: {own:?} is not broadcast to {lead:?}")));
    }
    let elements = lead.iter().try_fold(matrix, |n, &d| n.checked_mul(d));
    if elements.is_none_or(|n| n > MOST_ELEMENTS) || lead.iter().any(|&d| d > MOST_ELEMENTS) {
        return Err(Stop::NotSupported(format!("matmul of {lead:?} matrices of {size:?}")));
    }
    let mut values = Vec::new();
    for entry in 0..lead.iter().product() {
        // The entry's place in `lead`, innermost dimension first, becomes a place in the operand's own dimensions.
        let (mut rest, mut at, mut stride) = (entry, 0, 1);
        for (d, &len) in lead.iter().enumerate().rev() {
            let have = (d + own.len()).checked_sub(lead.len()).map_or(1, |d| own[d]);
            at += if have == 1 { 0 } else { rest % len * stride };
            stride *= have;
            rest /= len;
        }
        values.extend_from_slice(&x.values[at * matrix..(at + 1) * matrix]);
    }
    let batch = lead.iter().product();
    Ok((Array { dims: vec![batch, size[0], size[1]], dtype: x.dtype, values }, false))
}

/// A product of matrices whose leading dimensions are broadcast.
fn matmul(file: &Archive) -> Result<Case, Stop> {
    let operand = |name: &str| {
        let argument = file.case["arguments"][name].as_str().unwrap_or_default();
        let key = file.arrays.keys().find(|k| k.starts_with("in.") && k.ends_with(argument));
        Ok::<_, Stop>(file.need(key.ok_or_else(|| Stop::Wrong(format!("{name}: no tensor in.*.{argument}")))?)?)
    };
    let (a, b) = (operand("a")?, operand("b")?);
    let c = only(file, "f64").or_else(|_| only(file, "out"))?;
    let lead = &c.dims[..c.dims.len().saturating_sub(2)];
    let batch: usize = lead.iter().product();
    let dtype = Node::storage("a", a)?;
    let ((a, shared_a), (b, shared_b)) = (matrices(a, lead)?, matrices(b, lead)?);
    let base = Gemm { batch, shared_a, shared_b, dtype, ..Gemm::new(a.dims[1], b.dims[2], a.dims[2]) };
    let inputs = Tensors::new().with("a", a.tensor(dtype)?).with("b", b.tensor(dtype)?);
    let wanted = want(file, "c", dtype, &c.reshaped(&[batch, base.m, base.n])?)?;
    let job = OpJob { op: base, inputs, from_earlier: Vec::new() };
    Ok(Case { jobs: vec![Box::new(job)], wants: vec![wanted], ..Case::default() })
}

/// Reads a case.
pub(super) fn read(file: &Archive) -> Result<Case, Stop> {
    let op = file.case.get("op").and_then(Value::as_str).unwrap_or_default();
    if op == "matmul" {
        return matmul(file);
    }
    let reads_rows = matches!(op, "softmax" | "reduce_log_sum_exp");
    if !reads_rows {
        return Err(Stop::NotSupported(format!("op {op}")));
    }
    let (x, exact) = (only(file, "in")?, only(file, "f64").or_else(|_| only(file, "out"))?);
    let dtype = Node::storage("input", x)?;
    let arguments = &file.case["arguments"];
    if op == "softmax" {
        let axis = arguments["axis"].as_i64().ok_or_else(|| Stop::Wrong("axis: expected a whole number".into()))?;
        let order = axis_last(x.dims.len(), axis)?;
        let rows = as_rows(x, &order)?;
        let spec = Rowwise { dtype, ..Rowwise::new(RowFunction::Softmax, rows.dims[0], rows.dims[1]) };
        let mut case = rows_case(spec, Tensors::new().with("x", rows.tensor(dtype)?), None);
        case.wants.push(want(file, "y", dtype, &as_rows(exact, &order)?)?);
        return Ok(case);
    }
    // Without axes all are reduced; with an empty list none is.
    let axes = match arguments.pointer("/options/axes").and_then(Value::as_array) {
        None => (0..x.dims.len()).collect(),
        Some(named) => {
            let axis = |a: &Value| a.as_u64().and_then(|a| usize::try_from(a).ok());
            let wrong = || Stop::Wrong("axes: expected whole numbers from 0 on".into());
            named.iter().map(|a| axis(a).ok_or_else(wrong)).collect::<Result<Vec<_>, _>>()?
        }
    };
    let (spec, inputs) = log_sum_exp_over(x, &axes, dtype)?;
    let exact = exact.reshaped(&[spec.rows])?;
    let mut case = rows_case(spec, inputs, None);
    case.wants.push(want(file, "y", dtype, &exact)?);
    Ok(case)
}
