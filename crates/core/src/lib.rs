//! What an op is: specs, named operands, validity and cost. No GPU, no float computed.
//!
//! A spec such as [`Attention`] or [`Rowwise`] is a plain value. [`Op::validate`] is the only gate for user mistakes;
//! [`Op::operands`] names every tensor the op reads and writes, and that name is used everywhere else: in the shader, in the
//! reference, in error messages and in files.

#![forbid(unsafe_code)]

pub mod attention;
mod error;
pub mod gemm;
mod op;
mod registry;
pub mod routing;
pub mod rowwise;
mod tensor;

pub use attention::{Attention, AttentionBackward, AttentionMerge, AttentionStatistics, CacheAppend, RotaryEmbedding};
pub use error::SpecError;
pub use gemm::Gemm;
pub use op::{Cost, Op, Operand, Role};
pub use routing::{
    ExpertActivation, ExpertActivationBackward, ExpertChoice, ExpertChoiceBackward, GroupedGemm, GroupedGemmWeights,
    Moe, MoeBackward, MoeCombine, MoeCombineBackward, MoeDispatch, Router, RouterBackward, RouterLoss, RoutingPlan,
    SelectionBiasUpdate, TopK, TopKGate, TopKGateBackward,
};
pub use rowwise::{RowFunction, Rowwise, RowwiseBackward};
pub use tensor::{Data, Dtype, Tensor, Tensors};
