//! What only a run of expert choice and top-k can show: NaN logits are refused, indices that are no tokens add nothing, very long rows.

use gatefold_core::routing::{ELSEWHERE, NO_ROW, NanLogits};
use gatefold_core::{ExpertChoice, ExpertChoiceBackward, Op, SpecError, Tensor, Tensors, TopK};
use gatefold_cpu_ref::data::{Family, Rng};
use gatefold_cpu_ref::outputs;
use gatefold_tests::gpu;
use gatefold_wgpu::{RunError, RunOptions};

fn normal(dims: [usize; 2], salt: u64) -> Tensor {
    let mut rng = Rng::new(11, salt);
    Tensor::f32(dims, Family::Normal(1.0).fill(&mut rng, dims[0], dims[1])).unwrap()
}

#[test]
fn a_nan_logit_withholds_the_outputs() {
    let op = ExpertChoice::new(20, 4, 5);
    let mut numbers = normal([20, 4], 1).to_f32();
    (numbers[37], numbers[70]) = (f32::NAN, f32::NAN);
    let given = Tensors::new().with("logits", Tensor::f32([20, 4], numbers).unwrap());
    let refused = gpu().run_tensors(&op, &given).unwrap_err();
    let RunError::Spec(SpecError::NonFiniteRouting { operand, first, count }) = refused else {
        panic!("{refused}");
    };
    assert_eq!((operand, first, count), ("logits", 37, 2));
    let lowest = ExpertChoice { nan: NanLogits::Lowest, ..op.clone() };
    assert!(gpu().run_tensors(&lowest, &given).is_ok());
    // the NaNs of padding are not looked at
    let mask: Vec<u32> = (0..20).map(|t| u32::from(t != 9 && t != 17)).collect();
    let masked = ExpertChoice { token_mask: true, ..op };
    assert!(gpu().run_tensors(&masked, &given.with("token_mask", Tensor::u32([20], mask).unwrap())).is_ok());
}

#[test]
fn indices_that_are_no_tokens_add_nothing() {
    let op = ExpertChoiceBackward::new(ExpertChoice::new(6, 2, 3));
    let with = |indices: [u32; 6]| {
        let given = Tensors::new().with("logits", normal([6, 2], 2)).with("d_weights", normal([2, 3], 3));
        let given = given.with("indices", Tensor::u32([2, 3], indices.to_vec()).unwrap());
        let options = RunOptions { guard: true, ..RunOptions::default() };
        let ran = gpu().run_plan(&gpu().plan(&op).unwrap(), &op.operands(), &given, &options).unwrap();
        assert_eq!(ran.faults, Vec::<String>::new());
        ran.outputs["d_logits"].clone()
    };
    assert_eq!(with([0, 6, 2, u32::MAX, 1, ELSEWHERE | 3]), with([0, NO_ROW, 2, NO_ROW, 1, NO_ROW]));
}

#[test]
fn a_million_columns() {
    let cols = 1 << 20;
    for (k, largest) in [(1, true), (3000, false)] {
        let op = TopK { largest, ..TopK::new(1, cols, k) };
        let given = Tensors::new().with("x", normal([1, cols], 4));
        let (made, want) = (gpu().run_tensors(&op, &given).unwrap(), outputs(&op, &given));
        assert!(made["indices"] == want["indices"] && made["values"] == want["values"], "{k} of {cols}");
    }
}

#[test]
fn many_tokens_and_few_experts() {
    // equal logits: all experts take the first tokens
    let op = ExpertChoice { inverse: true, ..ExpertChoice::new(300_000, 2, 40_000) };
    let given = Tensors::new().with("logits", Tensor::f32([300_000, 2], vec![0.5; 600_000]).unwrap());
    let made = gpu().run_tensors(&op, &given).unwrap();
    let indices = made["indices"].as_u32().unwrap();
    assert!(indices.iter().enumerate().all(|(at, &token)| token as usize == at % 40_000));
    let inverse = made["inverse"].as_u32().unwrap();
    let row = |at: usize| if at / 2 < 40_000 { at % 2 * 40_000 + at / 2 } else { NO_ROW as usize };
    assert!(inverse.iter().enumerate().all(|(at, &found)| found as usize == row(at)));
}
