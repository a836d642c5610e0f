//! Weights that are measured by the mean of their row, and raised to a power: the re-weighting of LSSAR.

use serde::{Deserialize, Serialize};

use super::{Attention, Causal, Normalizer, Weight};
use crate::{Dtype, Operand, SpecError};

/// A row's largest weight, measured by its mean and less the offset, must reach this to be re-weighted.
pub const LEAST_EXCESS: f32 = 1e-5;

/// How weights `a_ij` are re-weighted before their row is normalised, over the `N_i` keys that query `i` sees:
///
/// ```text
/// t_ij = max(a_ij / mean_i − offset_i, 0),   mean_i = Σ_j a_ij / N_i
/// a_ij ← (t_ij / max_j t_ij)^power
/// ```
/// `a_ij / mean_i` is `N_i·p_ij` of the row's shares `p_ij = a_ij / Σ_j a_ij`. `offset_i` is `offset`, but 0 in the first `offset_rows` queries of
/// a sequence: those at positions `i + off` (top-left causal: `i`) below it. The largest `t_ij` cancels in the row's sum; without it high
/// powers overflow.
///
/// A row whose weights are all alike has no `t_ij` above rounding. Where `max_j t_ij` is below [`LEAST_EXCESS`], the row keeps its own weights,
/// `a_ij ← a_ij / max_j a_ij`, as if it were not re-weighted.
///
/// Goes with [`Normalizer::RowSum`] and with weights that cannot be negative. Its source: *Softplus Attention with Re-weighting Boosts Length
/// Extrapolation in Large Language Models* (arXiv 2501.13428).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reweight {
    /// A whole number of 1 to 16: 3 is the paper's best at the length of training, 15 at lengths far beyond.
    pub power: u32,
    /// What is taken from a weight measured by its mean, 0 to 16. 1 leaves what is above the mean.
    pub offset: f32,
    /// Queries at the beginning of a sequence from which nothing is taken, less than 2^30.
    pub offset_rows: u32,
}

impl Reweight {
    /// LSSAR with power 3: what is above the mean, in all rows but the first three.
    pub const LSSAR: Self = Self { power: 3, offset: 1.0, offset_rows: 3 };

    /// What is taken from the measured weights of a query at this position of its sequence.
    pub fn offset_at(&self, position: i64) -> f32 {
        if position < i64::from(self.offset_rows) { 0.0 } else { self.offset }
    }

    fn validate(self, a: &Attention) -> Result<(), SpecError> {
        let bad =
            |option, expected: &str, given: String| Err(SpecError::Option { option, expected: expected.into(), given });
        if !(1..=16).contains(&self.power) {
            return bad("reweight.power", "1 to 16", self.power.to_string());
        }
        if !(0.0..=16.0).contains(&self.offset) {
            return bad("reweight.offset", "0 to 16", self.offset.to_string());
        }
        if self.offset_rows >= 1 << 30 {
            return bad("reweight.offset_rows", "less than 2^30", self.offset_rows.to_string());
        }
        let conflict = |with, reason| Err(SpecError::Conflict { option: "reweight", with, reason });
        match a.weight {
            Weight::Softmax => {
                conflict("weight: softmax", "softmax's rows are formed in one pass, before there is a mean")
            }
            Weight::Identity | Weight::Custom => {
                conflict("weight", "weights that may be negative have no mean to be measured by")
            }
            _ if a.normalizer != Normalizer::RowSum => {
                conflict("normalizer", "what is re-weighted is divided by its own sum: normalizer row_sum")
            }
            _ => Ok(()),
        }
    }
}

impl Attention {
    pub(super) fn check_reweight(&self) -> Result<(), SpecError> {
        self.reweight.map_or(Ok(()), |r| r.validate(self))
    }

    /// The outputs, a number per row, that measure the weights of a row before they are re-weighted: its mean and its largest. They are returned with
    /// `row_sum`.
    pub const fn measures(&self) -> &'static [&'static str] {
        if self.reweight.is_some() { &["row_mean", "row_max"] } else { &[] }
    }

    pub(super) fn measure_outputs(&self) -> impl Iterator<Item = Operand> {
        let wanted: &[&'static str] = if self.row_sum { self.measures() } else { &[] };
        wanted.iter().map(|&name| Operand::output(name, self.row_dims(), Dtype::F32))
    }

    /// Where query `i` of a sequence is, which has `off` keys more than queries: what tells its first queries.
    pub fn position(&self, i: usize, off: i64) -> i64 {
        i as i64 + if self.causal == Causal::TopLeft { 0 } else { off }
    }

    pub(super) fn reweight_label(&self) -> Option<String> {
        self.reweight.map(|r| format!("reweight{}", r.power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::Dims;
    use crate::{AttentionBackward, AttentionStatistics, Op, Role};

    fn lssar() -> Attention {
        Attention::lssar(Dims { seq_q: 5, ..Dims::new(2, 3, 7, 8) })
    }

    #[test]
    fn options_have_a_range() {
        let with = |r: Reweight| Attention { reweight: Some(r), ..lssar() }.validate();
        let l = Reweight::LSSAR;
        for (option, r) in [
            ("reweight.power", Reweight { power: 0, ..l }),
            ("reweight.power", Reweight { power: 17, ..l }),
            ("reweight.offset", Reweight { offset: -0.5, ..l }),
            ("reweight.offset", Reweight { offset: f32::NAN, ..l }),
            ("reweight.offset_rows", Reweight { offset_rows: 1 << 30, ..l }),
        ] {
            assert!(matches!(with(r), Err(SpecError::Option { option: o, .. }) if o == option), "{r:?}");
        }
        assert!(with(Reweight { power: 16, offset: 0.0, offset_rows: 0 }).is_ok());
    }

    #[test]
    fn it_goes_with_row_sums_of_weights_above_0() {
        for &weight in Weight::FUNCTIONS {
            for normalizer in Normalizer::ALL {
                let legal = normalizer == Normalizer::RowSum && weight != Weight::Identity;
                assert_eq!(
                    Attention { weight, normalizer, ..lssar() }.validate().is_ok(),
                    legal,
                    "{weight:?} {normalizer:?}"
                );
            }
        }
        let softmax = Attention { weight: Weight::Softmax, normalizer: Normalizer::None, ..lssar() };
        assert!(matches!(softmax.validate(), Err(SpecError::Conflict { option: "reweight", .. })));
        assert!(matches!(
            AttentionStatistics::new(lssar()).validate(),
            Err(SpecError::Conflict { option: "reweight", .. })
        ));
    }

    #[test]
    fn the_gradient_asks_for_the_measures() {
        let a = lssar().saving(true);
        let names = |role, all: Vec<Operand>| -> Vec<_> {
            all.into_iter().filter(|o| o.role == role).map(|o| o.name).collect()
        };
        assert_eq!(names(Role::Output, a.operands()), ["o", "row_sum", "row_mean", "row_max"]);
        let asked = names(Role::Input, AttentionBackward::new(a).operands());
        assert_eq!(asked, ["q", "k", "v", "o", "row_sum", "row_mean", "row_max", "d_o"]);
    }

    #[test]
    fn the_first_queries_are_those_of_the_sequence() {
        let (a, r) = (lssar(), Reweight::LSSAR);
        assert_eq!([0, 1, 2].map(|i| r.offset_at(a.position(i, 2))), [0.0, 1.0, 1.0]);
        let top_left = Attention { causal: Causal::TopLeft, ..a };
        assert_eq!([2, 3].map(|i| r.offset_at(top_left.position(i, 2))), [0.0, 1.0]);
    }
}
