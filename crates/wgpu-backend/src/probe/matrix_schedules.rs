//! The self-test of the schedules that use matrix units: attention and products, as plans make them, against f64.
//!
//! That single sums are exact (`matrix.rs`) is not enough. An H100 (driver 580.159) passes that test, and yet an attention of one key and 16
//! dimensions lost the last four terms of its score, and every attention over 77 keys was wrong. The likely cause: naga declares Vulkan's memory
//! model in modules with matrices and marks no access to workgroup memory as shared (gfx-rs/wgpu#8805), so that a compiler need not keep
//! stores before a barrier.

use gatefold_core::attention::{Causal, Dims};
use gatefold_core::{Attention, Dtype, Gemm, Tensor, Tensors};
use gatefold_shaders::{Kernels, Limits, MatrixUnit};
use half::f16;

use super::self_test::is_of_the_kernel;
use super::tiles::inputs;
use super::{POISON, Runner};
use crate::{RunError, RunOptions};

/// What an output should be, and how far it may be off.
type Exact = Vec<(f64, f64)>;

/// Weights are rounded to f16, and so are outputs: twice what each rounding may do. Scores and sums in f32 are off by far less.
const ROUNDING: f64 = 1.0 / 1024.0;
/// A product of rows of `n` terms of f32 is off by at most `n` of these times the sum of magnitudes.
const SUM: f64 = 1.0 / 4_194_304.0;

/// Lengths and widths of an attention: a rest of a tile, of queries and of keys; and one key of one matrix's width.
const ATTENTIONS: [(usize, usize, usize); 2] = [(1, 77, 64), (2, 1, 16)];

fn attentions() -> Vec<Attention> {
    let of = |(heads, length, dim)| {
        let softmax =
            Attention { dtype: Dtype::F16, lse: true, ..Attention::softmax(Dims::new(1, heads, length, dim)) };
        let sigmoid = Attention { dtype: Dtype::F16, ..Attention::sigmoid(softmax.dims) };
        [softmax, Attention { causal: Causal::TopLeft, ..sigmoid }]
    };
    ATTENTIONS.into_iter().flat_map(of).collect()
}

/// A rest of a tile of rows, of columns and of terms.
fn products() -> [Gemm; 2] {
    let plain = Gemm { dtype: Dtype::F16, ..Gemm::new(77, 90, 45) };
    [plain.clone(), Gemm { transpose_b: true, ..plain }]
}

/// `o`, and `lse` of a softmax, by their definition.
fn attention(a: &Attention, inputs: &Tensors) -> Vec<(&'static str, Exact)> {
    let (heads, length, dim) = (a.dims.q_heads, a.dims.seq_q, a.dims.head_dim);
    let [q, k, v] = ["q", "k", "v"].map(|name| inputs[name].to_f64());
    let scale = 1.0 / (dim as f64).sqrt();
    let softmax = a.weight == Attention::softmax(a.dims).weight;
    let (mut o, mut lse) = (Exact::new(), Exact::new());
    for (head, row) in (0..heads).flat_map(|h| (0..length).map(move |row| (h, row))) {
        let keys = if a.causal == Causal::TopLeft { row + 1 } else { length };
        // operands are [1, heads, length, dim]
        let at = |position: usize, d: usize| (head * length + position) * dim + d;
        let terms = |j: usize| (0..dim).map(move |d| (at(row, d), at(j, d)));
        let scores: Vec<f64> = (0..keys).map(|j| scale * terms(j).map(|(x, y)| q[x] * k[y]).sum::<f64>()).collect();
        let sizes = (0..keys).map(|j| scale * terms(j).map(|(x, y)| (q[x] * k[y]).abs()).sum::<f64>());
        let off = dim as f64 * SUM * sizes.fold(0.0, f64::max);
        let sum: f64 = scores.iter().map(|s| s.exp()).sum();
        let weight = |s: f64| if softmax { s.exp() / sum } else { 1.0 / (1.0 + (-(s - (length as f64).ln())).exp()) };
        lse.push((sum.ln(), off + 16.0 * SUM));
        for d in 0..dim {
            let terms = || scores.iter().enumerate().map(|(j, &s)| weight(s) * v[at(j, d)]);
            let (exact, magnitude): (f64, f64) = (terms().sum(), terms().map(f64::abs).sum());
            o.push((exact, ROUNDING * (magnitude + exact.abs()) + f64::from(f16::MIN_POSITIVE)));
        }
    }
    if softmax { vec![("o", o), ("lse", lse)] } else { vec![("o", o)] }
}

