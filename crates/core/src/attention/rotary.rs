//! Rotary position embedding of queries or keys.

use serde::{Deserialize, Serialize};

use super::MAX_DIM;
use crate::op::{check_addressable, check_float, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// Which two elements of a row are turned as a pair, `0 ≤ p < rotary_dim / 2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotaryPairs {
    /// `p` and `p + rotary_dim / 2` (GPT-NeoX, Llama).
    #[default]
    Half,
    /// `2p` and `2p + 1` (the paper, GPT-J).
    Interleaved,
}

/// How rows that belong to tokens and heads lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowLayout {
    /// `[batch, heads, seq, dim]`.
    #[default]
    HeadsFirst,
    /// `[batch, seq, heads, dim]`; packed sequences `[total, heads, dim]` are one batch entry of them.
    TokensFirst,
}

/// What the input `positions` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotaryPositions {
    /// The position of every token: `[batch, seq]`.
    #[default]
    Tokens,
    /// That of a batch entry's first token, from which the others count on: `[batch]`. A cache's lengths are such positions.
    First,
}

/// Turns pairs of elements of each query or key by an angle that grows with its position, so that a dot product of two of them depends on
/// the distance of their positions.
///
/// ```text
/// y_a = x_a·cos − x_b·sin,   y_b = x_a·sin + x_b·cos      (a, b) = pair p,   cos, sin = caches[position, p]
/// ```
///
/// | operand | shape | type |
/// |---|---|---|
/// | `x` | `[batch, heads, seq, head_dim]` or `[batch, seq, heads, head_dim]` | `dtype` |
/// | `cos_cache`, `sin_cache` | `[max_position, rotary_dim / 2]` | f32 |
/// | `positions` | `[batch, seq]` or `[batch]` | u32, less than `max_position` |
/// | → `y` | as `x` | `dtype` |
///
/// Elements from `rotary_dim` on pass through. What is not finite in a pair, its cosine or its sine makes both of the pair NaN. With `inverse`
/// the angle is negative: the gradient of `x` from that of `y`. A kernel takes a position beyond `max_position`, which only a caller's own
/// buffer can hold, for the last.
///
/// Source: Su et al., *RoFormer: Enhanced Transformer with Rotary Position Embedding* (arXiv 2104.09864).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotaryEmbedding {
    /// Batch entries; 0 is legal.
    pub batch: usize,
    /// Heads, at least 1.
    pub heads: usize,
    /// Tokens per batch entry; 0 is legal.
    pub seq: usize,
    /// Width of a row, 2 to 256.
    pub head_dim: usize,
    /// Leading elements of a row that are turned: even, 2 to `head_dim`.
    pub rotary_dim: usize,
    /// Positions that the caches hold, at least 1.
    pub max_position: usize,
    /// Which elements are a pair.
    #[serde(default)]
    pub pairs: RotaryPairs,
    /// How `x` and `y` lie in memory.
    #[serde(default)]
    pub layout: RowLayout,
    /// What `positions` says.
    #[serde(default)]
    pub positions: RotaryPositions,
    /// Whether to turn by the negative angle.
    #[serde(default)]
    pub inverse: bool,
    /// Storage type of `x` and `y`.
    #[serde(default)]
    pub dtype: Dtype,
}

impl RotaryEmbedding {
    /// Whole rows in f32, halves paired, a position for every token. Set further options by struct update.
    pub fn new(batch: usize, heads: usize, seq: usize, head_dim: usize, max_position: usize) -> Self {
        Self {
            batch,
            heads,
            seq,
            head_dim,
            rotary_dim: head_dim,
            max_position,
            pairs: RotaryPairs::default(),
            layout: RowLayout::default(),
            positions: RotaryPositions::default(),
            inverse: false,
            dtype: Dtype::F32,
        }
    }

    /// `cos_cache` and `sin_cache` of the angles `position·base^(−2p / rotary_dim)`, formed in f64 and rounded once. The paper's `base` is
    /// 10 000.
    ///
    /// # Errors
    /// As [`Op::validate`], and [`SpecError::Option`] for a base that is not a positive number.
    pub fn caches(&self, base: f64) -> Result<(Tensor, Tensor), SpecError> {
        self.validate()?;
        if !(base.is_finite() && base > 0.0) {
            let (expected, given) = ("a finite number greater than 0".into(), base.to_string());
            return Err(SpecError::Option { option: "base", expected, given });
        }
        let pairs = self.rotary_dim / 2;
        let angle = |at: usize| (at / pairs) as f64 * base.powf(-((at % pairs) as f64) / pairs as f64);
        let cache = |function: fn(f64) -> f64| {
            #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
            let all: Vec<f32> = (0..self.max_position * pairs).map(|at| function(angle(at)) as f32).collect();
            Tensor::f32([self.max_position, pairs], all)
        };
        Ok((cache(f64::cos)?, cache(f64::sin)?))
    }

    fn row_dims(&self) -> Vec<usize> {
        match self.layout {
            RowLayout::HeadsFirst => vec![self.batch, self.heads, self.seq, self.head_dim],
            RowLayout::TokensFirst => vec![self.batch, self.seq, self.heads, self.head_dim],
        }
    }
}

