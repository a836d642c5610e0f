//! New keys or values written into a cache in place.

use serde::{Deserialize, Serialize};

use super::storage::SCALE_LIMIT;
use super::{MAX_DIM, RowLayout, Scales, Storage};
use crate::op::{check_addressable, check_float, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// How a cache of keys or values lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheLayout {
    /// `[batch, heads, max_len, dim]`: [`Sequences::Padded`](super::Sequences::Padded) reads it.
    Dense,
    /// `[pages, page, heads, dim]` and an input `block_table [batch, ⌈max_len / page⌉]`: row `j` of a batch entry lies in page
    /// `block_table[b, j / page]`, at `j % page`. [`Sequences::Paged`](super::Sequences::Paged) reads it.
    Paged {
        /// Rows in a page, at least 1.
        page: usize,
        /// Pages of the cache, at least 1.
        pages: usize,
    },
}

/// Writes new rows of keys (or of values) behind those that a cache holds, in place; all else in the cache keeps its bits.
///
/// ```text
/// cache[b, h, lens[b] + t] = x[b, h, t]      t < lens_new[b], or t < seq without it
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `cache`, updated | `[batch, heads, max_len, dim]` or `[pages, page, heads, dim]` | `dtype`; in int8 u32, and `⌈dim / 4⌉` for `dim` |
/// | `cache_scale`, updated | as `cache` without the last dimension | f32, if `storage` is int8 with scales per token |
/// | `cache_scale` | `[heads]` | f32, 0 or 2⁻¹²⁶ to 2¹²¹, if `storage` is int8 with scales per head |
/// | `x` | `[batch, heads, seq, dim]` or `[batch, seq, heads, dim]` | `dtype` |
/// | `lens` | `[batch]` | u32: rows in the cache before |
/// | `lens_new` | `[batch]` | u32, at most `seq`; if `ragged` |
/// | `block_table` | `[batch, ⌈max_len / page⌉]` | u32, if the cache is paged |
///
/// Floats are copied whatever they are. Into a cache in int8 ([`Storage`]) goes `n = round(x / scale)`, to the nearest integer and of two to the
/// even one, saturated at ±127; the quotient is the exact one, so the result is the same on every device:
/// - scales per token: `scale = max |x| / 127` of the row, rounded to the nearest f32, is written beside it. A row whose largest magnitude is below
///   2⁻¹¹⁹ becomes 0 with scale 0; one with a NaN or an infinity becomes 0 with scale NaN, so that attention finds it to be NaN.
/// - scales per head: given, and only read. What is beyond them saturates, infinities too; a NaN becomes 0, and so does all with scale 0.
///
/// No two rows may be written to one place; a page that others read is for the caller to copy first. Rows
/// beyond `max_len` or in a page that does not exist, which only a caller's own buffers can ask for, are not written.
///
/// `Gpu::run` uploads and downloads the whole cache. In a decoding loop `Gpu::prepare` this op and [`Attention`](super::Attention) over one
/// buffer: nothing but the new rows moves then.
///
/// Source: Kwon et al., *Efficient Memory Management for Large Language Model Serving with PagedAttention* (arXiv 2309.06180).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheAppend {
    /// Batch entries; 0 is legal.
    pub batch: usize,
    /// Key/value heads, at least 1.
    pub heads: usize,
    /// New rows per batch entry and head, at most; 0 is legal.
    pub seq: usize,
    /// Width of a row, 1 to 256.
    pub dim: usize,
    /// Most rows that the cache holds for a batch entry.
    pub max_len: usize,
    /// How the cache lies in memory.
    pub cache: CacheLayout,
    /// How `x` lies in memory.
    #[serde(default)]
    pub layout: RowLayout,
    /// Whether batch entries have their own counts of new rows: an input `lens_new`.
    #[serde(default)]
    pub ragged: bool,
    /// Storage type of `x` and `cache`.
    #[serde(default)]
    pub dtype: Dtype,
    /// Storage of `cache`, if not in `dtype`.
    #[serde(default, skip_serializing_if = "Storage::is_float")]
    pub storage: Storage,
}

