//! The same adapter, driver and plan give the same bits: a thousand times each, whatever the order of workgroups, the cuts of dispatches, the work
//! in between, the driver's threads, and the batch that an entry is in.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::process::Command;

use gatefold_core::attention::{Causal, Dims};
use gatefold_core::routing::ExpertFunction;
use gatefold_core::{
    Attention, AttentionBackward, AttentionMerge, AttentionStatistics, Dtype, ExpertActivation,
    ExpertActivationBackward, Gemm, MoeCombine, Op, Operand, Role, RotaryEmbedding, RowFunction, Rowwise,
    RowwiseBackward, Tensor, Tensors, TopK, TopKGate, for_each_op,
};
use gatefold_cpu_ref::Reference;
use gatefold_shaders::Kernels;
use gatefold_tests::compare::same_bits;
use gatefold_tests::gpu;
use gatefold_tests::metamorphic::{draw, take};
use gatefold_tests::mutants::Mutant;
use gatefold_tests::repeats::{Repeats, repeat, representatives};
use gatefold_tests::schedules::schedules;

/// Runs of a plan in all, shared out over its orders.
const RUNS: u64 = 1_000;

/// Plans of an op: attention has families, others a kernel or two.
fn most<O: Op>() -> usize {
    match O::NAME {
        "attention" => 7,
        "attention_backward" => 4,
        _ => 1,
    }
}

/// A thousand runs of each representative plan of an op.
fn thousand<O: Reference + Kernels>() {
    let each = RUNS.div_ceil(schedules().len() as u64);
    let clock = std::time::Instant::now();
    let all = representatives::<O>(gpu(), most::<O>());
    assert!(!all.is_empty(), "{}: no small case", O::NAME);
    for (case, plan) in &all {
        let runs = repeat(gpu(), (&case.op, &case.inputs), plan, each);
        let runs = runs.unwrap_or_else(|e| panic!("seed {}: {e}", case.seed));
        assert!(runs >= RUNS, "{runs} runs");
        let turned = schedules()[1].of(plan).1;
        println!(
            "{} seed {} [{}]: {runs} runs, {turned} of {} steps turned",
            O::NAME,
            case.seed,
            case.op.label(),
            plan.steps.len()
        );
    }
    println!("{}: {} plans in {:.1} s", O::NAME, all.len(), clock.elapsed().as_secs_f64());
}

/// All ops, by name.
fn names() -> Vec<&'static str> {
    macro_rules! all {
        ($($op:ty),*) => { vec![$(<$op as Op>::NAME),*] };
    }
    for_each_op!(all)
}

