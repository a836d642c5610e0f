//! Expert choice, its gradient and top-k: every option, rows that a workgroup sorts, and rows that it does not.

use gatefold_core::routing::NanLogits;
use gatefold_core::{Dtype, ExpertChoice, ExpertChoiceBackward, TopK};

use super::Specs;

impl Specs for ExpertChoice {
    fn specs() -> Vec<Self> {
        let mut all = Vec::new();
        for bits in 0..32 {
            let on = |bit: usize| bits >> bit & 1 == 1;
            all.push(Self {
                token_mask: on(0),
                scores: on(1),
                inverse: on(2),
                nan: if on(3) { NanLogits::Lowest } else { NanLogits::Refuse },
                dtype: if on(4) { Dtype::F16 } else { Dtype::F32 },
                ..Self::new(100, 40, 5)
            });
        }
        let sizes = [(0, 8, 0), (1, 1, 1), (512, 1024, 1), (4096, 64, 128), (8192, 8, 8192), (1 << 20, 8, 1 << 18)];
        all.extend(sizes.map(|(tokens, experts, capacity)| Self::new(tokens, experts, capacity)));
        all
    }
}

impl Specs for ExpertChoiceBackward {
    fn specs() -> Vec<Self> {
        let base = ExpertChoice::new(100, 40, 5);
        let half = ExpertChoice { dtype: Dtype::F16, ..base.clone() };
        let others = [(0, 8, 0), (1, 1, 1), (4096, 64, 128)].map(|(t, e, c)| ExpertChoice::new(t, e, c));
        [base, half].into_iter().chain(others).map(Self::new).collect()
    }
}

impl Specs for TopK {
    fn specs() -> Vec<Self> {
        let sizes = [
            (0, 5, 2),
            (70, 1, 1),
            (70, 3, 3),
            (1000, 64, 2),
            (9, 1025, 1025),
            (3, 2049, 8),
            (3, 4097, 4000),
            (2, 131_073, 64),
            (1, 1 << 20, 1 << 18),
            (1, 1 << 24, 1),
            (200_000, 8, 2),
        ];
        let mut all = Vec::new();
        for (rows, cols, k) in sizes {
            for dtype in [Dtype::F32, Dtype::F16] {
                for largest in [false, true] {
                    all.push(Self { dtype, largest, ..Self::new(rows, cols, k) });
                }
            }
        }
        all
    }
}
