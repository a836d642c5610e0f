//! The rotary embedding from its definition, and its cases.

use gatefold_core::attention::{RotaryPairs, RotaryPositions, RowLayout};
use gatefold_core::{Dtype, Op, RotaryEmbedding, Tensor, Tensors};

use crate::case::edge;
use crate::data::{Family, Rng};
use crate::{Case, Real, Reference, Values};

const SALT: u64 = 0x4072;

/// The elements of a row that pair `p` turns.
fn pair(op: &RotaryEmbedding, p: usize) -> (usize, usize) {
    match op.pairs {
        RotaryPairs::Half => (p, p + op.rotary_dim / 2),
        RotaryPairs::Interleaved => (2 * p, 2 * p + 1),
    }
}

/// Where the row of `(batch, head, token)` begins.
fn row_start(op: &RotaryEmbedding, [batch, head, token]: [usize; 3]) -> usize {
    let row = match op.layout {
        RowLayout::HeadsFirst => (batch * op.heads + head) * op.seq + token,
        RowLayout::TokensFirst => (batch * op.seq + token) * op.heads + head,
    };
    row * op.head_dim
}

impl Reference for RotaryEmbedding {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let (x, positions) = (inputs.float("x"), inputs.int("positions"));
        let mut y = x.to_vec();
        for batch in 0..self.batch {
            for token in 0..self.seq {
                let position = match self.positions {
                    RotaryPositions::Tokens => positions[batch * self.seq + token] as usize,
                    RotaryPositions::First => positions[batch] as usize + token,
                };
                for head in 0..self.heads {
                    let start = row_start(self, [batch, head, token]);
                    for p in 0..self.rotary_dim / 2 {
                        let at = position * (self.rotary_dim / 2) + p;
                        let (cos, sin) = (inputs.float("cos_cache")[at], inputs.float("sin_cache")[at]);
                        let sin = if self.inverse { -sin } else { sin };
                        let (a, b) = pair(self, p);
                        let (x_a, x_b) = (x[start + a], x[start + b]);
                        let finite = [x_a, x_b, cos, sin].iter().all(|n| n.value().is_finite());
                        let turned = (R::dot(&[x_a, -x_b], &[cos, sin]), R::dot(&[x_a, x_b], &[sin, cos]));
                        (y[start + a], y[start + b]) = if finite { turned } else { (R::nan(), R::nan()) };
                    }
                }
            }
        }
        Values { floats: [("y".to_string(), y)].into(), ..Values::default() }
    }

    fn case(seed: u64) -> Case<Self> {
        Case::drawn((seed, SALT), planned(seed), random, 20, inputs)
    }

    const PLANNED: u64 = 4 * SIZES.len() as u64 + 4;
}

/// `batch, heads, seq, head_dim, rotary_dim, max_position`.
const SIZES: [[usize; 6]; 7] = [
    [1, 1, 1, 2, 2, 1],
    [2, 3, 5, 8, 8, 50],
    [0, 2, 3, 4, 2, 9],
    [3, 2, 0, 4, 4, 9],
    [2, 4, 33, 64, 48, 40],
    [1, 8, 70, 128, 128, 4096],
    [5, 1, 17, 256, 2, 17],
];

fn planned(seed: u64) -> Option<(RotaryEmbedding, String)> {
    let at = edge(seed, RotaryEmbedding::PLANNED)?;
    let [batch, heads, seq, head_dim, rotary_dim, max_position] = SIZES.get(at / 4).copied().unwrap_or(SIZES[4]);
    let op = RotaryEmbedding {
        rotary_dim,
        pairs: if at.is_multiple_of(2) { RotaryPairs::Half } else { RotaryPairs::Interleaved },
        layout: if at / 2 % 2 == 0 { RowLayout::HeadsFirst } else { RowLayout::TokensFirst },
        positions: if at % 3 == 0 { RotaryPositions::First } else { RotaryPositions::Tokens },
        inverse: at % 5 == 0,
        ..RotaryEmbedding::new(batch, heads, seq, head_dim, max_position)
    };
    Some(match at.checked_sub(4 * SIZES.len()) {
        None => (op, format!("{batch} by {heads} by {seq}")),
        Some(0) => (op, "special values".into()),
        Some(_) => (RotaryEmbedding { dtype: Dtype::F16, ..op }, "f16, special values".into()),
    })
}

