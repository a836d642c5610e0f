//! Numbers per head from attention's statistics, formed on the host in f64.

use super::{AttentionStatistics, Sequences, StatisticsOutputs};
use crate::{Op, SpecError, Tensor};

/// The importance from which a key counts as a sink, by default (arXiv 2410.10781).
pub const SINK_THRESHOLD: f64 = 0.3;

/// What one query head does, as means over batch entries and queries. A number that nothing can be said about, such as a cosine of one output, is
/// NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadDiagnosis {
    /// Share of the keys whose importance is above the threshold.
    pub sinks: f64,
    /// Largest importance of a key.
    pub most_important: f64,
    /// Entropy of a row of weights, in nats.
    pub entropy: f64,
    /// `exp(entropy)` of a row: how many keys it attends to.
    pub support: f64,
    /// Largest weight of a row.
    pub top_mass: f64,
    /// Cosine of two outputs of different queries: 1 if all routes lead to one output.
    pub cosine: f64,
    /// Participation ratio `(tr C)² / tr C²` of the outputs' covariance: dimensions in use, 0 if all outputs are equal.
    pub rank: f64,
    /// Coefficient of variation of the keys' norms `|k_j|`.
    pub norm_variation: f64,
    /// Largest norm of a key ÷ the median.
    pub norm_peak: f64,
    /// Correlation of `|k_j|` and `importance_j`.
    pub norm_correlation: f64,
}

/// What the heads of an attention do.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    /// One by one.
    pub heads: Vec<HeadDiagnosis>,
    /// For each key position, the share of batch entries and heads whose importance there is above the threshold: the sink metric of position k.
    pub sinks_by_position: Vec<f64>,
    /// The same over all positions.
    pub sinks: f64,
}

fn mean(all: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for x in all.into_iter().filter(|x| !x.is_nan()) {
        (sum, count) = (sum + x, count + 1.0);
    }
    sum / count
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

/// Mean cosine of two different rows: the squared length of the sum of unit rows is `n + Σ_{i≠j} cos`.
fn mean_cosine(rows: &[f64], width: usize) -> f64 {
    let (mut sum, mut count) = (vec![0.0; width], 0.0);
    for row in rows.chunks(width) {
        let length = norm(row);
        if length > 0.0 {
            sum.iter_mut().zip(row).for_each(|(s, x)| *s += x / length);
            count += 1.0;
        }
    }
    (dot(&sum, &sum) - count) / (count * (count - 1.0))
}

/// Participation ratio of the covariance of rows.
fn participation(rows: &[f64], width: usize) -> f64 {
    let count = (rows.len() / width) as f64;
    let means: Vec<f64> = (0..width).map(|d| rows.chunks(width).map(|r| r[d]).sum::<f64>() / count).collect();
    let mut covariance = vec![0.0; width * width];
    for row in rows.chunks(width) {
        let centred: Vec<f64> = row.iter().zip(&means).map(|(x, m)| x - m).collect();
        for (line, x) in covariance.chunks_mut(width).zip(&centred) {
            line.iter_mut().zip(&centred).for_each(|(c, y)| *c += x * y);
        }
    }
    let trace: f64 = (0..width).map(|d| covariance[d * width + d]).sum();
    let of_square = dot(&covariance, &covariance);
    if of_square == 0.0 { 0.0 } else { trace * trace / of_square }
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a.iter().copied()), mean(b.iter().copied()));
    let product =
        |x: &[f64], y: &[f64], mx: f64, my: f64| x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>();
    product(a, b, mean_a, mean_b) / (product(a, a, mean_a, mean_a) * product(b, b, mean_b, mean_b)).sqrt()
}

fn variation(x: &[f64]) -> f64 {
    let centre = mean(x.iter().copied());
    mean(x.iter().map(|x| (x - centre).powi(2))).sqrt() / centre
}

fn peak(x: &[f64]) -> f64 {
    let mut sorted = x.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.last().map_or(f64::NAN, |most| most / sorted[sorted.len() / 2])
}

/// One head of one batch entry, cut to its lengths.
struct Head<'a> {
    importance: &'a [f64],
    entropy: &'a [f64],
    top_mass: &'a [f64],
    outputs: &'a [f64],
    keys: &'a [f64],
}

impl Head<'_> {
    fn diagnose(&self, widths: [usize; 2], threshold: f64) -> HeadDiagnosis {
        let norms: Vec<f64> = self.keys.chunks(widths[0]).map(norm).collect();
        HeadDiagnosis {
            sinks: mean(self.importance.iter().map(|&c| f64::from(u8::from(c > threshold)))),
            most_important: self.importance.iter().copied().fold(f64::NAN, f64::max),
            entropy: mean(self.entropy.iter().copied()),
            support: mean(self.entropy.iter().map(|h| h.exp())),
            top_mass: mean(self.top_mass.iter().copied()),
            cosine: mean_cosine(self.outputs, widths[1]),
            rank: participation(self.outputs, widths[1]),
            norm_variation: variation(&norms),
            norm_peak: peak(&norms),
            norm_correlation: correlation(&norms, self.importance),
        }
    }
}

/// Means over the batch entries of one head.
fn over_entries(entries: &[HeadDiagnosis]) -> HeadDiagnosis {
    let of = |f: fn(&HeadDiagnosis) -> f64| mean(entries.iter().map(f));
    HeadDiagnosis {
        sinks: of(|h| h.sinks),
        most_important: of(|h| h.most_important),
        entropy: of(|h| h.entropy),
        support: of(|h| h.support),
        top_mass: of(|h| h.top_mass),
        cosine: of(|h| h.cosine),
        rank: of(|h| h.rank),
        norm_variation: of(|h| h.norm_variation),
        norm_peak: of(|h| h.norm_peak),
        norm_correlation: of(|h| h.norm_correlation),
    }
}

