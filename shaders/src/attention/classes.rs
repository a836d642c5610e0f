//! Shape classes of attention: what one choice of a tile covers, and the tiles that could serve it.
//!
//! A class is kernel, weight, storage types, width of the accumulator and count of own positions (queries; keys for `d_k` and `d_v`), both
//! rounded up to a power of two, the count at most 4,096 and at least 64; and `masked` if a causal mask or a window hides pairs. Batch,
//! heads, biases and the length of the stream do not count: they change how long a kernel runs, hardly which tile is best.

use gatefold_core::Attention;
use gatefold_core::attention::{Causal, Dims, Window};

use super::shares::{are_grouped, own_rows};
use super::tiles::{Stage, Tile};
use crate::{Limits, PlanError, ShapeClass};

/// Own positions of the smallest and largest class.
const FEWEST: usize = 64;
const MOST: usize = 4096;

/// The fewest positions of the same class; none is none.
fn fewest(positions: usize) -> usize {
    positions.min(positions.clamp(FEWEST, MOST).next_power_of_two() / 2 + 1)
}

/// The smallest attention of the same classes: one batch entry and key/value head, as few positions as the classes allow, and none of the inputs
/// that do not count.
pub(super) fn trial(a: &Attention) -> Attention {
    let d = a.dims;
    // Heads that share keys are rows of one tile where queries are few.
    let q_heads = if are_grouped(a) { d.group() } else { 1 };
    let dims = Dims { batch: 1, q_heads, kv_heads: 1, seq_q: fewest(d.seq_q), seq_kv: fewest(d.seq_kv), ..d };
    Attention {
        weight: a.weight,
        normalizer: a.normalizer,
        reweight: a.reweight,
        local_linear: a.local_linear,
        scale: a.scale,
        softcap: a.softcap,
        causal: a.causal,
        window: a.window,
        chunk: a.chunk,
        custom: a.custom.clone(),
        dtype: a.dtype,
        storage: a.storage,
        ..Attention::softmax(dims)
    }
}

/// A kernel that a tile is wanted for.
pub(super) struct Wanted<'a> {
    pub(super) a: &'a Attention,
    pub(super) stage: Stage,
}

impl Wanted<'_> {
    /// Whether own rows are queries and their slopes.
    fn is_paired(&self) -> bool {
        self.a.local_linear && self.stage == Stage::Forward
    }

    /// Dims of the accumulator.
    fn dim(&self) -> usize {
        let d = &self.a.dims;
        match self.stage {
            Stage::Forward => d.val_dim,
            Stage::BackwardQuery => d.head_dim,
            Stage::BackwardKeyValue => d.head_dim.max(d.val_dim),
            Stage::BackwardScoreBias => 1,
        }
    }

    /// Own positions.
    fn positions(&self) -> usize {
        match self.stage {
            Stage::Forward if self.is_paired() => 2 * own_rows(self.a),
            Stage::Forward => own_rows(self.a),
            Stage::BackwardKeyValue => self.a.dims.seq_kv,
            Stage::BackwardQuery | Stage::BackwardScoreBias => self.a.dims.seq_q,
        }
    }

    /// Name of the class.
    fn name(&self) -> String {
        let a = self.a;
        let kernel = match self.stage {
            Stage::Forward => "attention_forward",
            Stage::BackwardQuery => "attention_backward_query",
            Stage::BackwardKeyValue => "attention_backward_key_value",
            Stage::BackwardScoreBias => "attention_backward_score_bias",
        };
        let (width, own) = (self.dim().next_power_of_two(), self.positions().clamp(FEWEST, MOST).next_power_of_two());
        let is_masked = a.causal != Causal::None || a.window != Window::default() || a.chunk.is_some();
        let masked = if is_masked { ".masked" } else { "" };
        let stored = a.storage.name().map_or(String::new(), |name| format!(".{name}"));
        let linear = if a.local_linear { ".local_linear" } else { "" };
        format!("{kernel}.{}{linear}.{}{stored}.width{width}.own{own}{masked}", a.weight.name(), a.dtype)
    }

    /// The class, with the tiles that fit the adapter; `None` if none does, or if there is nothing to run.
    pub(super) fn class(&self, limits: &Limits) -> Option<ShapeClass> {
        if self.a.dims.batch == 0 || self.a.dims.seq_q == 0 {
            return None;
        }
        let tiles = Tile::candidates(self.stage, self.dim(), self.positions(), limits).ok()?;
        let tiles = tiles.iter().take(ShapeClass::MOST_TILES).map(Tile::name).collect();
        Some(ShapeClass { name: self.name(), tiles })
    }

    /// The tile chosen for the class if it can serve it, else the default; and why.
    pub(super) fn tile(&self, limits: &Limits) -> Result<(Tile, Vec<String>), PlanError> {
        let paired = |tile: Tile| Tile { paired: self.is_paired(), ..tile };
        let (default, why) = Tile::choose(self.stage, self.dim(), self.positions(), limits)?;
        let default = paired(default);
        if limits.choices.is_empty() {
            return Ok((default, vec![why]));
        }
        let class = self.name();
        let Some(chosen) = limits.choices.get(&class) else { return Ok((default, vec![why])) };
        let candidates = Tile::candidates(self.stage, self.dim(), self.positions(), limits)?;
        Ok(match candidates.into_iter().map(paired).find(|t| t.name() == chosen) {
            Some(tile) => (tile, vec![why, format!("tuned: {chosen} for {class}")]),
            None => {
                let passed =
                    format!("not tuned: {chosen} is no tile for {class} here: {}, the default", default.name());
                (default, vec![why, passed])
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use gatefold_core::{AttentionBackward, Dtype, Op};

    use super::*;
    use crate::Kernels;

    fn names<O: Kernels>(op: &O) -> Vec<String> {
        op.classes(&Limits { f16: true, ..Limits::webgpu_default() }).into_iter().map(|c| c.name).collect()
    }

    #[test]
    fn a_trial_is_small_and_of_the_same_classes() {
        let grouped = |seq_q| Dims { kv_heads: 2, seq_q, ..Dims::new(3, 16, 5000, 48) };
        let plain = Attention::softmax(Dims::new(4, 8, 5000, 64));
        let window = Window { left: Some(100), right: Some(0) };
        for a in [
            Attention { alibi: true, key_bias: true, head_bias: true, ..plain.clone() },
            Attention { window, causal: Causal::TopLeft, ..plain.clone() },
            Attention { dtype: Dtype::F16, chunk: Some(64), ..plain.clone() },
            Attention { dims: grouped(1), ..plain.clone() },
            Attention { dims: grouped(12), ..plain.clone() },
            Attention { dims: grouped(700), ..plain.clone() },
            Attention { dims: Dims { seq_kv: 0, ..Dims::new(1, 2, 30, 16) }, ..plain.clone() },
            Attention { local_linear: true, ..plain.clone() },
        ] {
            let trial = a.trial().unwrap();
            assert_eq!(trial.validate(), Ok(()), "{trial:?}");
            assert_eq!(names(&trial), names(&a), "{trial:?}");
            assert!(trial.cost().flops <= 3e9 && trial.cost().flops <= a.cost().flops, "{trial:?}");
            let backward = AttentionBackward::new(a);
            let trial = backward.trial().unwrap();
            assert_eq!((trial.validate(), names(&trial)), (Ok(()), names(&backward)), "{trial:?}");
        }
    }
}
