//! Every variant, on every profile of limits: it links, obeys the lints, asks the host for what the plan provides, and stays within the
//! limits it was planned for.

mod specs;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use gatefold_core::{Operand, Role, for_each_op};
use gatefold_shaders::link::{Module, expand, link};
use gatefold_shaders::lint::{LintContext, lint_plan, lint_text};
use gatefold_shaders::reflect::BindingKind;
use gatefold_shaders::scrub::scrubbed;
use gatefold_shaders::{Dispatch, Kernels, Limits, Plan, Source, Step, fold_groups};
use specs::{Specs, in_parallel, profiles};

/// What has been seen: the module of every variant, and what is wrong, with the first place where it was.
#[derive(Default)]
struct Seen {
    modules: BTreeMap<String, Linked>,
    scrubbed: usize,
    refused: BTreeMap<String, usize>,
    wrong: BTreeMap<String, String>,
}

/// A module, and of which step.
struct Linked {
    step: Step,
    module: Module,
}

impl Linked {
    /// Whether a step is made of the same files, constants and types: then it has the same text.
    fn is_of(&self, other: &Step) -> bool {
        let step = &self.step;
        (step.kernel, &step.slots, &step.consts, &step.aliases)
            == (other.kernel, &other.slots, &other.consts, &other.aliases)
            && (step.f16, step.subgroups, step.matrix) == (other.f16, other.subgroups, other.matrix)
    }
}

impl Seen {
    /// Both. Few variants are in two ops; those must have the same text.
    fn with(mut self, other: Self) -> Self {
        for (name, theirs) in other.modules {
            if self.modules.get(&name).is_some_and(|ours| ours.module.text != theirs.module.text) {
                self.wrong.insert(two_texts(&name), "two ops".into());
            }
            self.modules.insert(name, theirs);
        }
        other.refused.into_iter().for_each(|(why, n)| *self.refused.entry(why).or_insert(0) += n);
        self.wrong.extend(other.wrong);
        self.scrubbed += other.scrubbed;
        self
    }

    fn visit<O: Kernels + Specs>(&mut self) {
        for op in O::specs() {
            op.validate().unwrap_or_else(|e| panic!("{} {}: {e}", O::NAME, op.label()));
            for (profile, limits) in profiles() {
                match op.plan(&limits) {
                    Ok(plan) => {
                        let place = format!("{profile}: {} {} {}", O::NAME, op.label(), op.size_label());
                        let wrong = self.plan(&plan, &op.operands(), &limits);
                        for fault in wrong {
                            self.wrong.entry(fault).or_insert_with(|| place.clone());
                        }
                    }
                    Err(e) => *self.refused.entry(e.to_string()).or_insert(0) += 1,
                }
            }
        }
    }

    /// The faults of a plan.
    fn plan(&mut self, plan: &Plan, operands: &[Operand], limits: &Limits) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut bound: Vec<(String, BindingKind)> = Vec::new();
        for step in &plan.steps {
            let module = match self.module(step) {
                Ok(module) => module,
                Err(message) => {
                    wrong.push(message);
                    continue;
                }
            };
            let faults = step_faults(step, module, plan, operands, limits);
            wrong.extend(faults.into_iter().map(|m| format!("{}: {m}", step.name)));
            bound.extend(module.bindings.iter().map(|b| (step.operand_of(&b.name).to_string(), b.kind)));
        }
        if !plan.steps.is_empty() && wrong.is_empty() {
            wrong.extend(unused(plan, operands, &bound));
        }
        wrong
    }

    /// Links a step and looks at its text, unless a step of that name has been linked; then its text must be the same.
    fn module(&mut self, step: &Step) -> Result<&Module, String> {
        if !self.modules.contains_key(&step.name) {
            let module = link(step).map_err(|e| e.to_string())?;
            // The text that overwrites its workgroup memory is parsed and validated in there.
            let scrubbed = scrubbed(&module).map_err(|e| format!("scrubbed: {e}"))?;
            self.scrubbed += usize::from(scrubbed != module.text);
            if module.workgroup_bytes > 0 && scrubbed == module.text {
                return Err(format!("{}: workgroup memory that is not scrubbed", step.name));
            }
            if let Some(finding) = lint_text(&module).first() {
                return Err(format!("{}: {finding}", step.name));
            }
            self.modules.insert(step.name.clone(), Linked { step: step.clone(), module });
        }
        let linked = &self.modules[&step.name];
        if linked.is_of(step) || linked.module.text == expand(step).map_err(|e| e.to_string())? {
            Ok(&linked.module)
        } else {
            Err(two_texts(&step.name))
        }
    }
}

