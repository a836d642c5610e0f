//! Dense matrix products in batches: one definition, one spec.
//!
//! ```text
//! c[b, i, j] = alpha · Σ_l op(a)[b, i, l] · op(b)[b, l, j]   (+ bias[j])
//! ```
//!
//! `op` is the identity or a transposition. Sums are formed in f32 whatever the storage type is.
//!
//! Sources: Goto & van de Geijn, *Anatomy of High-Performance Matrix Multiplication* (ACM TOMS 34.3, 2008); Volkov & Demmel,
//! *Benchmarking GPUs to Tune Dense Linear Algebra* (SC 2008).

mod gradient;

use serde::{Deserialize, Serialize};

pub use gradient::Gradient;

use crate::op::{check_addressable, check_float, operand_bytes};
use crate::{Cost, Dtype, Op, Operand, SpecError, Tensor, Tensors};

/// Matrix products in batches, `c = alpha·op(a)·op(b) + bias`.
///
/// | operand | shape | type |
/// |---|---|---|
/// | `a` | `[batch, m, k]`; `[batch, k, m]` if `transpose_a`; batch 1 if `shared_a` | `dtype` |
/// | `b` | `[batch, k, n]`; `[batch, n, k]` if `transpose_b`; batch 1 if `shared_b` | `dtype` |
/// | `bias` | `[n]`, if `bias` | f32 |
/// | → `c` | `[batch, m, n]` | `dtype` |
///
/// Every size may be 0; with `k = 0` the sum is 0, so `c` is the bias or 0. A value that is not finite does what IEEE 754 says: a NaN in
/// row `i` of `op(a)` makes row `i` of `c` NaN, `∞·0` and `∞ − ∞` are NaN, and no other element is touched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gemm {
    /// Count of products.
    #[serde(default = "one")]
    pub batch: usize,
    /// Rows of `op(a)` and of `c`.
    pub m: usize,
    /// Columns of `op(b)` and of `c`.
    pub n: usize,
    /// Columns of `op(a)`, rows of `op(b)`: the terms of a sum.
    pub k: usize,
    /// Factor on the sums, before the bias.
    #[serde(default = "unit")]
    pub alpha: f32,
    /// Whether `a` is stored as `[k, m]`.
    #[serde(default)]
    pub transpose_a: bool,
    /// Whether `b` is stored as `[n, k]`, as the weight of a linear layer is.
    #[serde(default)]
    pub transpose_b: bool,
    /// Whether the whole batch has one `a`.
    #[serde(default)]
    pub shared_a: bool,
    /// Whether the whole batch has one `b`.
    #[serde(default)]
    pub shared_b: bool,
    /// Whether there is an input `bias [n]`.
    #[serde(default)]
    pub bias: bool,
    /// Storage type of `a`, `b` and `c`.
    #[serde(default)]
    pub dtype: Dtype,
}

fn one() -> usize {
    1
}

fn unit() -> f32 {
    1.0
}

/// Inputs of [`Gemm`].
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// `[batch or 1, m, k]`, or `[batch or 1, k, m]`.
    pub a: Tensor,
    /// `[batch or 1, k, n]`, or `[batch or 1, n, k]`.
    pub b: Tensor,
    /// `[n]`, f32.
    pub bias: Option<Tensor>,
}

impl From<Inputs> for Tensors {
    fn from(i: Inputs) -> Self {
        Self::new().with("a", i.a).with("b", i.b).with_some("bias", i.bias)
    }
}

/// Outputs of [`Gemm`].
#[derive(Debug, Clone)]
pub struct Outputs {
    /// `[batch, m, n]`.
    pub c: Tensor,
}

impl From<Tensors> for Outputs {
    fn from(mut t: Tensors) -> Self {
        Self { c: t.take("c").unwrap_or_default() }
    }
}

impl Gemm {
    /// `c [1, m, n] = a [1, m, k] · b [1, k, n]` in f32.
    ///
    /// ```
    /// use gatefold_core::{Gemm, Op};
    ///
    /// let spec = Gemm { transpose_b: true, ..Gemm::new(2, 3, 4) };
    /// assert_eq!(spec.operands()[1].dims, [1, 3, 4]);
    /// ```
    pub fn new(m: usize, n: usize, k: usize) -> Self {
        Self {
            batch: 1,
            m,
            n,
            k,
            alpha: 1.0,
            transpose_a: false,
            transpose_b: false,
            shared_a: false,
            shared_b: false,
            bias: false,
            dtype: Dtype::F32,
        }
    }

    /// A linear layer: `c [batch, rows, outputs] = a [batch, rows, inputs] · bᵀ + bias`, with one weight `b [1, outputs, inputs]`.
    pub fn linear(batch: usize, rows: usize, inputs: usize, outputs: usize) -> Self {
        Self { batch, transpose_b: true, shared_b: true, bias: true, ..Self::new(rows, outputs, inputs) }
    }

