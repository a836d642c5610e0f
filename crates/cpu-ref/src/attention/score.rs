//! The score of a pair, with everything that is added to it.

use gatefold_core::Attention;
use gatefold_core::attention::Bias;

use super::custom;
use super::dropout;
use super::geometry::Sequence;
use super::penalty;
use crate::real::Accumulator;
use crate::{Real, Values};

/// Scores are clamped to ± this before use.
pub(crate) const SATURATION: f64 = 3.0e38;

/// What a visible pair contributes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Score<R> {
    /// An ordinary score `z`, and the derivative of softcap and modifier at it (1 if there are none).
    Finite {
        /// The score with all biases.
        z: R,
        /// `(1 − (s/softcap)²)·score_mod′(s)`.
        slope: R,
    },
    /// `−∞` from the data.
    MinusInfinity,
    /// `+∞` from the data.
    PlusInfinity,
    /// The pair makes its row NaN.
    Nan,
}

/// What the values of a row of `q`, `k` or `v` mean for the pairs it takes part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Finite,
    Infinite,
    Nan,
}

/// The operands of a forward pass as the formulas need them.
#[derive(Debug)]
pub(crate) struct Scores<'a, R> {
    pub(crate) op: &'a Attention,
    pub(crate) q: &'a [R],
    pub(crate) k: &'a [R],
    pub(crate) v: &'a [R],
    /// Slopes of local-linear attention; empty without them.
    r: &'a [R],
    head_bias: &'a [R],
    key_bias: &'a [R],
    score_bias: &'a [R],
    slopes: &'a [R],
    relative_bias: &'a [R],
    query_penalty: Vec<R>,
    documents: [&'a [u32]; 2],
    block_map: &'a [u32],
    scale: R,
    /// Of dropout.
    pub(crate) seed: u64,
    content: [Vec<Content>; 4],
    /// Whether a kernel may round weights to f16.
    pub(crate) f16_weights: bool,
    /// Largest `|v|` of every row of `v`.
    largest: Vec<f64>,
}

impl<R> Score<R> {
    /// Whether it makes its row NaN: no weight without a bound has one for an infinite score.
    pub(crate) fn is_nan(&self, op: &Attention) -> bool {
        let [below, above] = op.weight.bounded();
        match self {
            Self::Finite { .. } => false,
            Self::MinusInfinity => !below,
            Self::PlusInfinity => !above,
            Self::Nan => true,
        }
    }
}

fn contents<R: Real>(x: &[R], width: usize) -> Vec<Content> {
    let of_row = |row: &[R]| match row {
        _ if row.iter().any(|x| x.value().is_nan()) => Content::Nan,
        _ if row.iter().any(|x| x.value().is_infinite()) => Content::Infinite,
        _ => Content::Finite,
    };
    x.chunks(width).map(of_row).collect()
}

/// A number that the host computes in f64 and rounds to f32, or a kernel computes to 2 ULP.
pub(super) fn host_constant<R: Real>(x: f64) -> R {
    #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
    let rounded = x as f32;
    R::from_f64(f64::from(rounded)).charge(6.0)
}

impl<'a, R: Real> Scores<'a, R> {
    pub(crate) fn new(op: &'a Attention, inputs: &'a Values<R>) -> Self {
        let (q, k, v) = (inputs.float("q"), inputs.float("k"), inputs.float("v"));
        let d = &op.dims;
        Self {
            op,
            q,
            k,
            v,
            r: inputs.float("r"),
            head_bias: inputs.float("head_bias"),
            key_bias: inputs.float("key_bias"),
            score_bias: inputs.float("score_bias"),
            slopes: inputs.float("alibi_slopes"),
            relative_bias: inputs.float("relative_bias"),
            query_penalty: penalty::of_queries(op, q),
            documents: [inputs.int("document_q"), inputs.int("document_kv")],
            block_map: inputs.int("block_map"),
            scale: R::from_f64(f64::from(op.scale_value())),
            seed: dropout::seed(op, inputs),
            f16_weights: inputs.f16_weights,
            largest: v
                .chunks(d.val_dim)
                .map(|row| row.iter().map(|x| x.value().abs() + x.uncertainty()).fold(0.0, f64::max))
                .collect(),
            content: [
                contents(q, d.head_dim),
                contents(k, d.head_dim),
                contents(v, d.val_dim),
                contents(inputs.float("r"), d.head_dim),
            ],
        }
    }

    pub(crate) fn scale(&self) -> R {
        self.scale
    }

