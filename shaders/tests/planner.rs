//! The planner on shapes up to 2⁶³ and limits of any kind: a plan that keeps every limit, or a refusal by name. Never a panic (overflow is one
//! here), never a dispatch, a loop or a binding beyond what the adapter has, never more dispatches than a plan may hold.
//!
//! A spec is drawn by writing numbers into the JSON of one that is known to be sound, so no op and no size can be forgotten.

mod specs;

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use gatefold_core::{Operand, for_each_op};
use gatefold_shaders::link::link;
use gatefold_shaders::reflect::BindingKind;
use gatefold_shaders::{DeviceKind, Dispatch, Kernels, Limits, MatrixUnit, Param, Plan, Step};
use serde_json::Value;
use specs::Specs;

/// Shapes of the default run, and of the one that `--ignored` asks for.
const SHAPES: u64 = 50_000;
const ALL_SHAPES: u64 = 1_000_000;

/// Longest that one plan may take to make, in a build without optimisation on a busy machine.
const PLANNING: Duration = Duration::from_secs(5);

/// How much longer than its share of time a dispatch may take: what cannot be cut, and what costs are rough about.
const SLACK: f64 = 2.0;

/// Most dispatches of a step.
const MOST_DISPATCHES: usize = 1 << 16;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// A number of at most `bits` bits, its order of magnitude uniform; often a power of two or a neighbour of one.
    fn size(&mut self, bits: u64) -> u64 {
        let power = 1u64 << self.below(bits + 1).min(63);
        match self.below(8) {
            0 => power - 1,
            1 => power,
            2 => power.saturating_add(1),
            3 => self.below(4),
            _ => power + self.below(power),
        }
    }
}

/// Writes numbers into the integers of a spec's JSON, most as they were, and turns some of its options on or off.
fn disturb(value: &mut Value, rng: &mut Rng, bits: u64) {
    match value {
        Value::Object(members) => members.values_mut().for_each(|v| disturb(v, rng, bits)),
        Value::Array(items) => items.iter_mut().for_each(|v| disturb(v, rng, bits)),
        Value::Number(n) if n.is_u64() && rng.below(5) < 2 => *value = rng.size(bits).into(),
        Value::Bool(on) if rng.below(12) == 0 => *value = (!*on).into(),
        _ => {}
    }
}

/// Whether one of these members has a number: the definition's cost then counts pairs or assignments that no kernel looks at.
fn holds(value: &Value, names: &[&str]) -> bool {
    match value {
        Value::Object(all) => all.iter().any(|(n, v)| (names.contains(&n.as_str()) && v.is_u64()) || holds(v, names)),
        _ => false,
    }
}

/// Limits of any adapter: those of kinds that there are, each number moved now and then. None is so small that nothing at all fits.
fn limits(rng: &mut Rng) -> Limits {
    let browser = Limits::webgpu_default();
    let kind = if rng.below(2) == 0 { DeviceKind::Cpu } else { DeviceKind::Gpu };
    let pick = |rng: &mut Rng, all: &[u64]| all[usize::try_from(rng.below(all.len() as u64)).unwrap()];
    let narrow = |n: u64| u32::try_from(n).unwrap();
    let matrix = (rng.below(3) == 0).then(|| MatrixUnit { edge: narrow(pick(rng, &[8, 16])), lanes: 64 });
    let binding_bytes = pick(rng, &[1 << 10, 64 << 10, 1 << 20, 128 << 20, (4 << 30) - 4]);
    let subgroup = (rng.below(2) == 0).then(|| narrow(pick(rng, &[4, 8, 16, 32, 64])));
    Limits {
        kind,
        matrix,
        subgroup,
        f16: rng.below(2) == 0,
        workgroup_memory: narrow(pick(rng, &[4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10])),
        invocations: narrow(pick(rng, &[64, 128, 256, 1024])),
        workgroup_size_x: narrow(pick(rng, &[64, 128, 256, 1024])),
        groups_per_dim: narrow(pick(rng, &[16, 1_000, 65_535, u64::from(u32::MAX)])),
        binding_bytes,
        buffer_bytes: binding_bytes.max(256 << 20),
        offset_alignment: pick(rng, &[16, 32, 256]),
        wave: narrow(pick(rng, &[32, 64])),
        loop_trips: pick(rng, &[500, 5_000, 65_000, u64::from(u32::MAX)]),
        mul_adds_per_second: pick(rng, &[100_000_000, 1_000_000_000, 1_000_000_000_000]) as f64,
        dispatch_seconds: if rng.below(2) == 0 { 0.05 } else { 0.5 },
        busy_groups: pick(rng, &[1, 6, 512, 100_000]),
        least_share: pick(rng, &[1, 16, 256]),
        ..browser
    }
}

/// What came of the shapes.
#[derive(Default)]
struct Seen {
    planned: u64,
    /// Refused by the spec, by the planner, and as JSON.
    refused: [u64; 3],
    wrong: BTreeMap<String, String>,
    bindings: HashMap<String, Vec<String>>,
    slowest: Duration,
    longest: usize,
}

