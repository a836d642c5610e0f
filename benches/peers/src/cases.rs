//! What is timed.

use gatefold_wgpu::attention::{Causal, Dims};
use gatefold_wgpu::{Attention, Op};

/// One thing that several can compute.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// Attention, in f32.
    Attention(Attention),
    /// The product of two square matrices of this size, in f32. Not an op of ours: it shows what a peer's tuned kernel reaches here.
    Matmul(usize),
}

/// A row of the report.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// What is computed.
    pub(crate) what: What,
}

impl Case {
    /// `softmax.causal_top_left.f32 B1 H8 T1024 D64`.
    pub(crate) fn title(&self) -> String {
        match &self.what {
            What::Attention(op) => format!("{} {}", op.label(), op.size_label()),
            What::Matmul(size) => format!("matmul.f32 {size}x{size}x{size}"),
        }
    }

    /// FLOPs by definition: 4·B·H·T²·D for attention, half if causal; 2·n³ for a product.
    pub(crate) fn flops(&self) -> f64 {
        match &self.what {
            What::Attention(op) => op.cost().flops,
            What::Matmul(size) => 2.0 * (*size as f64).powi(3),
        }
    }
}

/// Sequence length and head dimension.
const SHAPES: [(usize, usize); 3] = [(1024, 64), (1024, 128), (4096, 64)];

/// Everything that is timed: softmax and sigmoid, full and causal, one batch entry of 8 heads.
pub(crate) fn cases(quick: bool) -> Vec<Case> {
    let mut all = Vec::new();
    for (seq, head_dim) in SHAPES.into_iter().take(if quick { 1 } else { SHAPES.len() }) {
        let dims = Dims::new(1, 8, seq, head_dim);
        for causal in [Causal::None, Causal::TopLeft] {
            for make in [Attention::softmax, Attention::sigmoid] {
                all.push(Case { what: What::Attention(Attention { causal, ..make(dims) }) });
            }
        }
    }
    all.push(Case { what: What::Matmul(1024) });
    all
}
