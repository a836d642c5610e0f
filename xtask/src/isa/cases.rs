//! Which specs are compiled: an op needs one line in [`Shown`].

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use gatefold_core::attention::{Causal, Dims, ScoreBias};
use gatefold_core::{Attention, AttentionBackward, Dtype, RowFunction, Rowwise, RowwiseBackward, for_each_op};
use gatefold_shaders::{Kernels, Limits, Step};

/// An op whose machine code is looked at.
trait Shown: Kernels {
    /// Specs that reach the variants that matter.
    fn shown() -> Vec<Self>;
}

/// Every dtype and width at a length that is a multiple of every tile.
fn attentions() -> Vec<Attention> {
    let mut all = Vec::new();
    for dtype in [Dtype::F32, Dtype::F16] {
        for dim in [64, 128] {
            for make in [Attention::softmax, Attention::sigmoid] {
                all.push(Attention { dtype, ..make(Dims::new(1, 8, 1024, dim)) });
            }
        }
    }
    all
}

impl Shown for Attention {
    fn shown() -> Vec<Self> {
        let causal = |a: Self| Self { causal: Causal::TopLeft, ..a };
        let is_causal = |a: &Self| a.dtype == Dtype::F32 && a.dims.head_dim == 64;
        attentions()
            .into_iter()
            .flat_map(|a| std::iter::once(a.clone()).chain(is_causal(&a).then(|| causal(a))))
            .collect()
    }
}

impl Shown for AttentionBackward {
    fn shown() -> Vec<Self> {
        let shared = ScoreBias { per_batch: false, per_head: false };
        let biased = Attention { score_bias: Some(shared), ..Attention::sigmoid(Dims::new(1, 8, 1024, 64)) };
        attentions().into_iter().filter(|a| a.dtype == Dtype::F32).chain([biased]).map(Self::new).collect()
    }
}

impl Shown for Rowwise {
    fn shown() -> Vec<Self> {
        let functions = [RowFunction::Softmax, RowFunction::LogSoftmax, RowFunction::LogSumExp];
        let shapes = [(65_536, 32), (4096, 4096), (4, 1 << 18)];
        functions.into_iter().flat_map(|f| shapes.map(|(rows, cols)| Self::new(f, rows, cols))).collect()
    }
}

impl Shown for RowwiseBackward {
    fn shown() -> Vec<Self> {
        vec![Self { forward: Rowwise::new(RowFunction::Softmax, 4096, 4096) }]
    }
}

/// A kernel of a spec.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// The spec: `attention sigmoid.f32 [B1 H8 T1024 D64]`.
    pub(super) spec: String,
    /// The kernel's stem: `attention_forward`. Spec and kernel stay the same if a tile or a schedule changes.
    pub(super) kernel: String,
    /// Step of the plan.
    pub(super) step: Step,
}

/// What wgpu reports for RADV: 64 KiB of workgroup memory, f16, two subgroup sizes.
fn limits() -> Limits {
    Limits {
        workgroup_memory: 64 << 10,
        invocations: 1024,
        workgroup_size_x: 1024,
        f16: true,
        subgroup: None,
        mul_adds_per_second: 1e12,
        ..Limits::webgpu_default()
    }
}

fn add<O: Shown>(cases: &mut Vec<Case>) -> Result<()> {
    for op in O::shown() {
        let spec = format!("{} {} [{}]", O::NAME, op.label(), op.size_label());
        let plan = op.plan(&limits()).with_context(|| format!("planning {spec}"))?;
        for step in plan.steps {
            let kernel = step.name.split('.').next().unwrap_or_default().to_owned();
            cases.push(Case { spec: spec.clone(), kernel, step });
        }
    }
    Ok(())
}

/// All kernels of all specs, in the order of the documents. Those without described loops are not of interest here: how many there are.
///
/// # Errors
/// If a spec has no plan.
pub(super) fn cases() -> Result<(Vec<Case>, usize)> {
    let mut all = Vec::new();
    macro_rules! each {
        ($($op:ty),*) => {$( add::<$op>(&mut all)?; )*};
    }
    for_each_op!(each);
    let (described, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|c| !c.step.loops.is_empty());
    let others: BTreeMap<_, _> = others.iter().map(|c| (&c.step.name, ())).collect();
    Ok((described, others.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_has_one_key() {
        let (cases, _) = cases().unwrap();
        let keys: std::collections::BTreeSet<_> = cases.iter().map(|c| (&c.spec, &c.kernel)).collect();
        assert_eq!(keys.len(), cases.len());
        assert!(keys.iter().any(|(_, k)| k.as_str() == "attention_backward_key_value"));
    }
}