impl Seen {
    /// One shape of an op.
    fn visit<O: Kernels + Specs>(&mut self, seed: u64, bases: &[Value]) {
        let mut rng = Rng(seed);
        let mut value = bases[usize::try_from(rng.below(bases.len() as u64)).unwrap()].clone();
        let bits = [6, 14, 24, 32, 63][usize::try_from(rng.below(5)).unwrap()];
        disturb(&mut value, &mut rng, bits);
        let limits = limits(&mut rng);
        let counts_too_much = holds(&value, &["chunk", "left", "right", "capacity"]);
        let Ok(op) = serde_json::from_value::<O>(value) else {
            self.refused[2] += 1;
            return;
        };
        let place = format!("seed {seed}: {} {op:?} on {limits:?}", O::NAME);
        let clock = Instant::now();
        let made = catch_unwind(AssertUnwindSafe(|| match op.validate() {
            Err(_) => Err(0),
            Ok(()) => op.plan(&limits).map_err(|_| 1),
        }));
        let took = clock.elapsed();
        self.slowest = self.slowest.max(took);
        let mut fault = |what: String| {
            self.wrong.entry(what).or_insert_with(|| place.clone());
        };
        if took > PLANNING {
            fault(format!("{}: planning took more than {PLANNING:?}", O::NAME));
        }
        match made {
            Err(_) => fault(format!("{}: panics", O::NAME)),
            Ok(Err(by)) => self.refused[by] += 1,
            Ok(Ok(plan)) => {
                self.planned += 1;
                // the definition's work, shared out over all dispatches, each of which may be over by what cannot be cut
                let seconds = op.cost().flops / 2.0 / limits.mul_adds_per_second;
                let dispatches: usize = plan.steps.iter().map(|s| s.dispatches.len()).sum();
                if !counts_too_much
                    && seconds > SLACK * limits.dispatch_seconds * dispatches as f64
                    && !plan.steps.is_empty()
                {
                    fault(format!("{}: the dispatches take longer than they should", O::NAME));
                }
                for what in self.faults(&plan, &op.operands(), &limits) {
                    self.wrong.entry(format!("{}: {what}", O::NAME)).or_insert_with(|| place.clone());
                }
            }
        }
    }

    /// What in a plan is beyond the limits.
    fn faults(&mut self, plan: &Plan, operands: &[Operand], limits: &Limits) -> Vec<String> {
        let mut wrong = Vec::new();
        for step in &plan.steps {
            let name = step.name.split('.').next().unwrap_or_default();
            self.longest = self.longest.max(step.dispatches.len());
            if step.trips > limits.loop_trips {
                wrong.push(format!("{name}: more loop trips than the limit"));
            }
            if step.dispatches.len() > MOST_DISPATCHES {
                wrong.push(format!("{name}: too many dispatches"));
            }
            let bound = self.bound(step);
            // neighbours are alike: the ends and a few between say all
            let some = step.dispatches.len().div_ceil(16);
            let chosen = step.dispatches.iter().step_by(some).chain(step.dispatches.last());
            for dispatch in chosen {
                wrong.extend(dispatch_faults(step, dispatch, &bound, (plan, operands), limits));
            }
        }
        let too_large = plan.scratch.iter().filter(|s| s.bytes > limits.buffer_bytes);
        wrong.extend(too_large.map(|s| format!("scratch {} is larger than a buffer", s.name)));
        wrong
    }

    /// Names of the buffers that a step binds.
    fn bound(&mut self, step: &Step) -> Vec<String> {
        let known = self.bindings.entry(step.name.clone()).or_insert_with(|| {
            let bindings = link(step).unwrap_or_else(|e| panic!("{e}")).bindings;
            bindings.into_iter().filter(|b| b.kind != BindingKind::Uniform).map(|b| b.name).collect()
        });
        known.clone()
    }
}

