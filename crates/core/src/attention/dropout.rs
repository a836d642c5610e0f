//! Dropout of attention's weights, by a generator that everyone can repeat.

use serde::{Deserialize, Serialize};

use super::Attention;
use crate::{Dtype, Operand, SpecError};

/// Dropout of the weights `P` after they have been normalised (Srivastava et al., *Dropout*, JMLR 2014): each visible pair is kept with probability
/// `1 − p` and then counts `1/(1 − p)` times, independently of every other pair.
///
/// ```text
/// o_i = Σ_j P_ij·m_ij·v_j,   m_ij = 0 if word_ij < threshold, else 1/(1 − p),   threshold = round(p·2³²)
/// ```
/// `P`, `lse` and `row_sum` are those of all pairs, dropped or not. In the gradient `d_o_i·v_j` becomes `m_ij·(d_o_i·v_j)` and `d_v_j = Σ_i
/// P_ij·m_ij·d_o_i`; what the row takes from it (`delta_i = d_o_i·o_i`) is formed as without dropout. A NaN or an infinity in a value that a query sees
/// makes its row NaN even where the pair is dropped, as `0·NaN` does in a matrix of weights.
///
/// # The mask
///
/// `word_ij` is a function of the seed and of where the pair is: `b` counts batch entries (sequences), `h` query heads, and `i` and `j` positions from
/// 0 within their own sequence, wherever it lies in memory. So it is the same for every layout, kernel, tile and device, forward and backward. All is
/// arithmetic of u32 that wraps; `seed_low` and `seed_high` are the halves of `seed`, with [`seed_input`](Self::seed_input) each xor its element of the
/// input `dropout_seed`:
///
/// ```text
/// (x, y, z, w) = (i, b·q_heads + h, seed_low, seed_high)                                              one hash a row: PCG4D
/// each of x y z w ← 1664525·itself + 1013904223
/// x += y·w;   y += z·x;   z += x·y;   w += y·z
/// each of x y z w ← itself xor (itself >> 16)
/// x += y·w;   y += z·x;   z += x·y;   w += y·z
///
/// t = j xor x;   t ← (t xor (t >> 17))·0xed5ad4bb + y                                                 one hash a pair: triple32, with
/// t ← (t xor (t >> 11))·0xac4c1b51;   t ← (t xor (t >> 15))·0x31848bab;   word_ij = t xor (t >> 14)    two words of the row as its key
/// ```
/// Sources: Jarzynski and Olano, *Hash Functions for GPU Rendering* (JCGT 9(3), 2020) for PCG4D; Wellons, *Hash Prospector* (2018) for `triple32`. Rows
/// differ by 64 bits of key. All 32 bits are compared, so that `p` is not rounded to a multiple of 1/256.
///
/// A call that holds only some of the keys or heads counts its own from 0: give calls that are parts of one (see
/// [`AttentionMerge`](super::AttentionMerge)) seeds of their own.
///
/// ```
/// use gatefold_core::Attention;
/// use gatefold_core::attention::{Dims, Dropout};
///
/// let dropout = Some(Dropout::new(0.1, 4711));
/// let spec = Attention { dropout, ..Attention::softmax(Dims::new(1, 8, 1024, 64)) };
/// # use gatefold_core::Op;
/// # spec.validate().unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// Probability `p` of dropping a pair: 0 or more, less than 1. At 0 everything is as without dropout.
    pub probability: f32,
    /// Which mask: draw another for every step and every layer.
    pub seed: u64,
    /// Whether there is an input `dropout_seed [2]` (u32: low half, high half) that is xored onto `seed`. With it a plan, and what is prepared from it,
    /// serves every step: the spec's seed tells layers apart, the input steps. The gradient takes the same numbers as the forward pass.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seed_input: bool,
}

impl Dropout {
    /// Dropout whose mask the spec's seed alone says.
    pub const fn new(probability: f32, seed: u64) -> Self {
        Self { probability, seed, seed_input: false }
    }

    /// Its small input.
    pub(super) fn operand(self) -> Option<Operand> {
        self.seed_input.then(|| Operand::input("dropout_seed", [2], Dtype::U32))
    }

    /// What shows in a label.
    pub(super) const fn label(self) -> &'static str {
        if self.seed_input { "dropout_seed" } else { "dropout" }
    }

    /// Words below this drop their pair: `round(p·2³²)`.
    pub fn threshold(&self) -> u32 {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "p is at least 0, at most 1 - 2^-24"
        )]
        let threshold = (f64::from(self.probability) * f64::from(2.0f32.powi(32))).round() as u32;
        threshold
    }

    /// What a kept weight is multiplied by: `1/(1 − p)`.
    pub fn scale(&self) -> f64 {
        1.0 / (1.0 - f64::from(self.probability))
    }

    pub(super) fn validate(self) -> Result<(), SpecError> {
        if (0.0..1.0).contains(&self.probability) {
            return Ok(());
        }
        let (expected, given) = ("0 or more, less than 1".into(), self.probability.to_string());
        Err(SpecError::Option { option: "dropout.probability", expected, given })
    }
}

impl Attention {
    /// The dropout that makes a difference: none at probability 0.
    pub fn drops(&self) -> Option<Dropout> {
        self.dropout.filter(|d| d.probability > 0.0)
    }
}
