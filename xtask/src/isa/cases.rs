//! Which specs are compiled: an op needs one line in [`Shown`].

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use gatefold_core::attention::{Causal, Dims, NanPolicy, ScoreBias, Storage};
use gatefold_core::{
    Attention, AttentionBackward, AttentionMerge, AttentionStatistics, CacheAppend, Dtype, Gemm, Op, Role,
    RotaryEmbedding, RowFunction, Rowwise, RowwiseBackward, for_each_op,
};
use gatefold_cpu_ref::Reference;
use gatefold_shaders::{Kernels, Limits, MatrixUnit, PlanError, Step};

/// Drawn cases of the tests that `--every` looks at after the planned ones.
const DRAWN: u64 = 200;

/// An op whose machine code is looked at.
pub(super) trait Shown: Kernels {
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
        let all = attentions();
        let all = all.into_iter().flat_map(|a| std::iter::once(a.clone()).chain(is_causal(&a).then(|| causal(a))));
        let decode = |dtype| {
            let dims = Dims { q_heads: 32, seq_q: 1, ..Dims::new(1, 8, 32_768, 128) };
            [Self::softmax, Self::sigmoid].map(|make| Self { dtype, nan_policy: NanPolicy::Trust, ..make(dims) })
        };
        let [half, _] = decode(Dtype::F16);
        let int8 = Self { storage: Storage::INT8_PER_TOKEN, ..half };
        let linear = Self { causal: Causal::None, ..Self::parallax(Dims::new(1, 8, 1024, 64)) };
        all.chain([Dtype::F32, Dtype::F16].into_iter().flat_map(decode)).chain([int8, linear]).collect()
    }
}

impl Shown for AttentionBackward {
    fn shown() -> Vec<Self> {
        let shared = ScoreBias { per_batch: false, per_head: false };
        let biased = Attention { score_bias: Some(shared), ..Attention::sigmoid(Dims::new(1, 8, 1024, 64)) };
        let linear = Attention { causal: Causal::None, ..Attention::parallax(Dims::new(1, 8, 1024, 64)) };
        let more = [biased, linear];
        attentions().into_iter().filter(|a| a.dtype == Dtype::F32).chain(more).map(Self::new).collect()
    }
}

impl Shown for AttentionMerge {
    fn shown() -> Vec<Self> {
        vec![Self::softmax(8, 32, 128), Self::sigmoid(8, 32, 128)]
    }
}

impl Shown for RotaryEmbedding {
    fn shown() -> Vec<Self> {
        vec![Self::new(1, 32, 4096, 128, 4096)]
    }
}

impl Shown for CacheAppend {
    fn shown() -> Vec<Self> {
        vec![Self::new(8, 8, 1, 128, 4096)]
    }
}

impl Shown for AttentionStatistics {
    fn shown() -> Vec<Self> {
        vec![Self::new(Attention::softmax(Dims::new(1, 8, 1024, 64)))]
    }
}

impl Shown for Gemm {
    fn shown() -> Vec<Self> {
        let square = |dtype| Self { dtype, ..Self::new(1024, 1024, 1024) };
        vec![square(Dtype::F32), square(Dtype::F16), Self::linear(1, 1024, 768, 3072), Self::new(256, 256, 1024)]
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

/// What is known about a spec.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    /// `attention sigmoid.f32 [B1 H8 T1024 D64]`.
    pub(super) text: String,
    /// Bytes of its inputs.
    pub(super) inputs: f64,
    /// FLOPs ÷ bytes of all operands.
    pub(super) intensity: f64,
}

impl std::fmt::Display for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// A kernel of a spec.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) spec: Spec,
    /// The kernel's stem: `attention_forward`, `attention_forward_matrix` where it uses matrix units. Spec and kernel stay the same if a
    /// tile or a schedule changes.
    pub(super) kernel: String,
    /// Step of the plan.
    pub(super) step: Step,
    /// The plan is for families with this smallest subgroup.
    pub(super) wave: u32,
}

/// Smallest subgroups that families have.
const WAVES: [u32; 2] = [32, 64];

/// What wgpu reports for RADV: 64 KiB of workgroup memory, f16, two subgroup sizes.
fn limits(wave: u32) -> Limits {
    Limits {
        workgroup_memory: 64 << 10,
        invocations: 1024,
        workgroup_size_x: 1024,
        f16: true,
        subgroup: None,
        mul_adds_per_second: 1e12,
        wave,
        ..Limits::webgpu_default()
    }
}

/// Matrix units as RADV lists them for families that have them, all of which have waves of 32: the largest subgroup is 64.
const UNIT: MatrixUnit = MatrixUnit { edge: 16, lanes: 64 };

/// Kernels, and the names of variants whose loops nobody has described: they have no figures.
#[derive(Default)]
pub(super) struct Cases {
    pub(super) described: Vec<Case>,
    pub(super) others: BTreeSet<String>,
}

impl Cases {
    fn add<O: Kernels>(&mut self, op: &O) -> Result<(), PlanError> {
        let inputs = op.operands().iter().filter(|o| o.role == Role::Input).map(|o| o.bytes() as f64).sum();
        let cost = op.cost();
        let spec = Spec {
            text: format!("{} {} [{}]", O::NAME, op.label(), op.size_label()),
            inputs,
            intensity: cost.flops / cost.bytes.max(1.0),
        };
        for wave in WAVES {
            self.add_steps(&spec, wave, op.plan(&limits(wave))?.steps);
        }
        let matrix = Limits { matrix: Some(UNIT), ..limits(WAVES[0]) };
        let steps = op.plan(&matrix)?.steps.into_iter().filter(|s| s.matrix);
        self.add_steps(&spec, WAVES[0], steps.collect());
        Ok(())
    }

    fn add_steps(&mut self, spec: &Spec, wave: u32, steps: Vec<Step>) {
        for step in steps {
            if step.loops.is_empty() {
                self.others.insert(step.name);
                continue;
            }
            let stem = step.name.split('.').next().unwrap_or_default();
            let kernel = format!("{stem}{}", if step.matrix { "_matrix" } else { "" });
            self.described.push(Case { spec: spec.clone(), kernel, step, wave });
        }
    }

    /// The kernels of the specs that are shown, in the order of the documents.
    ///
    /// # Errors
    /// If a spec has no plan.
    pub(super) fn shown() -> Result<Self> {
        let mut all = Self::default();
        macro_rules! each {
            ($($op:ty),*) => {$(
                for op in <$op as Shown>::shown() {
                    all.add(&op).with_context(|| format!("planning {}", op.label()))?;
                }
            )*};
        }
        for_each_op!(each);
        Ok(all)
    }

    /// Every variant that the cases of the tests reach on such a GPU, each at the first spec that reaches it.
    pub(super) fn every() -> Self {
        let mut all = Self::default();
        macro_rules! each {
            ($($op:ty),*) => {$(
                for seed in 0..<$op as Reference>::PLANNED + DRAWN {
                    // What the planner refuses is refused on a GPU as well.
                    let _ = all.add(&<$op as Reference>::case(seed).op);
                }
            )*};
        }
        for_each_op!(each);
        let mut seen = BTreeSet::new();
        all.described.retain(|c| seen.insert((c.wave, c.step.name.clone())));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_has_one_key() {
        let cases = Cases::shown().unwrap().described;
        let keys: std::collections::BTreeSet<_> = cases.iter().map(|c| (c.wave, &c.spec.text, &c.kernel)).collect();
        assert_eq!(keys.len(), cases.len());
        assert!(keys.iter().any(|(_, _, k)| k.as_str() == "attention_backward_key_value"));
    }
}