/// What is wrong with one dispatch.
fn dispatch_faults(
    step: &Step,
    dispatch: &Dispatch,
    bound: &[String],
    (plan, operands): (&Plan, &[Operand]),
    limits: &Limits,
) -> Vec<String> {
    let name = step.name.split('.').next().unwrap_or_default();
    let mut wrong = Vec::new();
    let mut must = |holds: bool, what: String| wrong.extend((!holds).then(|| format!("{name}: {what}")));
    must(dispatch.grid.iter().all(|g| (1..=limits.groups_per_dim).contains(g)), "the grid is beyond the limit".into());
    let groups: u64 = dispatch.grid.iter().map(|&g| u64::from(g)).product();
    if let Some((_, Param::U32(count))) = dispatch.params.iter().find(|(name, _)| *name == "group_count") {
        let row = u64::from(dispatch.grid[0]);
        must(groups >= u64::from(*count) && groups - u64::from(*count) < row, "the grid is not the group count".into());
    }
    for global in bound {
        let operand = step.operand_of(global);
        let whole = operands.iter().find(|o| o.name == operand).map(Operand::bytes);
        let whole = whole.or(plan.scratch.iter().find(|s| s.name == operand).map(|s| s.bytes));
        let Some(whole) = whole else {
            must(false, format!("{operand} is neither an operand nor scratch"));
            continue;
        };
        let window = dispatch.windows.iter().find(|w| w.operand == global);
        let (offset, bytes) = window.map_or((0, whole), |w| (w.offset, w.bytes));
        must(bytes <= limits.binding_bytes, format!("{global} is bound beyond the limit"));
        must(offset.is_multiple_of(limits.offset_alignment), format!("{global} is bound at an odd byte"));
        let end = whole.next_multiple_of(4).max(16);
        must(offset.checked_add(bytes).is_some_and(|e| e <= end), format!("{global} is bound beyond its end"));
        must(bytes / 2 <= u64::from(u32::MAX), format!("{global} has elements beyond 2^32"));
    }
    wrong
}

/// Draws `count` shapes, op after op.
fn draw(count: u64) -> Seen {
    let mut seen = Seen::default();
    let mut ops = 0;
    macro_rules! count_ops {
        ($($op:ty),*) => {$( ops += 1; let _ = <$op as gatefold_core::Op>::NAME; )*};
    }
    for_each_op!(count_ops);
    let each = count.div_ceil(ops);
    let mut first = 0;
    macro_rules! visit {
        ($($op:ty),*) => {$(
            let bases: Vec<Value> = <$op as Specs>::specs().iter().map(|s| serde_json::to_value(s).unwrap()).collect();
            (first..first + each).for_each(|seed| seen.visit::<$op>(seed, &bases));
            first += each;
        )*};
    }
    for_each_op!(visit);
    assert!(first >= count);
    seen
}

fn hold(count: u64) {
    let clock = Instant::now();
    let seen = draw(count);
    let [spec, plan, json] = seen.refused;
    println!(
        "{count} shapes in {:.0} s: {} planned, {spec} refused by the spec, {plan} by the planner, {json} as JSON; {} variants; slowest plan \
         {:?}, most dispatches of a step {}",
        clock.elapsed().as_secs_f64(),
        seen.planned,
        seen.bindings.len(),
        seen.slowest,
        seen.longest
    );
    let wrong: Vec<_> = seen.wrong.iter().map(|(fault, place)| format!("{fault}\n    {place}")).collect();
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
    assert!(seen.planned > count / 8 && plan > count / 50 && spec > count / 10, "one kind of outcome is hardly seen");
}

#[test]
fn shapes_up_to_two_to_the_63() {
    hold(SHAPES);
}

#[test]
#[ignore = "minutes: a million shapes"]
fn a_million_shapes() {
    hold(ALL_SHAPES);
}

/// The checks above can fail.
#[test]
fn a_plan_beyond_its_limits_is_seen() {
    let spec = gatefold_core::Rowwise::new(gatefold_core::RowFunction::Softmax, 5_000, 3_000);
    let generous = Limits::webgpu_default();
    let plan = spec.plan(&generous).unwrap();
    let operands = gatefold_core::Op::operands(&spec);
    assert_eq!(Seen::default().faults(&plan, &operands, &generous), Vec::<String>::new());
    for (limits, what) in [
        (Limits { groups_per_dim: 16, ..generous.clone() }, "the grid is beyond the limit"),
        (Limits { binding_bytes: 1 << 20, ..generous.clone() }, "bound beyond the limit"),
        (Limits { loop_trips: 1, ..generous.clone() }, "more loop trips"),
    ] {
        let found = Seen::default().faults(&plan, &operands, &limits);
        assert!(found.iter().any(|f| f.contains(what)), "{what}: {found:?}");
    }
}

/// Legal shapes whose work would take years: refused at once, by the number of dispatches.
#[test]
fn absurd_work_is_refused_at_once() {
    let clock = Instant::now();
    let limits = Limits { binding_bytes: (4 << 30) - 4, ..Limits::webgpu_default() };
    let long = gatefold_core::attention::Dims::new(1, 1, 1 << 24, 8);
    let refused = [
        gatefold_core::Attention::softmax(long).plan(&limits),
        gatefold_core::AttentionBackward::new(gatefold_core::Attention::sigmoid(long)).plan(&limits),
        gatefold_core::Gemm::new(1 << 16, 65_000, 65_000).plan(&limits),
        gatefold_core::GroupedGemm::new(1, 1 << 15, 1 << 14, 1 << 14).plan(&limits),
    ];
    for plan in refused {
        let error = plan.expect_err("planned");
        assert!(
            matches!(&error, gatefold_shaders::PlanError::TooManyDispatches { need, have } if need > have),
            "{error}"
        );
    }
    assert!(clock.elapsed() < PLANNING, "{:?}", clock.elapsed());
}
