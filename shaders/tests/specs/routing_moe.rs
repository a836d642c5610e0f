//! Routers with their projection, and whole layers.

use gatefold_core::Dtype;
use gatefold_core::routing::{
    DropPolicy, ExpertFunction, Moe, MoeBackward, Router, RouterBackward, TopKGate, TopKGateBackward,
};

use super::Specs;

impl Specs for Router {
    fn specs() -> Vec<Self> {
        let base = Self::new(TopKGate::mixtral(70, 8, 2), 64);
        let empty = Self::new(TopKGate::mixtral(0, 8, 2), 64);
        vec![
            Self { dtype: Dtype::F16, ..base.clone() },
            base,
            empty,
            Self::new(TopKGate::deepseek_v3(300, 256, 8), 512),
        ]
    }
}

impl Specs for RouterBackward {
    fn specs() -> Vec<Self> {
        let gradient = |op: Router, more| {
            let gate = TopKGateBackward::new(op.gate);
            Self { gate, hidden: op.hidden, dtype: op.dtype, more }
        };
        Router::specs().into_iter().flat_map(|op| [gradient(op.clone(), false), gradient(op, true)]).collect()
    }
}

impl Specs for Moe {
    fn specs() -> Vec<Self> {
        let layer = |tokens, function| Self::new(Router::new(TopKGate::mixtral(tokens, 8, 2), 64), 48, function);
        let mut all: Vec<_> = ExpertFunction::ALL.iter().flat_map(|&f| [layer(1, f), layer(70, f)]).collect();
        let base = layer(70, ExpertFunction::SwiGlu);
        let half = |op: &Self| Self { router: Router { dtype: Dtype::F16, ..op.router.clone() }, ..op.clone() };
        all.extend([half(&base), half(&layer(1, ExpertFunction::SwiGlu)), layer(0, ExpertFunction::Relu)]);
        all.push(Self { bias: true, counts: true, ..base.clone() });
        all.push(Self { bias: true, ..layer(3, ExpertFunction::GeGlu) });
        all.extend([DropPolicy::Position, DropPolicy::Weight].map(|drop| Self {
            capacity: Some(9),
            drop,
            ..base.clone()
        }));
        all
    }
}

impl Specs for MoeBackward {
    fn specs() -> Vec<Self> {
        Moe::specs().into_iter().map(|forward| Self { more: forward.bias, forward }).collect()
    }
}
