//! What a bench checks: drawn inputs, and rows taken out of a large attention and checked against the reference, which are exact
//! sub-problems, however long the sequence.
//!
//! One query row alone is attention with one query; what a causal mask hides from it is hidden by a key length instead. The bias
//! `−ln seq_kv` stays what it was, because `seq_kv` does.

use anyhow::{Result, anyhow};
#[cfg(test)]
use gatefold_core::attention::PRESETS;
use gatefold_core::attention::{Causal, Dims, Epilogue, Injection, RelativeBias, Reweight, Sequences};
use gatefold_core::{Attention, AttentionBackward, Dtype, Gemm, Op, Role, Tensor, Tensors};
use gatefold_cpu_ref::{Bounded, bounded, bounded_as};

/// A generator of the normal distribution, the same on every machine.
struct Drawn(u64);

impl Drawn {
    /// xorshift64*: uniform in [0, 1).
    fn uniform(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = u16::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 48).unwrap_or(0);
        f32::from(high) / 65_536.0
    }

    /// Nearly normal: the sum of four uniforms, mean 0, variance 1.
    fn normal(&mut self) -> f32 {
        let sum: f32 = (0..4).map(|_| self.uniform()).sum();
        (sum - 2.0) * 3.0f32.sqrt()
    }
}

/// Drawn float inputs of an op, nearly normal and the same in every run. Integers are 0.
///
/// # Errors
/// If an input cannot be made.
pub fn draw<O: Op>(op: &O) -> Result<Tensors> {
    let mut drawn = Drawn(0x9E37_79B9_7F4A_7C15);
    let mut inputs = Tensors::new();
    for o in op.operands().into_iter().filter(|o| o.role == Role::Input) {
        if o.dtype == Dtype::U32 {
            inputs.insert(o.name, Tensor::u32(o.dims.clone(), vec![0; o.len()])?);
            continue;
        }
        let values = (0..o.len()).map(|_| drawn.normal()).collect();
        inputs.insert(o.name, Tensor::float(o.dtype, o.dims, values)?);
    }
    Ok(inputs)
}

/// Rows looked at: batch entry, head and query as shares of their counts; the first, the last, and some between.
const PLACES: [(usize, usize, usize); 6] = [(0, 0, 0), (9, 9, 9), (0, 3, 5), (4, 6, 2), (2, 9, 7), (7, 1, 8)];

/// A row of the problem.
#[derive(Clone, Copy)]
struct Place {
    batch: usize,
    head: usize,
    row: usize,
}

fn places_of(dims: &Dims) -> impl Iterator<Item = Place> {
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
    // the query alone is not the first of its sequence
    let off = d.seq_kv as i64 - d.seq_q as i64;
    let alone = |r: Reweight| Reweight { offset: r.offset_at(op.position(at.row, off)), offset_rows: 0, ..r };
    let reweight = op.reweight.map(alone);
    let is_last = at.row + 1 == d.seq_q;
    let injection = op.epilogue.injection.filter(|&which| is_last || which == Injection::EveryRow);
    let epilogue = Epilogue { injection, ..op.epilogue };
    // nor as far from its keys: alone it stands at the last that it sees
    let moved = i64::try_from(visible)? - 1 - (at.row as i64 + off);
    let relative_bias = match (op.relative_bias, u32::try_from(moved)) {
        (Some(RelativeBias { reach }), Ok(moved)) => Some(RelativeBias { reach: reach + moved }),
        (Some(_), Err(_)) => return Err(anyhow!("a row with a relative bias that sees no key up to its own position")),
        (None, _) => None,
    };
    let one = Attention { dims, sequences, causal: Causal::None, reweight, epilogue, relative_bias, ..op.clone() };
    let one = one.saving(false);
    let mut taken = Tensors::new()
        .with("q", rows(&inputs["q"], query, 1, d.head_dim, vec![1, 1, 1, d.head_dim])?)
        .with("k", rows(&inputs["k"], key, d.seq_kv, d.head_dim, vec![1, 1, d.seq_kv, d.head_dim])?)
        .with("v", rows(&inputs["v"], key, d.seq_kv, d.val_dim, vec![1, 1, d.seq_kv, d.val_dim])?)
        .with("lens_kv", Tensor::u32([1], vec![u32::try_from(visible)?])?);
    for (name, t) in inputs.iter() {
        let whole = t.len() / (d.batch * d.q_heads * d.seq_q).max(1);
        let part = match name {
            "query_scale" | "log_norm" | "alpha" => rows(t, query, 1, 1, vec![1, 1, 1])?,
            "r" => rows(t, query, 1, d.head_dim, vec![1, 1, 1, d.head_dim])?,
            "gate" if whole == 1 => rows(t, query, 1, 1, vec![1, 1, 1])?,
            "gate" => rows(t, query, 1, d.val_dim, vec![1, 1, 1, d.val_dim])?,
            "value_scale" => rows(t, key, d.seq_kv, 1, vec![1, 1, d.seq_kv])?,
            "relative_bias" => moved_table(&rows(t, at.head, 1, t.dims()[1], vec![t.dims()[1]])?, moved)?,
            "sink" | "alpha_mean" => rows(t, at.head, 1, 1, vec![1])?,
            "sink_key" => rows(t, at.head / d.group(), 1, d.head_dim, vec![1, d.head_dim])?,
            "inject_logit" if injection.is_some() => rows(t, at.head, 1, 1, vec![1])?,
            "task_vector" if injection.is_some() => rows(t, at.head, 1, d.val_dim, vec![1, d.val_dim])?,
            "q_gain" | "k_gain" | "o_gain" => t.clone(),
            _ => continue,
        };
        taken.insert(name, part);
    }
    Ok((one, taken))
}

