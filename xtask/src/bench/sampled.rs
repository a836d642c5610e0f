//! Rows taken out of a large attention and checked against the reference: exact sub-problems, however long the sequence.
//!
//! One query row alone is attention with one query; what a causal mask hides from it is hidden by a key length instead. The bias
//! `−ln seq_kv` stays what it was, because `seq_kv` does.

use anyhow::{Result, anyhow};
use gatefold_core::attention::{Causal, Dims, Sequences};
use gatefold_core::{Attention, AttentionBackward, Op, Tensor, Tensors};
use gatefold_cpu_ref::{Bounded, bounded, bounded_as};

/// Rows looked at: batch entry, head and query as shares of their counts; the first, the last, and some between.
const PLACES: [(usize, usize, usize); 6] = [(0, 0, 0), (9, 9, 9), (0, 3, 5), (4, 6, 2), (2, 9, 7), (7, 1, 8)];

/// A row of the problem.
#[derive(Clone, Copy)]
struct Place {
    batch: usize,
    head: usize,
    row: usize,
}

fn places(dims: &Dims) -> impl Iterator<Item = Place> {
    let (batch, heads, seq) = (dims.batch, dims.q_heads, dims.seq_q);
    let share = |ninths: usize, count: usize| (count - 1) * ninths / 9;
    PLACES.iter().map(move |&(b, h, i)| Place { batch: share(b, batch), head: share(h, heads), row: share(i, seq) })
}

/// `count` rows from `first` of a tensor seen as rows of `width` elements, as a tensor of shape `dims`.
fn rows(t: &Tensor, first: usize, count: usize, width: usize, dims: Vec<usize>) -> Result<Tensor> {
    let size = t.dtype().size() * width;
    let bytes = t.bytes().get(first * size..(first + count) * size).ok_or_else(|| anyhow!("rows beyond a tensor"))?;
    Ok(Tensor::from_bytes(t.dtype(), dims, bytes)?)
}

/// The spec and the inputs `q k v lens_kv` of one row.
fn alone(op: &Attention, inputs: &Tensors, at: Place) -> Result<(Attention, Tensors)> {
    let d = op.dims;
    let query = (at.batch * d.q_heads + at.head) * d.seq_q + at.row;
    let key = (at.batch * d.kv_heads + at.head / d.group()) * d.seq_kv;
    let visible = match op.causal {
        Causal::None => d.seq_kv,
        Causal::TopLeft => (at.row + 1).min(d.seq_kv),
        Causal::BottomRight => (at.row + 1 + d.seq_kv).saturating_sub(d.seq_q).min(d.seq_kv),
    };
    let dims = Dims { batch: 1, q_heads: 1, kv_heads: 1, seq_q: 1, ..d };
    let sequences = Sequences::Padded { q: false, kv: true };
    let one = Attention { dims, sequences, causal: Causal::None, lse: false, ..op.clone() };
    let taken = Tensors::new()
        .with("q", rows(&inputs["q"], query, 1, d.head_dim, vec![1, 1, 1, d.head_dim])?)
        .with("k", rows(&inputs["k"], key, d.seq_kv, d.head_dim, vec![1, 1, d.seq_kv, d.head_dim])?)
        .with("v", rows(&inputs["v"], key, d.seq_kv, d.val_dim, vec![1, 1, d.seq_kv, d.val_dim])?)
        .with("lens_kv", Tensor::u32([1], vec![u32::try_from(visible)?])?);
    Ok((one, taken))
}

/// Largest error ÷ bound of one row of an output.
fn worst(exact: &Bounded, output: &str, got: &Tensor) -> Result<f64> {
    let exact = exact.outputs.get(output).ok_or_else(|| anyhow!("{output}: no exact output"))?;
    Ok(got.to_f64().into_iter().enumerate().map(|(i, x)| exact.ratio(i, x)).fold(0.0, f64::max))
}

/// Whether the rows of a spec can be taken out: dense self-contained inputs only.
fn check_plain(op: &Attention, inputs: &Tensors) -> Result<()> {
    let known = ["q", "k", "v", "o", "lse", "d_o"];
    match inputs.iter().find(|(name, _)| !known.contains(name)) {
        None if op.sequences == Sequences::Dense => Ok(()),
        _ => Err(anyhow!("rows are taken out of dense attention without biases only")),
    }
}

/// Largest error ÷ bound of `o` over some rows.
pub(super) fn forward(op: &Attention, inputs: &Tensors, outputs: &Tensors, f16_weights: bool) -> Result<f64> {
    check_plain(op, inputs)?;
    let d = op.dims;
    let mut ratio = 0.0f64;
    for at in places(&d) {
        let (one, taken) = alone(op, inputs, at)?;
        one.check_inputs(&taken)?;
        let query = (at.batch * d.q_heads + at.head) * d.seq_q + at.row;
        let got = rows(&outputs["o"], query, 1, d.val_dim, vec![d.val_dim])?;
        ratio = ratio.max(worst(&bounded_as(&one, &taken, f16_weights), "o", &got)?);
    }
    Ok(ratio)
}

/// Largest error ÷ bound of `d_q` over some rows.
pub(super) fn backward(op: &AttentionBackward, inputs: &Tensors, outputs: &Tensors) -> Result<f64> {
    check_plain(&op.forward, inputs)?;
    let d = op.forward.dims;
    let mut ratio = 0.0f64;
    for at in places(&d) {
        let (one, mut taken) = alone(&op.forward, inputs, at)?;
        let query = (at.batch * d.q_heads + at.head) * d.seq_q + at.row;
        for name in ["o", "d_o"] {
            if let Some(t) = inputs.get(name) {
                taken.insert(name, rows(t, query, 1, d.val_dim, vec![1, 1, 1, d.val_dim])?);
            }
        }
        if let Some(t) = inputs.get("lse") {
            taken.insert("lse", rows(t, query, 1, 1, vec![1, 1, 1])?);
        }
        let one = AttentionBackward::new(one);
        one.check_inputs(&taken)?;
        let got = rows(&outputs["d_q"], query, 1, d.head_dim, vec![d.head_dim])?;
        ratio = ratio.max(worst(&bounded(&one, &taken), "d_q", &got)?);
    }
    Ok(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cases::draw;
    use gatefold_cpu_ref::outputs;

    /// The reference's own outputs pass, and a wrong element fails: the sub-problem is the same problem.
    #[test]
    fn a_row_alone_is_the_same_problem() {
        for make in [Attention::softmax, Attention::sigmoid] {
            for causal in [Causal::None, Causal::TopLeft] {
                let op = Attention { causal, ..make(Dims::new(2, 2, 19, 8)) };
                let inputs = draw(&op).unwrap();
                let sound = outputs(&op, &inputs);
                assert!(forward(&op, &inputs, &sound, false).unwrap() < 0.5);
                let mut wrong = sound["o"].to_f32();
                wrong[0] += 0.1;
                let wrong = Tensors::new().with("o", Tensor::f32(sound["o"].dims(), wrong).unwrap());
                assert!(forward(&op, &inputs, &wrong, false).unwrap() > 1.0);
            }
        }
    }
}
