//! Which keys a query may see.

use serde::{Deserialize, Serialize};

use super::Attention;
use crate::{Dtype, Operand, SpecError};

/// Causal masking. `off = len_kv − len_q` of the batch entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Causal {
    /// Every key is visible.
    #[default]
    None,
    /// `j ≤ i` (PyTorch's `is_causal`, TritonSigmoid).
    TopLeft,
    /// `j ≤ i + off` (FlashAttention ≥ 2.1).
    BottomRight,
}

/// Sliding window, inclusive on both sides: `i + off − left ≤ j ≤ i + off + right`; `None` is unbounded.
///
/// FlashAttention's convention with −1 written as `None`. A library that counts `w` keys including the row's own has
/// `left = w − 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Keys visible to the left of the diagonal.
    #[serde(default)]
    pub left: Option<u32>,
    /// Keys visible to the right of the diagonal.
    #[serde(default)]
    pub right: Option<u32>,
}

/// How the sequences of a batch lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sequences {
    /// Every sequence has `seq_q` queries and `seq_kv` keys.
    #[default]
    Dense,
    /// `[batch, heads, seq, dim]` with trailing padding: inputs `lens_q [batch]` and/or `lens_kv [batch]` (u32) say how many rows
    /// count; 0 is legal. Padded outputs and gradients are exactly 0.
    Padded {
        /// Whether there is an input `lens_q`.
        q: bool,
        /// Whether there is an input `lens_kv`.
        kv: bool,
    },
    /// Sequences one after another without padding, FlashAttention's variable-length form: `q [total_q, q_heads, head_dim]`,
    /// `k [total_kv, kv_heads, head_dim]`, `v [total_kv, kv_heads, val_dim]`, and inputs `cu_seqlens_q`, `cu_seqlens_kv`
    /// (u32 `[batch + 1]`): running totals from 0 to `total_*`. `seq_q` and `seq_kv` are the longest sequences' lengths.
    Packed {
        /// Rows of `q` and `o`.
        total_q: usize,
        /// Rows of `k` and `v`.
        total_kv: usize,
    },
    /// Keys and values in a paged cache (Kwon et al., *PagedAttention*, arXiv 2309.06180; the layout is FlashAttention's):
    /// `k [pages, page, kv_heads, head_dim]`, `v [pages, page, kv_heads, val_dim]`, and inputs `lens_kv [batch]` and `block_table
    /// [batch, ⌈seq_kv / page⌉]` (u32): key `j` of a batch entry lies in page `block_table[b, j / page]`, at `j % page`. Entries may
    /// share pages, and what lies beyond a length is not looked at. `q` and `o` as if dense. Forward only.
    Paged {
        /// Keys in a page, at least 1; any number.
        page: usize,
        /// Pages of the cache, at least 1.
        pages: usize,
    },
}

/// A map of the blocks of pairs that may be seen: an input `block_map [batch | 1, q_heads | 1, ⌈seq_q / q⌉, ⌈seq_kv / kv⌉]` in u32. The pairs of
/// a block whose element is 0 are hidden, and work on them is skipped; where it is not, the other masks say which pairs are seen. Blocks count
/// from the start of their own sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockMap {
    /// Queries of a block, 16 or more.
    pub q: u32,
    /// Keys of a block, 16 or more.
    pub kv: u32,
    /// One map for each batch entry instead of one for all.
    #[serde(default)]
    pub per_batch: bool,
    /// One map for each query head instead of one for all.
    #[serde(default)]
    pub per_head: bool,
}

/// Blocks smaller than this are not worth a look-up: use a score bias or a custom mask.
const LEAST_BLOCK: u32 = 16;

impl Attention {
    /// Lengths, and where sequences lie.
    pub(super) fn length_inputs(&self) -> Vec<Operand> {
        let batch = self.dims.batch;
        let mut all = Vec::new();
        match self.sequences {
            Sequences::Dense => {}
            Sequences::Padded { q, kv } => {
                all.extend(q.then(|| Operand::input("lens_q", [batch], Dtype::U32)));
                all.extend(kv.then(|| Operand::input("lens_kv", [batch], Dtype::U32)));
            }
            Sequences::Packed { .. } => {
                all.push(Operand::input("cu_seqlens_q", [batch + 1], Dtype::U32));
                all.push(Operand::input("cu_seqlens_kv", [batch + 1], Dtype::U32));
            }
            Sequences::Paged { page, .. } => {
                all.push(Operand::input("lens_kv", [batch], Dtype::U32));
                all.push(Operand::input("block_table", [batch, self.dims.seq_kv.div_ceil(page.max(1))], Dtype::U32));
            }
        }
        all
    }

