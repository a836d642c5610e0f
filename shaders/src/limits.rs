//! What a planner may count on.

use gatefold_core::Dtype;
use serde::{Deserialize, Serialize};

use crate::{Choices, PlanError};

/// Kind of adapter: chooses the schedule, never the result's meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// Workgroup memory is fast, loads coalesce.
    Gpu,
    /// A software driver: loads are gathers, workgroup memory is plain memory, barriers are dear.
    Cpu,
}

/// Matrix units that multiply square matrices, f16 in and f32 out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatrixUnit {
    /// Rows and columns of a matrix: 8 or 16.
    pub edge: u32,
    /// Invocations of a workgroup that is the largest subgroup, which multiplies together.
    pub lanes: u32,
}

impl MatrixUnit {
    /// The matrix types that kernels are written in: left and right operand of a product, and sum.
    pub fn aliases(self) -> [(&'static str, &'static str); 3] {
        let [left, right, sum] = if self.edge == 8 {
            ["coop_mat8x8<f16, A>", "coop_mat8x8<f16, B>", "coop_mat8x8<f32, C>"]
        } else {
            ["coop_mat16x16<f16, A>", "coop_mat16x16<f16, B>", "coop_mat16x16<f32, C>"]
        };
        [("Left", left), ("Right", right), ("Sum", sum)]
    }
}

/// Limits of an adapter, as numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Kind of adapter.
    pub kind: DeviceKind,
    /// Bytes of workgroup memory.
    pub workgroup_memory: u32,
    /// Invocations per workgroup.
    pub invocations: u32,
    /// Invocations along x.
    pub workgroup_size_x: u32,
    /// Storage buffers per stage.
    pub storage_buffers: u32,
    /// Workgroups per dimension of a dispatch.
    pub groups_per_dim: u32,
    /// Bytes of one storage binding.
    pub binding_bytes: u64,
    /// Bytes of one buffer.
    pub buffer_bytes: u64,
    /// Alignment of a storage binding's offset, bytes.
    pub offset_alignment: u64,
    /// Whether f16 may be stored.
    pub f16: bool,
    /// The subgroup size, if subgroups may be used and have one size only.
    pub subgroup: Option<u32>,
    /// Matrix units, if there are any and they passed their test.
    pub matrix: Option<MatrixUnit>,
    /// Invocations that a GPU runs as one: 32 or 64. A workgroup of that many needs no waiting at barriers and leaves no lane idle.
    pub wave: u32,
    /// Loop trips that one invocation may make, all its loops together.
    pub loop_trips: u64,
    /// Multiply-adds per second to reckon with (a tenth of the measured peak is prudent); decides how dispatches are split in time.
    pub mul_adds_per_second: f64,
    /// Longest time one dispatch should take, seconds: work is cut so that none takes longer by the estimate, down to the smallest unit that
    /// a kernel has.
    pub dispatch_seconds: f64,
    /// Longest time one dispatch may take by the estimate, seconds: where even the smallest unit takes longer, a plan is refused
    /// ([`PlanError::TooLong`]). Watchdogs reset a device after 2 s.
    pub hard_dispatch_seconds: f64,
    /// Workgroups that keep the adapter busy: a call with fewer shares out its keys.
    pub busy_groups: u64,
    /// Fewest keys that are worth a share of their own.
    pub least_share: u64,
    /// Tiles to take instead of the defaults.
    pub choices: Choices,
}

impl Limits {
    /// The matrix units that kernels of this storage type may use, or why there are none.
    pub(crate) fn matrix_unit(&self, dtype: Dtype) -> Result<MatrixUnit, String> {
        let Some(unit) = self.matrix else { return Err("the adapter has none that can be trusted".into()) };
        if dtype != Dtype::F16 {
            return Err(format!("{dtype} is not multiplied in matrices"));
        }
        if self.kind == DeviceKind::Cpu && self.subgroup.is_some() {
            return Err("a CPU-type adapter emulates them, and shuffles are faster".into());
        }
        Ok(unit)
    }

    /// How many units of `work` multiply-adds fit into the time that a dispatch should take: at least 1.
    pub(crate) fn units_in_time(&self, work: f64) -> u64 {
        let units = self.dispatch_seconds * self.mul_adds_per_second / work.max(1e-3);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1 ..= 1e9")]
        let units = if units.is_nan() { 1 } else { units.clamp(1.0, 1e9) as u64 };
        units
    }

    /// Refuses limits that no adapter has, under which planners would have nothing to divide by or share out.
    pub(crate) fn check(&self, op: &'static str) -> Result<(), PlanError> {
        let floors = [
            ("workgroups per dimension", 1, self.groups_per_dim.into()),
            ("invocations per workgroup", 64, self.invocations.into()),
            ("invocations along x", 64, self.workgroup_size_x.into()),
            ("offset alignment", 1, self.offset_alignment),
            ("bytes of workgroup memory", 256, self.workgroup_memory.into()),
        ];
        match floors.into_iter().find(|(_, need, have)| have < need) {
            None => Ok(()),
            Some((limit, need, have)) => Err(PlanError::Limit { kernel: op.into(), limit, need, have }),
        }
    }

    /// Refuses a unit of `work` multiply-adds that takes longer than a dispatch may.
    pub(crate) fn check_time(&self, kernel: &str, work: f64) -> Result<(), PlanError> {
        let (seconds, have) = (work / self.mul_adds_per_second, self.hard_dispatch_seconds);
        if seconds <= have { Ok(()) } else { Err(PlanError::TooLong { kernel: kernel.into(), seconds, have }) }
    }

    /// WebGPU's default limits: no f16, no subgroups, no matrix units.
    pub fn webgpu_default() -> Self {
        Self {
            kind: DeviceKind::Gpu,
            workgroup_memory: 16_384,
            invocations: 256,
            workgroup_size_x: 256,
            storage_buffers: 8,
            groups_per_dim: 65_535,
            binding_bytes: 128 << 20,
            buffer_bytes: 256 << 20,
            offset_alignment: 256,
            f16: false,
            subgroup: None,
            matrix: None,
            wave: 64,
            loop_trips: 65_000,
            mul_adds_per_second: 1e9,
            dispatch_seconds: 0.05,
            hard_dispatch_seconds: 0.5,
            busy_groups: 512,
            least_share: 256,
            choices: Choices::new(),
        }
    }
}
