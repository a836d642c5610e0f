//! Every tile that a tuner may choose gives results within the bounds, as the defaults do.

use std::collections::BTreeSet;

use gatefold_core::attention::Weight;
use gatefold_core::{Attention, AttentionBackward, Dtype};
use gatefold_cpu_ref::Reference;
use gatefold_shaders::{Choices, DeviceKind, Kernels, Limits, ShapeClass, link};
use gatefold_tests::compare::compare;
use gatefold_tests::gpu;
use gatefold_tests::profile::beyond;
use gatefold_tests::run_case::{Prepared, run_poisoned};

/// Limits that take one tile of one class.
fn with(limits: &Limits, class: &ShapeClass, tile: &str) -> Limits {
    let mut choices = Choices::new();
    choices.set(class.name.clone(), tile);
    Limits { choices, ..limits.clone() }
}

/// Runs every tile of the classes of the first case that is `wanted`, and compares. Returns how many tiles there were.
fn run_all<O: Reference + Kernels>(limits: &Limits, wanted: impl Fn(&O) -> bool) -> usize {
    let seed = (0..O::PLANNED).find(|&seed| wanted(&O::case(seed).op)).expect("a planned case");
    let prepared = Prepared::<O>::new(seed);
    let op = &prepared.case.op;
    let mut ran = 0;
    for class in op.classes(limits) {
        for tile in class.tiles.iter().skip(1) {
            let limits = with(limits, &class, tile);
            let plan = op.plan(&limits).unwrap_or_else(|e| panic!("{tile}: {e}"));
            assert!(plan.steps.iter().any(|s| s.name.ends_with(tile)), "{tile} is not in {plan}");
            assert_eq!(beyond(&plan, &limits), Vec::<String>::new(), "{tile}");
            let (outputs, faults) =
                run_poisoned(gpu(), &prepared.case, &plan).unwrap_or_else(|e| panic!("{}: {tile}: {e}", class.name));
            assert_eq!(faults, Vec::<String>::new(), "{}: {tile}", class.name);
            let found = compare(&prepared.exact, &outputs).unwrap();
            assert!(found.ratio <= 1.0, "{} seed {seed}: {}: {tile}: {}", O::NAME, class.name, found.describe());
            ran += 1;
        }
    }
    ran
}

/// f32 attention of this width over more positions than the smallest tile has, and no multiple of any.
fn shape(a: &Attention, weight: Weight, width: usize) -> bool {
    let d = &a.dims;
    let long = d.seq_q > 32 && d.seq_kv > 32 && (d.seq_q % 2, d.seq_kv % 2) == (1, 1);
    (a.weight, a.dtype, d.head_dim, d.val_dim) == (weight, Dtype::F32, width, width) && long
}

#[test]
fn attention_tiles_of_this_adapter_are_right() {
    let limits = gpu().limits();
    let wanted = [(Weight::Softmax, 64), (Weight::Sigmoid, 16)];
    let ran = wanted.map(|(weight, width)| run_all::<Attention>(limits, |a| shape(a, weight, width)));
    assert!(ran.iter().sum::<usize>() >= 6, "{ran:?}");
}

#[test]
fn gradient_tiles_of_this_adapter_are_right() {
    let ran = run_all::<AttentionBackward>(gpu().limits(), |b| shape(&b.forward, Weight::Softmax, 31));
    assert!(ran >= 3, "{ran}");
}

#[test]
#[ignore = "two minutes of compiling on a software driver"]
fn wide_gradient_tiles_of_this_adapter_are_right() {
    let ran = run_all::<AttentionBackward>(gpu().limits(), |b| shape(&b.forward, Weight::Sigmoid, 64));
    assert!(ran >= 3, "{ran}");
}

#[test]
fn tiles_for_the_other_kind_of_adapter_are_right() {
    let kind = if gpu().limits().kind == DeviceKind::Cpu { DeviceKind::Gpu } else { DeviceKind::Cpu };
    let limits = Limits { kind, subgroup: None, ..gpu().limits().clone() };
    assert!(run_all::<Attention>(&limits, |a| shape(a, Weight::Softmax, 31)) > 0);
}

/// Kinds of adapter; none is needed to link for it.
fn kinds() -> Vec<Limits> {
    let gpu = Limits { f16: true, ..Limits::webgpu_default() };
    let cpu = Limits { kind: DeviceKind::Cpu, ..gpu.clone() };
    let lanes = [4, 8, 16].map(|n| Limits { subgroup: Some(n), ..cpu.clone() });
    [Limits { wave: 32, ..gpu.clone() }, Limits { workgroup_memory: 32 << 10, ..gpu.clone() }, gpu, cpu]
        .into_iter()
        .chain(lanes)
        .collect()
}

/// Links every tile of every class of the planned cases, for every kind of adapter. Returns how many there were.
fn links<O: Reference + Kernels>() -> usize {
    let mut seen = BTreeSet::new();
    let mut linked = 0;
    for seed in 0..O::PLANNED {
        let op = O::case(seed).op;
        for (kind, limits) in kinds().into_iter().enumerate() {
            for class in op.classes(&limits) {
                // The length makes no other text, only other tiles.
                if !seen.insert((kind, class.name.clone())) {
                    continue;
                }
                assert!(class.tiles.len() <= ShapeClass::MOST_TILES, "{class:?}");
                assert_eq!(class.tiles.iter().collect::<BTreeSet<_>>().len(), class.tiles.len(), "{class:?}");
                let default = op.plan(&limits).unwrap();
                assert!(default.steps.iter().any(|s| s.name.ends_with(&class.tiles[0])), "{class:?}: {default}");
                for tile in class.tiles.iter().filter(|t| seen.insert((kind, format!("{} {}", O::NAME, t)))) {
                    let plan = op.plan(&with(&limits, &class, tile)).unwrap_or_else(|e| panic!("{tile}: {e}"));
                    for step in plan.steps.iter().filter(|s| s.name.ends_with(tile.as_str())) {
                        let module = link::link(step).unwrap_or_else(|e| panic!("{}: {e}", step.name));
                        assert!(module.workgroup_bytes <= limits.workgroup_memory, "{}", step.name);
                        linked += 1;
                    }
                }
            }
        }
    }
    linked
}

#[test]
fn every_tile_links_and_fits() {
    let linked = links::<Attention>() + links::<AttentionBackward>();
    println!("{linked} linked");
    assert!(linked > 100, "{linked}");
}

/// The widest rows of the table keep the fewest rows: each must still be staged whole.
#[test]
fn wide_gradients_without_subgroups_are_right() {
    let limits = Limits { subgroup: None, ..gpu().limits().clone() };
    let wanted = |seed: &u64| shape(&AttentionBackward::case(*seed).op.forward, Weight::Sigmoid, 256);
    let prepared = Prepared::<AttentionBackward>::new((0..AttentionBackward::PLANNED).find(wanted).unwrap());
    let plan = prepared.case.op.plan(&limits).unwrap();
    let (outputs, faults) = run_poisoned(gpu(), &prepared.case, &plan).unwrap();
    assert_eq!(faults, Vec::<String>::new());
    let found = compare(&prepared.exact, &outputs).unwrap();
    assert!(found.ratio <= 1.0, "{plan}: {}", found.describe());
}
