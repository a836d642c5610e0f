//! The specs of routing whose machine code is looked at.

use gatefold_core::Dtype;
use gatefold_core::routing::{
    DropPolicy, ExpertActivation, ExpertActivationBackward, ExpertChoice, ExpertChoiceBackward, ExpertFunction,
    GroupedGemm, GroupedGemmWeights, Moe, MoeBackward, MoeCombine, MoeCombineBackward, MoeDispatch, Router,
    RouterBackward, RouterLoss, RoutingPlan, SelectionBiasUpdate, TopK, TopKGate, TopKGateBackward,
};

use super::cases::Shown;

/// Tokens, experts of a token, width and rows of a layer.
const ROWS: [usize; 4] = [4096, 2, 1024, 9216];

impl Shown for TopKGate {
    fn shown() -> Vec<Self> {
        vec![Self::mixtral(8192, 8, 2), Self::deepseek_v3(8192, 256, 8)]
    }
}

impl Shown for TopKGateBackward {
    fn shown() -> Vec<Self> {
        TopKGate::shown().into_iter().map(Self::new).collect()
    }
}

impl Shown for RoutingPlan {
    fn shown() -> Vec<Self> {
        let by_weight = Self { capacity: Some(256), drop: DropPolicy::Weight, ..Self::new(4096, 8, 128) };
        vec![Self { block: 64, ..Self::new(4096, 8, 128) }, by_weight]
    }
}

impl Shown for MoeDispatch {
    fn shown() -> Vec<Self> {
        let [tokens, top_k, hidden, rows] = ROWS;
        vec![Self::new(tokens, top_k, hidden, rows)]
    }
}

impl Shown for MoeCombine {
    fn shown() -> Vec<Self> {
        let [tokens, top_k, hidden, rows] = ROWS;
        vec![Self::new(tokens, top_k, hidden, rows)]
    }
}

impl Shown for MoeCombineBackward {
    fn shown() -> Vec<Self> {
        MoeCombine::shown().iter().map(MoeCombine::backward).collect()
    }
}

impl Shown for ExpertActivation {
    fn shown() -> Vec<Self> {
        vec![Self::new(ExpertFunction::SwiGlu, ROWS[3], 1024)]
    }
}

impl Shown for ExpertActivationBackward {
    fn shown() -> Vec<Self> {
        ExpertActivation::shown().into_iter().map(|forward| Self { forward }).collect()
    }
}

impl Shown for GroupedGemm {
    fn shown() -> Vec<Self> {
        let base = Self::new(8, 4096, 512, 512);
        vec![
            base.clone(),
            Self { transpose_w: true, bias: true, dtype: Dtype::F16, ..base },
            Self::new(64, 512, 512, 512),
        ]
    }
}

impl Shown for GroupedGemmWeights {
    fn shown() -> Vec<Self> {
        let base = Self::new(8, 4096, 512, 512);
        vec![base.clone(), Self { bias: true, dtype: Dtype::F16, ..base }]
    }
}

impl Shown for Router {
    fn shown() -> Vec<Self> {
        vec![Self::new(TopKGate::mixtral(4096, 8, 2), 1024)]
    }
}

/// Two products in one plan: as `Gemm`'s.
impl Shown for RouterBackward {
    fn shown() -> Vec<Self> {
        Vec::new()
    }
}

/// A layer of one token, which has kernels of its own; those of more tokens are its stages'.
impl Shown for Moe {
    fn shown() -> Vec<Self> {
        vec![Self::new(Router::new(TopKGate::mixtral(1, 8, 2), 1024), 1024, ExpertFunction::SwiGlu)]
    }
}

/// Its kernels are its stages'.
impl Shown for MoeBackward {
    fn shown() -> Vec<Self> {
        Vec::new()
    }
}

impl Shown for ExpertChoice {
    fn shown() -> Vec<Self> {
        vec![Self::new(8192, 64, 256)]
    }
}

impl Shown for ExpertChoiceBackward {
    fn shown() -> Vec<Self> {
        vec![Self::new(ExpertChoice::new(8192, 64, 256))]
    }
}

impl Shown for TopK {
    fn shown() -> Vec<Self> {
        vec![Self::new(64, 2048, 8), Self::new(8, 1 << 17, 64)]
    }
}

impl Shown for RouterLoss {
    fn shown() -> Vec<Self> {
        vec![Self::load_balance(8192, 64, 2, 0.01), Self::z_loss(8192, 64, 1e-3)]
    }
}

impl Shown for SelectionBiasUpdate {
    fn shown() -> Vec<Self> {
        vec![Self::new(256, 1e-3)]
    }
}