    /// Row of `q`.
    pub(crate) fn query(&self, row: usize) -> &'a [R] {
        let w = self.op.dims.head_dim;
        &self.q[row * w..(row + 1) * w]
    }

    /// Row of `r`.
    pub(crate) fn slope(&self, row: usize) -> &'a [R] {
        let w = self.op.dims.head_dim;
        &self.r[row * w..(row + 1) * w]
    }

    /// Row of `k`.
    pub(crate) fn key(&self, row: usize) -> &'a [R] {
        let w = self.op.dims.head_dim;
        &self.k[row * w..(row + 1) * w]
    }

    /// Row of `v`.
    pub(crate) fn values(&self, row: usize) -> &'a [R] {
        let w = self.op.dims.val_dim;
        &self.v[row * w..(row + 1) * w]
    }

    /// Largest `|v|` in row `row` of `v`.
    pub(crate) fn largest_value(&self, row: usize) -> f64 {
        self.largest[row]
    }

    /// Whether row `row` of `q` holds a NaN, or that of `r` a number that is not finite, which makes the whole output row NaN whatever it sees.
    pub(crate) fn query_is_nan(&self, row: usize) -> bool {
        let slope = self.content[3].get(row).is_some_and(|&content| content != Content::Finite);
        slope || self.content[0][row] == Content::Nan
    }

    /// The bias that all scores of a batch entry share; `None` if it is 0.
    fn constant(&self, s: &Sequence) -> Option<R> {
        match self.op.bias {
            Bias::Const(c) => (c != 0.0).then(|| R::from_f64(f64::from(c))),
            Bias::NegLogKeys => Some(host_constant(-(self.op.dims.seq_kv as f64).ln())),
            Bias::NegLogLen => Some(host_constant(-(s.len_kv as f64).ln())),
        }
    }

    /// Keys that query `i` sees, in order, with their scores.
    pub(crate) fn row(&self, s: &Sequence, h: usize, i: usize, seen: &mut Vec<(usize, Score<R>)>) {
        seen.clear();
        let constant = self.constant(s);
        for j in 0..s.len_kv {
            let listed = s.visible(self.op, i, j) && self.is_listed(s, h, i, j);
            if listed && !self.masked_by_bias(s, h, i, j) && custom::sees(self.op, [s.b, h, i, j]) {
                seen.push((j, self.score(s, constant, h, i, j)));
            }
        }
    }

    /// Whether the pair lies in one document, and in a block that is not empty.
    fn is_listed(&self, s: &Sequence, h: usize, i: usize, j: usize) -> bool {
        let (of_query, of_key) = s.documents(self.op, i, j);
        let one_document = !self.op.documents || self.documents[0][of_query] == self.documents[1][of_key];
        one_document && s.block(self.op, h, i, j).is_none_or(|at| self.block_map[at] != 0)
    }

    /// Whether a float mask hides the pair.
    fn masked_by_bias(&self, s: &Sequence, h: usize, i: usize, j: usize) -> bool {
        let hides = |x: R| x.value() == f64::NEG_INFINITY;
        (self.op.key_bias && hides(self.key_bias[s.key_bias(self.op, h, j)]))
            || (self.op.score_bias.is_some() && hides(self.score_bias[s.score_bias(self.op, h, i, j)]))
    }

    /// `softcap(scale·q·k)` of a row of `q` and a key that is a row of numbers, and the cap's derivative.
    pub(super) fn product(&self, qi: usize, key: &[R]) -> Score<R> {
        let dot = R::dot(self.query(qi), key);
        match self.content[0][qi] {
            Content::Finite => {}
            Content::Nan => return Score::Nan,
            Content::Infinite => return infinite_score(dot.value() * self.scale.value()),
        }
        let (z, slope) = self.capped(dot * self.scale);
        Score::Finite { z: z.clamp(SATURATION), slope }
    }

    /// A scaled score after the soft cap, and the cap's derivative.
    fn capped(&self, score: R) -> (R, R) {
        let one = R::from_f64(1.0);
        let Some(cap) = self.op.softcap else { return (score, one) };
        let cap = R::from_f64(f64::from(cap));
        let y = (score.clamp(SATURATION) / cap).tanh();
        // a kernel may find y again as s/softcap (7u), and form (1 − y)·(1 + y)
        (cap * y, (one - (y * y).charge(14.0)).charge(4.0))
    }

    fn score(&self, s: &Sequence, constant: Option<R>, h: usize, i: usize, j: usize) -> Score<R> {
        let (qi, kj) = (s.query_row(self.op, h, i), s.key_row(self.op, h, j));
        let dot = R::dot(self.query(qi), self.key(kj));
        match (self.content[0][qi], self.content[1][kj], self.content[2][kj]) {
            (Content::Finite, Content::Finite, Content::Finite) => {}
            (Content::Nan, _, _) | (_, Content::Nan, _) | (_, _, Content::Nan | Content::Infinite) => {
                return Score::Nan;
            }
            // its product with the slope has no bound
            (_, Content::Infinite, _) if self.op.local_linear => return Score::Nan,
            (Content::Infinite, _, _) | (_, Content::Infinite, _) => {
                return infinite_score(dot.value() * self.scale.value());
            }
        }
        let (score, slope) = self.capped(dot * self.scale);
        let place = [s.b, h, i, j];
        let (score, slope) = custom::score_mod(self.op, score, slope, place);
        let mut z = R::Sum::default();
        z.add(score);
        if let Some(c) = constant {
            z.add(c);
        }
        self.add_biases(&mut z, s, h, i, j);
        Score::Finite { z: z.total().clamp(SATURATION), slope }
    }

    fn add_biases(&self, z: &mut R::Sum, s: &Sequence, h: usize, i: usize, j: usize) {
        if let Some(&penalty) = self.query_penalty.get(s.query_row(self.op, h, i)) {
            z.add(-penalty);
        }
        if self.op.head_bias {
            z.add(self.head_bias[h]);
        }
        if self.op.key_bias {
            z.add(self.key_bias[s.key_bias(self.op, h, j)]);
        }
        if self.op.score_bias.is_some() {
            z.add(self.score_bias[s.score_bias(self.op, h, i, j)]);
        }
        if let Some(at) = s.relative(self.op, h, i, j) {
            z.add(self.relative_bias[at]);
        }
        if self.op.alibi {
            z.add(-(self.slopes[h] * R::from_f64(s.distance(i, j))));
        }
    }
}

/// A score that infinities among the finite numbers of `q` and `k` produce.
fn infinite_score<R>(score: f64) -> Score<R> {
    match score {
        s if s.is_nan() => Score::Nan,
        s if s > 0.0 => Score::PlusInfinity,
        _ => Score::MinusInfinity,
    }
}
