//! Faults planted in real kernels: a sanitizer that does not find them finds nothing.

use gatefold_core::{Attention, Gemm, RoutingPlan, Rowwise};
use gatefold_cpu_ref::Reference;
use gatefold_sanitizer::FindingKind;
use gatefold_shaders::{Kernels, Plan, Source};
use gatefold_tests::interpreter::{How, Programs, execute, work};

use super::cases::profiles;

/// A text of a file, which occurs once in it, and what it becomes.
struct Planted {
    file: &'static str,
    find: &'static str,
    with: &'static str,
    /// What is to be found; `None` for an output that depends on what nobody has written.
    kind: Option<FindingKind>,
}

const ROWWISE: [Planted; 3] = [
    Planted {
        file: "common/reduce.wgsl",
        find: "stats[lane] = own;\n    workgroupBarrier();",
        with: "stats[lane] = own;",
        kind: Some(FindingKind::DataRace),
    },
    Planted {
        file: "common/reduce.wgsl",
        find: "stats[lane] = own;\n    workgroupBarrier();",
        with: "stats[lane] = own;\n    if lane > 0u { workgroupBarrier(); }",
        kind: Some(FindingKind::DivergentBarrier),
    },
    Planted {
        file: "common/reduce.wgsl",
        find: "    stats[lane] = own;\n",
        with: "    if lane > 0u { stats[lane] = own; }\n",
        kind: None,
    },
];
const ROWS: [Planted; 1] = [Planted {
    file: "rowwise/row_per_invocation.wgsl",
    find: "if index >= params.end_row { return; }",
    with: "",
    kind: Some(FindingKind::OutOfBounds),
}];
const GEMM: [Planted; 1] = [Planted {
    file: "gemm/schedule/micro_tile.wgsl",
    find: "        workgroupBarrier();\n        for (var d = 0u;",
    with: "        for (var d = 0u;",
    kind: Some(FindingKind::DataRace),
}];
const ATTENTION: [Planted; 1] = [Planted {
    file: "attention/schedule/micro_tile.wgsl",
    find: "        workgroupBarrier();\n        for (var d4 = 0u;",
    with: "        for (var d4 = 0u;",
    kind: Some(FindingKind::DataRace),
}];
const ROUTING: [Planted; 1] = [Planted {
    file: "routing/radix/pick.wgsl",
    find: "    storageBarrier();\n",
    with: "",
    kind: Some(FindingKind::DataRace),
}];

/// Cases that a fault may stay hidden in.
const TRIES: usize = 4;
/// Largest of them, as [`work`] counts.
const MOST_WORK: f64 = 2e5;

impl Planted {
    /// The plan with the fault, if it has the file.
    fn plant(&self, plan: &Plan) -> Option<Plan> {
        let mut planted = plan.clone();
        let mut there = false;
        for step in &mut planted.steps {
            for source in std::iter::once(&mut step.kernel).chain(&mut step.slots) {
                if source.path == self.file && source.text.matches(self.find).count() == 1 {
                    *source = Source { path: source.path, text: source.text.replacen(self.find, self.with, 1).leak() };
                    there = true;
                }
            }
        }
        there.then_some(planted)
    }

    fn is_found<O: Reference + Kernels>(&self) -> bool {
        let (profiles, mut tries) = (profiles(), 0);
        for seed in 0..O::PLANNED {
            let case = O::case(seed);
            if work(&case.op) > MOST_WORK {
                continue;
            }
            for (_, limits) in &profiles {
                let Some(plan) = case.op.plan(limits).ok().and_then(|plan| self.plant(&plan)) else { continue };
                let how = How { subgroup: limits.subgroup.unwrap_or(32), seed: 1, adversary: None };
                let Ok(ran) = execute(&Programs::default(), &plan, &case.op.operands(), &case.inputs, how) else {
                    continue;
                };
                let found = match self.kind {
                    Some(kind) => ran.findings.iter().any(|f| f.finding.kind == kind),
                    None => ran.faults.iter().any(|f| f.contains("nobody has written")),
                };
                tries += 1;
                if found {
                    return true;
                }
                if tries == TRIES {
                    return false;
                }
            }
        }
        false
    }
}

fn of<O: Reference + Kernels>(rows: &[Planted], missed: &mut Vec<String>) -> usize {
    let missing = rows.iter().filter(|row| !row.is_found::<O>());
    let before = missed.len();
    missed.extend(missing.map(|row| {
        let kind = row.kind.map_or("an output that nobody has written".into(), |k| k.to_string());
        format!("{}: {kind} is planted and not found: {:?}", row.file, row.find)
    }));
    rows.len() - (missed.len() - before)
}

/// Plants each fault; gives how many were found, and those that were not in words.
pub(super) fn check() -> (usize, Vec<String>) {
    let mut missed = Vec::new();
    let found = of::<Rowwise>(&ROWWISE, &mut missed)
        + of::<Rowwise>(&ROWS, &mut missed)
        + of::<Gemm>(&GEMM, &mut missed)
        + of::<Attention>(&ATTENTION, &mut missed)
        + of::<RoutingPlan>(&ROUTING, &mut missed);
    (found, missed)
}

#[cfg(test)]
mod tests {
    #[test]
    fn planted_faults_are_found() {
        let (found, missed) = super::check();
        assert_eq!((found, missed), (7, Vec::new()));
    }
}