/// A head's table by relative position, for a query that is `moved` keys further on than it was.
fn moved_table(table: &Tensor, moved: i64) -> Result<Tensor> {
    let (given, moved) = (table.to_f32(), usize::try_from(moved)?);
    // the element of the same key, `moved` nearer to the end; those beyond stand for the last
    let all: Vec<_> = (0..given.len() + 2 * moved).map(|x| given[x.min(given.len() - 1)]).collect();
    Ok(Tensor::f32([1, all.len()], all)?)
}

/// Largest error ÷ bound of one row of an output.
fn worst(exact: &Bounded, output: &str, got: &Tensor) -> Result<f64> {
    let exact = exact.outputs.get(output).ok_or_else(|| anyhow!("{output}: no exact output"))?;
    Ok(got.to_f64().into_iter().enumerate().map(|(i, x)| exact.ratio(i, x)).fold(0.0, f64::max))
}

/// Whether a row alone is the same problem.
pub fn is_by_row(op: &Attention) -> bool {
    op.sequences == Sequences::Dense && op.normalizer.of_head().is_none()
}

/// Whether the rows of a spec can be taken out: dense self-contained inputs only.
fn check_plain(op: &Attention, inputs: &Tensors) -> Result<()> {
    let main = ["q", "k", "v", "r", "o", "o_core", "lse", "row_sum", "row_mean", "row_max", "v_mean", "rk_mean", "d_o"];
    let beside = ["query_scale", "value_scale", "log_norm", "sink", "sink_key", "alpha", "alpha_mean", "gate"];
    let more = ["relative_bias", "q_gain", "k_gain", "o_gain", "inject_logit", "task_vector"];
    let known = [&main[..], &beside, &more].concat();
    match inputs.iter().find(|(name, _)| !known.contains(name)) {
        None if is_by_row(op) => Ok(()),
        _ => Err(anyhow!("rows are taken out of dense attention only, without biases, normalised by row")),
    }
}

/// Largest error ÷ bound of `o` over some rows.
///
/// # Errors
/// If the spec is not dense attention without biases, or the inputs do not fit it.
pub fn forward(op: &Attention, inputs: &Tensors, outputs: &Tensors, f16_weights: bool) -> Result<f64> {
    check_plain(op, inputs)?;
    let d = op.dims;
    let mut ratio = 0.0f64;
    for at in places_of(&d) {
        let (one, taken) = alone(op, inputs, at)?;
        one.check_inputs(&taken)?;
        let query = (at.batch * d.q_heads + at.head) * d.seq_q + at.row;
        let got = rows(&outputs["o"], query, 1, d.val_dim, vec![d.val_dim])?;
        ratio = ratio.max(worst(&bounded_as(&one, &taken, f16_weights), "o", &got)?);
    }
    Ok(ratio)
}

