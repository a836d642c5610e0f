//! The list of ops. Tests, benches and xtask instantiate it; an op without a reference or kernels does not compile.

/// Calls the macro `$with` once with the types of all ops, in the order of the documents:
/// `$with! { Attention, AttentionBackward, … }`.
#[macro_export]
macro_rules! for_each_op {
    ($with:ident) => {
        $with! {
            $crate::Attention,
            $crate::AttentionBackward,
            $crate::AttentionMerge,
            $crate::RotaryEmbedding,
            $crate::CacheAppend,
            $crate::AttentionStatistics,
            $crate::Rowwise,
            $crate::RowwiseBackward,
            $crate::Gemm,
            $crate::TopKGate,
            $crate::TopKGateBackward,
            $crate::RoutingPlan,
            $crate::MoeDispatch,
            $crate::MoeCombine,
            $crate::MoeCombineBackward,
            $crate::GroupedGemm,
            $crate::GroupedGemmWeights,
            $crate::ExpertActivation,
            $crate::ExpertActivationBackward,
            $crate::Router,
            $crate::RouterBackward,
            $crate::Moe,
            $crate::MoeBackward,
            $crate::ExpertChoice,
            $crate::ExpertChoiceBackward,
            $crate::TopK,
            $crate::RouterLoss,
            $crate::SelectionBiasUpdate
        }
    };
}
