use super::*;

fn about(error: &SpecError) -> String {
    match error {
        SpecError::Dim { dim, .. } => format!("Dim {dim}"),
        SpecError::Conflict { option, .. } => format!("Conflict {option}"),
        SpecError::Missing { operand, .. } => format!("Missing {operand}"),
        SpecError::Unexpected { operand, .. } => format!("Unexpected {operand}"),
        SpecError::Shape { operand, .. } => format!("Shape {operand}"),
        SpecError::Dtype { operand, .. } => format!("Dtype {operand}"),
        SpecError::Value { operand, index, .. } => format!("Value {operand}[{index}]"),
        SpecError::BadIndex { operand, first, count, .. } => format!("BadIndex {operand}[{first}] of {count}"),
        other => other.to_string(),
    }
}

#[test]
fn bad_specs_are_refused() {
    let base = RoutingPlan::new(6, 2, 5);
    for (want, bad) in [
        ("Dim experts", RoutingPlan { experts: 0, ..base.clone() }),
        ("Dim experts", RoutingPlan { experts: 1025, ..base.clone() }),
        ("Dim top_k", RoutingPlan { top_k: 0, ..base.clone() }),
        ("Dim top_k", RoutingPlan { top_k: 65, ..base.clone() }),
        ("Dim block", RoutingPlan { block: 0, ..base.clone() }),
        ("Dim block", RoutingPlan { block: MAX_BLOCK + 1, ..base.clone() }),
        ("Dim tokens", RoutingPlan { tokens: (1 << 23) + 1, ..base.clone() }),
        ("Dim tokens", RoutingPlan { tokens: usize::MAX, ..base.clone() }),
        ("Conflict drop = weight", RoutingPlan { drop: DropPolicy::Weight, ..base.clone() }),
    ] {
        assert_eq!(about(&bad.validate().unwrap_err()), want);
    }
    let most = RoutingPlan { block: MAX_BLOCK, capacity: Some(usize::MAX), ..RoutingPlan::new(1 << 24, 1, 1024) };
    most.validate().unwrap();
    assert!((most.rows() as u64) < u64::from(NO_ROW));
}

#[test]
fn bad_inputs_are_refused() {
    let op = RoutingPlan::new(2, 3, 4);
    let by_weight = RoutingPlan { capacity: Some(1), drop: DropPolicy::Weight, ..op.clone() };
    let ints = |n: [u32; 6]| Tensors::new().with("indices", Tensor::u32([2, 3], n.to_vec()).unwrap());
    let floats = |n: [f32; 6]| Tensor::f32([2, 3], n.to_vec()).unwrap();
    let good = ints([0, 3, NO_EXPERT, ELSEWHERE, u32::MAX, 1]);
    op.check_inputs(&good).unwrap();
    let special = [f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e-45, 1.0, 2.0];
    by_weight.check_inputs(&good.clone().with("weights", floats(special))).unwrap();
    let nan = [0.0, 1.0, f32::NAN, 0.0, f32::NAN, 0.0];
    for (want, op, inputs) in [
        ("Missing indices", &op, Tensors::new()),
        ("Missing weights", &by_weight, good.clone()),
        ("Unexpected weights", &op, good.clone().with("weights", floats([0.0; 6]))),
        ("Shape indices", &op, Tensors::new().with("indices", Tensor::u32([3, 2], vec![0; 6]).unwrap())),
        ("Dtype indices", &op, Tensors::new().with("indices", floats([0.0; 6]))),
        ("Value indices[1]", &op, ints([0, 4, 5, 0, 0, 0])),
        ("Value indices[5]", &op, ints([0, 3, NO_EXPERT, ELSEWHERE, 1, NO_EXPERT - 1])),
        ("Value weights[2]", &by_weight, good.clone().with("weights", floats(nan))),
    ] {
        assert_eq!(about(&op.check_inputs(&inputs).unwrap_err()), want);
    }
}

#[test]
fn what_was_rejected_withholds_the_outputs() {
    let op = RoutingPlan::new(2, 3, 4);
    let found = |n: [u32; 2]| Tensors::new().with("rejected", Tensor::u32([2], n.to_vec()).unwrap());
    op.check_outputs(&found([0, NO_ROW])).unwrap();
    assert_eq!(about(&op.check_outputs(&found([2, 5])).unwrap_err()), "BadIndex indices[5] of 2");
}

/// The most rows that any counts need, found by trying all of them.
fn most_rows(op: &RoutingPlan, experts: usize, left: usize) -> usize {
    if experts == 0 {
        return 0;
    }
    let room = op.capacity.unwrap_or(usize::MAX);
    (0..=left).map(|n| n.min(room).next_multiple_of(op.block) + most_rows(op, experts - 1, left - n)).max().unwrap_or(0)
}

#[test]
fn rows_are_the_most_that_may_be_needed() {
    for (tokens, experts) in [(0, 1), (1, 3), (2, 3), (5, 1), (5, 3), (9, 2), (8, 4)] {
        for (block, capacity) in
            [1, 2, 3, 4, 7].into_iter().flat_map(|b| [None, Some(0), Some(1), Some(3), Some(4)].map(|c| (b, c)))
        {
            let op = RoutingPlan { block, capacity, ..RoutingPlan::new(tokens, 1, experts) };
            assert_eq!(op.rows(), most_rows(&op, experts, tokens), "{op:?}");
            assert!(op.rows() <= (op.most_kept() + experts * (block - 1)).next_multiple_of(block));
        }
    }
}

#[test]
fn specs_survive_json_and_defaults_are_those_of_new() {
    let read: RoutingPlan = serde_json::from_str(r#"{"tokens": 3, "top_k": 2, "experts": 8}"#).unwrap();
    assert_eq!(read, RoutingPlan::new(3, 2, 8));
    let op = RoutingPlan { capacity: Some(4), drop: DropPolicy::Weight, block: 16, ..read };
    assert_eq!(serde_json::from_str::<RoutingPlan>(&serde_json::to_string(&op).unwrap()).unwrap(), op);
}
