//! The plan of an append: one step, an element of the new rows an invocation.

use gatefold_core::attention::{CacheLayout, RowLayout};
use gatefold_core::{CacheAppend, Dtype, Op};

use crate::plan::{narrow, wgsl_type};
use crate::source::wgsl;
use crate::spans::{INVOCATIONS, check_bindings, dispatches};
use crate::{Kernels, Limits, Param, Plan, PlanError, Step};

/// Multiply-adds that an element costs: its indices.
const ELEMENT_WORK: f64 = 24.0;

fn params(op: &CacheAppend) -> Vec<(&'static str, Param)> {
    let tokens_first = op.layout == RowLayout::TokensFirst;
    let (page, pages) = match op.cache {
        CacheLayout::Dense => (1, 1),
        CacheLayout::Paged { page, pages } => (page, pages),
    };
    let sizes = [
        ("heads", op.heads),
        ("seq", op.seq),
        ("dim", op.dim),
        ("max_len", op.max_len),
        ("page", page),
        ("pages", pages),
        ("table_pages", op.table_pages()),
        ("inner", if tokens_first { op.heads } else { op.seq }),
        ("tokens_first", usize::from(tokens_first)),
    ];
    sizes.into_iter().map(|(name, n)| (name, Param::U32(narrow(n as u64)))).collect()
}

impl Kernels for CacheAppend {
    fn plan(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        let elements = self.batch as u64 * self.heads as u64 * self.seq as u64 * self.dim as u64;
        if elements == 0 {
            plan.reasons.push("no new rows: nothing to run".into());
            return Ok(plan);
        }
        if self.dtype == Dtype::F16 && !limits.f16 {
            return Err(PlanError::Feature { operand: "cache, x in f16".into(), feature: "shader-f16" });
        }
        check_bindings(&self.operands(), limits)?;
        let (place, name) = match self.cache {
            CacheLayout::Dense => (wgsl!("attention/cache/dense.wgsl"), "dense"),
            CacheLayout::Paged { .. } => (wgsl!("attention/cache/paged.wgsl"), "paged"),
        };
        let (count, ragged) = match self.ragged {
            false => (wgsl!("attention/cache/all_rows.wgsl"), ""),
            true => (wgsl!("attention/cache/ragged.wgsl"), ".ragged"),
        };
        plan.steps.push(Step {
            name: format!("cache_append.{name}{ragged}.{}", self.dtype),
            kernel: wgsl!("attention/cache.wgsl"),
            slots: vec![place, count],
            consts: vec![("INVOCATIONS", INVOCATIONS)],
            aliases: vec![("Elem", wgsl_type(self.dtype))],
            f16: self.dtype == Dtype::F16,
            subgroups: false,
            matrix: false,
            binds: Vec::new(),
            dispatches: dispatches(elements, ELEMENT_WORK, limits, &params(self)),
            trips: 0,
            proven: true,
            loops: Vec::new(),
        });
        Ok(plan)
    }
}
