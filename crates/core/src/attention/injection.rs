//! A vector mixed into rows of the output.

use serde::{Deserialize, Serialize};

use super::{Attention, Epilogue};
use crate::{Dtype, SpecError};

/// Which rows of the output a task vector is mixed into: `o_i = (1 − σ(inject_logit_h))·x_i + σ(inject_logit_h)·task_vector_h`, for query head `h`
/// (*Soft Injection of Task Embeddings*, which mixes mean activations of heads over examples into the last token of a prompt).
///
/// | operand | shape | type |
/// |---|---|---|
/// | `inject_logit` | `[q_heads]` | f32 |
/// | `task_vector` | `[q_heads, val_dim]` | f32 |
///
/// The gradient op returns `d_inject_logit` and `d_task_vector`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Injection {
    /// The last row of each sequence.
    LastRow,
    /// All of them.
    EveryRow,
}

impl Injection {
    /// What shows in a label.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::LastRow => "inject_last",
            Self::EveryRow => "inject",
        }
    }

    /// The inputs and the shapes and types that they share with their gradients.
    pub(super) fn operands(a: &Attention) -> [(&'static str, Vec<usize>, Dtype); 2] {
        let (heads, width) = (a.dims.q_heads, a.dims.val_dim);
        [("inject_logit", vec![heads], Dtype::F32), ("task_vector", vec![heads, width], Dtype::F32)]
    }

    /// Nothing else happens to rows that are injected into.
    pub(super) fn validate(epilogue: &Epilogue) -> Result<(), SpecError> {
        if epilogue.injection.is_none() || !(epilogue.affine || epilogue.maps_rows()) {
            return Ok(());
        }
        let (option, with) = ("epilogue.injection", "epilogue.affine, gate or norm");
        let reason = "its gradient needs the rows before it, and only o_core is kept";
        Err(SpecError::Conflict { option, with, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::{Dims, Gate};
    use crate::{AttentionBackward, Op, Role};

    #[test]
    fn it_stands_alone_and_has_gradients() {
        let epilogue = Epilogue { injection: Some(Injection::LastRow), ..Epilogue::default() };
        let op = Attention { epilogue, ..Attention::softmax(Dims { val_dim: 6, ..Dims::new(2, 3, 5, 8) }) };
        op.validate().unwrap();
        let operands = AttentionBackward::new(op.clone()).operands();
        let find = |role, name| operands.iter().find(|o| o.role == role && o.name == name).map(|o| o.dims.clone());
        assert_eq!(find(Role::Output, "d_inject_logit"), Some(vec![3]));
        assert_eq!(find(Role::Output, "d_task_vector"), Some(vec![3, 6]));
        assert!(find(Role::Input, "o_core").is_some());
        let gated = Attention { epilogue: Epilogue { gate: Some(Gate::HEAD), ..epilogue }, ..op };
        assert!(matches!(gated.validate(), Err(SpecError::Conflict { option: "epilogue.injection", .. })));
    }
}
