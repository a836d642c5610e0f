//! Sizes of an attention.

use serde::{Deserialize, Serialize};

use super::{Attention, Sequences};
use crate::SpecError;

/// Largest `head_dim` and `val_dim`.
pub const MAX_DIM: usize = 256;

/// Sizes of an attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dims {
    /// Batch entries (sequences, if packed); 0 is legal.
    pub batch: usize,
    /// Query heads, a multiple of `kv_heads`. Query head `h` uses key/value head `h / (q_heads / kv_heads)`.
    pub q_heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Queries per sequence; 0 is legal.
    pub seq_q: usize,
    /// Keys per sequence; 0 is legal.
    pub seq_kv: usize,
    /// Width of queries and keys, 1 to 256.
    pub head_dim: usize,
    /// Width of values and outputs, 1 to 256.
    pub val_dim: usize,
}

impl Dims {
    /// Self-attention: as many keys as queries, as many key/value heads as query heads, values as wide as keys.
    pub fn new(batch: usize, heads: usize, seq: usize, head_dim: usize) -> Self {
        Self { batch, q_heads: heads, kv_heads: heads, seq_q: seq, seq_kv: seq, head_dim, val_dim: head_dim }
    }

    /// Query heads per key/value head.
    pub fn group(&self) -> usize {
        self.q_heads / self.kv_heads.max(1)
    }
}

impl Attention {
    /// Rows of `q` in memory per query head: `[batch, q_heads, seq_q]` or `[q_heads, total_q]`.
    pub fn row_dims(&self) -> Vec<usize> {
        let d = &self.dims;
        match self.sequences {
            Sequences::Packed { total_q, .. } => vec![d.q_heads, total_q],
            _ => vec![d.batch, d.q_heads, d.seq_q],
        }
    }

    pub(super) fn query_dims(&self, width: usize) -> Vec<usize> {
        let d = &self.dims;
        match self.sequences {
            Sequences::Packed { total_q, .. } => vec![total_q, d.q_heads, width],
            _ => vec![d.batch, d.q_heads, d.seq_q, width],
        }
    }

    pub(super) fn key_dims(&self, width: usize) -> Vec<usize> {
        let d = &self.dims;
        match self.sequences {
            Sequences::Packed { total_kv, .. } => vec![total_kv, d.kv_heads, width],
            Sequences::Paged { page, pages } => vec![pages, page, d.kv_heads, width],
            _ => vec![d.batch, d.kv_heads, d.seq_kv, width],
        }
    }

    pub(super) fn key_bias_dims(&self) -> Vec<usize> {
        match self.sequences {
            _ if self.key_bias_per_head => self.key_row_dims(),
            Sequences::Packed { total_kv, .. } => vec![total_kv],
            _ => vec![self.dims.batch, self.dims.seq_kv],
        }
    }

    pub(super) fn score_bias_dims(&self) -> Option<Vec<usize>> {
        let d = &self.dims;
        let pick = |own: bool, n: usize| if own { n } else { 1 };
        self.score_bias.map(|s| vec![pick(s.per_batch, d.batch), pick(s.per_head, d.q_heads), d.seq_q, d.seq_kv])
    }
}

/// Checks the sizes of a spec.
///
/// # Errors
/// [`SpecError`] with the first that is out of range.
pub(super) fn check(a: &Attention) -> Result<(), SpecError> {
    let d = &a.dims;
    for (dim, given) in [("head_dim", d.head_dim), ("val_dim", d.val_dim)] {
        if given == 0 || given > MAX_DIM {
            return Err(SpecError::Dim { dim, expected: format!("1 to {MAX_DIM}"), given });
        }
    }
    for (dim, given) in [("q_heads", d.q_heads), ("kv_heads", d.kv_heads)] {
        if given == 0 {
            return Err(SpecError::Dim { dim, expected: "at least 1".into(), given });
        }
    }
    if !d.q_heads.is_multiple_of(d.kv_heads) {
        return Err(SpecError::Heads { q_heads: d.q_heads, kv_heads: d.kv_heads });
    }
    for (dim, given) in [("seq_q", d.seq_q), ("seq_kv", d.seq_kv)] {
        if given >= 1 << 30 {
            return Err(SpecError::Dim { dim, expected: format!("less than {}", 1 << 30), given });
        }
    }
    for (dim, given) in [("batch", d.batch), ("q_heads", d.q_heads)] {
        if given >= 1 << 24 {
            return Err(SpecError::Dim { dim, expected: format!("less than {}", 1 << 24), given });
        }
    }
    if let Sequences::Paged { page, pages } = a.sequences {
        for (dim, given) in [("page", page), ("pages", pages)] {
            if given == 0 || given >= 1 << 30 {
                return Err(SpecError::Dim { dim, expected: format!("1 to {}", (1 << 30) - 1), given });
            }
        }
    }
    if let Sequences::Packed { total_q, total_kv } = a.sequences {
        for (dim, longest, total) in [("seq_q", d.seq_q, total_q), ("seq_kv", d.seq_kv, total_kv)] {
            if longest > total {
                let expected = format!("the longest packed sequence, at most the total of {total}");
                return Err(SpecError::Dim { dim, expected, given: longest });
            }
        }
    }
    Ok(())
}
