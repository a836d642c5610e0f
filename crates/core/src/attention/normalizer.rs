//! What a row of weights is divided by.

use serde::{Deserialize, Serialize};

use super::{Attention, NO_SOFTMAX, Weight};
use crate::SpecError;

/// The number `n_i` that a row of weights `a_ij` is divided by: `P_ij = a_ij / n_i`. Where it is 0, the row's weights are 0.
///
/// Softmax brings its own; it goes with [`None`](Self::None) only.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalizer {
    /// 1.
    #[default]
    None,
    /// `Σ_j a_ij`. Sums below 2⁻¹²⁶ count as 0; sums of a weight that may be negative may cancel, and the row's error grows accordingly.
    RowSum,
    /// `Σ_j a_ij`, a constant for the gradient (arXiv 2507.23632, §4).
    DetachedRowSum,
    /// `max(|Σ_j a_ij|, 1)`: for weights that may be negative (*When Attention Sink Emerges*, arXiv 2410.10781).
    ClampedRowSum,
    /// `max(|Σ_j a_ij|, 1)`, a constant for the gradient (arXiv 2507.23632, §4).
    DetachedClampedRowSum,
    /// How many keys the query sees.
    Count,
    /// The square root of how many keys the query sees.
    RootCount,
    /// How many keys the query sees, to this power, −4 to 4.
    CountPower(f32),
    /// `exp(log_norm_i)`: a number per query from an input `log_norm`, −80 to 80, which has a gradient (*Understanding the differences in
    /// Foundation Models*, arXiv 2405.15731).
    LearnedExp,
    /// `(‖A‖_F + ε) / rho_h`, `‖A‖_F = √Σ_ij a_ij²` over all pairs of a batch entry and query head that are seen, ε of 10⁻¹⁸ to 16, with an input
    /// `rho [q_heads]` (InfSA, arXiv 2603.00175). A NaN anywhere makes all rows of its batch entry and head NaN.
    GlobalFrobenius(f32),
}

impl Normalizer {
    /// Every normaliser of a row by itself, the power of a count with a usual number.
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::RowSum,
        Self::DetachedRowSum,
        Self::ClampedRowSum,
        Self::DetachedClampedRowSum,
        Self::Count,
        Self::RootCount,
        Self::CountPower(0.75),
        Self::LearnedExp,
    ];

    /// Name as in variant names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::RowSum => "row_sum",
            Self::DetachedRowSum => "detached_row_sum",
            Self::ClampedRowSum => "clamped_row_sum",
            Self::DetachedClampedRowSum => "detached_clamped_row_sum",
            Self::Count => "count",
            Self::RootCount => "root_count",
            Self::CountPower(_) => "count_power",
            Self::LearnedExp => "learned_exp",
            Self::GlobalFrobenius(_) => "global_frobenius",
        }
    }

    /// Whether it is formed from what a row sees: that sum (of weights, of their squares, or of ones) is the output `row_sum`, which the gradient
    /// needs.
    pub const fn has_row_sum(self) -> bool {
        !matches!(self, Self::None | Self::LearnedExp)
    }

    /// Whether one weight that is not a number makes all of its row so.
    pub const fn couples_row(self) -> bool {
        matches!(
            self,
            Self::RowSum
                | Self::DetachedRowSum
                | Self::ClampedRowSum
                | Self::DetachedClampedRowSum
                | Self::GlobalFrobenius(_)
        )
    }

    /// Whether all rows of a batch entry and head share it; its ε.
    pub const fn of_head(self) -> Option<f32> {
        if let Self::GlobalFrobenius(eps) = self { Some(eps) } else { None }
    }

    /// Whether its gradient needs `o`, for `delta = d_o·o`.
    pub const fn needs_delta(self) -> bool {
        matches!(self, Self::RowSum | Self::ClampedRowSum | Self::LearnedExp | Self::GlobalFrobenius(_))
    }

    pub(super) fn validate(self, weight: Weight) -> Result<(), SpecError> {
        if weight == Weight::Softmax && self != Self::None {
            let reason = "softmax divides by its own row sum; an exponential with another normaliser is exp_clamp";
            return Err(SpecError::Conflict { option: "normalizer", with: "weight: softmax", reason });
        }
        let expected = match self {
            Self::CountPower(power) if !(-4.0..=4.0).contains(&power) => "a power of -4 to 4",
            Self::GlobalFrobenius(eps) if !(1e-18..=16.0).contains(&eps) => "an eps of 1e-18 to 16",
            _ => return Ok(()),
        };
        Err(SpecError::Option { option: "normalizer", expected: expected.into(), given: format!("{self:?}") })
    }

    /// The input that a normaliser has, which has a gradient.
    pub(super) fn operand(self, a: &Attention) -> Option<(&'static str, Vec<usize>)> {
        match self {
            Self::LearnedExp => Some(("log_norm", a.row_dims())),
            Self::GlobalFrobenius(_) => Some(("rho", vec![a.dims.q_heads])),
            _ => None,
        }
    }
}

