//! Plans of ops that are made of other ops: one command buffer, no number seen by the host in between.
//!
//! Each op inside is a *stage* with a name. What a stage makes, and its scratch, become scratch of the whole: `stage.operand`, unless it is one of
//! the whole's own operands. What a stage reads is the whole's operand of that name, or what the caller of [`Stages::add`] says.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use gatefold_core::Operand;

use crate::{Kernels, Limits, Packed, Plan, PlanError, Scratch, Step};

/// `stage.operand`, each kept once and for good: there are as many as stages have operands.
pub(crate) fn staged(stage: &str, operand: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let name = format!("{stage}.{operand}");
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name.as_str()) {
        return known;
    }
    let kept: &'static str = name.leak();
    names.insert(kept);
    kept
}

/// A plan in the making.
pub(crate) struct Stages<'a> {
    plan: Plan,
    operands: Vec<Operand>,
    limits: &'a Limits,
}

impl<'a> Stages<'a> {
    /// No stages of the op called `op`, whose operands are these.
    pub(crate) fn new(op: &'static str, operands: Vec<Operand>, limits: &'a Limits) -> Self {
        Self { plan: Plan { op, ..Plan::default() }, operands, limits }
    }

    /// Adds an op. `binds`: operands of it that are bound to something else than the whole's operand of that name (inputs) or scratch of the
    /// stage's (outputs).
    ///
    /// # Errors
    /// As the op's plan.
    pub(crate) fn add(
        &mut self,
        stage: &'static str,
        op: &impl Kernels,
        binds: &[(&'static str, &'static str)],
    ) -> Result<(), PlanError> {
        let sub = op.plan(self.limits)?;
        let mut names = binds.to_vec();
        for o in op.operands().iter().filter(|o| o.role.is_made()) {
            let bound = binds.iter().find(|(name, _)| *name == o.name).map(|&(_, to)| to);
            let is_own = |name: &str| self.operands.iter().any(|whole| whole.name == name && whole.role.is_made());
            let name = bound.unwrap_or_else(|| if is_own(o.name) { o.name } else { staged(stage, o.name) });
            if bound.is_none() {
                names.push((o.name, name));
            }
            if !is_own(name) {
                self.plan.scratch.push(Scratch { name, bytes: o.bytes().next_multiple_of(4) });
            }
        }
        self.take(stage, sub, names);
        Ok(())
    }

    /// Adds a step of the whole's own, and the scratch that it makes.
    pub(crate) fn push(&mut self, step: Step, made: Option<Scratch>) {
        self.plan.steps.push(step);
        self.plan.scratch.extend(made);
    }

    fn take(&mut self, stage: &'static str, sub: Plan, mut names: Vec<(&'static str, &'static str)>) {
        for Scratch { name, bytes } in sub.scratch {
            let kept = staged(stage, name);
            names.push((name, kept));
            self.plan.scratch.push(Scratch { name: kept, bytes });
        }
        let renamed = |name: &'static str| names.iter().find(|(n, _)| *n == name).map_or(name, |&(_, to)| to);
        for mut step in sub.steps {
            let bound: Vec<_> = step.binds.iter().map(|&(global, operand)| (global, renamed(operand))).collect();
            let others = names.iter().filter(|(global, _)| step.binds.iter().all(|(name, _)| name != global));
            step.binds = bound.iter().chain(others).copied().collect();
            self.plan.steps.push(step);
        }
        let packed = sub.packed.into_iter();
        self.plan.packed.extend(packed.map(|p| Packed {
            operand: renamed(p.operand),
            scratch: renamed(p.scratch),
            ..p
        }));
        self.plan.rounds_weights |= sub.rounds_weights;
        self.plan.rounds_rows |= sub.rounds_rows;
        self.plan.reasons.extend(sub.reasons.into_iter().map(|reason| format!("{stage}: {reason}")));
    }

    /// The plan of all stages in their order.
    pub(crate) fn finish(mut self, reason: Option<String>) -> Plan {
        self.plan.reasons.extend(reason);
        self.plan
    }
}

#[cfg(test)]
mod tests {
    use gatefold_core::{Dtype, Gemm, Op};

    use super::*;

    #[test]
    fn what_a_stage_makes_is_what_the_next_one_reads() {
        let limits = Limits::webgpu_default();
        let first = Gemm { bias: true, ..Gemm::new(3, 4, 5) };
        let operands = vec![
            Operand::input("x", [1, 3, 5], Dtype::F32),
            Operand::input("w", [1, 5, 4], Dtype::F32),
            Operand::input("bias", [4], Dtype::F32),
            Operand::output("c", [1, 3, 3], Dtype::F32),
        ];
        let mut stages = Stages::new("twice", operands, &limits);
        stages.add("first", &first, &[("a", "x"), ("b", "w"), ("c", staged("first", "c"))]).unwrap();
        let second = Gemm { transpose_b: true, ..Gemm::new(3, 3, 4) };
        stages.add("second", &second, &[("a", "first.c"), ("b", "first.c")]).unwrap();
        let plan = stages.finish(None);
        assert_eq!(plan.steps.len(), 2);
        assert_eq!(plan.steps[0].operand_of("a"), "x");
        assert_eq!(plan.steps[0].operand_of("side"), "first.side");
        assert_eq!((plan.steps[1].operand_of("a"), plan.steps[1].operand_of("c")), ("first.c", "c"));
        assert_eq!((plan.packed[0].operand, plan.packed[0].scratch), ("bias", "first.side"));
        assert_eq!(second.operands().len(), 3);
    }
}