fn two_texts(name: &str) -> String {
    format!("{name}: two texts have this name")
}

/// Faults of one step as a plan has it.
fn step_faults(step: &Step, module: &Module, plan: &Plan, operands: &[Operand], limits: &Limits) -> Vec<String> {
    let mut context = LintContext::new(plan, operands);
    context.workgroup_bytes = limits.workgroup_memory;
    context.invocations = limits.invocations;
    let mut wrong: Vec<String> = lint_plan(module, &context).iter().map(|f| f.to_string()).collect();
    let mut must = |holds: bool, what: String| wrong.extend((!holds).then_some(what));
    must(step.trips <= limits.loop_trips, format!("{} loop trips, at most {}", step.trips, limits.loop_trips));
    must(!step.dispatches.is_empty(), "no dispatch".into());
    for dispatch in &step.dispatches {
        must(
            dispatch.grid.iter().all(|g| (1..=limits.groups_per_dim).contains(g)),
            format!("grid {:?}", dispatch.grid),
        );
        for binding in module.bindings.iter().filter(|b| b.kind != BindingKind::Uniform) {
            let (bytes, offset) = bound_bytes(step, &binding.name, dispatch, plan, operands);
            must(bytes <= limits.binding_bytes, format!("{} binds {bytes} bytes", binding.name));
            must(offset.is_multiple_of(limits.offset_alignment), format!("{} is bound at byte {offset}", binding.name));
        }
    }
    wrong
}

/// Bytes that a dispatch binds for a name, and from where.
fn bound_bytes(step: &Step, global: &str, dispatch: &Dispatch, plan: &Plan, operands: &[Operand]) -> (u64, u64) {
    if let Some(window) = dispatch.windows.iter().find(|w| w.operand == global) {
        return (window.bytes, window.offset);
    }
    let name = step.operand_of(global);
    let operand = operands.iter().find(|o| o.name == name).map(Operand::bytes);
    let scratch = plan.scratch.iter().find(|s| s.name == name).map(|s| s.bytes);
    (operand.or(scratch).unwrap_or(0), 0)
}

/// Operands and scratch that no step uses.
fn unused(plan: &Plan, operands: &[Operand], bound: &[(String, BindingKind)]) -> Vec<String> {
    let binds = |name: &str, kinds: &[BindingKind]| bound.iter().any(|(n, kind)| n == name && kinds.contains(kind));
    let mut wrong = Vec::new();
    // without keys, what only maps keys is not read, and stands in for an operand that is empty too
    let no_keys = operands.iter().any(|o| o.name == "k" && o.is_empty());
    // without tokens a layer reads nothing of its experts, and what it makes is empty
    let no_tokens = operands.iter().any(|o| o.name == "x" && o.is_empty());
    let is_idle = |o: &Operand| (no_keys && o.name == "k_gain") || (no_tokens && o.role == Role::Input);
    let is_read = |o: &&Operand| !o.is_empty() && !is_idle(o);
    for o in operands.iter().filter(is_read) {
        let fine = match o.role {
            Role::Output | Role::Updated => binds(o.name, &[BindingKind::ReadWrite]),
            Role::Input => binds(o.name, &[BindingKind::ReadOnly]) || plan.packed.iter().any(|p| p.operand == o.name),
        };
        wrong.extend((!fine).then(|| format!("{} ({:?}) is bound by no step", o.name, o.role)));
    }
    for s in plan.scratch.iter().filter(|s| !no_keys || s.bytes != 16) {
        let fine = binds(s.name, &[BindingKind::ReadWrite]) || plan.packed.iter().any(|p| p.scratch == s.name);
        wrong.extend((!fine).then(|| format!("scratch {} is written by no step", s.name)));
    }
    wrong
}

