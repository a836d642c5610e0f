//! Sinks: a logit per head, or that of a key which every query sees; both without a value.

use gatefold_core::Attention;

use super::geometry::Sequence;
use super::rows::stored;
use super::score::{Score, Scores};
use crate::real::Accumulator;
use crate::{Real, Values};

/// The sink of a row, if there is one.
pub(crate) fn score<R: Real>(
    scores: &Scores<'_, R>,
    inputs: &Values<R>,
    s: &Sequence,
    [h, i]: [usize; 2],
) -> Option<Score<R>> {
    let op = scores.op;
    if op.sink {
        return Some(Score::Finite { z: inputs.float("sink")[h], slope: R::from_f64(1.0) });
    }
    let width = op.dims.head_dim;
    op.sink_key.then(|| {
        let head = h / op.dims.group();
        let key = &inputs.float("sink_key")[head * width..(head + 1) * width];
        scores.product(s.query_row(op, h, i), key)
    })
}

/// The logit that takes part in the row's sum; a row whose sink is no number has been dealt with.
pub(crate) fn logit<R: Real>(score: Option<Score<R>>) -> Option<R> {
    match score {
        Some(Score::Finite { z, .. }) => Some(z),
        _ => None,
    }
}

/// Gradients of the sink in the making.
pub(crate) struct Gradient<R: Real> {
    logits: Vec<R::Sum>,
    key: Vec<R::Sum>,
    /// By row of `q`: its key/value head, and `scale·ds*`.
    rows: Vec<(usize, R)>,
}

impl<R: Real> Gradient<R> {
    pub(crate) fn new(op: &Attention, inputs: &Values<R>) -> Self {
        let like = |name: &str| vec![R::Sum::default(); inputs.float(name).len()];
        let rows = if op.sink_key { inputs.float("q").len() / op.dims.head_dim } else { 0 };
        Self { logits: like("sink"), key: like("sink_key"), rows: vec![(0, R::from_f64(0.0)); rows] }
    }

    /// A row of `q` of head `h` with this sink and these `lse` and `delta`; `None` if the row is lost.
    pub(crate) fn add_row(
        &mut self,
        scores: &Scores<'_, R>,
        (h, row): (usize, usize),
        sink: Score<R>,
        of: Option<[R; 2]>,
    ) {
        let op = scores.op;
        let (z, slope) = match sink {
            Score::Finite { z, slope } => (z, slope),
            _ if of.is_none() => (R::nan(), R::nan()),
            _ => return,
        };
        let (p, delta) = of.map_or((R::nan(), R::nan()), |[lse, delta]| ((z - lse).exp(), delta));
        if op.sink {
            self.logits[h].add_product(-p, delta);
            return;
        }
        let dz = -(p * delta);
        let ds = if op.softcap.is_some() { dz * slope } else { dz };
        let g = ds * scores.scale();
        let (width, head) = (op.dims.head_dim, h / op.dims.group());
        if of.is_some() {
            self.rows[row] = (head, g);
        }
        for (sum, &q) in self.key[head * width..(head + 1) * width].iter_mut().zip(scores.query(row)) {
            sum.add_product(g, q);
        }
    }

    /// Adds the key's share to the gradient of the queries.
    pub(crate) fn add_to_queries(&self, op: &Attention, key: &[R], d_q: &mut [R]) {
        let width = op.dims.head_dim;
        for (&(head, g), of_row) in self.rows.iter().zip(d_q.chunks_mut(width)) {
            if g.value() != 0.0 || g.uncertainty() != 0.0 {
                of_row.iter_mut().zip(&key[head * width..]).for_each(|(d, &k)| *d = stored(*d, op.dtype) + g * k);
            }
        }
    }

    /// The gradients by name: a term of a logit's goes through so many additions, one of a key's through those over entries and heads as well.
    pub(crate) fn finish(&self, op: &Attention, depth: usize) -> [(&'static str, Vec<R>); 2] {
        let staged = |sums: &[R::Sum], depth| sums.iter().map(|s| s.total_in_depth(depth)).collect();
        let of_key = depth + op.dims.batch * op.dims.group();
        [("d_sink", staged(&self.logits, depth)), ("d_sink_key", staged(&self.key, of_key))]
    }
}
