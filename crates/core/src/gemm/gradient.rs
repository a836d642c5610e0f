//! The gradients of a product are products.

use super::Gemm;
use crate::SpecError;

/// A gradient of [`Gemm`], itself a [`Gemm`].
///
/// Its output `c` holds the gradient, in the order of elements of the operand that it belongs to; the storage of its inputs is that of the
/// tensors named here, seen in the shape that `op` asks for (batches may be folded into rows, which moves no element).
#[derive(Debug, Clone, PartialEq)]
pub struct Gradient {
    /// What is to be run.
    pub op: Gemm,
    /// What goes into its `a`: `"d_c"`, `"a"` or `"b"` of the forward product, or `"ones"`.
    pub a: &'static str,
    /// What goes into its `b`.
    pub b: &'static str,
}

impl Gemm {
    /// The gradient with respect to `a`: `d_op(a) = alpha · d_c · op(b)ᵀ`.
    ///
    /// # Errors
    /// [`SpecError::Conflict`] if `a` is shared by a batch of more than one: that gradient is a sum of products over the batch, whose terms
    /// do not lie one after another in `d_c`.
    pub fn gradient_a(&self) -> Result<Gradient, SpecError> {
        if self.shared_a && self.batch != 1 {
            let reason = "its gradient sums products over the batch; run it per batch entry and add up";
            return Err(SpecError::Conflict { option: "shared_a", with: "batch", reason });
        }
        let base = Self { bias: false, shared_a: false, shared_b: self.shared_b, ..self.clone() };
        Ok(if self.transpose_a {
            // d_a [k, m] = op(b) [k, n] · d_cᵀ [n, m]
            let (transpose_a, shared_a) = (self.transpose_b, self.shared_b);
            let op = Self {
                m: self.k,
                n: self.m,
                k: self.n,
                transpose_a,
                transpose_b: true,
                shared_a,
                shared_b: false,
                ..base
            };
            Gradient { op, a: "b", b: "d_c" }
        } else {
            // d_a [m, k] = d_c [m, n] · op(b)ᵀ [n, k]
            let op = Self { n: self.k, k: self.n, transpose_a: false, transpose_b: !self.transpose_b, ..base };
            Gradient { op, a: "d_c", b: "b" }
        })
    }

    /// The gradient with respect to `b`: `d_op(b) = alpha · op(a)ᵀ · d_c`. If `b` is shared, the sum over the batch becomes part of the sum
    /// over rows: `a` and `d_c` are seen as `[1, batch·m, …]`.
    ///
    /// # Errors
    /// [`SpecError::Conflict`] if `b` is shared by a batch of more than one and `a` is transposed or shared too: then the terms of the sum
    /// do not lie one after another.
    pub fn gradient_b(&self) -> Result<Gradient, SpecError> {
        let mut forward = self.clone();
        if self.shared_b && self.batch != 1 {
            let reason = "the gradient sums products over the batch; run it per batch entry and add up";
            if self.transpose_a {
                return Err(SpecError::Conflict { option: "shared_b", with: "transpose_a", reason });
            }
            if self.shared_a {
                return Err(SpecError::Conflict { option: "shared_b", with: "shared_a", reason });
            }
            forward.m = self.batch.saturating_mul(self.m);
            forward.batch = 1;
        }
        let base = Self { bias: false, shared_a: false, shared_b: false, ..forward.clone() };
        Ok(if forward.transpose_b {
            // d_b [n, k] = d_cᵀ [n, m] · op(a) [m, k]
            let shared_b = forward.shared_a;
            let (transpose_b, m, n, k) = (forward.transpose_a, forward.n, forward.k, forward.m);
            Gradient { op: Self { m, n, k, transpose_a: true, transpose_b, shared_b, ..base }, a: "d_c", b: "a" }
        } else {
            // d_b [k, n] = op(a)ᵀ [k, m] · d_c [m, n]
            let shared_a = forward.shared_a;
            let (transpose_a, m, k) = (!forward.transpose_a, forward.k, forward.m);
            Gradient { op: Self { m, k, transpose_a, transpose_b: false, shared_a, ..base }, a: "a", b: "d_c" }
        })
    }

    /// The gradient with respect to `bias`: the column sums of `d_c`, as a product of a row of `batch·m` ones with
    /// `d_c [1, batch·m, n]`. Its output has `dtype`.
    pub fn gradient_bias(&self) -> Gradient {
        let op = Self { dtype: self.dtype, ..Self::new(1, self.n, self.batch.saturating_mul(self.m)) };
        Gradient { op, a: "ones", b: "d_c" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_weight_sums_over_the_batch() {
        let linear = Gemm::linear(4, 10, 6, 5);
        let found = linear.gradient_b().unwrap();
        assert_eq!((found.a, found.b), ("d_c", "a"));
        assert_eq!((found.op.a_dims(), found.op.b_dims()), ([1, 40, 5], [1, 40, 6]));
        assert_eq!((found.op.m, found.op.n, found.op.batch), (5, 6, 1));
        assert_eq!(linear.gradient_a().unwrap().op.b_dims(), linear.b_dims());
        assert_eq!(linear.gradient_bias().op.b_dims(), [1, 40, 5]);
    }

    #[test]
    fn sums_over_scattered_batches_are_refused() {
        let shared = Gemm { batch: 2, shared_a: true, shared_b: true, ..Gemm::new(2, 3, 4) };
        assert!(shared.gradient_a().unwrap_err().to_string().starts_with("shared_a"));
        assert!(shared.gradient_b().unwrap_err().to_string().starts_with("shared_b"));
        let transposed = Gemm { transpose_a: true, shared_a: false, ..shared.clone() };
        assert!(transposed.gradient_b().unwrap_err().to_string().contains("transpose_a"));
        assert!(Gemm { batch: 1, ..shared }.gradient_a().is_ok());
    }
}
