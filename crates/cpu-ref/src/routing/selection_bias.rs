//! The step of a selection bias from its definition, and its cases.

use gatefold_core::{SelectionBiasUpdate, Tensor, Tensors};

use crate::case::edge;
use crate::data::{Family, Rng};
use crate::{Case, Real, Reference, Values};

const SALT: u64 = 0xb1a5;

impl Reference for SelectionBiasUpdate {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let counts = inputs.int("counts");
        let total: u64 = counts.iter().map(|&n| u64::from(n)).sum();
        let rate = R::from_f64(self.rate.into());
        let moved = |(&b, &n): (&R, &u32)| match total.cmp(&(u64::from(n) * self.experts as u64)) {
            _ if !b.value().is_finite() => b,
            std::cmp::Ordering::Greater => b + rate,
            std::cmp::Ordering::Less => b - rate,
            std::cmp::Ordering::Equal => b,
        };
        let bias = inputs.float("selection_bias").iter().zip(counts).map(moved).collect();
        Values { floats: [("selection_bias".to_string(), bias)].into(), ..Values::default() }
    }

    fn case(seed: u64) -> Case<Self> {
        Case::drawn((seed, SALT), planned(seed), random, 30, inputs)
    }

    const PLANNED: u64 = 2 * EXPERTS.len() as u64;
}

const EXPERTS: [usize; 15] = [1, 2, 7, 8, 31, 32, 40, 64, 71, 128, 129, 256, 288, 512, 1024];

fn planned(seed: u64) -> Option<(SelectionBiasUpdate, String)> {
    let at = edge(seed, SelectionBiasUpdate::PLANNED)?;
    let experts = EXPERTS[at / 2];
    let special = if at.is_multiple_of(2) { "" } else { ", special values" };
    let rate = if at % 3 == 0 { 0.001 } else { 0.5 };
    Some((SelectionBiasUpdate::new(experts, rate), format!("{experts} experts{special}")))
}

fn random(rng: &mut Rng) -> SelectionBiasUpdate {
    SelectionBiasUpdate::new(rng.pick(&EXPERTS), rng.pick(&[0.001, 0.01, 1.0, 0.0]))
}

/// Counts around a mean that some of them are; if `special`, words as large as can be, many of them equal, and biases that are no numbers.
fn inputs(rng: &mut Rng, op: &SelectionBiasUpdate, special: bool) -> Tensors {
    let most = if special { 3 } else { rng.pick(&[3, 100, 1 << 20]) };
    #[allow(clippy::cast_possible_truncation, reason = "below 2^20")]
    let mut counts: Vec<u32> = (0..op.experts).map(|_| rng.below(most) as u32).collect();
    if special {
        let high = rng.pick(&[0, u32::MAX - 2, 1 << 31, 65_535, 65_536]);
        counts.iter_mut().for_each(|n| *n += if rng.chance(60) { high.min(u32::MAX - 2) } else { 0 });
    }
    if rng.chance(30) {
        counts = vec![counts[0]; op.experts];
    }
    if rng.chance(40) && op.experts > 2 {
        // one is exactly the mean, and two are one off
        counts = vec![counts[0]; op.experts];
        (counts[0], counts[1]) = (counts[2].saturating_add(1), counts[2].saturating_sub(1));
    }
    let mut bias = Family::Normal(0.3).fill(rng, op.experts, 1);
    if special {
        let picks = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, 3.0e38];
        bias.iter_mut().for_each(|b| *b = if rng.chance(30) { rng.pick(&picks) } else { *b });
    }
    Tensors::new()
        .with("counts", Tensor::u32([op.experts], counts).expect("one per expert"))
        .with("selection_bias", Tensor::f32([op.experts], bias).expect("one per expert"))
}