fn product(g: &Gemm, inputs: &Tensors) -> Vec<(&'static str, Exact)> {
    let [a, b] = ["a", "b"].map(|name| inputs[name].to_f64());
    let sums = (0..g.m).flat_map(|i| (0..g.n).map(move |j| (i, j)));
    let exact = sums.map(|(i, j)| {
        let of_b = |k: usize| if g.transpose_b { j * g.k + k } else { k * g.n + j };
        let terms = || (0..g.k).map(|k| a[i * g.k + k] * b[of_b(k)]);
        let (sum, magnitude): (f64, f64) = (terms().sum(), terms().map(f64::abs).sum());
        (sum, g.k as f64 * SUM * magnitude + ROUNDING * sum.abs() + f64::from(f16::MIN_POSITIVE))
    });
    vec![("c", exact.collect())]
}

/// The first element that is off by more than its bound, in words.
fn wrong(label: &str, outputs: &Tensors, expected: &[(&'static str, Exact)]) -> Result<(), String> {
    for (name, exact) in expected {
        let got = outputs.get(name).map(Tensor::to_f64).unwrap_or_default();
        if got.len() != exact.len() {
            return Err(format!("{label}: {name} has {} elements, expected {}", got.len(), exact.len()));
        }
        for (at, (got, (exact, bound))) in got.iter().zip(exact).enumerate() {
            let off = (got - exact).abs();
            if off.is_nan() || off > *bound {
                return Err(format!("{label}: {name}[{at}] is {got:e}, exact {exact:e}, bound {bound:.1e}"));
            }
        }
    }
    Ok(())
}

async fn tried<O: Kernels>(
    on: &impl Runner,
    op: &O,
    unit: MatrixUnit,
    exact: impl Fn(&O, &Tensors) -> Vec<(&'static str, Exact)>,
) -> Result<Result<(), String>, RunError> {
    let label = format!("{} {} ({})", O::NAME, op.label(), op.size_label());
    let limits = Limits { matrix: Some(unit), ..on.limits().clone() };
    let plan = match op.plan(&limits) {
        // Nothing to be tested: no plan takes them for such an op.
        Ok(plan) if !plan.steps.iter().any(|s| s.matrix) => return Ok(Ok(())),
        Ok(plan) => plan,
        Err(e) => return Ok(Err(format!("{label}: {e}"))),
    };
    let (operands, inputs) = (op.operands(), inputs(op)?.unwrap_or_default());
    let plan = on.settle(plan, &operands);
    let options = RunOptions { poison: Some(POISON), guard: true, ..RunOptions::default() };
    Ok(match on.run(&plan, &operands, &inputs, &options).await {
        Ok(ran) if ran.faults.is_empty() => wrong(&label, &ran.outputs, &exact(op, &inputs)),
        Ok(ran) => Err(format!("{label}: {}", ran.faults.join("; "))),
        Err(e) if is_of_the_kernel(&e) => Err(format!("{label}: {e}")),
        Err(e) => return Err(e),
    })
}

/// Runs each schedule. The inner error is what is wrong.
///
/// # Errors
/// Any fault of the device itself.
pub(super) async fn test(on: &impl Runner, unit: MatrixUnit) -> Result<Result<(), String>, RunError> {
    for op in attentions() {
        if let Err(why) = tried(on, &op, unit, attention).await? {
            return Ok(Err(why));
        }
    }
    for op in products() {
        if let Err(why) = tried(on, &op, unit, product).await? {
            return Ok(Err(why));
        }
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use gatefold_cpu_ref::outputs;

    use super::*;

    #[test]
    fn the_reference_is_within_the_bounds_and_lost_terms_are_not() {
        for op in attentions() {
            let inputs = inputs(&op).unwrap().unwrap();
            let exact = attention(&op, &inputs);
            assert_eq!(wrong("", &outputs(&op, &inputs), &exact), Ok(()));
            // As on the H100: the last four terms of every product of rows are lost.
            let mut fewer = inputs.clone();
            let dim = op.dims.head_dim;
            let kept = |at: usize, x: f64| if at % dim >= dim - 4 { f16::ZERO } else { f16::from_f64(x) };
            let k = inputs["k"].to_f64().iter().enumerate().map(|(at, &x)| kept(at, x)).collect::<Vec<_>>();
            fewer.insert("k", Tensor::f16(inputs["k"].dims(), k).unwrap());
            assert!(wrong("", &outputs(&op, &fewer), &exact).is_err());
        }
        for op in products() {
            let inputs = inputs(&op).unwrap().unwrap();
            assert_eq!(wrong("", &outputs(&op, &inputs), &product(&op, &inputs)), Ok(()));
            let doubled = Gemm { alpha: 1.01, ..op.clone() };
            assert!(wrong("", &outputs(&doubled, &inputs), &product(&op, &inputs)).is_err());
        }
    }
}
