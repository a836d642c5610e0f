//! Specs of the plan of routing.

use gatefold_core::RoutingPlan;
use gatefold_core::routing::DropPolicy;

use super::Specs;

impl Specs for RoutingPlan {
    fn specs() -> Vec<Self> {
        let sizes = [
            (0, 2, 8),
            (1, 1, 1),
            (64, 8, 64),
            (100, 4, 129),
            (7, 64, 1000),
            (35_000, 2, 9),
            (100_000, 8, 256),
            (1 << 21, 8, 1024),
            (1 << 24, 1, 1),
        ];
        let mut all = Vec::new();
        for (tokens, top_k, experts) in sizes {
            let base = Self::new(tokens, top_k, experts);
            let room = Some((2 * tokens * top_k).div_ceil(3 * experts));
            all.push(Self { block: 64, capacity: room, ..base.clone() });
            all.push(Self { capacity: room, drop: DropPolicy::Weight, ..base.clone() });
            all.push(Self { capacity: Some(0), block: 3, drop: DropPolicy::Weight, ..base.clone() });
            all.push(base);
        }
        all
    }
}
