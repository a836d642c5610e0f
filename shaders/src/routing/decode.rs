//! A mixture of experts for few tokens: a product of a row and a matrix for every assignment, in two kernels, without a plan, a dispatch or a
//! combine. What is read is what the chosen experts' matrices hold, which is all that such a call takes time for.

use gatefold_core::routing::ExpertFunction;
use gatefold_core::{Dtype, Moe};

use super::expert_activation;
use crate::compose::{Stages, staged};
use crate::plan::{narrow, starts, wgsl_type};
use crate::source::wgsl;
use crate::{DeviceKind, Dispatch, Limits, Param, Scratch, Source, Step, fold_groups};

/// Most assignments: with more of them experts meet several rows, and a product of matrices reads their weights once for all.
const MOST: usize = 32;

/// The two kernels.
pub(super) struct Decode<'a> {
    op: &'a Moe,
    limits: &'a Limits,
    /// Columns and parts of a workgroup.
    cols: u32,
    parts: u32,
}

impl<'a> Decode<'a> {
    /// These kernels for a call, or why they are not taken.
    pub(super) fn choose(op: &'a Moe, limits: &'a Limits) -> Result<Self, String> {
        let assignments = op.router.gate.tokens * op.router.gate.top_k;
        if assignments > MOST {
            return Err(format!("{assignments} assignments, more than {MOST}"));
        }
        if op.capacity.is_some() || op.counts {
            return Err("capacity or counts ask for one".into());
        }
        let (cols, parts) = if limits.kind == DeviceKind::Cpu { (64, 1) } else { (32, 4) };
        if limits.invocations < cols * parts || limits.workgroup_memory < 8 * cols * parts {
            return Err("workgroups are too small for a product of a row and a matrix".into());
        }
        let few = Self { op, limits, cols, parts };
        if few.trips().iter().any(|&trips| trips > limits.loop_trips) {
            return Err("rows are too long for one invocation's loop".into());
        }
        if 4 * (assignments * op.width) as u64 > limits.binding_bytes {
            return Err("the experts' inner rows are larger than a binding".into());
        }
        let operands = gatefold_core::Op::operands(op);
        match operands.iter().find(|o| o.bytes() > limits.binding_bytes) {
            Some(o) => Err(format!("{} is larger than a binding", o.name)),
            None => Ok(few),
        }
    }

    /// Most loop trips of an invocation of each kernel.
    fn trips(&self) -> [u64; 2] {
        let part = |terms: usize| terms as u64 / u64::from(self.parts) + 1 + u64::from(self.parts);
        [part(self.op.router.hidden), self.op.router.gate.top_k as u64 * (part(self.op.width) + 1)]
    }

    /// Dispatches over workgroups that cost `work` multiply-adds each.
    fn dispatches(&self, groups: u64, work: f64, params: &[(&'static str, Param)]) -> Vec<Dispatch> {
        let most = self.limits.units_in_time(work).min(u64::from(self.limits.groups_per_dim).pow(2));
        let dispatch = |first: u64| {
            let count = most.min(groups - first);
            let own = [("first_group", first), ("group_count", count)].map(|(n, x)| (n, Param::U32(narrow(x))));
            let params = own.into_iter().chain(params.iter().copied()).collect();
            Dispatch { grid: fold_groups(count, self.limits.groups_per_dim), params, windows: Vec::new() }
        };
        starts(groups, most).map(dispatch).collect()
    }

    fn step(
        &self,
        name: String,
        (kernel, slots): (Source, Vec<Source>),
        dispatches: Vec<Dispatch>,
        trips: u64,
    ) -> Step {
        let dtype = self.op.router.dtype;
        let consts = vec![("COLS", self.cols), ("PARTS", self.parts)];
        Step {
            slots,
            consts,
            aliases: vec![("Elem", wgsl_type(dtype))],
            f16: dtype == Dtype::F16,
            binds: vec![("inner", staged("few", "inner"))],
            trips,
            ..Step::plain(format!("{name}.{dtype}.cols{}.parts{}", self.cols, self.parts), kernel, dispatches)
        }
    }

    /// Adds both kernels behind the router's.
    pub(super) fn add(&self, stages: &mut Stages<'_>) {
        let (op, gate, hidden) = (self.op, &self.op.router.gate, self.op.router.hidden);
        let bias = if op.bias { ".bias" } else { "" };
        let blocks = |width: usize| width.div_ceil(self.cols as usize);
        let size = |(name, n): (&'static str, usize)| (name, Param::U32(narrow(n as u64)));
        let sizes = |width: usize| {
            let blocks = ("blocks", blocks(width));
            let others = [("top_k", gate.top_k), ("experts", gate.experts), ("hidden", hidden), ("width", op.width)];
            std::iter::once(blocks).chain(others).map(size).collect::<Vec<_>>()
        };
        let assignments = (gate.tokens * gate.top_k) as u64;
        let [up_trips, down_trips] = self.trips();
        let none = wgsl!("routing/decode/no_bias.wgsl");
        let mut slots = vec![if op.bias { wgsl!("routing/decode/b_up.wgsl") } else { none }];
        slots.extend(expert_activation::files(op.function));
        let mut of_up = sizes(op.width);
        of_up.push(size(("up", op.up())));
        let (limit, alpha) = match op.function {
            ExpertFunction::ClampedSwiGlu { limit, alpha } => (limit, alpha),
            _ => (0.0, 0.0),
        };
        of_up.extend([("limit", Param::F32(limit)), ("alpha", Param::F32(alpha))]);
        let cols = f64::from(self.cols);
        let work = cols * hidden as f64 * 2.0;
        let up = self.dispatches(assignments * blocks(op.width) as u64, work, &of_up);
        let name = format!("moe_decode_up.{}{bias}", op.function.name());
        let mut step = self.step(name, (wgsl!("routing/decode_up.wgsl"), slots), up, up_trips);
        step.consts.push(("GATED", u32::from(op.function.is_gated())));
        let bytes = 4 * assignments * op.width as u64;
        stages.push(step, Some(Scratch { name: staged("few", "inner"), bytes }));
        let slots = vec![if op.bias { wgsl!("routing/decode/b_down.wgsl") } else { none }];
        let work = cols * op.width as f64 * gate.top_k as f64;
        let down = self.dispatches((gate.tokens * blocks(hidden)) as u64, work, &sizes(hidden));
        let name = format!("moe_decode_down{bias}");
        stages.push(self.step(name, (wgsl!("routing/decode_down.wgsl"), slots), down, down_trips), None);
    }
}