impl CacheAppend {
    /// `seq` rows for every entry of a dense f32 cache. Set further options by struct update.
    pub fn new(batch: usize, heads: usize, seq: usize, dim: usize, max_len: usize) -> Self {
        Self {
            batch,
            heads,
            seq,
            dim,
            max_len,
            cache: CacheLayout::Dense,
            layout: RowLayout::default(),
            ragged: false,
            dtype: Dtype::F32,
            storage: Storage::Float,
        }
    }

    /// Elements of a row of the cache in memory.
    pub fn row_elements(&self) -> usize {
        self.storage.row(self.dim, self.dtype).0
    }

    /// Rows of `x`, counted over everything.
    fn rows(&self) -> usize {
        self.batch * self.heads * self.seq
    }

    /// Columns of the block table.
    pub fn table_pages(&self) -> usize {
        match self.cache {
            CacheLayout::Dense => 0,
            CacheLayout::Paged { page, .. } => self.max_len.div_ceil(page.max(1)),
        }
    }

    fn check_lens(&self, lens: &[u32], new: Option<&[u32]>) -> Result<(), SpecError> {
        let wrong = |operand: &str, index, expected: String, given: u32| {
            Err(SpecError::Value { operand: operand.into(), index, expected, given: given.to_string() })
        };
        for (b, &len) in lens.iter().enumerate() {
            let count = match new {
                Some(new) if new[b] as usize > self.seq => {
                    return wrong("lens_new", b, format!("at most seq = {}", self.seq), new[b]);
                }
                Some(new) => new[b] as usize,
                None => self.seq,
            };
            if len as usize + count > self.max_len {
                let most = self.max_len.saturating_sub(count);
                return wrong("lens", b, format!("at most {most}, so that {count} rows find room"), len);
            }
        }
        Ok(())
    }

    /// Scales that are given must be numbers that rows can be divided by.
    fn check_scales(&self, inputs: &Tensors) -> Result<(), SpecError> {
        let given = inputs.get("cache_scale").filter(|_| self.storage == Storage::INT8_PER_HEAD);
        let scales = given.and_then(Tensor::as_f32).unwrap_or_default();
        let is_legal = |&x: &f32| x == 0.0 || (f32::MIN_POSITIVE..SCALE_LIMIT).contains(&x);
        match scales.iter().position(|x| !is_legal(x)) {
            None => Ok(()),
            Some(index) => {
                let (expected, given) = ("0, or 2^-126 to less than 2^121".into(), scales[index].to_string());
                Err(SpecError::Value { operand: "cache_scale".into(), index, expected, given })
            }
        }
    }

    /// Pages that are written must exist, and no place may be written twice.
    fn check_table(&self, table: &[u32], lens: &[u32], new: Option<&[u32]>) -> Result<(), SpecError> {
        let CacheLayout::Paged { page, pages } = self.cache else { return Ok(()) };
        let mut written = std::collections::HashSet::new();
        for (b, &len) in lens.iter().enumerate() {
            let count = new.map_or(self.seq, |new| new[b] as usize);
            for row in len as usize..len as usize + count {
                let index = b * self.table_pages() + row / page;
                let wrong = |expected: String| {
                    let given = table[index].to_string();
                    Err(SpecError::Value { operand: "block_table".into(), index, expected, given })
                };
                if table[index] as usize >= pages {
                    return wrong(format!("a page below {pages}"));
                }
                if !written.insert((table[index], row % page)) {
                    return wrong("a page where no other new row is written".into());
                }
            }
        }
        Ok(())
    }
}

/// Inputs of [`CacheAppend`], shapes as in its table.
#[derive(Debug, Clone, Default)]
pub struct CacheInputs {
    /// The cache before.
    pub cache: Tensor,
    /// Scales of the cache, if it is int8.
    pub cache_scale: Option<Tensor>,
    /// New rows.
    pub x: Tensor,
    /// Rows in the cache before, per batch entry.
    pub lens: Tensor,
    /// New rows that count, per batch entry.
    pub lens_new: Option<Tensor>,
    /// Pages of the batch entries.
    pub block_table: Option<Tensor>,
}

impl From<CacheInputs> for Tensors {
    fn from(i: CacheInputs) -> Self {
        Self::new()
            .with("cache", i.cache)
            .with_some("cache_scale", i.cache_scale)
            .with("x", i.x)
            .with("lens", i.lens)
            .with_some("lens_new", i.lens_new)
            .with_some("block_table", i.block_table)
    }
}