fn visit_all() -> &'static Seen {
    static SEEN: OnceLock<Seen> = OnceLock::new();
    SEEN.get_or_init(|| {
        let mut visits: Vec<fn(&mut Seen)> = Vec::new();
        macro_rules! visit {
            ($($op:ty),*) => {$( visits.push(Seen::visit::<$op>); )*};
        }
        for_each_op!(visit);
        in_parallel(&visits, Seen::with)
    })
}

#[test]
fn every_variant_holds() {
    let seen = visit_all();
    println!("{} variants, {} scrubbed; plans refused: {:#?}", seen.modules.len(), seen.scrubbed, seen.refused);
    let wrong: Vec<_> = seen.wrong.iter().map(|(fault, place)| format!("{fault}\n    {place}")).collect();
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
    assert!(seen.modules.len() > 100, "only {} variants", seen.modules.len());
}

/// Variants whose linked text is kept for reviewers. After a wanted change: `cargo xtask expand NAME > shaders/tests/golden/NAME.wgsl`.
const GOLDEN: [(&str, &str); 2] = [
    (
        "rowwise_row_per_workgroup.softmax.f32.vec4.lanes64.fan4",
        include_str!("golden/rowwise_row_per_workgroup.softmax.f32.vec4.lanes64.fan4.wgsl"),
    ),
    (
        "rowwise_backward_row_per_invocation.log_softmax.f16.scalar.lanes64",
        include_str!("golden/rowwise_backward_row_per_invocation.log_softmax.f16.scalar.lanes64.wgsl"),
    ),
];

#[test]
fn golden_texts_are_current() {
    let seen = visit_all();
    for (name, golden) in GOLDEN {
        let text = &seen.modules.get(name).unwrap_or_else(|| panic!("{name}: no spec has this variant")).module.text;
        let refresh = format!("if the change is wanted: cargo xtask expand {name} > shaders/tests/golden/{name}.wgsl");
        let line = text.lines().zip(golden.lines()).position(|(new, old)| new != old);
        assert_eq!(line, None, "{name}: line differs (from 0); {refresh}");
        assert_eq!(text.trim_end(), golden.trim_end(), "{name}: {refresh}");
    }
}

#[test]
fn folding_covers_every_group_once() {
    for per_dim in [1, 2, 16, 65_535] {
        for groups in [0u64, 1, 2, 15, 16, 17, 255, 256, 65_535, 65_536, 65_537, 1 << 20, 4_294_836_225] {
            if groups > u64::from(per_dim) * u64::from(per_dim) {
                continue;
            }
            let [x, y, z] = fold_groups(groups, per_dim);
            assert!(x <= per_dim && y <= per_dim && z == 1, "{groups} in {per_dim}: {x} × {y}");
            let total = u64::from(x) * u64::from(y);
            assert!(total >= groups && total - groups < u64::from(x.max(1)), "{groups} in {per_dim}: {x} × {y}");
        }
    }
}

/// A mistake in a real slot file is reported at its own file and line, whatever stands before it in the linked text.
#[test]
fn a_broken_slot_names_its_line() {
    let spec = gatefold_core::Rowwise::new(gatefold_core::RowFunction::Softmax, 4, 1000);
    let mut step = spec.plan(&Limits::webgpu_default()).unwrap().steps.remove(0);
    let slot = step.slots.iter_mut().find(|s| s.path == "rowwise/function/softmax.wgsl").unwrap();
    let line = slot.text.lines().position(|l| l.contains("let share")).unwrap() + 1;
    let text = slot.text.replace("exp_twice", "exp_thrice");
    *slot = Source { path: slot.path, text: Box::leak(text.into_boxed_str()) };
    let message = link(&step).unwrap_err().to_string();
    assert!(message.starts_with(&format!("rowwise/function/softmax.wgsl:{line}: ")), "{message}");
    assert!(message.contains("exp_thrice") && message.contains(&step.name), "{message}");
    assert!(expand(&step).unwrap().contains("exp_thrice"));
}
