//! What must hold of every plan, whatever spec and limits it was made for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use gatefold_core::Operand;
use gatefold_shaders::link::link;
use gatefold_shaders::lint::{LintContext, lint};
use gatefold_shaders::reflect::BindingKind;
use gatefold_shaders::{Dispatch, Limits, Plan, Step};

/// What is known of a variant.
struct Variant {
    /// Storage buffers that it binds.
    globals: Vec<String>,
    workgroup_bytes: u32,
    workgroup_size: [u32; 3],
}

/// Variants that are linked at most, in one process: each takes milliseconds.
const MOST_VARIANTS: usize = 20_000;

/// Links and lints a variant the first time that its name is seen. `None` if too many were.
fn variant(step: &Step, plan: &Plan, operands: &[Operand]) -> Option<Arc<Variant>> {
    static SEEN: Mutex<Option<HashMap<String, Arc<Variant>>>> = Mutex::new(None);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let seen = seen.get_or_insert_default();
    if let Some(known) = seen.get(&step.name) {
        return Some(Arc::clone(known));
    }
    if seen.len() >= MOST_VARIANTS {
        return None;
    }
    let module = link(step).unwrap_or_else(|e| panic!("a plan with a step that does not link: {e}"));
    let mut context = LintContext::new(plan, operands);
    // sizes are looked at below, for every plan
    (context.workgroup_bytes, context.invocations, context.storage_buffers) = (u32::MAX, u32::MAX, usize::MAX);
    let findings = lint(&module, &context);
    assert!(findings.is_empty(), "{}: {}", step.name, findings[0]);
    let storage = module.bindings.iter().filter(|b| b.kind != BindingKind::Uniform);
    let known = Arc::new(Variant {
        globals: storage.map(|b| b.name.clone()).collect(),
        workgroup_bytes: module.workgroup_bytes,
        workgroup_size: module.workgroup_size,
    });
    seen.insert(step.name.clone(), Arc::clone(&known));
    Some(known)
}

/// Bytes of an operand or a scratch, as its buffer has them; `None` if there is none of that name.
fn bytes_of(name: &str, plan: &Plan, operands: &[Operand]) -> Option<u64> {
    let operand = operands.iter().find(|o| o.name == name).map(Operand::bytes);
    operand.or_else(|| plan.scratch.iter().find(|s| s.name == name).map(|s| s.bytes))
}

fn check_windows(step: &Step, dispatch: &Dispatch, plan: &Plan, operands: &[Operand], limits: &Limits) {
    let name = &step.name;
    for w in &dispatch.windows {
        let of = step.operand_of(w.operand);
        let all = bytes_of(of, plan, operands).unwrap_or_else(|| panic!("{name}: a window of {of}, which is nothing"));
        let aligned = w.offset.is_multiple_of(limits.offset_alignment);
        assert!(aligned, "{name}: {of} is bound at byte {}, alignment {}", w.offset, limits.offset_alignment);
        let end = w.offset.checked_add(w.bytes).unwrap_or_else(|| panic!("{name}: a window of {of} beyond 2^64"));
        // buffers are rounded up to words
        assert!(w.bytes > 0 && end <= all.next_multiple_of(4), "{name}: {of} has {all} bytes, a window ends at {end}");
        assert!(w.bytes <= limits.binding_bytes, "{name}: a window of {} bytes, {} fit", w.bytes, limits.binding_bytes);
    }
}

fn check_dispatch(
    step: &Step,
    known: Option<&Variant>,
    at: &Dispatch,
    plan: &Plan,
    operands: &[Operand],
    limits: &Limits,
) {
    let fits = at.grid.iter().all(|g| (1..=limits.groups_per_dim).contains(g));
    assert!(fits, "{}: a grid of {:?}, at most {}", step.name, at.grid, limits.groups_per_dim);
    check_windows(step, at, plan, operands, limits);
    for global in known.iter().flat_map(|k| &k.globals) {
        if at.windows.iter().any(|w| w.operand == global) {
            continue;
        }
        let name = step.operand_of(global);
        let bytes =
            bytes_of(name, plan, operands).unwrap_or_else(|| panic!("{}: binds {name}, which is nothing", step.name));
        assert!(bytes <= limits.binding_bytes, "{}: {name} binds {bytes} bytes of {}", step.name, limits.binding_bytes);
    }
}

