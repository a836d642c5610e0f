//! Specs of a router's losses and of the bias it selects by.

use gatefold_core::routing::{Congestion, CongestionCost, Load, RouterLossKind};
use gatefold_core::{Dtype, RouterLoss, SelectionBiasUpdate};

use super::Specs;

const SIZES: [[usize; 3]; 8] = [
    [0, 8, 2],
    [1, 1, 1],
    [100, 8, 2],
    [64, 40, 3],
    [4096, 256, 8],
    [300, 1024, 64],
    [70_000, 64, 8],
    [1 << 20, 16, 4],
];

impl Specs for RouterLoss {
    fn specs() -> Vec<Self> {
        let mut kinds = vec![RouterLossKind::LoadBalance, RouterLossKind::ZLoss];
        for load in [Load::Hard, Load::Soft] {
            for cost in [CongestionCost::Linear, CongestionCost::Quadratic] {
                kinds.push(RouterLossKind::Congestion(Congestion { load, cost, lambda: 0.5 }));
            }
        }
        let mut all = Vec::new();
        for (kind, [tokens, experts, top_k]) in kinds.iter().flat_map(|&k| SIZES.map(|size| (k, size))) {
            let top_k = if kind == RouterLossKind::ZLoss { 0 } else { top_k };
            for (token_mask, value, gradient) in [
                (false, true, true),
                (true, true, true),
                (false, false, true),
                (true, false, true),
                (true, true, false),
            ] {
                let dtype = if gradient && value && token_mask { Dtype::F16 } else { Dtype::F32 };
                let op = Self::new(kind, tokens, experts, top_k, 0.01);
                all.push(Self { token_mask, value, gradient, dtype, ..op });
            }
        }
        all
    }
}

impl Specs for SelectionBiasUpdate {
    fn specs() -> Vec<Self> {
        [1, 8, 1024].map(|experts| Self::new(experts, 0.001)).into()
    }
}