    /// How `a` is stored: count of matrices, rows, columns.
    pub fn a_dims(&self) -> [usize; 3] {
        let batch = if self.shared_a { 1 } else { self.batch };
        if self.transpose_a { [batch, self.k, self.m] } else { [batch, self.m, self.k] }
    }

    /// How `b` is stored: count of matrices, rows, columns.
    pub fn b_dims(&self) -> [usize; 3] {
        let batch = if self.shared_b { 1 } else { self.batch };
        if self.transpose_b { [batch, self.n, self.k] } else { [batch, self.k, self.n] }
    }

    /// How both are stored: `nn`, `nt` (b transposed), `tn`, `tt`.
    pub const fn layout(&self) -> &'static str {
        match (self.transpose_a, self.transpose_b) {
            (false, false) => "nn",
            (false, true) => "nt",
            (true, false) => "tn",
            (true, true) => "tt",
        }
    }
}

impl Op for Gemm {
    const NAME: &'static str = "gemm";
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn operands(&self) -> Vec<Operand> {
        let mut all =
            vec![Operand::input("a", self.a_dims(), self.dtype), Operand::input("b", self.b_dims(), self.dtype)];
        all.extend(self.bias.then(|| Operand::input("bias", [self.n], Dtype::F32)));
        all.push(Operand::output("c", [self.batch, self.m, self.n], self.dtype));
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        // Also where another size is 0 and no operand has an element: kernels count in u32.
        for (dim, given) in [("batch", self.batch), ("m", self.m), ("n", self.n), ("k", self.k)] {
            if given > MAX_SIZE {
                return Err(SpecError::Dim { dim, expected: format!("at most {MAX_SIZE}"), given });
            }
        }
        if !self.alpha.is_finite() {
            let (expected, given) = ("a finite number".into(), self.alpha.to_string());
            return Err(SpecError::Option { option: "alpha", expected, given });
        }
        check_float(self.dtype)?;
        check_addressable(&self.operands())
    }

    /// FLOPs: 2·batch·m·n·k. What alpha and bias add is not counted.
    fn cost(&self) -> Cost {
        let sums = self.batch as f64 * self.m as f64 * self.n as f64;
        Cost { flops: 2.0 * sums * self.k as f64, bytes: operand_bytes(&self.operands()) }
    }

    fn label(&self) -> String {
        let mut label = self.layout().to_string();
        let options = [
            (self.alpha != 1.0, ".alpha"),
            (self.shared_a, ".shared_a"),
            (self.shared_b, ".shared_b"),
            (self.bias, ".bias"),
        ];
        options.iter().filter(|(is_on, _)| *is_on).for_each(|(_, name)| label.push_str(name));
        format!("{label}.{}", self.dtype)
    }

    fn size_label(&self) -> String {
        let Self { batch, m, n, k, .. } = self;
        format!("B{batch} M{m} N{n} K{k}")
    }
}

/// Largest size in any direction.
pub const MAX_SIZE: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_follow_the_options() {
        let spec = Gemm { batch: 5, transpose_a: true, shared_b: true, ..Gemm::new(2, 3, 4) };
        let dims: Vec<_> = spec.operands().into_iter().map(|o| o.dims).collect();
        assert_eq!(dims, [vec![5, 4, 2], vec![1, 4, 3], vec![5, 2, 3]]);
        assert_eq!((spec.label(), spec.size_label()), ("tn.shared_b.f32".into(), "B5 M2 N3 K4".into()));
        assert_eq!(spec.cost().flops, 240.0);
    }

    #[test]
    fn a_spec_is_read_from_json() {
        let spec: Gemm = serde_json::from_str(r#"{"m": 2, "n": 3, "k": 4, "transpose_b": true}"#).unwrap();
        assert_eq!(spec, Gemm { transpose_b: true, ..Gemm::new(2, 3, 4) });
        assert!(serde_json::from_str::<Gemm>(r#"{"m": 2, "n": 3, "k": 4, "beta": 1.0}"#).is_err());
        let linear = Gemm::linear(2, 3, 4, 5);
        assert_eq!(serde_json::from_str::<Gemm>(&serde_json::to_string(&linear).unwrap()).unwrap(), linear);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |spec: Gemm| spec.validate().unwrap_err().to_string();
        assert!(refused(Gemm { alpha: f32::NAN, ..Gemm::new(1, 1, 1) }).starts_with("alpha"));
        assert!(refused(Gemm { dtype: Dtype::U32, ..Gemm::new(1, 1, 1) }).starts_with("dtype"));
        assert!(refused(Gemm::new(MAX_SIZE + 1, 0, 0)).starts_with("m:"));
        assert!(refused(Gemm::new(1 << 17, 1 << 17, 0)).starts_with("c:"));
        assert!(Gemm::new(0, 0, 0).validate().is_ok());
    }
}