/// A test for each op.
macro_rules! thousands {
    ($($name:ident: $op:ident;)*) => {
        $(#[test] fn $name() { thousand::<gatefold_core::$op>(); })*
        /// Nobody is forgotten.
        #[test]
        fn every_op_is_repeated() {
            let repeated = [$(<gatefold_core::$op as Op>::NAME),*];
            assert_eq!(repeated.to_vec(), names());
        }
    };
}

thousands! {
    attention: Attention;
    attention_backward: AttentionBackward;
    attention_merge: AttentionMerge;
    rotary_embedding: RotaryEmbedding;
    cache_append: CacheAppend;
    attention_statistics: AttentionStatistics;
    rowwise: Rowwise;
    rowwise_backward: RowwiseBackward;
    gemm: Gemm;
    top_k_gate: TopKGate;
    top_k_gate_backward: TopKGateBackward;
    routing_plan: RoutingPlan;
    moe_dispatch: MoeDispatch;
    moe_combine: MoeCombine;
    moe_combine_backward: MoeCombineBackward;
    grouped_gemm: GroupedGemm;
    grouped_gemm_weights: GroupedGemmWeights;
    expert_activation: ExpertActivation;
    expert_activation_backward: ExpertActivationBackward;
    router: Router;
    router_backward: RouterBackward;
    moe: Moe;
    moe_backward: MoeBackward;
    expert_choice: ExpertChoice;
    expert_choice_backward: ExpertChoiceBackward;
    top_k: TopK;
    router_loss: RouterLoss;
    selection_bias_update: SelectionBiasUpdate;
}

/// Integers that count from 0 for every operand of them.
fn counted<O: Op>(op: &O) -> Tensors {
    let ints = op.operands().into_iter().filter(|o| o.role == Role::Input && o.dtype == Dtype::U32);
    let counted = |o: Operand| Tensor::u32(o.dims.clone(), (0..u32::try_from(o.len()).unwrap()).collect::<Vec<_>>());
    ints.map(|o| (o.name.to_string(), counted(o).unwrap())).collect()
}

/// The first difference between runs of an op with a fault planted in it.
fn difference<O: Reference + Kernels>(op: &O, target: &'static str, find: &'static str, with: &'static str) -> String {
    let inputs = draw(op, 3, counted(op));
    let plan = op.plan(gpu().limits()).unwrap();
    assert!(repeat(gpu(), (op, &inputs), &plan, 2).is_ok(), "sound kernels differ");
    let fault = Mutant { name: "order", target, fault: "planted", find, with, op: "", reach: &[] };
    let faulty = fault.mutate(&plan).unwrap();
    repeat(gpu(), (op, &inputs), &faulty, 2).expect_err("the fault is not seen")
}

/// Kernels that hang on who comes first are seen: one that looks whether its neighbour has stored, and one of which several workgroups write a row.
#[test]
fn an_order_that_matters_is_seen() {
    let merge = AttentionMerge::softmax(2, 40, 16);
    let waits = "o[element] = Elem(select(sum * joint.factor + select(0.0, 1.0, \
                 bitcast<u32>(o[(element + 64u) % params.end]) == 0x7fc0deadu),";
    let seen = difference(&merge, "attention/merge.wgsl", "o[element] = Elem(select(sum * joint.factor,", waits);
    println!("a neighbour that is waited for: {seen}");
    let combine = MoeCombine::new(600, 1, 16, 600);
    let races = "store4(place.row % 7u, at,";
    let seen = difference(&combine, "routing/combine.wgsl", "store4(place.row, at,", races);
    println!("a row with several writers: {seen}");
}

/// What a plan gave, as a number.
fn hash(outputs: &Tensors) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, t) in outputs.iter() {
        (name, t.bytes()).hash(&mut hasher);
    }
    hasher.finish()
}

fn hash_op<O: Reference + Kernels>(all: &mut BTreeMap<String, u64>) {
    for (case, plan) in representatives::<O>(gpu(), 1) {
        let repeats = Repeats::new(gpu(), case.op.operands(), &case.inputs).unwrap();
        let runs = repeats.run(&plan, 10).unwrap();
        assert!(runs.iter().all(|r| hash(r) == hash(&runs[0])), "{} seed {}", O::NAME, case.seed);
        all.insert(format!("{}.{}", O::NAME, case.seed), hash(&runs[0]));
    }
}

fn hash_all() -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    macro_rules! each {
        ($($op:ty),*) => {$( hash_op::<$op>(&mut all); )*};
    }
    for_each_op!(each);
    all
}

/// What [`the_number_of_threads_changes_nothing`] asks of processes of its own.
#[test]
#[ignore = "a part of the_number_of_threads_changes_nothing"]
fn hashes() {
    for (name, hash) in hash_all() {
        println!("hash {name} {hash:016x}");
    }
}

/// llvmpipe shares workgroups out to as many threads as it is told, other drivers do as they like.
#[test]
fn the_number_of_threads_changes_nothing() {
    let own = hash_all();
    assert!(own.len() >= 28, "{}", own.len());
    for threads in ["1", "2"] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["hashes", "--exact", "--ignored", "--nocapture"]).env("LP_NUM_THREADS", threads);
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{threads} threads: {text}");
        let lines = text.lines().filter_map(|line| line.split("hash ").nth(1)?.split_once(' '));
        let found: BTreeMap<String, u64> =
            lines.map(|(name, hash)| (name.to_string(), u64::from_str_radix(hash.trim(), 16).unwrap())).collect();
        assert_eq!(found, own, "{threads} threads");
    }
}

