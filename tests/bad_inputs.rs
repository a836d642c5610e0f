//! Every op, every operand, every way to get it wrong that can be listed without knowing the op: absent, of another shape, of another type, under a
//! name that is no input, with contents that mean nothing; and specs with sizes that are none. Each is refused by the right error, which names the
//! operand, before anything runs; nothing panics; and good calls in between give the same bits.
//!
//! What needs to be known about an op to get it wrong is in `bad_input.rs`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gatefold_core::{Dtype, Op, Operand, Role, Tensor, Tensors, for_each_op};
use gatefold_cpu_ref::{Case, Reference};
use gatefold_shaders::Kernels;
use gatefold_tests::bad_calls::{Trial, named, zeros};
use gatefold_tests::gpu;
use gatefold_wgpu::RunError;
use serde_json::Value;

/// Operands whose integers say where something is or how long it is: a number far beyond everything is never legal there.
const PLACES: [&str; 10] = [
    "lens",
    "lens_q",
    "lens_kv",
    "cu_seqlens_q",
    "cu_seqlens_kv",
    "positions",
    "offsets",
    "permutation",
    "inverse",
    "indices",
];

/// Floats that must be numbers, where an op looks at them at all: those of attention.
const NUMBERS: [&str; 15] = [
    "head_bias",
    "relative_bias",
    "alibi_slopes",
    "sink",
    "key_bias",
    "score_bias",
    "q_gain",
    "k_gain",
    "query_scale",
    "value_scale",
    "sink_key",
    "alpha",
    "alpha_mean",
    "rho",
    "log_norm",
];

/// Neither a place, nor NO_ROW or NO_EXPERT, nor marked as elsewhere.
const NOWHERE: u32 = 0x7fff_fff0;

/// Bad calls of an op, and what is wrong with those that were not refused as they should be.
struct List<'a> {
    trial: &'a mut Trial,
    op: &'static str,
    calls: usize,
    wrong: Vec<String>,
}

impl List<'_> {
    /// A call that must be refused with this variant, speaking of this operand.
    fn refuse<O: Kernels>(&mut self, op: &O, inputs: &Tensors, variant: &str, about: &str) {
        self.calls += 1;
        let called = catch_unwind(AssertUnwindSafe(|| gpu().run_tensors(op, inputs)));
        let fault = match called {
            Err(_) => Some("panics".to_string()),
            Ok(Ok(_)) => Some("was not refused".to_string()),
            Ok(Err(RunError::Spec(e))) => {
                let (found, of) = named(&e);
                let right =
                    found == variant && (of == about || (variant == "Value" && of.starts_with(&format!("{about}["))));
                (!right).then(|| format!("got {found} of {of}: {e}"))
            }
            Ok(Err(e)) => Some(format!("got {e}")),
        };
        self.wrong.extend(fault.map(|f| format!("{}: {variant} {about}: {f}", self.op)));
        if self.calls.is_multiple_of(10) {
            self.trial.good_call();
        }
    }

    /// One operand, wrong in every way.
    fn operand<O: Kernels>(&mut self, case: &Case<O>, o: &Operand) {
        let (op, with) = (&case.op, |t: Tensor| case.inputs.clone().with(o.name, t));
        let mut without = case.inputs.clone();
        without.take(o.name);
        self.refuse(op, &without, "Missing", o.name);
        for axis in 0..o.dims.len() {
            for by in [1, -1] {
                let mut dims = o.dims.clone();
                let Some(size) = dims[axis].checked_add_signed(by) else { continue };
                dims[axis] = size;
                self.refuse(op, &with(zeros(o.dtype, &dims)), "Shape", o.name);
            }
        }
        let more = [&o.dims[..], &[1]].concat();
        self.refuse(op, &with(zeros(o.dtype, &more)), "Shape", o.name);
        if let [_, rest @ ..] = &o.dims[..] {
            self.refuse(op, &with(zeros(o.dtype, rest)), "Shape", o.name);
        }
        for dtype in [Dtype::F32, Dtype::F16, Dtype::U32].into_iter().filter(|d| *d != o.dtype) {
            self.refuse(op, &with(zeros(dtype, &o.dims)), "Dtype", o.name);
        }
        self.contents(case, o);
    }

    /// Contents that mean nothing, in the first element and in the last.
    fn contents<O: Kernels>(&mut self, case: &Case<O>, o: &Operand) {
        let given = &case.inputs[o.name];
        if o.is_empty() {
            return;
        }
        for at in [0, o.len() - 1] {
            // a router's losses count what is no expert nowhere, and say so
            let is_place = PLACES.contains(&o.name) && self.op != "router_loss";
            if let (Some(words), true) = (given.as_u32(), is_place) {
                let mut words = words.to_vec();
                words[at] = NOWHERE;
                let wrong = Tensor::u32(o.dims.clone(), words).unwrap();
                self.refuse(&case.op, &case.inputs.clone().with(o.name, wrong), "Value", o.name);
            }
            if o.dtype == Dtype::F32 && NUMBERS.contains(&o.name) && self.op.starts_with("attention") {
                for x in [f32::NAN, f32::INFINITY] {
                    let mut numbers = given.to_f32();
                    numbers[at] = x;
                    let wrong = Tensor::f32(o.dims.clone(), numbers).unwrap();
                    self.refuse(&case.op, &case.inputs.clone().with(o.name, wrong), "Value", o.name);
                }
            }
        }
    }

    /// Names that are no inputs: those of outputs, and one that nobody has.
    fn strangers<O: Kernels>(&mut self, case: &Case<O>) {
        for o in case.op.operands().iter().filter(|o| o.role == Role::Output) {
            let inputs = case.inputs.clone().with(o.name, zeros(o.dtype, &o.dims));
            self.refuse(&case.op, &inputs, "Unexpected", o.name);
        }
        self.refuse(&case.op, &case.inputs.clone().with("stranger", zeros(Dtype::F32, &[1])), "Unexpected", "stranger");
    }

    /// Sizes that are none. A spec that is legal nonetheless (a window of any width, a seed) is no mistake and does not count.
    fn sizes<O: Kernels>(&mut self, op: &O) {
        let sound = serde_json::to_value(op).unwrap();
        for place in integers(&sound) {
            for size in [1 << 33, u64::MAX] {
                let mut wrong = sound.clone();
                *wrong.pointer_mut(&place).unwrap() = size.into();
                let Ok(spec) = serde_json::from_value::<O>(wrong) else {
                    self.calls += 1;
                    continue;
                };
                let checked = catch_unwind(AssertUnwindSafe(|| spec.validate().map_err(|e| named(&e).1.is_empty())));
                match checked {
                    Err(_) => self.wrong.push(format!("{}: {place} = {size} panics", self.op)),
                    Ok(Err(nameless)) => {
                        self.calls += 1;
                        self.wrong.extend(
                            nameless.then(|| format!("{}: {place} = {size} is refused without a name", self.op)),
                        );
                    }
                    Ok(Ok(())) => {}
                }
            }
        }
        let mut strange = sound;
        if let Value::Object(members) = &mut strange {
            members.insert("stranger".into(), 1.into());
            self.calls += 1;
            let read = serde_json::from_value::<O>(strange);
            self.wrong.extend(read.is_ok().then(|| format!("{}: a spec with an unknown member is read", self.op)));
        }
    }
}