/// Inputs of [`RotaryEmbedding`], shapes as in its table.
#[derive(Debug, Clone, Default)]
pub struct RotaryInputs {
    /// Queries or keys.
    pub x: Tensor,
    /// Cosines by position and pair.
    pub cos_cache: Tensor,
    /// Sines by position and pair.
    pub sin_cache: Tensor,
    /// Positions, u32.
    pub positions: Tensor,
}

impl From<RotaryInputs> for Tensors {
    fn from(i: RotaryInputs) -> Self {
        Self::new()
            .with("x", i.x)
            .with("cos_cache", i.cos_cache)
            .with("sin_cache", i.sin_cache)
            .with("positions", i.positions)
    }
}

/// Outputs of [`RotaryEmbedding`].
#[derive(Debug, Clone)]
pub struct RotaryOutputs {
    /// As `x`.
    pub y: Tensor,
}

impl From<Tensors> for RotaryOutputs {
    fn from(mut t: Tensors) -> Self {
        Self { y: t.take("y").unwrap_or_default() }
    }
}

impl Op for RotaryEmbedding {
    const NAME: &'static str = "rotary_embedding";
    type Inputs = RotaryInputs;
    type Outputs = RotaryOutputs;

    fn operands(&self) -> Vec<Operand> {
        let cache = [self.max_position, self.rotary_dim / 2];
        let positions = match self.positions {
            RotaryPositions::Tokens => vec![self.batch, self.seq],
            RotaryPositions::First => vec![self.batch],
        };
        vec![
            Operand::input("x", self.row_dims(), self.dtype),
            Operand::input("cos_cache", cache, Dtype::F32),
            Operand::input("sin_cache", cache, Dtype::F32),
            Operand::input("positions", positions, Dtype::U32),
            Operand::output("y", self.row_dims(), self.dtype),
        ]
    }

    fn validate(&self) -> Result<(), SpecError> {
        let most = 1 << 30;
        let ranges = [
            ("head_dim", self.head_dim, 2, MAX_DIM),
            ("rotary_dim", self.rotary_dim, 2, self.head_dim),
            ("heads", self.heads, 1, most),
            ("max_position", self.max_position, 1, most),
            ("batch", self.batch, 0, most),
            ("seq", self.seq, 0, most),
        ];
        for (dim, given, least, most) in ranges {
            if given < least || given > most {
                return Err(SpecError::Dim { dim, expected: format!("{least} to {most}"), given });
            }
        }
        if !self.rotary_dim.is_multiple_of(2) {
            let (expected, given) = ("an even number".into(), self.rotary_dim);
            return Err(SpecError::Dim { dim: "rotary_dim", expected, given });
        }
        if self.positions == RotaryPositions::First && self.seq > self.max_position {
            let (expected, given) = (format!("at most max_position = {}", self.max_position), self.seq);
            return Err(SpecError::Dim { dim: "seq", expected, given });
        }
        check_float(self.dtype)?;
        check_addressable(&self.operands())
    }

    /// FLOPs: 6 per pair.
    fn cost(&self) -> Cost {
        let pairs = self.batch as f64 * self.heads as f64 * self.seq as f64 * (self.rotary_dim / 2) as f64;
        Cost { flops: 6.0 * pairs, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        let pairs = match self.pairs {
            RotaryPairs::Half => "half",
            RotaryPairs::Interleaved => "interleaved",
        };
        let mut parts = vec![pairs];
        parts.extend((self.layout == RowLayout::TokensFirst).then_some("tokens_first"));
        parts.extend((self.positions == RotaryPositions::First).then_some("counting"));
        parts.extend((self.rotary_dim < self.head_dim).then_some("partial"));
        parts.extend(self.inverse.then_some("inverse"));
        parts.push(self.dtype.name());
        parts.join(".")
    }

    fn size_label(&self) -> String {
        format!("B{} H{} T{} D{}/{}", self.batch, self.heads, self.seq, self.rotary_dim, self.head_dim)
    }

    fn check_values(&self, inputs: &Tensors) -> Result<(), SpecError> {
        let Some(positions) = inputs.get("positions").and_then(Tensor::as_u32) else {
            return Ok(());
        };
        let ahead = if self.positions == RotaryPositions::First { self.seq.saturating_sub(1) } else { 0 };
        let end = self.max_position.saturating_sub(ahead);
        match positions.iter().position(|&p| p as usize >= end) {
            None => Ok(()),
            Some(index) => {
                let (expected, given) = (format!("a position below {end}"), positions[index].to_string());
                Err(SpecError::Value { operand: "positions".into(), index, expected, given })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_hold_the_angles() {
        let op = RotaryEmbedding { rotary_dim: 4, ..RotaryEmbedding::new(1, 1, 1, 8, 3) };
        let (cos, sin) = op.caches(100.0).unwrap();
        assert_eq!(cos.dims(), [3, 2]);
        let close = |x: f32, y: f64| (f64::from(x) - y).abs() < 1e-7;
        // the second pair turns by 100^(-1/2) a position
        assert!(close(cos.to_f32()[5], 0.2f64.cos()) && close(sin.to_f32()[4], 2f64.sin()));
        assert!(op.caches(f64::NAN).is_err());
    }
}
