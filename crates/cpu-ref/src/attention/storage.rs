//! Keys and values in int8: what they stand for, how they are drawn, and the planned cases.

use gatefold_core::attention::{Bias, Causal, Dims, Normalizer, Scales, ScoreBias, Sequences, Storage, Weight};
use gatefold_core::{Attention, Dtype, Operand};

use super::draw::{Draw, Plant};
use crate::data::Rng;
use crate::{Real, Values};

/// How many cases there are.
pub(super) const COUNT: usize = 21;

/// Key/value head of a row of `k` and `v`, as they lie in memory.
fn head_of(op: &Attention, row: usize) -> usize {
    let d = &op.dims;
    match op.sequences {
        Sequences::Packed { .. } | Sequences::Paged { .. } => row % d.kv_heads,
        _ => row / d.seq_kv % d.kv_heads,
    }
}

/// `scale·n` of every element of an operand.
fn elements<R: Real>(op: &Attention, scales: Scales, words: &[u32], factors: &[R], width: usize) -> Vec<R> {
    let mut all = Vec::new();
    for (row, words) in words.chunks(width.div_ceil(4)).enumerate() {
        let scale = match scales {
            Scales::PerToken => factors[row],
            Scales::PerHead => factors[head_of(op, row)],
        };
        let broken = !scale.value().is_finite() || scale.value().abs() >= 121f64.exp2();
        all.extend((0..width).map(|d| {
            let n = i8::from_le_bytes([words[d / 4].to_le_bytes()[d % 4]]);
            if broken { R::nan() } else { scale * R::from_f64(f64::from(n)) }
        }));
    }
    all
}

/// The same attention over floats, and its inputs; `None` if it has floats already.
pub(crate) fn dequantised<R: Real>(op: &Attention, inputs: &Values<R>) -> Option<(Attention, Values<R>)> {
    let scales = op.storage.scales()?;
    let mut all = inputs.clone();
    for (name, factors, width) in [("k", "k_scale", op.dims.head_dim), ("v", "v_scale", op.dims.val_dim)] {
        let found = elements(op, scales, inputs.int(name), inputs.float(factors), width);
        all.floats.insert(name.into(), found);
    }
    Some((Attention { storage: Storage::Float, ..op.clone() }, all))
}

/// Random bytes, those that fill a row's last word among them.
pub(super) fn ints(rng: &mut Rng, o: &Operand) -> Option<Vec<u32>> {
    let byte = |rng: &mut Rng| if rng.chance(2) { rng.pick(&[0x80, 0x7f, 0xff, 0]) } else { rng.below(256) };
    let word = |rng: &mut Rng| (0..4).fold(0, |word, _| word << 8 | u32::try_from(byte(rng)).unwrap_or(0));
    (matches!(o.name, "k" | "v") && o.dtype == Dtype::U32).then(|| (0..o.len()).map(|_| word(rng)).collect())
}

/// Scales of any sign that make elements of about 1, a few of them tiny or 0.
pub(super) fn factors(rng: &mut Rng, count: usize) -> Vec<f32> {
    let factor = |rng: &mut Rng| match rng.below(40) {
        0 => 0.0,
        1 => 1e-20,
        2..5 => -0.01,
        _ => 0.005 + 0.02 * rng.unit(),
    };
    (0..count).map(|_| factor(rng)).collect()
}

fn softmax(heads: (usize, usize), seq_q: usize, seq_kv: usize, width: usize) -> Attention {
    let dims = Dims { q_heads: heads.0, kv_heads: heads.1, seq_q, seq_kv, ..Dims::new(2, 1, 1, width) };
    Attention { storage: Storage::INT8_PER_TOKEN, ..Attention::softmax(dims) }.saving(true)
}

fn draw(op: Attention, what: &str) -> Draw {
    Draw::ordinary(op, format!("int8: {what}; may be degenerate"))
}

/// Where keys may lie, a scale each.
fn layouts() -> Vec<Draw> {
    let plain = softmax((2, 2), 33, 50, 16);
    let causal = Causal::BottomRight;
    let padded = Sequences::Padded { q: true, kv: true };
    let packed = Sequences::Packed { total_q: 51, total_kv: 77 };
    let paged = Sequences::Paged { page: 7, pages: 19 };
    let hidden = Attention { sequences: padded, causal, ..plain.clone() };
    let pages = Attention { sequences: paged, causal, ..softmax((8, 2), 1, 61, 16) };
    let long = Attention { sequences: Sequences::Paged { page: 16, pages: 41 }, ..softmax((8, 2), 1, 320, 16) };
    vec![
        draw(plain.clone(), "dense"),
        draw(Attention { causal, ..softmax((2, 1), 40, 65, 16) }, "dense, causal"),
        Draw { plant: Some(Plant::Padding), ..draw(hidden, "padded, broken scales in the padding") },
        draw(Attention { sequences: packed, ..softmax((4, 2), 30, 44, 16) }, "packed"),
        draw(Attention { sequences: paged, causal, ..softmax((2, 2), 20, 61, 16) }, "paged"),
        draw(pages, "paged, one query"),
        draw(long, "paged, one query, long"),
        draw(softmax((2, 2), 0, 5, 16), "no queries"),
        draw(softmax((2, 2), 5, 0, 16), "no keys"),
    ]
}