/// Panics with the first invariant that a plan breaks. `linked`: also those that only the linked text shows, which takes milliseconds a variant.
pub fn check(plan: &Plan, operands: &[Operand], limits: &Limits, linked: bool) {
    for s in &plan.scratch {
        assert!(s.bytes <= limits.buffer_bytes, "{}: scratch {} of {} bytes", plan.op, s.name, s.bytes);
        assert!(s.bytes.is_multiple_of(4), "{}: scratch {} of {} bytes", plan.op, s.name, s.bytes);
    }
    for p in &plan.packed {
        let from = bytes_of(p.operand, plan, operands).unwrap_or_else(|| panic!("{} is packed and nothing", p.operand));
        let to = plan.scratch.iter().find(|s| s.name == p.scratch).map_or(0, |s| s.bytes);
        let fits = p.bytes <= from.next_multiple_of(4) && p.offset.checked_add(p.bytes).is_some_and(|end| end <= to);
        assert!(fits, "{}: {p:?} of {from} bytes into {to}", plan.op);
    }
    for step in &plan.steps {
        assert!(step.trips <= limits.loop_trips, "{}: {} trips, {} allowed", step.name, step.trips, limits.loop_trips);
        assert!(!step.dispatches.is_empty(), "{}: no dispatch", step.name);
        let known = if linked { variant(step, plan, operands) } else { None };
        if let Some(k) = &known {
            let invocations: u32 = k.workgroup_size.iter().product();
            let [x, ..] = k.workgroup_size;
            let size = invocations <= limits.invocations && x <= limits.workgroup_size_x;
            assert!(size, "{}: {:?} invocations, {} allowed", step.name, k.workgroup_size, limits.invocations);
            let memory = k.workgroup_bytes <= limits.workgroup_memory;
            assert!(
                memory,
                "{}: {} bytes of workgroup memory of {}",
                step.name, k.workgroup_bytes, limits.workgroup_memory
            );
            let buffers = k.globals.len() as u64 <= u64::from(limits.storage_buffers);
            assert!(buffers, "{}: {} storage buffers of {}", step.name, k.globals.len(), limits.storage_buffers);
        }
        for at in &step.dispatches {
            check_dispatch(step, known.as_deref(), at, plan, operands, limits);
        }
    }
}

#[cfg(test)]
mod tests {
    use gatefold_core::{Op, RowFunction, Rowwise};
    use gatefold_shaders::{Kernels, Window};

    use super::*;

    /// Whether a plan of softmax is found wrong once it has been changed.
    fn is_seen(limits: &Limits, change: impl FnOnce(&mut Plan)) -> bool {
        let op = Rowwise::new(RowFunction::Softmax, 40, 1000);
        let mut plan = op.plan(&Limits::webgpu_default()).unwrap();
        change(&mut plan);
        std::panic::catch_unwind(|| check(&plan, &op.operands(), limits, true)).is_err()
    }

    #[test]
    fn what_is_wrong_with_a_plan_is_seen() {
        let limits = Limits::webgpu_default();
        assert!(!is_seen(&limits, |_| ()));
        assert!(is_seen(&limits, |p| p.steps[0].dispatches[0].grid[1] = 0));
        assert!(is_seen(&limits, |p| p.steps[0].dispatches[0].grid[0] = 65_536));
        assert!(is_seen(&limits, |p| p.steps[0].dispatches.clear()));
        assert!(is_seen(&limits, |p| p.steps[0].trips = 1 << 40));
        assert!(is_seen(&Limits { storage_buffers: 1, ..limits.clone() }, |_| ()));
        assert!(is_seen(&Limits { binding_bytes: 4096, ..limits.clone() }, |_| ()));
        let with = |offset, bytes| {
            let windows = vec![Window { operand: "x", offset, bytes }];
            is_seen(&limits, |p| p.steps[0].dispatches[0].windows = windows)
        };
        assert!(!with(256, 512));
        // at no offset that can be bound, beyond the end, beyond all numbers, empty
        assert!(with(4, 4) && with(256, 160_000) && with(u64::MAX - 255, 512) && with(0, 0));
    }
}