fn expect(name: &str, tensor: &Tensor, expected: Vec<usize>) -> Result<Vec<f64>, SpecError> {
    if tensor.dims() != expected {
        return Err(SpecError::Shape { operand: name.into(), expected, given: tensor.dims().to_vec() });
    }
    Ok(tensor.to_f64())
}

impl AttentionStatistics {
    /// What each head does, from this op's outputs, the keys `k` and the attention's output `o`. A key is a sink if its importance is above
    /// `threshold` ([`SINK_THRESHOLD`]).
    ///
    /// # Errors
    /// [`SpecError::Option`] for sequences that are not dense, [`SpecError::Shape`] for a tensor that does not fit the spec.
    pub fn diagnose(
        &self,
        statistics: &StatisticsOutputs,
        k: &Tensor,
        o: &Tensor,
        threshold: f64,
    ) -> Result<Diagnosis, SpecError> {
        self.forward.validate()?;
        if self.forward.sequences != Sequences::Dense {
            let given = format!("{:?}", self.forward.sequences);
            return Err(SpecError::Option { option: "sequences", expected: "dense".into(), given });
        }
        let d = &self.forward.dims;
        let importance = expect("importance", &statistics.importance, self.key_dims())?;
        let entropy = expect("entropy", &statistics.entropy, self.forward.row_dims())?;
        let top_mass = expect("top_mass", &statistics.top_mass, self.forward.row_dims())?;
        let keys = expect("k", k, vec![d.batch, d.kv_heads, d.seq_kv, d.head_dim])?;
        let outputs = expect("o", o, vec![d.batch, d.q_heads, d.seq_q, d.val_dim])?;
        let part = |at: usize, size: usize| at * size..(at + 1) * size;
        let entry = |b: usize, h: usize| {
            let (at, key_at) = (b * d.q_heads + h, b * d.kv_heads + h / d.group());
            let head = Head {
                importance: &importance[part(at, d.seq_kv)],
                entropy: &entropy[part(at, d.seq_q)],
                top_mass: &top_mass[part(at, d.seq_q)],
                outputs: &outputs[part(at, d.seq_q * d.val_dim)],
                keys: &keys[part(key_at, d.seq_kv * d.head_dim)],
            };
            head.diagnose([d.head_dim, d.val_dim], threshold)
        };
        let head = |h| over_entries(&(0..d.batch).map(|b| entry(b, h)).collect::<Vec<_>>());
        let is_sink = |c: f64| f64::from(u8::from(c > threshold));
        let at_position = |j| mean(importance.iter().skip(j).step_by(d.seq_kv.max(1)).map(|&c| is_sink(c)));
        Ok(Diagnosis {
            heads: (0..d.q_heads).map(head).collect(),
            sinks_by_position: (0..d.seq_kv).map(at_position).collect(),
            sinks: mean(importance.iter().map(|&c| is_sink(c))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Attention;
    use crate::attention::Dims;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn cosine_and_rank_tell_collapse_from_spread() {
        let same = [3.0, 4.0, 6.0, 8.0, 3.0, 4.0];
        assert!(close(mean_cosine(&same, 2), 1.0));
        let apart = [1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, -1.0];
        // 4 of 12 ordered pairs are opposite
        assert!(close(mean_cosine(&apart, 2), -1.0 / 3.0));
        assert!(close(participation(&apart, 2), 2.0));
        assert!(close(participation(&[1.0, 1.0, 2.0, 2.0, 3.0, 3.0], 2), 1.0));
        assert!(close(participation(&[1.0, 2.0, 1.0, 2.0], 2), 0.0));
    }

    #[test]
    fn norms_are_described() {
        assert!(close(variation(&[1.0, 3.0]), 0.5) && close(peak(&[1.0, 8.0, 2.0]), 4.0));
        assert!(close(correlation(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]), 1.0));
        assert!(close(correlation(&[1.0, 2.0, 3.0], &[6.0, 4.0, 2.0]), -1.0));
    }

    #[test]
    fn sinks_are_counted_by_head_and_position() {
        let op = AttentionStatistics::new(Attention::softmax(Dims::new(1, 2, 2, 1)));
        let rows = |n: [f32; 4]| Tensor::f32([1, 2, 2], n).unwrap();
        let statistics = StatisticsOutputs {
            importance: rows([0.9, 0.1, 0.5, 0.5]),
            entropy: rows([0.0, 0.0, 2f32.ln(), 2f32.ln()]),
            top_mass: rows([1.0, 1.0, 0.5, 0.5]),
        };
        let k = Tensor::f32([1, 2, 2, 1], vec![3.0, -1.0, 1.0, 1.0]).unwrap();
        let found = op.diagnose(&statistics, &k, &k, SINK_THRESHOLD).unwrap();
        assert!(close(found.sinks, 0.75) && found.sinks_by_position == [1.0, 0.5]);
        assert!(close(found.heads[0].sinks, 0.5) && close(found.heads[1].sinks, 1.0));
        assert!((found.heads[1].support - 2.0).abs() < 1e-6 && close(found.heads[0].norm_correlation, 1.0));
        let wrong = op.diagnose(&statistics, &k, &Tensor::default(), SINK_THRESHOLD).unwrap_err();
        assert!(matches!(&wrong, SpecError::Shape { operand, .. } if operand == "o"), "{wrong}");
    }
}
