//! Rows moved by lists that no host has looked at: what is not legal reads nothing, adds nothing and is reported. Copies are exact.

use gatefold_core::routing::{ELSEWHERE, NO_ROW};
use gatefold_core::{Dtype, MoeCombine, MoeDispatch, Op, SpecError, Tensor, Tensors};
use gatefold_cpu_ref::data::{Family, Rng};
use gatefold_cpu_ref::{Reference, compare};
use gatefold_shaders::Kernels;
use gatefold_tests::exact::run_exactly;
use gatefold_tests::gpu;
use gatefold_tests::run_case::POISONS;
use gatefold_wgpu::RunOptions;

/// Runs an op on inputs that `check_inputs` would refuse, and compares with the definition, which passes over what is not legal.
fn run_hostile<O: Reference + Kernels>(op: &O, inputs: &Tensors) -> Tensors {
    assert!(op.check_inputs(inputs).is_err());
    let options = RunOptions { guard: true, poison: Some(POISONS[0]), ..RunOptions::default() };
    let ran = gpu().run_plan(&gpu().plan(op).unwrap(), &op.operands(), inputs, &options).unwrap();
    assert_eq!(ran.faults, Vec::<String>::new());
    let found = compare(&gatefold_cpu_ref::bounded(op, inputs), &ran.outputs).unwrap();
    assert!(found.ratio <= 1.0, "{}", found.describe());
    ran.outputs
}

/// Entries that mean nothing, among `legal` ones.
fn hostile(rng: &mut Rng, count: usize, legal: usize) -> Vec<u32> {
    let legal = u32::try_from(legal).unwrap();
    let bad = [legal, legal + 1, ELSEWHERE, ELSEWHERE | 1, u32::MAX, NO_ROW - 1, NO_ROW + 1];
    let mut entry = || match rng.below(4) {
        0 => rng.pick(&bad),
        1 => NO_ROW,
        _ => u32::try_from(rng.below(legal as usize)).unwrap(),
    };
    (0..count).map(|_| entry()).collect()
}

fn first_bad(entries: &[u32], legal: usize) -> (usize, usize) {
    let is_bad = |e: &u32| *e != NO_ROW && *e as usize >= legal;
    (entries.iter().position(is_bad).unwrap(), entries.iter().filter(|e| is_bad(e)).count())
}

/// Operand, first and count of a report.
fn reported(found: Result<(), SpecError>) -> (&'static str, usize, usize) {
    match found {
        Err(SpecError::BadIndex { operand, first, count, .. }) => (operand, first, count),
        other => panic!("expected a report, got {other:?}"),
    }
}

fn floats(rng: &mut Rng, dtype: Dtype, dims: [usize; 2]) -> Tensor {
    Tensor::float(dtype, dims, Family::Normal(1.0).fill(rng, dims[0], dims[1])).unwrap()
}

/// Widths of whole words of each size, and longer than a workgroup's piece.
const WIDTHS: [usize; 6] = [1, 6, 8, 33, 260, 5000];

#[test]
fn hostile_permutations_give_zeros_and_are_reported() {
    let mut rng = Rng::new(11, 1);
    for hidden in WIDTHS {
        for dtype in [Dtype::F32, Dtype::F16] {
            // only halves of an odd width are read as such
            if dtype == Dtype::F16 && hidden % 2 == 1 && !gpu().limits().f16 {
                continue;
            }
            let (tokens, top_k, rows) = (9, 3, 3000 / hidden + 40);
            let op = MoeDispatch { dtype, report: true, ..MoeDispatch::new(tokens, top_k, hidden, rows) };
            let entries = hostile(&mut rng, rows, tokens * top_k);
            let (first, count) = first_bad(&entries, tokens * top_k);
            let inputs = Tensors::new()
                .with("x", floats(&mut rng, dtype, [tokens, hidden]))
                .with("permutation", Tensor::u32([rows], entries).unwrap());
            let made = run_hostile(&op, &inputs);
            let found = op.check_outputs(&made);
            assert_eq!(reported(found), ("permutation", first, count));
        }
    }
}

#[test]
fn hostile_inverses_add_nothing_and_are_reported() {
    let mut rng = Rng::new(12, 1);
    for hidden in WIDTHS {
        for weighted in [true, false] {
            let (tokens, top_k, rows) = (1000 / hidden + 9, 5, 31);
            let op = MoeCombine { weighted, report: true, ..MoeCombine::new(tokens, top_k, hidden, rows) };
            let entries = hostile(&mut rng, tokens * top_k, rows);
            let (first, count) = first_bad(&entries, rows);
            // a weight that does not count may be anything
            let mut weights = Family::Normal(1.0).fill(&mut rng, tokens, top_k);
            weights.iter_mut().zip(&entries).filter(|(_, e)| **e as usize >= rows).for_each(|(w, _)| *w = f32::NAN);
            let weights = Tensor::f32([tokens, top_k], weights).unwrap();
            let inputs = Tensors::new()
                .with("y", floats(&mut rng, Dtype::F32, [rows, hidden]))
                .with_some("weights", weighted.then(|| weights.clone()))
                .with("inverse", Tensor::u32([tokens, top_k], entries.clone()).unwrap());
            let made = run_hostile(&op, &inputs);
            assert!(made["o"].to_f32().iter().all(|x| x.is_finite()));
            let found = op.check_outputs(&made);
            assert_eq!(reported(found), ("inverse", first, count));
            let permutation = hostile(&mut rng, rows, tokens * top_k);
            let legal = Tensor::u32([tokens, top_k], entries).unwrap();
            let backward = op.backward();
            let inputs = inputs
                .with("inverse", legal)
                .with("weights", floats(&mut rng, Dtype::F32, [tokens, top_k]))
                .with("permutation", Tensor::u32([rows], permutation).unwrap())
                .with("d_o", floats(&mut rng, Dtype::F32, [tokens, hidden]));
            run_hostile(&backward, &inputs);
        }
    }
}

/// Lists of many parts, whose only entry that is not legal may be anywhere.
#[test]
fn the_only_bad_entry_is_found_wherever_it_is() {
    let rows = 64 * 32 * 65 + 7;
    let op = MoeDispatch { report: true, ..MoeDispatch::new(3, 1, 1, rows) };
    let x = Tensor::f32([3, 1], [1.0, 2.0, 3.0]).unwrap();
    for at in [0, 2047, 2048, 64 * 2048, rows - 1] {
        let mut entries = vec![1; rows];
        entries[at] = 3;
        let inputs = Tensors::new().with("x", x.clone()).with("permutation", Tensor::u32([rows], entries).unwrap());
        let made = run_hostile(&op, &inputs);
        assert_eq!(made["rejected"].as_u32().unwrap(), [1, u32::try_from(at).unwrap()]);
    }
}

/// Every number that is one arrives bit by bit; a NaN arrives as one.
#[test]
fn copies_are_exact() {
    let ran = run_exactly::<MoeDispatch>(gpu());
    assert!(ran > 60, "{ran}");
}
