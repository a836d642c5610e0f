//! Where rows lie in memory and which keys a query may see.

use gatefold_core::Attention;
use gatefold_core::attention::{Causal, Sequences};

use crate::{Real, Values};

/// One sequence of the batch.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    /// Batch entry.
    pub(crate) b: usize,
    /// Queries and keys that count.
    pub(crate) len_q: usize,
    pub(crate) len_kv: usize,
    /// First packed row of queries and keys; 0 if not packed.
    start_q: usize,
    start_kv: usize,
    /// Pages of the keys; none if not paged.
    pages: Vec<usize>,
}

/// The lengths of every batch entry.
pub(crate) fn sequences<R: Real>(op: &Attention, inputs: &Values<R>) -> Vec<Sequence> {
    let d = &op.dims;
    let length = |name: &str, b: usize, all: usize| inputs.int(name).get(b).map_or(all, |&n| n as usize);
    let mut found = Vec::with_capacity(d.batch);
    for b in 0..d.batch {
        found.push(match op.sequences {
            Sequences::Packed { .. } => {
                let span = |name: &str| (inputs.int(name)[b] as usize, inputs.int(name)[b + 1] as usize);
                let (q, kv) = (span("cu_seqlens_q"), span("cu_seqlens_kv"));
                Sequence { b, len_q: q.1 - q.0, len_kv: kv.1 - kv.0, start_q: q.0, start_kv: kv.0, pages: Vec::new() }
            }
            _ => {
                let (len_q, len_kv) = (length("lens_q", b, d.seq_q), length("lens_kv", b, d.seq_kv));
                let table = inputs.int("block_table");
                let width = table.len() / d.batch;
                let pages = table[b * width..(b + 1) * width].iter().map(|&n| n as usize).collect();
                Sequence { b, len_q, len_kv, start_q: 0, start_kv: 0, pages }
            }
        });
    }
    found
}

impl Sequence {
    /// `len_kv − len_q`.
    pub(crate) fn off(&self) -> i64 {
        self.len_kv as i64 - self.len_q as i64
    }

    /// Row of `q`, `o`, `d_o` (in rows of their width).
    pub(crate) fn query_row(&self, op: &Attention, h: usize, i: usize) -> usize {
        match op.sequences {
            Sequences::Packed { .. } => (self.start_q + i) * op.dims.q_heads + h,
            _ => (self.b * op.dims.q_heads + h) * op.dims.seq_q + i,
        }
    }

    /// Row of `k` and `v` that query head `h` uses for key `j`.
    pub(crate) fn key_row(&self, op: &Attention, h: usize, j: usize) -> usize {
        let head = h / op.dims.group();
        match op.sequences {
            Sequences::Packed { .. } => (self.start_kv + j) * op.dims.kv_heads + head,
            Sequences::Paged { page, .. } => (self.pages[j / page] * page + j % page) * op.dims.kv_heads + head,
            _ => (self.b * op.dims.kv_heads + head) * op.dims.seq_kv + j,
        }
    }

    /// Element of `lse`.
    pub(crate) fn stat(&self, op: &Attention, h: usize, i: usize) -> usize {
        match op.sequences {
            Sequences::Packed { total_q, .. } => h * total_q + self.start_q + i,
            _ => self.query_row(op, h, i),
        }
    }

    /// Element of `value_scale`.
    pub(crate) fn key_stat(&self, op: &Attention, kv_head: usize, j: usize) -> usize {
        match op.sequences {
            Sequences::Packed { total_kv, .. } => kv_head * total_kv + self.start_kv + j,
            _ => (self.b * op.dims.kv_heads + kv_head) * op.dims.seq_kv + j,
        }
    }

    /// Element of `key_bias` for a query head.
    pub(crate) fn key_bias(&self, op: &Attention, h: usize, j: usize) -> usize {
        if op.key_bias_per_head { self.key_stat(op, h / op.dims.group(), j) } else { self.key(op, j) }
    }

    /// Key `j` among those of all batch entries.
    pub(crate) fn key(&self, op: &Attention, j: usize) -> usize {
        match op.sequences {
            Sequences::Packed { .. } => self.start_kv + j,
            _ => self.b * op.dims.seq_kv + j,
        }
    }

    /// Element of `score_bias`, which may be shared by batch entries or heads.
    pub(crate) fn score_bias(&self, op: &Attention, h: usize, i: usize, j: usize) -> usize {
        let d = &op.dims;
        let shared = op.score_bias.unwrap_or_default();
        let b = if shared.per_batch { self.b } else { 0 };
        let (heads, h) = if shared.per_head { (d.q_heads, h) } else { (1, 0) };
        ((b * heads + h) * d.seq_q + i) * d.seq_kv + j
    }

    /// Elements of `document_q` and `document_kv`.
    pub(crate) fn documents(&self, op: &Attention, i: usize, j: usize) -> (usize, usize) {
        match op.sequences {
            Sequences::Packed { .. } => (self.start_q + i, self.start_kv + j),
            _ => (self.b * op.dims.seq_q + i, self.b * op.dims.seq_kv + j),
        }
    }

    /// Element of `block_map`, if there is one.
    pub(crate) fn block(&self, op: &Attention, h: usize, i: usize, j: usize) -> Option<usize> {
        let (map, dims) = (op.block_map?, op.block_map_dims()?);
        let own = |yes: bool, at: usize| if yes { at } else { 0 };
        let matrix = own(map.per_batch, self.b) * dims[1] + own(map.per_head, h);
        Some((matrix * dims[2] + i / map.q as usize) * dims[3] + j / map.kv as usize)
    }

    /// Whether the causal mask and the window let query `i` see key `j`.
    pub(crate) fn visible(&self, op: &Attention, i: usize, j: usize) -> bool {
        let (row, j, off) = (i as i64, j as i64, self.off());
        let in_prefix = op.prefix.is_some_and(|prefix| j < i64::from(prefix));
        let causal = match op.causal {
            Causal::None => true,
            Causal::TopLeft => j <= row || in_prefix,
            Causal::BottomRight => j <= row + off || in_prefix,
        };
        let chunk = |position: i64| op.chunk.map(|size| position.div_euclid(i64::from(size)));
        let same_chunk = chunk(row + off) == chunk(j);
        let in_sink = op.sink_tokens.is_some_and(|n| j < i64::from(n));
        let left = op.window.left.is_none_or(|w| in_sink || j >= row + off - i64::from(w));
        let right = op.window.right.is_none_or(|w| j <= row + off + i64::from(w));
        causal && left && right && same_chunk
    }

    /// Element of `relative_bias`.
    pub(crate) fn relative(&self, op: &Attention, h: usize, i: usize, j: usize) -> Option<usize> {
        let table = op.relative_bias?;
        let (reach, entries) = (i64::from(table.reach), 2 * table.reach as usize + 1);
        let position = (j as i64 - (i as i64 + self.off())).clamp(-reach, reach);
        usize::try_from(position + reach).ok().map(|at| h * entries + at)
    }

    /// `|i + off − j|`.
    pub(crate) fn distance(&self, i: usize, j: usize) -> f64 {
        (i as i64 + self.off() - j as i64).unsigned_abs() as f64
    }
}
