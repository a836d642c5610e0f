//! Which keys a query may see.

use serde::{Deserialize, Serialize};

use super::Attention;

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

impl Attention {
    /// Most keys that one query sees, and most queries that see one key, if the masks bound it: a window on both sides, or chunks.
    pub fn widest(&self) -> Option<u64> {
        let right =
            if self.causal == Causal::BottomRight && self.prefix.is_none() { Some(0) } else { self.window.right };
        let window = self.window.left.zip(right).map(|(left, right)| u64::from(left) + u64::from(right) + 1);
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