/// Largest error ÷ bound of `d_q` over some rows.
///
/// # Errors
/// As [`forward`].
pub fn backward(op: &AttentionBackward, inputs: &Tensors, outputs: &Tensors) -> Result<f64> {
    check_plain(&op.forward, inputs)?;
    let d = op.forward.dims;
    let mut ratio = 0.0f64;
    for at in places_of(&d) {
        let (one, mut taken) = alone(&op.forward, inputs, at)?;
        let query = (at.batch * d.q_heads + at.head) * d.seq_q + at.row;
        for name in ["o", "o_core", "v_mean", "d_o"] {
            if let Some(t) = inputs.get(name) {
                taken.insert(name, rows(t, query, 1, d.val_dim, vec![1, 1, 1, d.val_dim])?);
            }
        }
        for name in ["lse", "row_sum", "row_mean", "row_max", "rk_mean"] {
            if let Some(t) = inputs.get(name) {
                taken.insert(name, rows(t, query, 1, 1, vec![1, 1, 1])?);
            }
        }
        let one = AttentionBackward::new(one);
        one.check_inputs(&taken)?;
        let got = rows(&outputs["d_q"], query, 1, d.head_dim, vec![d.head_dim])?;
        ratio = ratio.max(worst(&bounded(&one, &taken), "d_q", &got)?);
    }
    Ok(ratio)
}

/// Largest error ÷ bound of `c` over some rows of a product: one row of it is a product with one row.
pub fn product(op: &Gemm, inputs: &Tensors, outputs: &Tensors) -> Result<f64> {
    let places = Dims::new(op.batch, 1, op.m, 1);
    let mut ratio = 0.0f64;
    for at in places_of(&places) {
        let of = |name: &str, shared: bool, dims: [usize; 3]| {
            let entry = if shared { 0 } else { at.batch };
            rows(&inputs[name], entry, 1, dims[1] * dims[2], vec![1, dims[1], dims[2]])
        };
        let a = of("a", op.shared_a, op.a_dims())?;
        let taken = if op.transpose_a {
            let column: Vec<f32> = a.to_f32().chunks(op.m).map(|row| row[at.row]).collect();
            Tensor::float(op.dtype, [1, op.k, 1], column)?
        } else {
            rows(&a, at.row, 1, op.k, vec![1, 1, op.k])?
        };
        let taken = Tensors::new()
            .with("a", taken)
            .with("b", of("b", op.shared_b, op.b_dims())?)
            .with_some("bias", inputs.get("bias").cloned());
        let one = Gemm { batch: 1, m: 1, ..op.clone() };
        one.check_inputs(&taken)?;
        let got = rows(&outputs["c"], at.batch * op.m + at.row, 1, op.n, vec![op.n])?;
        ratio = ratio.max(worst(&bounded(&one, &taken), "c", &got)?);
    }
    Ok(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatefold_cpu_ref::outputs;

    #[test]
    fn a_row_of_a_product_alone_is_the_same_problem() {
        for (transpose_a, transpose_b) in [(false, true), (true, false)] {
            let op = Gemm { batch: 2, transpose_a, transpose_b, bias: true, alpha: 0.5, ..Gemm::new(11, 5, 7) };
            let inputs = draw(&op).unwrap();
            let sound = outputs(&op, &inputs);
            assert!(product(&op, &inputs, &sound).unwrap() < 0.5);
            let mut wrong = sound["c"].to_f32();
            wrong[0] += 0.1;
            let wrong = Tensors::new().with("c", Tensor::f32(sound["c"].dims(), wrong).unwrap());
            assert!(product(&op, &inputs, &wrong).unwrap() > 1.0);
        }
    }

    /// The reference's own outputs pass, and a wrong element fails: the sub-problem is the same problem.
    #[test]
    fn a_row_alone_is_the_same_problem() {
        let dense = PRESETS.iter().map(|p| p.build).filter(|make| is_by_row(&make(Dims::new(1, 1, 1, 1))));
        for make in dense.chain([Attention::softmax as fn(Dims) -> Attention]) {
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