/// Entries of a batch of sixty are what they are alone, bit by bit, where both have the same kernels; whether they have. `rows`: how many elements
/// along the first axis of an operand belong to an entry; 0 if it is shared.
fn among_sixty<O: Reference + Kernels>(make: impl Fn(usize) -> O, rows: impl Fn(&str) -> usize) -> bool {
    let (one, many) = (make(1), make(60));
    let variants = |op: &O| gpu().plan(op).unwrap().steps.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
    if variants(&one) != variants(&many) {
        println!("{}: another plan in a batch of sixty", O::NAME);
        return false;
    }
    let inputs = draw(&many, 11, counted(&many));
    let among = gpu().run_tensors(&many, &inputs).unwrap();
    for entry in [0, 1, 37, 59] {
        let of = |all: &Tensors| -> Tensors {
            let own = |name: &str| (entry * rows(name)..(entry + 1) * rows(name)).collect::<Vec<_>>();
            let part = |(name, t): (&str, &Tensor)| {
                let is_whole = rows(name) == 0 || name == "rejected";
                (name.to_string(), if is_whole { t.clone() } else { take(t, 0, &own(name)) })
            };
            all.iter().map(part).collect()
        };
        let alone = gpu().run_tensors(&one, &of(&inputs)).unwrap();
        same_bits(&alone, &of(&among)).unwrap_or_else(|e| panic!("{} entry {entry}: {e}", O::NAME));
    }
    true
}

#[test]
fn an_entry_does_not_depend_on_its_batch() {
    let dims = |batch| Dims { q_heads: 4, kv_heads: 2, seq_q: 40, seq_kv: 33, ..Dims::new(batch, 4, 1, 12) };
    let softmax = |n| Attention { causal: Causal::BottomRight, ..Attention::softmax(dims(n)).saving(true) };
    let mut same = vec![
        among_sixty(softmax, |_| 1),
        among_sixty(|n| AttentionBackward::new(softmax(n)), |_| 1),
        among_sixty(|n| Attention::sigmoid(dims(n)), |_| 1),
        among_sixty(|n| AttentionBackward::new(Attention::sigmoid(dims(n))), |_| 1),
        among_sixty(|n| Attention::parallax(dims(n)), |_| 1),
        among_sixty(|n| AttentionStatistics::new(Attention::softmax(dims(n))), |_| 1),
    ];
    for function in [RowFunction::Softmax, RowFunction::LogSoftmax, RowFunction::LogSumExp] {
        same.push(among_sixty(|n| Rowwise::new(function, 128 * n, 40), |_| 128));
        same.push(among_sixty(|n| RowwiseBackward { forward: Rowwise::new(function, 128 * n, 40) }, |_| 128));
    }
    let activation = |n| ExpertActivation::new(ExpertFunction::SwiGlu, 128 * n, 24);
    let own = |name: &str| usize::from(matches!(name, "x" | "y" | "positions" | "a" | "c"));
    same.extend([
        among_sixty(|n| Gemm { batch: n, ..Gemm::new(33, 20, 24) }, |_| 1),
        among_sixty(|n| Gemm { batch: n, shared_b: true, bias: true, ..Gemm::new(33, 20, 24) }, own),
        among_sixty(|n| TopK::new(4 * n, 50, 7), |_| 4),
        among_sixty(|n| TopKGate::mixtral(64 * n, 8, 2), |_| 64),
        among_sixty(activation, |_| 128),
        among_sixty(|n| ExpertActivationBackward { forward: activation(n) }, |_| 128),
        among_sixty(|n| RotaryEmbedding::new(n, 3, 7, 12, 500), own),
    ]);
    let count = same.iter().filter(|&&same| same).count();
    println!("{count} of {} ops have the same plan alone and in a batch of sixty", same.len());
    assert!(count >= 12, "{same:?}");
}