impl Attention {
    /// The output, a number per row, that the forward pass can save and the gradient needs: `lse`, `row_sum` or none.
    pub const fn saved(&self) -> Option<&'static str> {
        match self.weight {
            Weight::Softmax => Some("lse"),
            _ if self.normalizer.has_row_sum() => Some("row_sum"),
            _ => None,
        }
    }

    /// The outputs of the forward pass that the gradient needs: [`saved`](Self::saved), [`measures`](Self::measures),
    /// [`moments`](Self::moments), and `o` or, before an epilogue,
    /// `o_core`.
    pub fn kept(&self) -> Vec<&'static str> {
        let output = match self.epilogue.is_none() {
            true => self.needs_delta().then_some("o"),
            false => Some("o_core"),
        };
        let more = self.measures().iter().chain(self.moments()).copied();
        output.into_iter().chain(self.saved()).chain(more).collect()
    }

    /// The same attention, which returns [`saved`](Self::saved) and `o_core`, where there is one, if `wanted`.
    #[must_use]
    pub fn saving(self, wanted: bool) -> Self {
        let (lse, row_sum) = (self.saved() == Some("lse"), self.saved() == Some("row_sum"));
        let o_core = wanted && !self.epilogue.is_none();
        Self { lse: lse && wanted, row_sum: row_sum && wanted, o_core, ..self }
    }

    /// Options that only softmax, or only a normaliser with a row sum, goes with.
    pub(super) fn check_saved(&self) -> Result<(), SpecError> {
        let conflict = |option, with, reason| Err(SpecError::Conflict { option, with, reason });
        if self.weight != Weight::Softmax && self.lse {
            return conflict("lse", NO_SOFTMAX, "only softmax has a log-sum-exp");
        }
        if self.row_sum && self.saved() != Some("row_sum") {
            return conflict("row_sum", "normalizer", "this normaliser is not formed from what a row sees");
        }
        if self.o_core && self.epilogue.is_none() {
            return conflict("o_core", "epilogue", "without an epilogue it would be `o`");
        }
        self.check_sink()
    }

    /// Whether the weights of a row depend on each other, so that one that is not a number makes all of its row so.
    pub const fn couples_row(&self) -> bool {
        matches!(self.weight, Weight::Softmax) || self.normalizer.couples_row()
    }

    /// Whether the gradient needs the forward pass's `o`, for `delta = d_o·o`.
    pub const fn needs_delta(&self) -> bool {
        matches!(self.weight, Weight::Softmax) || self.normalizer.needs_delta()
    }

    /// Whether the gradient needs numbers per row: of softmax, or of a normaliser.
    pub fn has_row_statistics(&self) -> bool {
        self.weight == Weight::Softmax || self.normalizer != Normalizer::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::Dims;
    use crate::{AttentionBackward, Dtype, Op, Role};

    #[test]
    fn softmax_has_its_own() {
        let softmax = Attention::softmax(Dims::new(1, 1, 4, 4));
        for normalizer in Normalizer::ALL {
            let both = Attention { normalizer, ..softmax.clone() };
            let refused = matches!(both.validate(), Err(SpecError::Conflict { option: "normalizer", .. }));
            assert_eq!(refused, normalizer != Normalizer::None, "{normalizer:?}");
        }
    }

    #[test]
    fn statistics_go_with_what_has_them() {
        for &weight in Weight::FUNCTIONS {
            for normalizer in Normalizer::ALL {
                let a = Attention { weight, normalizer, ..Attention::softmax(Dims::new(1, 1, 4, 4)) };
                assert!(a.validate().is_ok());
                for option in ["lse", "sink"] {
                    let odd = Attention { lse: option == "lse", sink: option == "sink", ..a.clone() };
                    assert!(matches!(odd.validate(), Err(SpecError::Conflict { option: o, .. }) if o == option));
                }
                let sum = Attention { row_sum: true, ..a.clone() };
                assert_eq!(sum.validate().is_ok(), normalizer.has_row_sum(), "{normalizer:?}");
                let d_lse = AttentionBackward { d_lse: true, ..AttentionBackward::new(a) };
                assert!(matches!(d_lse.validate(), Err(SpecError::Conflict { option: "d_lse", .. })));
            }
        }
        for bad in [Normalizer::CountPower(f32::INFINITY), Normalizer::GlobalFrobenius(0.0)] {
            assert!(matches!(bad.validate(Weight::Relu), Err(SpecError::Option { option: "normalizer", .. })));
        }
    }

    #[test]
    fn the_gradient_asks_for_what_it_needs() {
        for (normalizer, inputs, output) in [
            (Normalizer::None, vec![], None),
            (Normalizer::RowSum, vec!["o", "row_sum"], None),
            (Normalizer::DetachedRowSum, vec!["row_sum"], None),
            (Normalizer::Count, vec!["row_sum"], None),
            (Normalizer::LearnedExp, vec!["o", "log_norm"], Some("d_log_norm")),
        ] {
            let dims = Dims::new(2, 3, 4, 5);
            let a = Attention { weight: Weight::Softplus, normalizer, ..Attention::softmax(dims) };
            let operands = AttentionBackward::new(a).operands();
            let of = |role| operands.iter().filter(move |o| o.role == role);
            let more: Vec<_> =
                of(Role::Input).map(|o| o.name).filter(|n| !["q", "k", "v", "d_o"].contains(n)).collect();
            assert_eq!(more, inputs, "{normalizer:?}");
            let last = of(Role::Output).find(|o| !["d_q", "d_k", "d_v"].contains(&o.name));
            assert_eq!(last.map(|o| o.name), output);
            assert!(last.is_none_or(|o| o.dims == [2, 3, 4] && o.dtype == Dtype::F32));
        }
    }
}
