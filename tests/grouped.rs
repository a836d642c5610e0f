//! Products by expert whose offsets a device made: whatever they are, nothing is addressed out of range, and every row has at most one expert.

use gatefold_core::{Dtype, GroupedGemm, Op, Role, Tensor, Tensors};
use gatefold_cpu_ref::data::{Family, Rng};
use gatefold_cpu_ref::{Case, Reference, bounded};
use gatefold_shaders::{Kernels, Limits};
use gatefold_tests::compare::compare;
use gatefold_tests::gpu;
use gatefold_tests::run_case::run_poisoned;

const EXPERTS: usize = 5;
const ROWS: usize = 140;

/// Offsets that descend, go beyond the rows, or both.
const HOSTILE: [[u32; EXPERTS + 1]; 8] = [
    [0, 100, 40, 120, 60, 140],
    [140, 100, 80, 60, 40, 0],
    [0, 30, 1000, 20, u32::MAX, 140],
    [u32::MAX; EXPERTS + 1],
    [0, 0x8000_0000, 0x7fff_ffff, 3, 2, 1],
    [90, 20, 95, 95, 94, 130],
    [0, 141, 140, 139, 138, 137],
    [10, 9, 8, 7, 6, 5],
];

/// As they count: each the largest so far, none beyond the rows.
fn tamed(offsets: &[u32]) -> Vec<u32> {
    let rows = u32::try_from(ROWS).unwrap();
    (1..=offsets.len()).map(|n| offsets[..n].iter().map(|&at| at.min(rows)).fold(0, u32::max)).collect()
}

fn inputs<O: Op>(rng: &mut Rng, op: &O, offsets: &[u32]) -> Tensors {
    let all = op.operands().into_iter().filter(|o| o.role == Role::Input);
    let mut tensor = |dtype, dims: Vec<usize>, count| match dtype {
        Dtype::U32 => Tensor::u32(dims, offsets.to_vec()).unwrap(),
        float => Tensor::float(float, dims, Family::Normal(1.0).fill(rng, count, 1)).unwrap(),
    };
    all.map(|o| (o.name.to_string(), tensor(o.dtype, o.dims.clone(), o.len()))).collect()
}

/// Runs with the offsets as they are; what comes must be what tamed ones give.
fn look<O: Reference + Kernels>(op: &O, limits: &Limits) {
    for (at, hostile) in HOSTILE.iter().enumerate() {
        let mut rng = Rng::new(at as u64, 7);
        let given = inputs(&mut rng, op, hostile);
        assert!(op.check_inputs(&given).is_err(), "{hostile:?}");
        let meant = given.clone().with("offsets", Tensor::u32([EXPERTS + 1], tamed(hostile)).unwrap());
        assert_eq!(op.check_inputs(&meant), Ok(()), "{hostile:?}");
        let exact = bounded(op, &meant);
        let case = Case { seed: 0, op: op.clone(), inputs: given, note: String::new() };
        let (outputs, faults) = run_poisoned(gpu(), &case, &op.plan(limits).unwrap()).unwrap();
        assert_eq!(faults, Vec::<String>::new(), "{} {hostile:?}", O::NAME);
        let found = compare(&exact, &outputs).unwrap();
        assert!(found.ratio <= 1.0, "{} {hostile:?}: {}", O::NAME, found.describe());
    }
}

#[test]
fn hostile_offsets_are_tamed() {
    let few = Limits { loop_trips: 200, dispatch_seconds: 1e-3, mul_adds_per_second: 1e9, ..gpu().limits().clone() };
    for limits in [gpu().limits(), &few] {
        for (n, k) in [(36, 40), (17, 23)] {
            let op = GroupedGemm { bias: true, ..GroupedGemm::new(EXPERTS, ROWS, n, k) };
            look(&op, limits);
            look(&op.gradient_x(), limits);
            look(&op.gradient_w(), limits);
        }
    }
}

#[test]
fn offsets_are_tamed_as_they_are_meant() {
    assert_eq!(tamed(&HOSTILE[0]), [0, 100, 100, 120, 120, 140]);
    assert_eq!(tamed(&HOSTILE[2]), [0, 30, 140, 140, 140, 140]);
    assert_eq!(tamed(&HOSTILE[5]), [90, 90, 95, 95, 95, 130]);
}
