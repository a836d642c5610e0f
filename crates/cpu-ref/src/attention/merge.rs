//! The merge of attention's parts from its definition, and its cases.

use gatefold_core::{AttentionMerge, Dtype, Op, Role, Tensor, Tensors};

use crate::case::edge;
use crate::data::{Family, Rng};
use crate::real::Accumulator;
use crate::rowwise::softmax_row;
use crate::{Case, Real, Reference, Values};

const SALT: u64 = 0x3e63;

/// One row: `Σ_s w_s o_s` over the parts that count, `w_s` their share; and its `lse`.
fn row<R: Real>(op: &AttentionMerge, inputs: &Values<R>, row: usize) -> (Vec<R>, R) {
    let (o_parts, lse_parts) = (inputs.float("o_parts"), inputs.float("lse_parts"));
    let lse_of = |part: usize| lse_parts[part * op.rows + row];
    let counts = |part: &usize| !op.lse || lse_of(*part).value() != f64::NEG_INFINITY;
    let counted: Vec<usize> = (0..op.parts).filter(counts).collect();
    let is_broken = |x: R| x.value().is_nan() || x.value() == f64::INFINITY;
    if op.lse && counted.iter().any(|&part| is_broken(lse_of(part))) {
        return (vec![R::nan(); op.val_dim], R::nan());
    }
    let mut shares: Vec<R> = counted.iter().map(|&part| if op.lse { lse_of(part) } else { R::from_f64(1.0) }).collect();
    let softmax = if op.lse { softmax_row(&mut shares, usize::MAX) } else { None };
    let lse = softmax.as_ref().map_or(R::from_f64(f64::NEG_INFINITY), |s| s.lse);
    let element = |d: usize| {
        let mut sum = R::Sum::default();
        for (&part, &share) in counted.iter().zip(&shares) {
            let x = o_parts[(part * op.rows + row) * op.val_dim + d];
            if !x.value().is_finite() {
                return R::nan();
            }
            if op.lse { sum.add_product(share, x) } else { sum.add(x) }
        }
        // 2u more for a quotient: a kernel may multiply by the reciprocal
        softmax.as_ref().map_or_else(|| sum.total(), |s| (sum.total() / s.total).charge(2.0))
    };
    ((0..op.val_dim).map(element).collect(), lse)
}

impl Reference for AttentionMerge {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let (o, lse): (Vec<_>, Vec<_>) = (0..self.rows).map(|r| row(self, inputs, r)).unzip();
        let mut outputs = Values { floats: [("o".to_string(), o.concat())].into(), ..Values::default() };
        if self.lse {
            outputs.floats.insert("lse".into(), lse);
        }
        outputs
    }

    fn case(seed: u64) -> Case<Self> {
        let case = Case::drawn((seed, SALT), planned(seed), random, 30, inputs);
        if case.op.parts == 1 && !case.is_degenerate() { case.degenerate() } else { case }
    }

    const PLANNED: u64 = 2 * SIZES.len() as u64 + 4;
}

const SIZES: [(usize, usize, usize); 8] =
    [(1, 1, 1), (1, 33, 64), (2, 0, 8), (2, 63, 5), (3, 64, 64), (7, 65, 3), (64, 9, 128), (500, 2, 256)];

fn planned(seed: u64) -> Option<(AttentionMerge, String)> {
    let at = edge(seed, AttentionMerge::PLANNED)?;
    let (lse, at) = (at.is_multiple_of(2), at / 2);
    let (parts, rows, val_dim) = SIZES.get(at).copied().unwrap_or((5, 40, 12));
    let op = AttentionMerge { lse, ..AttentionMerge::softmax(parts, rows, val_dim) };
    Some(match at.checked_sub(SIZES.len()) {
        None => (op, format!("{parts} parts of {rows} rows")),
        Some(0) => (op, "special values".into()),
        Some(_) => (AttentionMerge { dtype: Dtype::F16, ..op }, "f16, special values".into()),
    })
}