/// Where the integers of a spec stand.
fn integers(value: &Value) -> Vec<String> {
    let below = |(name, v): (String, &Value)| {
        integers(v).into_iter().map(move |place| format!("/{name}{place}")).collect::<Vec<_>>()
    };
    match value {
        Value::Object(members) => members.iter().flat_map(|(name, v)| below((name.clone(), v))).collect(),
        Value::Array(items) => items.iter().enumerate().flat_map(|(n, v)| below((n.to_string(), v))).collect(),
        Value::Number(n) if n.is_u64() => vec![String::new()],
        _ => Vec::new(),
    }
}

/// Cases of an op that between them have all inputs that its specs ask for, at most four.
fn cases<O: Reference + Kernels>() -> Vec<Case<O>> {
    let (mut seen, mut found) = (Vec::new(), Vec::new());
    for seed in 0..O::PLANNED + 60 {
        let case = O::case(seed);
        let inputs = case.op.operands().into_iter().filter(|o| o.role.is_given());
        let names: Vec<_> = inputs.filter(|o| !o.is_empty()).map(|o| o.name).collect();
        let small = case.inputs.iter().map(|(_, t)| t.len()).sum::<usize>() < 100_000;
        if small
            && found.len() < 4
            && names.iter().any(|name| !seen.contains(name))
            && case.op.check_inputs(&case.inputs).is_ok()
        {
            seen.extend(names);
            found.push(case);
        }
    }
    found
}

fn list<O: Reference + Kernels>(trial: &mut Trial) -> (usize, Vec<String>) {
    let mut list = List { trial, op: O::NAME, calls: 0, wrong: Vec::new() };
    for case in cases::<O>() {
        for o in case.op.operands().iter().filter(|o| o.role.is_given()) {
            list.operand(&case, o);
        }
        list.strangers(&case);
        list.sizes(&case.op);
    }
    (list.calls, list.wrong)
}

#[test]
fn every_operand_of_every_op() {
    let mut trial = Trial::default();
    let (mut counts, mut wrong) = (BTreeMap::new(), Vec::new());
    macro_rules! each {
        ($($op:ty),*) => {$(
            let (calls, faults) = list::<$op>(&mut trial);
            counts.insert(<$op as Op>::NAME, calls);
            wrong.extend(faults);
        )*};
    }
    for_each_op!(each);
    let all: usize = counts.values().sum();
    println!("{all} bad calls: {counts:?}");
    assert!(wrong.is_empty(), "{} of {all}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(all >= 400 && counts.len() == 28 && counts.values().all(|&n| n >= 10), "{all}: {counts:?}");
    trial.good_call();
}

/// The list can fail: a call that is good, and one that is refused for another reason, are found.
#[test]
fn a_call_that_is_not_refused_is_found() {
    let mut trial = Trial::default();
    let mut list = List { trial: &mut trial, op: "gemm", calls: 0, wrong: Vec::new() };
    let op = gatefold_core::Gemm::new(2, 3, 4);
    let good = gatefold_tests::bad_calls::legal(&op);
    list.refuse(&op, &good, "Missing", "a");
    list.refuse(&op, &Tensors::new(), "Missing", "b");
    list.refuse(&op, &Tensors::new(), "Missing", "a");
    assert_eq!((list.calls, list.wrong.len()), (3, 2), "{:?}", list.wrong);
}
