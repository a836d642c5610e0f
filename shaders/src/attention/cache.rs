//! The plan of an append: one step, an element of the new rows an invocation, or four that make a word of int8.

use gatefold_core::attention::{CacheLayout, RowLayout, Scales, Storage};
use gatefold_core::{CacheAppend, Dtype, Op};

use crate::plan::{narrow, wgsl_type};
use crate::source::wgsl;
use crate::spans::{INVOCATIONS, check_bindings, dispatches};
use crate::{Kernels, Limits, Param, Plan, PlanError, Source, Step};

/// Multiply-adds that an element costs: its indices.
const ELEMENT_WORK: f64 = 24.0;
/// The same of four elements that are divided by their scale.
const WORD_WORK: f64 = 250.0;

/// Kernel, the file that finds a row's scale, and their part of the variant's name.
fn kernel(storage: Storage) -> (Source, Option<Source>, &'static str) {
    let int8 = wgsl!("attention/cache_int8.wgsl");
    match storage.scales() {
        None => (wgsl!("attention/cache.wgsl"), None, ""),
        Some(Scales::PerToken) => (int8, Some(wgsl!("attention/cache_scale/per_token.wgsl")), ".int8_per_token"),
        Some(Scales::PerHead) => (int8, Some(wgsl!("attention/cache_scale/per_head.wgsl")), ".int8_per_head"),
    }
}

/// Invocations of the kernel that gives each a word, of whole workgroups, and its own members of `params`. A row's words are at most as many as a
/// workgroup's invocations.
fn words(op: &CacheAppend) -> (u64, Vec<(&'static str, Param)>) {
    let (rows, words) = (op.batch as u64 * op.heads as u64 * op.seq as u64, op.row_elements() as u64);
    let group_rows = u64::from(INVOCATIONS) / words;
    let members = [("rows", rows), ("group_rows", group_rows), ("words", words)];
    let groups = rows.div_ceil(group_rows);
    (groups * u64::from(INVOCATIONS), members.map(|(name, n)| (name, Param::U32(narrow(n)))).into())
}

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
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
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
        let (kernel, scale, stored) = kernel(self.storage);
        let (invocations, more) = if self.storage.is_float() { (elements, Vec::new()) } else { words(self) };
        let work = if self.storage.is_float() { ELEMENT_WORK } else { WORD_WORK };
        let params = params(self).into_iter().chain(more).collect::<Vec<_>>();
        plan.steps.push(Step {
            slots: [place, count].into_iter().chain(scale).collect(),
            consts: vec![("INVOCATIONS", INVOCATIONS)],
            aliases: vec![("Elem", wgsl_type(self.dtype))],
            f16: self.dtype == Dtype::F16,
            ..Step::plain(
                format!("cache_append.{name}{ragged}{stored}.{}", self.dtype),
                kernel,
                dispatches(invocations, work, limits, &params),
            )
        });
        Ok(plan)
    }
}