/// Outputs of [`CacheAppend`].
#[derive(Debug, Clone)]
pub struct CacheOutputs {
    /// The cache after.
    pub cache: Tensor,
    /// Its scales after, if it is int8 and every row has its own.
    pub cache_scale: Option<Tensor>,
}

impl From<Tensors> for CacheOutputs {
    fn from(mut t: Tensors) -> Self {
        Self { cache: t.take("cache").unwrap_or_default(), cache_scale: t.take("cache_scale") }
    }
}

impl Op for CacheAppend {
    const NAME: &'static str = "cache_append";
    type Inputs = CacheInputs;
    type Outputs = CacheOutputs;

    fn operands(&self) -> Vec<Operand> {
        let &Self { batch, heads, seq, dim, max_len, dtype, .. } = self;
        let rows = match self.cache {
            CacheLayout::Dense => [batch, heads, max_len],
            CacheLayout::Paged { page, pages } => [pages, page, heads],
        };
        let (width, stored) = self.storage.row(dim, dtype);
        let cache = rows.into_iter().chain([width]).collect::<Vec<_>>();
        let x = match self.layout {
            RowLayout::HeadsFirst => [batch, heads, seq, dim],
            RowLayout::TokensFirst => [batch, seq, heads, dim],
        };
        let mut all = vec![Operand::updated("cache", cache, stored)];
        all.extend(self.storage.scales().map(|scales| match scales {
            Scales::PerToken => Operand::updated("cache_scale", rows, Dtype::F32),
            Scales::PerHead => Operand::input("cache_scale", [heads], Dtype::F32),
        }));
        all.extend([Operand::input("x", x, dtype), Operand::input("lens", [batch], Dtype::U32)]);
        all.extend(self.ragged.then(|| Operand::input("lens_new", [batch], Dtype::U32)));
        let paged = self.cache != CacheLayout::Dense;
        all.extend(paged.then(|| Operand::input("block_table", [batch, self.table_pages()], Dtype::U32)));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        let most = (1 << 30) - 1;
        let (page, pages) = match self.cache {
            CacheLayout::Dense => (1, 1),
            CacheLayout::Paged { page, pages } => (page, pages),
        };
        let ranges = [
            ("dim", self.dim, 1, MAX_DIM),
            ("heads", self.heads, 1, most),
            ("batch", self.batch, 0, most),
            ("max_len", self.max_len, 0, most),
            ("seq", self.seq, 0, self.max_len),
            ("page", page, 1, most),
            ("pages", pages, 1, most),
        ];
        for (dim, given, least, most) in ranges {
            if given < least || given > most {
                return Err(SpecError::Dim { dim, expected: format!("{least} to {most}"), given });
            }
        }
        check_float(self.dtype)?;
        check_addressable(&self.operands())
    }

    /// No FLOPs; the new rows are read and written once.
    fn cost(&self) -> Cost {
        let (width, stored) = self.storage.row(self.dim, self.dtype);
        let scale = if self.storage.is_float() { 0 } else { Dtype::F32.size() };
        let row = self.dim * self.dtype.size() + width * stored.size() + scale;
        let small = |o: &Operand| o.dtype == Dtype::U32 && o.name != "cache";
        let ints: Vec<_> = self.operands().into_iter().filter(small).collect();
        Cost { flops: 0.0, bytes: (self.rows() * row) as f64 + operand_bytes(&ints) }
    }

    fn label(&self) -> String {
        let mut parts = vec![if self.cache == CacheLayout::Dense { "dense" } else { "paged" }];
        parts.extend((self.layout == RowLayout::TokensFirst).then_some("tokens_first"));
        parts.extend(self.ragged.then_some("ragged"));
        parts.extend(self.storage.name());
        parts.push(self.dtype.name());
        parts.join(".")
    }

    fn size_label(&self) -> String {
        format!("B{} H{} T{}/{} D{}", self.batch, self.heads, self.seq, self.max_len, self.dim)
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        self.check_scales(inputs)?;
        let ints = |name| inputs.get(name).and_then(Tensor::as_u32);
        let Some(lens) = ints("lens") else { return Ok(()) };
        self.check_lens(lens, ints("lens_new"))?;
        ints("block_table").map_or(Ok(()), |table| self.check_table(table, lens, ints("lens_new")))
    }
}