fn random(rng: &mut Rng) -> AttentionMerge {
    AttentionMerge {
        parts: rng.pick(&[1, 2, 2, 3, 4, 8, 17, 40]),
        rows: rng.pick(&[1, 2, 13, 64, 100, 257]),
        val_dim: rng.pick(&[1, 3, 8, 16, 33, 64, 80, 128]),
        lse: rng.chance(60),
        dtype: if rng.chance(30) { Dtype::F16 } else { Dtype::F32 },
    }
}

/// Ordinary numbers; if `special`, some parts saw no key, and some numbers are not finite.
fn inputs(rng: &mut Rng, op: &AttentionMerge, special: bool) -> Tensors {
    let mut all = Tensors::new();
    for o in op.operands().into_iter().filter(|o| o.role == Role::Input) {
        let spread = if o.name == "lse_parts" { rng.pick(&[1.0, 5.0, 100.0]) } else { 1.0 };
        let mut numbers = Family::Normal(spread).fill(rng, o.len(), 1);
        if special {
            let lse =
                [f32::NEG_INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY, f32::INFINITY, f32::NAN, 3.0e38, -3.0e38];
            let others = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
            let (picks, percent): (&[f32], _) = if o.name == "lse_parts" { (&lse, 25) } else { (&others, 2) };
            numbers.iter_mut().for_each(|x| *x = if rng.chance(percent) { rng.pick(picks) } else { *x });
        }
        all.insert(o.name, Tensor::float(o.dtype, o.dims, numbers).expect("as many numbers as the shape says"));
    }
    all
}

#[cfg(test)]
mod tests {
    use gatefold_core::Attention;
    use gatefold_core::attention::Dims;

    use super::*;
    use crate::outputs;

    /// The keys `from .. to` of a case's `k` and `v`, one head.
    fn cut(whole: &Tensor, range: std::ops::Range<usize>, width: usize) -> Tensor {
        let numbers = whole.to_f32()[range.start * width..range.end * width].to_vec();
        Tensor::f32([1, 1, range.len(), width], numbers).unwrap()
    }

    #[test]
    fn parts_of_an_attention_merge_to_the_whole() {
        let (seq_q, seq_kv, width) = (3, 11, 4);
        let mut rng = Rng::new(5, 5);
        let mut tensor =
            |rows: usize| Tensor::f32([1, 1, rows, width], Family::Normal(1.0).fill(&mut rng, rows, width)).unwrap();
        let (q, k, v) = (tensor(seq_q), tensor(seq_kv), tensor(seq_kv));
        for lse in [true, false] {
            let with = |n: usize| {
                let dims = Dims { seq_q, ..Dims::new(1, 1, n, width) };
                let softmax = Attention { lse: true, ..Attention::softmax(dims) };
                // the constant bias is that of all keys
                if lse {
                    softmax
                } else {
                    Attention { bias: gatefold_core::attention::Bias::Const(-2.0), ..Attention::sigmoid(dims) }
                }
            };
            let given = |k: Tensor, v: Tensor| Tensors::new().with("q", q.clone()).with("k", k).with("v", v);
            let whole = outputs(&with(seq_kv), &given(k.clone(), v.clone()));
            let (mut o_parts, mut lse_parts) = (Vec::new(), Vec::new());
            for range in [0..4, 4..5, 5..11] {
                let part = outputs(&with(range.len()), &given(cut(&k, range.clone(), width), cut(&v, range, width)));
                o_parts.extend(part["o"].to_f32());
                lse_parts.extend(part.get("lse").map(Tensor::to_f32).unwrap_or_default());
            }
            let op = AttentionMerge { lse, ..AttentionMerge::softmax(3, seq_q, width) };
            let parts = Tensors::new()
                .with("o_parts", Tensor::f32([3, seq_q, width], o_parts).unwrap())
                .with_some("lse_parts", lse.then(|| Tensor::f32([3, seq_q], lse_parts).unwrap()));
            let merged = outputs(&op, &parts);
            let close = |a: &Tensor, b: &Tensor| a.to_f32().iter().zip(b.to_f32()).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(close(&merged["o"], &whole["o"]));
            assert!(!lse || close(&merged["lse"], &whole["lse"]));
        }
    }
}
