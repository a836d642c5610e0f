//! Local-linear attention: rows are regressed on their keys, with a slope that is given.

use super::{Attention, NO_SOFTMAX, Storage, Weight};
use crate::{Dtype, Operand, SpecError};

impl Attention {
    /// The outputs that the gradient of local-linear attention needs beside `o` and `lse`, with which they are returned.
    pub const fn moments(&self) -> &'static [&'static str] {
        if self.local_linear { &["v_mean", "rk_mean"] } else { &[] }
    }

    /// The output, or saved output, of this name: rows of values, or a number per row.
    pub(super) fn saved_dims(&self, name: &str) -> (Vec<usize>, Dtype) {
        match name {
            "o" | "o_core" | "v_mean" => (self.query_dims(self.dims.val_dim), self.dtype),
            _ => (self.row_dims(), Dtype::F32),
        }
    }

    pub(super) fn moment_outputs(&self) -> impl Iterator<Item = Operand> {
        let wanted: &[&'static str] = if self.lse { self.moments() } else { &[] };
        wanted.iter().map(|&name| {
            let (dims, dtype) = self.saved_dims(name);
            Operand::output(name, dims, dtype)
        })
    }

    /// The input `r`, if there is one.
    pub(super) fn slope_input(&self) -> Option<Operand> {
        self.local_linear.then(|| Operand::input("r", self.query_dims(self.dims.head_dim), self.dtype))
    }

    pub(super) fn check_local_linear(&self) -> Result<(), SpecError> {
        let conflict = |with, reason| Err(SpecError::Conflict { option: "local_linear", with, reason });
        match self {
            _ if !self.local_linear => Ok(()),
            _ if self.weight != Weight::Softmax => {
                conflict(NO_SOFTMAX, "keys are measured by a mean whose weights are shares: those of softmax")
            }
            _ if self.sink => conflict("sink", "a sink has no key that the mean of keys could take in"),
            _ if self.sink_key => conflict("sink_key", "its key has no value, which a row could be regressed on"),
            _ if self.relative_bias.is_some() => {
                conflict("relative_bias", "no kernel sums its gradient from two products")
            }
            _ if self.dropout.is_some() => {
                conflict("dropout", "what is dropped would be missing from the mean of keys, which is formed beside it")
            }
            _ if self.storage != Storage::Float => {
                conflict("storage: int8", "the scales of keys and values leave no binding for r")
            }
            _ => Ok(()),
        }
    }

    /// What its gradient refuses beside [`check_local_linear`](Self::check_local_linear).
    pub(super) fn check_local_linear_gradient(&self) -> Result<(), SpecError> {
        if self.local_linear && self.score_bias.is_some() {
            let reason = "the gradient's kernels have 8 bindings: q r k v d_o, two gradients and side";
            return Err(SpecError::Conflict { option: "local_linear", with: "score_bias", reason });
        }
        Ok(())
    }

    /// Refuses local-linear attention to an op that looks at weights alone.
    pub(super) fn check_plain_weights(&self, op: &'static str, reason: &'static str) -> Result<(), SpecError> {
        match self.local_linear {
            true => Err(SpecError::Conflict { option: "local_linear", with: op, reason }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::{Dims, Dropout, RelativeBias, ScoreBias};
    use crate::{AttentionBackward, AttentionStatistics, Op, Role};

    fn parallax() -> Attention {
        Attention::parallax(Dims { seq_q: 5, val_dim: 6, ..Dims::new(2, 3, 7, 8) })
    }

    #[test]
    fn what_does_not_compose_is_named() {
        let base = parallax();
        let refused = |a: Attention, with: &str| {
            let found = a.validate();
            assert!(
                matches!(found, Err(SpecError::Conflict { option: "local_linear", with: w, .. }) if w == with),
                "{with}: {found:?}"
            );
        };
        assert!(base.validate().is_ok());
        refused(Attention { weight: Weight::Sigmoid, ..base.clone() }, NO_SOFTMAX);
        refused(Attention { sink: true, ..base.clone() }, "sink");
        refused(Attention { sink_key: true, ..base.clone() }, "sink_key");
        refused(Attention { relative_bias: Some(RelativeBias { reach: 4 }), ..base.clone() }, "relative_bias");
        let dropout = Some(Dropout { probability: 0.5, seed: 1, seed_input: false });
        refused(Attention { dropout, ..base.clone() }, "dropout");
        refused(Attention { storage: Storage::INT8_PER_TOKEN, ..base.clone() }, "storage: int8");
        let biased = Attention { score_bias: Some(ScoreBias::default()), ..base.clone() };
        assert!(biased.validate().is_ok());
        let gradient = AttentionBackward::new(biased).validate();
        assert!(matches!(gradient, Err(SpecError::Conflict { option: "local_linear", with: "score_bias", .. })));
        let statistics = AttentionStatistics::new(base).validate();
        assert!(matches!(statistics, Err(SpecError::Conflict { option: "local_linear", .. })));
    }

    #[test]
    fn the_gradient_asks_for_the_moments() {
        let a = parallax().saving(true);
        let names = |role, all: Vec<Operand>| -> Vec<_> {
            all.into_iter().filter(|o| o.role == role).map(|o| o.name).collect()
        };
        assert_eq!(names(Role::Input, a.operands()), ["q", "k", "v", "r"]);
        assert_eq!(names(Role::Output, a.operands()), ["o", "lse", "v_mean", "rk_mean"]);
        let op = AttentionBackward::new(a);
        assert_eq!(names(Role::Input, op.operands()), ["q", "k", "v", "r", "o", "lse", "v_mean", "rk_mean", "d_o"]);
        assert_eq!(names(Role::Output, op.operands()), ["d_q", "d_k", "d_v", "d_r"]);
        let of = |name: &str| op.operands().into_iter().find(|o| o.name == name).unwrap().dims;
        assert_eq!((of("d_r"), of("v_mean"), of("rk_mean")), (vec![2, 3, 5, 8], vec![2, 3, 5, 6], vec![2, 3, 5]));
    }
}