/// Scales of heads, other weights, widths that no word ends at, f16, a score bias.
fn others() -> Vec<Draw> {
    let per_head = |op: Attention| Attention { storage: Storage::INT8_PER_HEAD, ..op };
    let packed = Sequences::Packed { total_q: 51, total_kv: 77 };
    let short = Sequences::Packed { total_q: 35, total_kv: 77 };
    let paged = Sequences::Paged { page: 5, pages: 27 };
    let sigmoid = |op: Attention| Attention { weight: Weight::Sigmoid, bias: Bias::NegLogKeys, lse: false, ..op };
    let relu = |op: Attention| Attention { weight: Weight::Relu, normalizer: Normalizer::RowSum, lse: false, ..op };
    let odd = softmax((6, 3), 21, 43, 9);
    let odd = Attention { dims: Dims { val_dim: 14, ..odd.dims }, ..odd };
    let biased = Attention { score_bias: Some(ScoreBias { per_batch: true, per_head: false }), ..odd.clone() };
    let half = Attention { dtype: Dtype::F16, sequences: short, causal: Causal::TopLeft, ..odd.clone() };
    vec![
        draw(per_head(softmax((4, 2), 30, 44, 16)), "scales of heads"),
        draw(per_head(Attention { sequences: packed, ..softmax((4, 2), 30, 44, 16) }), "scales of heads, packed"),
        draw(sigmoid(per_head(Attention { sequences: paged, ..odd.clone() })), "scales of heads, paged, odd widths"),
        draw(relu(odd), "odd widths"),
        draw(half, "odd widths, f16, packed"),
        draw(Attention { sequences: paged, ..biased }, "odd widths, a score bias, paged"),
    ]
}

/// Scales that are not finite or too large.
fn broken() -> Vec<Draw> {
    let plain = Attention { causal: Causal::TopLeft, ..softmax((2, 2), 33, 50, 16) };
    let per_head = Attention { storage: Storage::INT8_PER_HEAD, ..softmax((4, 4), 30, 44, 16) };
    let paged = Attention { sequences: Sequences::Paged { page: 7, pages: 19 }, ..softmax((8, 2), 1, 61, 16) };
    let with = |op: &Attention, plant, what| Draw { plant: Some(plant), ..draw(op.clone(), what) };
    vec![
        with(&plain, Plant::NanKey, "NaN key scale"),
        with(&plain, Plant::NanValue, "NaN value scale"),
        with(&plain, Plant::InfiniteKey, "infinite key scale"),
        with(&plain, Plant::InfiniteValue, "too large a value scale"),
        with(&per_head, Plant::NanKey, "NaN key scale of a head"),
        with(&paged, Plant::NanValue, "paged, NaN value scale"),
    ]
}

/// The cases.
pub(super) fn planned() -> impl Iterator<Item = Draw> {
    layouts().into_iter().chain(others()).chain(broken())
}

#[cfg(test)]
mod tests {
    use gatefold_core::attention::pack_int8;
    use gatefold_core::{Tensor, Tensors};

    use super::*;
    use crate::outputs;

    #[test]
    fn there_are_as_many_as_promised() {
        assert_eq!(planned().count(), COUNT);
    }

    /// One key has weight 1, so the output is its value.
    #[test]
    fn an_element_is_its_integer_times_its_scale() {
        for (storage, scale_dims) in [(Storage::INT8_PER_TOKEN, vec![1, 2, 1]), (Storage::INT8_PER_HEAD, vec![2])] {
            let op = Attention { storage, ..Attention::softmax(Dims { val_dim: 3, ..Dims::new(1, 2, 1, 1) }) };
            let inputs = Tensors::new()
                .with("q", Tensor::f32([1, 2, 1, 1], [1.0, 1.0]).unwrap())
                .with("k", pack_int8([1, 2, 1, 1], &[1, 1]).unwrap())
                .with("v", pack_int8([1, 2, 1, 3], &[-2, 1, 127, -128, 1, -3]).unwrap())
                .with("k_scale", Tensor::f32(scale_dims.clone(), [1.0, 1.0]).unwrap())
                .with("v_scale", Tensor::f32(scale_dims, [0.5, -0.25]).unwrap());
            assert_eq!(outputs(&op, &inputs)["o"].to_f32(), [-1.0, 0.5, 63.5, 32.0, -0.25, 0.75]);
        }
    }
}