fn random(rng: &mut Rng) -> RotaryEmbedding {
    let (seq, head_dim) = (rng.pick(&[1, 1, 2, 7, 16, 40, 65]), rng.pick(&[2, 3, 8, 16, 33, 64, 80, 128]));
    let max_position = seq + rng.pick(&[0, 1, 20, 1000]);
    RotaryEmbedding {
        rotary_dim: if rng.chance(60) { head_dim / 2 * 2 } else { 2 * (1 + rng.below(head_dim / 2)) },
        pairs: rng.pick(&[RotaryPairs::Half, RotaryPairs::Interleaved]),
        layout: rng.pick(&[RowLayout::HeadsFirst, RowLayout::TokensFirst]),
        positions: rng.pick(&[RotaryPositions::Tokens, RotaryPositions::First]),
        inverse: rng.chance(30),
        dtype: if rng.chance(30) { Dtype::F16 } else { Dtype::F32 },
        ..RotaryEmbedding::new(rng.pick(&[1, 2, 3]), rng.pick(&[1, 2, 4, 8]), seq, head_dim, max_position)
    }
}

/// Points of the circle `((1 − t²), 2t) / (1 + t²)`: cosines and sines without a library function that rounds freely.
fn caches(rng: &mut Rng, count: usize) -> (Vec<f32>, Vec<f32>) {
    let mut point = || {
        let t = rng.normal();
        ((1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t))
    };
    (0..count).map(|_| point()).unzip()
}

/// Ordinary numbers and positions up to the last; if `special`, some of them not finite.
fn inputs(rng: &mut Rng, op: &RotaryEmbedding, special: bool) -> Tensors {
    let mut all = Tensors::new();
    let pairs = op.rotary_dim / 2;
    let (cos, sin) = caches(rng, op.max_position * pairs);
    for o in op.operands() {
        let tensor = match o.name {
            "x" => {
                let mut x = Family::Normal(rng.pick(&[1.0, 1.0, 100.0])).fill(rng, o.len(), 1);
                if special {
                    let picks = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 6.0e4, -6.0e4, 1e-40];
                    x.iter_mut().for_each(|x| *x = if rng.chance(5) { rng.pick(&picks) } else { *x });
                }
                Tensor::float(o.dtype, o.dims, x)
            }
            "cos_cache" => Tensor::f32(o.dims, cos.clone()),
            "sin_cache" if special => {
                let spoilt = |x: &f32| if rng.chance(2) { f32::NAN } else { *x };
                Tensor::f32(o.dims, sin.iter().map(spoilt).collect::<Vec<_>>())
            }
            "sin_cache" => Tensor::f32(o.dims, sin.clone()),
            "positions" => {
                let ahead = if op.positions == RotaryPositions::First { op.seq.max(1) - 1 } else { 0 };
                let mut draw = |_| u32::try_from(rng.below(op.max_position - ahead)).unwrap_or_default();
                let mut drawn: Vec<u32> = (0..o.len()).map(&mut draw).collect();
                if let Some(last) = drawn.last_mut() {
                    *last = u32::try_from(op.max_position - ahead - 1).unwrap_or_default();
                }
                Tensor::u32(o.dims, drawn)
            }
            _ => continue,
        };
        all.insert(o.name, tensor.expect("as many numbers as the shape says"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs;

    fn turned(op: &RotaryEmbedding, x: Tensor, positions: &[u32]) -> Tensor {
        let (cos, sin) = op.caches(10_000.0).unwrap();
        let positions = Tensor::u32([op.batch, op.seq], positions).unwrap();
        let inputs = Tensors::new().with("x", x).with("cos_cache", cos).with("sin_cache", sin);
        outputs(op, &inputs.with("positions", positions))["y"].clone()
    }

    #[test]
    fn products_depend_on_the_distance_only() {
        for pairs in [RotaryPairs::Half, RotaryPairs::Interleaved] {
            let op = RotaryEmbedding { pairs, ..RotaryEmbedding::new(1, 1, 2, 16, 100) };
            let x = Tensor::f32([1, 1, 2, 16], Family::Normal(1.0).fill(&mut Rng::new(3, 3), 2, 16)).unwrap();
            let product = |at: &[u32]| {
                let y = turned(&op, x.clone(), at).to_f64();
                (0..16).map(|d| y[d] * y[16 + d]).sum::<f64>()
            };
            assert!((product(&[3, 10]) - product(&[83, 90])).abs() < 1e-5);
            assert!((product(&[3, 10]) - product(&[3, 11])).abs() > 1e-3);
        }
    }

    #[test]
    fn the_inverse_turns_back() {
        let op = RotaryEmbedding { rotary_dim: 6, ..RotaryEmbedding::new(1, 2, 3, 8, 40) };
        let x = Tensor::f32([1, 2, 3, 8], Family::Normal(1.0).fill(&mut Rng::new(4, 4), 6, 8)).unwrap();
        let there = turned(&op, x.clone(), &[7, 0, 39]);
        let back = turned(&RotaryEmbedding { inverse: true, ..op }, there, &[7, 0, 39]);
        assert!(back.to_f32().iter().zip(x.to_f32()).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