    pub(super) fn check_masks(&self) -> Result<(), SpecError> {
        let bad =
            |option, expected: &str, given: String| SpecError::Option { option, expected: expected.into(), given };
        for (option, bound) in [("window.left", self.window.left), ("window.right", self.window.right)] {
            if bound.is_some_and(|w| w >= 1 << 30) {
                return Err(bad(option, "less than 2^30 (None is unbounded)", format!("{bound:?}")));
            }
        }
        if self.chunk.is_some_and(|c| c == 0 || c >= 1 << 30) {
            return Err(bad("chunk", "1 to 2^30 - 1 (None: no chunks)", format!("{:?}", self.chunk)));
        }
        for (option, keys) in [("prefix", self.prefix), ("sink_tokens", self.sink_tokens)] {
            if keys.is_some_and(|n| n >= 1 << 30) {
                return Err(bad(option, "less than 2^30", format!("{keys:?}")));
            }
        }
        if self.prefix.is_some() && self.causal == Causal::None {
            let reason = "there is no causal mask that it could be an exception to";
            return Err(SpecError::Conflict { option: "prefix", with: "causal: none", reason });
        }
        if self.sink_tokens.is_some() && self.window.left.is_none() {
            let reason = "there is no left edge that they could be an exception to";
            return Err(SpecError::Conflict { option: "sink_tokens", with: "window.left: none", reason });
        }
        let sizes = |m: BlockMap| [("block_map.q", m.q), ("block_map.kv", m.kv)];
        for (option, size) in self.block_map.map(sizes).into_iter().flatten() {
            if !(LEAST_BLOCK..1 << 30).contains(&size) {
                return Err(bad(option, "16 to 2^30 - 1", size.to_string()));
            }
        }
        Ok(())
    }

    /// Shape of the block map.
    pub fn block_map_dims(&self) -> Option<Vec<usize>> {
        let (d, pick) = (&self.dims, |own: bool, n: usize| if own { n } else { 1 });
        let blocks = |n: usize, size: u32| n.div_ceil(size.max(1) as usize);
        self.block_map.map(|m| {
            let heads = pick(m.per_head, d.q_heads);
            vec![pick(m.per_batch, d.batch), heads, blocks(d.seq_q, m.q), blocks(d.seq_kv, m.kv)]
        })
    }

    pub(super) fn mask_inputs(&self) -> impl Iterator<Item = Operand> {
        let d = &self.dims;
        let (queries, keys) = match self.sequences {
            Sequences::Packed { total_q, total_kv } => (vec![total_q], vec![total_kv]),
            _ => (vec![d.batch, d.seq_q], vec![d.batch, d.seq_kv]),
        };
        let documents = self.documents.then_some([("document_q", queries), ("document_kv", keys)]);
        let map = self.block_map_dims().map(|dims| ("block_map", dims));
        let all = documents.into_iter().flatten().chain(map);
        all.map(|(name, dims)| Operand::input(name, dims, Dtype::U32))
    }

    pub(super) fn mask_labels(&self) -> impl Iterator<Item = String> {
        let all = [
            (self.sink_tokens.is_some(), "sink_tokens"),
            (self.documents, "documents"),
            (self.block_map.is_some(), "block_map"),
        ];
        all.into_iter().filter(|(on, _)| *on).map(|(_, name)| name.to_string())
    }

    /// Whether some key before the window is seen beside it.
    pub fn has_gap(&self) -> bool {
        self.sink_tokens.is_some_and(|n| n > 0) && self.window.left.is_some()
    }

    /// Whether a built-in mask hides pairs inside the range of keys that a query sees.
    pub fn hides_inside(&self) -> bool {
        self.has_gap() || self.documents || self.block_map.is_some()
    }

    /// What may hide keys inside the range that a query sees, so that the size of the range is not their count.
    pub(super) fn hider(&self) -> Option<&'static str> {
        let all = [
            (self.key_bias || self.score_bias.is_some(), "key_bias or score_bias"),
            (self.hides_inside(), "sink_tokens, documents or block_map"),
            (self.custom.mask_mod.is_some(), "mask_mod"),
        ];
        all.into_iter().find(|(there, _)| *there).map(|(_, name)| name)
    }

    /// Most keys that one query sees, and most queries that see one key, if the masks bound it: a window on both sides, or chunks.
    /// Sink tokens lie anywhere before a window.
    pub fn widest(&self) -> Option<u64> {
        let right =
            if self.causal == Causal::BottomRight && self.prefix.is_none() { Some(0) } else { self.window.right };
        let window = self
            .window
            .left
            .filter(|_| !self.has_gap())
            .zip(right)
            .map(|(left, right)| u64::from(left) + u64::from(right) + 1);
        let chunk = self.chunk.map(u64::from);
        window.into_iter().chain(chunk).min()
    }

    /// Query–key pairs that the masks leave, for the cost: causal counts half by convention.
    pub(super) fn counted_pairs(&self) -> f64 {
        let d = &self.dims;
        let pairs = match self.sequences {
            Sequences::Packed { total_q, .. } => total_q as f64 * d.seq_kv as f64,
            _ => d.batch as f64 * d.seq_q as f64 * d.seq_kv as f64,
        };
        let half = if self.causal == Causal::None { 1.0 } else { 0.5 };
        pairs * d.q_heads as f64 * half
    }
}
