//! Specs of the gate and its gradient.

use gatefold_core::routing::{ExpertGroups, GateActivation, GateWeight, GroupScore, NanLogits, ROUTER_PRESETS, Score};
use gatefold_core::{Dtype, Op, TopKGate, TopKGateBackward};

use super::Specs;

impl Specs for TopKGate {
    fn specs() -> Vec<Self> {
        let mut all: Vec<_> = ROUTER_PRESETS.iter().map(|p| (p.gate)(300, 64, 6)).collect();
        for (tokens, experts, top_k) in [(0, 8, 2), (1, 1, 1), (70_000, 2, 2), (5, 1024, 64), (300, 31, 31)] {
            all.push(Self { lse: true, scores: true, ..Self::minimax(tokens, experts, top_k) });
            all.push(Self { nan: NanLogits::Lowest, ..Self::activation_dense_to_sparse(tokens, experts, top_k) });
        }
        for score in Score::ALL {
            for weight in GateWeight::ALL {
                for activation in GateActivation::ALL {
                    let base = Self { score, weight, activation, ..Self::new(40, 32, 4) };
                    let half = Self { dtype: Dtype::F16, scores: true, lse: true, temperature: true, ..base.clone() };
                    let sum = Some(ExpertGroups { groups: 4, keep: 2, score: GroupScore::TopSum(2) });
                    let grouped = Self { groups: sum, logit_bias: true, token_mask: true, ..base.clone() };
                    let divided = Self { renormalize: Some(0.0), threshold: Some(0.1), ..base.clone() };
                    all.extend([base, half, grouped].into_iter().chain(divided.validate().is_ok().then_some(divided)));
                }
            }
        }
        all
    }
}

impl Specs for TopKGateBackward {
    fn specs() -> Vec<Self> {
        let gates = TopKGate::specs().into_iter();
        let all = gates.flat_map(|g| {
            let outputs = Self { d_scores: g.scores, d_lse: g.lse, ..Self::new(g.clone()) };
            [Self::new(g), outputs]
        });
        all.collect()
    }
}
