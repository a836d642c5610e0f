//! Which limits a case is planned with: the adapter's own, or others that the same adapter can still run.

use std::fmt;

use gatefold_core::Cost;
use gatefold_cpu_ref::case::{HALVES, VARIED};
use gatefold_shaders::{DeviceKind, Limits, Plan};

/// Limits to plan with. Drawn from the seed, so that a seed replays the whole case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// The adapter's own limits.
    Native,
    /// The adapter's limits without subgroups.
    NoSubgroups,
    /// The schedule of the other kind of adapter, without subgroups.
    OtherKind,
    /// The same, with as little workgroup memory as a GPU's small tiles take.
    OtherKindSmall,
    /// WebGPU's default limits.
    WebGpuDefault,
    /// Small limits, so that small tensors are split, folded and carried over; the number tells which.
    Squeezed(u8),
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => f.write_str("native"),
            Self::NoSubgroups => f.write_str("no subgroups"),
            Self::OtherKind => f.write_str("other schedule"),
            Self::OtherKindSmall => f.write_str("other schedule, small tiles"),
            Self::WebGpuDefault => f.write_str("webgpu default"),
            Self::Squeezed(_) => f.write_str("squeezed"),
        }
    }
}

/// Bytes of workgroup memory that hold a GPU's small tiles of attention, and none of its large ones.
const SMALL_TILES: u32 = 5_632;

/// Mixes the bits of a seed, so that neighbours are not alike.
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Dispatches that a squeezed plan may be cut into by time: more would only be slow.
const MOST_DISPATCHES: f64 = 48.0;

/// Multiply-adds per second that squeezed plans reckon with: not the adapter's, or a fast machine would cut other cases than a slow one.
const SPEED: f64 = (1_u32 << 30) as f64;

impl Profile {
    /// The profile that a seed stands for: two fifths native, a quarter without subgroups, a fortieth the other schedule, the rest small. A
    /// GPU's large tiles, which take a software driver 10 to 70 seconds a case to compile, are for a quarter of those of the other schedule.
    /// A varied case has that of the case it varies: its kernels are there already.
    pub fn of(seed: u64) -> Self {
        let seed = seed % VARIED;
        let bits = mix(seed);
        // Matrix units instead of a CPU-type driver's shuffles, where there are any: what these cases are for.
        if seed >= HALVES {
            return if bits.is_multiple_of(4) {
                Self::Squeezed(((bits >> 8) & 0x3f) as u8 | 2)
            } else {
                Self::NoSubgroups
            };
        }
        match bits % 40 {
            0..=16 => Self::Native,
            17..=25 => Self::NoSubgroups,
            26 if (bits >> 8).is_multiple_of(4) => Self::OtherKind,
            26 => Self::OtherKindSmall,
            27..=33 => Self::WebGpuDefault,
            _ => Self::Squeezed(((bits >> 8) & 0x3f) as u8),
        }
    }

    /// The limits to plan with on an adapter of these limits. Features stay the adapter's.
    pub fn limits(self, adapter: &Limits, cost: &Cost) -> Limits {
        let other = match adapter.kind {
            DeviceKind::Cpu => DeviceKind::Gpu,
            DeviceKind::Gpu => DeviceKind::Cpu,
        };
        // A GPU's kernels on a CPU-type adapter.
        let small_tiles = |kind, most: u32| match (adapter.kind, kind) {
            (DeviceKind::Cpu, DeviceKind::Gpu) => most.min(SMALL_TILES),
            _ => most,
        };
        match self {
            Self::Native => adapter.clone(),
            Self::NoSubgroups => Limits { subgroup: None, ..adapter.clone() },
            Self::OtherKind => Limits { kind: other, subgroup: None, ..adapter.clone() },
            Self::OtherKindSmall => {
                let workgroup_memory = small_tiles(other, adapter.workgroup_memory);
                Limits { kind: other, subgroup: None, workgroup_memory, ..adapter.clone() }
            }
            Self::WebGpuDefault => Limits { f16: adapter.f16, kind: adapter.kind, ..Limits::webgpu_default() },
            Self::Squeezed(which) => {
                let bit = |n: u8| which >> n & 1 == 1;
                let seconds = (cost.flops / 2.0 / SPEED / MOST_DISPATCHES).max(if bit(0) { 2e-5 } else { 1e-3 });
                let kind = if bit(1) & bit(2) & bit(3) { other } else { adapter.kind };
                let memory = if bit(5) { 8 << 10 } else { 16 << 10 };
                Limits {
                    kind,
                    subgroup: if bit(1) { None } else { adapter.subgroup },
                    loop_trips: if bit(2) { 2_000 } else { 12_000 },
                    groups_per_dim: if bit(3) { 16 } else { 48 },
                    binding_bytes: if bit(4) { 16 << 10 } else { 256 << 10 },
                    workgroup_memory: if bit(0) { memory } else { small_tiles(kind, memory) },
                    mul_adds_per_second: SPEED,
                    dispatch_seconds: seconds,
                    busy_groups: if bit(0) { 512 } else { 6 },
                    least_share: 16,
                    ..adapter.clone()
                }
            }
        }
    }
}

/// What in a plan is beyond the limits it was made for, in words.
pub fn beyond(plan: &Plan, limits: &Limits) -> Vec<String> {
    let mut found = Vec::new();
    for step in &plan.steps {
        let name = &step.name;
        if step.trips > limits.loop_trips {
            found.push(format!("{name}: {} loop trips, the limit is {}", step.trips, limits.loop_trips));
        }
        for (at, dispatch) in step.dispatches.iter().enumerate() {
            let groups: u64 = dispatch.grid.iter().map(|&g| u64::from(g)).product();
            // Two dimensions hold the square of the limit: no fold can do more than that.
            let foldable = groups <= u64::from(limits.groups_per_dim).pow(2);
            if foldable && dispatch.grid.iter().any(|&g| g > limits.groups_per_dim) {
                found.push(format!(
                    "{name}: grid {:?} in dispatch {at}, the limit is {}",
                    dispatch.grid, limits.groups_per_dim
                ));
            }
            for w in &dispatch.windows {
                if w.bytes > limits.binding_bytes || !w.offset.is_multiple_of(limits.offset_alignment) {
                    found.push(format!(
                        "{name}: {} bound with {} bytes at {} in dispatch {at}",
                        w.operand, w.bytes, w.offset
                    ));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_drawn() {
        let mut drawn: Vec<_> = (0..400).map(|seed| Profile::of(seed).to_string()).collect();
        drawn.sort();
        drawn.dedup();
        assert_eq!(
            drawn,
            ["native", "no subgroups", "other schedule", "other schedule, small tiles", "squeezed", "webgpu default"]
        );
    }

    #[test]
    fn a_grid_beyond_the_limit_is_found() {
        let limits = Limits { groups_per_dim: 16, ..Limits::webgpu_default() };
        assert_eq!(beyond(&Plan::default(), &limits), Vec::<String>::new());
    }
}
