//! The plan from its definition.

use gatefold_core::RoutingPlan;
use gatefold_core::routing::{DropPolicy, ELSEWHERE, MAX_WORKGROUPS, NO_EXPERT, NO_ROW};

use super::plan_cases;
use crate::{Case, Real, Reference, Values};

/// Assignments of an expert that are kept, in the order of their numbers.
fn kept<R: Real>(op: &RoutingPlan, of_expert: &[usize], weights: &[R]) -> Vec<usize> {
    let mut kept = of_expert.to_vec();
    let Some(capacity) = op.capacity else { return kept };
    if op.drop == DropPolicy::Weight {
        // stable: of equal weights (so −0 and +0) the first stays before the others; a NaN is below every number
        kept.sort_by(|&a, &b| {
            let (x, y) = (weights[a].value(), weights[b].value());
            x.is_nan().cmp(&y.is_nan()).then(y.partial_cmp(&x).unwrap_or(std::cmp::Ordering::Equal))
        });
    }
    kept.truncate(capacity);
    kept.sort_unstable();
    kept
}

/// How `blocks` workgroups are dealt to x and y: as few y as there can be, then as few x.
fn dispatch_args(blocks: usize) -> [usize; 3] {
    let rows = blocks.div_ceil(MAX_WORKGROUPS as usize).max(1);
    [blocks.div_ceil(rows), rows, 1]
}

impl Reference for RoutingPlan {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let (indices, weights) = (inputs.int("indices"), inputs.float("weights"));
        let (no_row, no_expert) = (NO_ROW as usize, NO_EXPERT as usize);
        let mut permutation = vec![no_row; self.rows()];
        let mut inverse = vec![no_row; indices.len()];
        let mut block_experts = vec![no_expert; self.blocks()];
        let (mut counts, mut offsets) = (Vec::new(), vec![0]);
        let mut next = 0;
        for expert in 0..self.experts {
            let of_expert: Vec<usize> = (0..indices.len()).filter(|&a| indices[a] as usize == expert).collect();
            counts.push(of_expert.len());
            let kept = kept(self, &of_expert, weights);
            for (place, &assignment) in kept.iter().enumerate() {
                permutation[next + place] = assignment;
                inverse[assignment] = next + place;
            }
            let end = next + kept.len().next_multiple_of(self.block);
            block_experts[next / self.block..end / self.block].fill(expert);
            next = end;
            offsets.push(next);
        }
        let hostile = |&a: &usize| {
            let index = indices[a];
            index as usize >= self.experts && index != NO_EXPERT && index & ELSEWHERE == 0
        };
        let hostile: Vec<usize> = (0..indices.len()).filter(hostile).collect();
        let rejected = vec![hostile.len(), hostile.first().copied().unwrap_or(no_row)];
        let exact = |n: Vec<usize>| n.into_iter().map(|n| R::from_f64(n as f64)).collect();
        let outputs = [
            ("counts", counts),
            ("offsets", offsets),
            ("permutation", permutation),
            ("inverse", inverse),
            ("block_experts", block_experts),
            ("dispatch_args", dispatch_args(next / self.block).to_vec()),
            ("rejected", rejected),
        ];
        let floats = outputs.into_iter().map(|(name, n)| (name.to_string(), exact(n))).collect();
        Values { floats, ..Values::default() }
    }

    fn case(seed: u64) -> Case<Self> {
        plan_cases::case(seed)
    }

    const PLANNED: u64 = plan_cases::PLANNED;
}

#[cfg(test)]
mod tests {
    use gatefold_core::{Tensor, Tensors};

    use super::*;
    use crate::outputs;

    #[test]
    fn a_plan_by_hand() {
        let base = RoutingPlan { block: 2, ..RoutingPlan::new(3, 3, 4) };
        let indices = [2, 0, 2, NO_EXPERT, 0, 2, ELSEWHERE | 2, 7, 0];
        let weights = [0.5, 1.0, 0.5, 9.0, -0.0, 0.25, 9.0, 9.0, 0.0];
        let inputs = Tensors::new().with("indices", Tensor::u32([3, 3], indices.to_vec()).unwrap());
        let weighed = inputs.clone().with("weights", Tensor::f32([3, 3], weights.to_vec()).unwrap());
        let check = |op: &RoutingPlan, inputs: &Tensors, want: [&[u32]; 7]| {
            let made = outputs(op, inputs);
            let names = ["counts", "offsets", "permutation", "inverse", "block_experts", "dispatch_args", "rejected"];
            for (name, want) in names.into_iter().zip(want) {
                assert_eq!(made[name].as_u32().unwrap(), want, "{name}");
            }
        };
        const NO: u32 = NO_ROW;
        check(
            &base,
            &inputs,
            [
                &[3, 0, 3, 0],
                &[0, 4, 4, 8, 8],
                &[1, 4, 8, NO, 0, 2, 5, NO, NO, NO, NO, NO],
                &[4, 0, 5, NO, 1, 6, NO, NO, 2],
                &[0, 0, 2, 2, NO, NO],
                &[4, 1, 1],
                &[1, 7],
            ],
        );
        let by_position = RoutingPlan { capacity: Some(1), ..base.clone() };
        let first: [&[u32]; 7] = [
            &[3, 0, 3, 0],
            &[0, 2, 2, 4, 4],
            &[1, NO, 0, NO, NO, NO, NO, NO],
            &[2, 0, NO, NO, NO, NO, NO, NO, NO],
            &[0, 2, NO, NO],
            &[2, 1, 1],
            &[1, 7],
        ];
        check(&by_position, &inputs, first);
        // of 0.5 twice the first, which is the first of all as well; of 1.0, −0 and +0 the 1.0
        check(&RoutingPlan { drop: DropPolicy::Weight, ..by_position }, &weighed, first);
        let two = RoutingPlan { capacity: Some(2), drop: DropPolicy::Weight, block: 1, ..base };
        let made = outputs(&two, &weighed);
        assert_eq!(made["permutation"].as_u32().unwrap()[..5], [1, 4, 0, 2, NO]);
    }

    #[test]
    fn workgroups_are_folded() {
        assert_eq!(dispatch_args(0), [0, 1, 1]);
        assert_eq!(dispatch_args(65_535), [65_535, 1, 1]);
        assert_eq!(dispatch_args(65_536), [32_768, 2, 1]);
        assert_eq!(dispatch_args(131_071), [43_691, 3, 1]);
    }
}
