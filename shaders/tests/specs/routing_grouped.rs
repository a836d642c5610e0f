//! Specs of products by expert.

use gatefold_core::{Dtype, GroupedGemm, GroupedGemmWeights};

use super::Specs;

impl Specs for GroupedGemm {
    fn specs() -> Vec<Self> {
        let sizes = [
            (1, 1, 1, 1),
            (4, 0, 4, 4),
            (8, 4096, 512, 512),
            (8, 100, 33, 37),
            (1024, 1100, 64, 64),
            (300, 70_000, 68, 64),
            (3, 300, 4, 1 << 18),
            (2, 1 << 20, 4, 4),
            (64, 512, 260, 260),
        ];
        let mut all = Vec::new();
        for (experts, rows, n, k) in sizes {
            for dtype in [Dtype::F32, Dtype::F16] {
                let base = Self { dtype, ..Self::new(experts, rows, n, k) };
                all.push(Self { transpose_w: true, ..base.clone() });
                all.push(Self { transpose_w: true, bias: true, ..base.clone() });
                all.push(Self { bias: true, ..base.clone() });
                all.push(base);
            }
        }
        all
    }
}

impl Specs for GroupedGemmWeights {
    fn specs() -> Vec<Self> {
        GroupedGemm::specs().iter().map(GroupedGemm::gradient_w).collect()
    }
}
