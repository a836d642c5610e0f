//! Family files of dispatched and combined rows.

use gatefold_core::routing::NO_ROW;
use gatefold_core::{Dtype, MoeCombine, MoeDispatch, Tensor, Tensors};

use super::archive::{Archive, Array};
use super::job::{Case, OpJob, Stop, Want};

/// Two dimensions of an array.
fn two(file: &Archive, name: &str) -> Result<[usize; 2], Stop> {
    let dims = &file.need(name)?.dims;
    <[usize; 2]>::try_from(&dims[..]).map_err(|_| Stop::Wrong(format!("{name}: expected two dimensions, got {dims:?}")))
}

/// Rows or assignments by number; −1 is none.
fn entries(name: &str, array: &Array) -> Result<Vec<u32>, Stop> {
    let entry = |&x: &f64| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range checked")]
        let whole = (x.fract() == 0.0 && (0.0..f64::from(NO_ROW)).contains(&x)).then_some(x as u32);
        if x == -1.0 { Some(NO_ROW) } else { whole }
    };
    let all: Option<Vec<u32>> = array.values.iter().map(entry).collect();
    all.ok_or_else(|| Stop::Wrong(format!("{name}: expected whole numbers from -1 on")))
}

/// `permutation` from `inverse`: which assignment has each row.
fn permutation(inverse: &[u32], rows: usize) -> Result<Tensor, Stop> {
    let mut found = vec![NO_ROW; rows];
    for (slot, &row) in inverse.iter().enumerate().filter(|(_, row)| **row != NO_ROW) {
        let place = found
            .get_mut(row as usize)
            .ok_or_else(|| Stop::Wrong(format!("inverse[{slot}]: there is no row {row}")))?;
        *place = u32::try_from(slot).map_err(|e| e.to_string())?;
    }
    Ok(Tensor::u32([rows], found).map_err(|e| e.to_string())?)
}

/// A want without tolerance, for `set_tolerances`.
fn want(file: &Archive, name: &str, output: &str) -> Result<Want, Stop> {
    let array = file.need(name)?;
    let (dims, values) = (array.dims.clone(), array.values.clone());
    Ok(Want { output: output.into(), dims, values, absolute: 0.0, relative: 0.0 })
}

/// `combine`: a weighted sum and its gradients; the file's `x` is our `y`.
pub(super) fn read(file: &Archive) -> Result<Case, Stop> {
    let ([rows, hidden], [tokens, top_k]) = (two(file, "x")?, two(file, "inverse")?);
    let op = MoeCombine { report: true, ..MoeCombine::new(tokens, top_k, hidden, rows) };
    let inverse = entries("inverse", file.need("inverse")?)?;
    let inputs = Tensors::new()
        .with("y", file.need("x")?.tensor(Dtype::F32)?)
        .with("weights", file.need("weights")?.tensor(Dtype::F32)?)
        .with("inverse", Tensor::u32([tokens, top_k], inverse.clone()).map_err(|e| e.to_string())?);
    let mut case = Case::default();
    case.jobs.push(Box::new(OpJob { op: op.clone(), inputs: inputs.clone(), from_earlier: Vec::new() }));
    case.wants.push(want(file, "o", "o")?);
    if let Some(d_o) = file.get("d_o")? {
        let inputs = inputs.with("permutation", permutation(&inverse, rows)?).with("d_o", d_o.tensor(Dtype::F32)?);
        case.jobs.push(Box::new(OpJob { op: op.backward(), inputs, from_earlier: Vec::new() }));
        case.wants.push(want(file, "d_x", "d_y")?);
        case.wants.push(want(file, "d_weights", "d_weights")?);
    }
    Ok(case)
}

/// The rows of `dispatch`: each assignment's token, and the sum of gradients by token, by the permutation of the file.
pub(super) fn read_rows(file: &Archive) -> Result<Case, Stop> {
    let ([tokens, hidden], [_, top_k]) = (two(file, "x")?, two(file, "inverse")?);
    let listed = entries("permutation", file.need("permutation")?)?;
    let rows = listed.len();
    let op = MoeDispatch { report: true, ..MoeDispatch::new(tokens, top_k, hidden, rows) };
    let inputs = Tensors::new()
        .with("x", file.need("x")?.tensor(Dtype::F32)?)
        .with("permutation", Tensor::u32([rows], listed).map_err(|e| e.to_string())?);
    let mut case = Case::default();
    case.jobs.push(Box::new(OpJob { op: op.clone(), inputs, from_earlier: Vec::new() }));
    case.wants.push(want(file, "y", "y")?);
    if let Some(d_y) = file.get("d_y")? {
        let inverse = entries("inverse", file.need("inverse")?)?;
        let inputs = Tensors::new()
            .with("y", d_y.tensor(Dtype::F32)?)
            .with("inverse", Tensor::u32([tokens, top_k], inverse).map_err(|e| e.to_string())?);
        // the gradient's output has a name that no want of the forward op has
        case.jobs.push(Box::new(OpJob { op: op.gradient(), inputs, from_earlier: Vec::new() }));
        case.wants.push(want(file, "d_x", "o")?);
    }
    Ok(case)
}
