//! Cases of expert choice: what experts choose by is far enough apart, or exactly equal, so that every right kernel chooses alike.

use gatefold_core::routing::NanLogits;
use gatefold_core::{Dtype, ExpertChoice, ExpertChoiceBackward, Tensor, Tensors};

use super::expert_choice::scores;
use crate::case::edge;
use crate::data::{Family, Rng};
use crate::real::Err;
use crate::{Case, Reference, Values};

/// Tokens, experts, capacity: shares of models, capacities of 1 and of all tokens, columns that a workgroup sorts and that it does not, choices that
/// it does not.
const SIZES: [(usize, usize, usize); 29] = [
    (0, 8, 0),
    (1, 1, 1),
    (1, 7, 1),
    (7, 1, 7),
    (7, 2, 7),
    (22, 8, 6),
    (64, 31, 5),
    (64, 32, 4),
    (100, 40, 5),
    (100, 71, 3),
    (512, 8, 128),
    (512, 7, 512),
    (22, 129, 1),
    (100, 160, 2),
    (64, 256, 1),
    (100, 512, 1),
    (512, 64, 16),
    (1000, 2, 1000),
    (1, 1024, 1),
    (2048, 4, 1024),
    (2100, 4, 1),
    (3000, 8, 750),
    (5000, 2, 5000),
    (8192, 2, 2048),
    (4097, 3, 2732),
    (5000, 1, 2500),
    (65, 128, 2),
    (257, 31, 17),
    (4096, 8, 1024),
];

const OPTIONS: usize = 20;
const SPECIAL: usize = 12;
const TIES: usize = 9;
pub(super) const PLANNED: u64 = (SIZES.len() + OPTIONS + SPECIAL + TIES) as u64;
pub(super) const PLANNED_BACKWARD: u64 = 60;

fn sized(at: usize) -> ExpertChoice {
    let (tokens, experts, capacity) = SIZES[at % SIZES.len()];
    ExpertChoice { nan: NanLogits::Lowest, ..ExpertChoice::new(tokens, experts, capacity) }
}

/// An op with the options whose bits are set.
fn with_options(op: ExpertChoice, bits: usize) -> ExpertChoice {
    let on = |bit: usize| bits >> bit & 1 == 1;
    ExpertChoice {
        token_mask: on(0),
        scores: on(1),
        inverse: on(2),
        nan: if on(3) { NanLogits::Refuse } else { NanLogits::Lowest },
        dtype: if on(4) { Dtype::F16 } else { Dtype::F32 },
        ..op
    }
}

fn planned(seed: u64) -> Option<(ExpertChoice, String)> {
    let at = edge(seed, PLANNED)?;
    let sizes = SIZES.len();
    Some(match at {
        _ if at < sizes => {
            let op = sized(at);
            let note = format!("{} experts take {} of {} tokens", op.experts, op.capacity, op.tokens);
            (op, note)
        }
        _ if at < sizes + OPTIONS => {
            let n = at - sizes;
            (with_options(sized(5 + n), n + n / 16 + 1), format!("options {n}"))
        }
        _ if at < sizes + OPTIONS + SPECIAL => {
            let n = at - sizes - OPTIONS;
            (with_options(sized(4 + 2 * n), 5 * n + 3), "special values".into())
        }
        _ => {
            let n = at - sizes - OPTIONS - SPECIAL;
            (with_options(sized(3 * n + 4), 7 * n), "ties".into())
        }
    })
}

/// The case of a seed.
pub(super) fn drawn(seed: u64) -> Case<ExpertChoice> {
    let planned = planned(seed);
    let ties = planned.as_ref().is_some_and(|(_, note)| note == "ties");
    let case = Case::drawn((seed, 0xec01), planned, random, 15, |rng, op, special| inputs(rng, op, special, ties));
    // experts may have more slots than tokens that they may take
    if case.op.token_mask && !case.is_degenerate() { case.degenerate() } else { case }
}

fn random(rng: &mut Rng) -> ExpertChoice {
    let tokens = rng.pick(&[1, 7, 22, 64, 100, 100, 257, 512, 700, 2500]);
    let all = [1, 2, 7, 8, 31, 32, 40, 71, 128, 129, 160, 256, 288, 512];
    let experts = rng.pick(&all[..if tokens > 600 { 4 } else { all.len() }]);
    let factor = rng.pick(&[0.5, 1.0, 2.0, 2.0, 7.0]);
    let capacity = ExpertChoice::capacity_for(tokens, experts, factor);
    with_options(ExpertChoice::new(tokens, experts, capacity), rng.below(32))
}

/// Logits that an experts' choice can be compared by; if `special`, some are not finite or far away.
fn inputs(rng: &mut Rng, op: &ExpertChoice, special: bool, ties: bool) -> Tensors {
    let families = [
        Family::Normal(1.0),
        Family::Normal(1.0),
        Family::Normal(4.0),
        Family::Uniform,
        Family::Integers,
        Family::Equal,
    ];
    let family = if ties { rng.pick(&families[4..]) } else { rng.pick(&families) };
    let mut numbers = family.fill(rng, op.tokens, op.experts);
    if special {
        let far = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY, 3.0e38, -3.0e38, 88.0, -90.0, -200.0, 0.0];
        let percent = rng.pick(&[1, 10, 60]);
        numbers.iter_mut().for_each(|x| *x = if rng.chance(percent) { rng.pick(&far) } else { *x });
    }
    let mut given = Tensors::new();
    if op.token_mask {
        let kept = rng.pick(&[5, 50, 90]);
        let words: Vec<u32> = (0..op.tokens).map(|_| u32::from(rng.chance(kept)) * 7).collect();
        given.insert("token_mask", Tensor::u32([op.tokens], words).expect("a word a token"));
    }
    let logits = |numbers| Tensor::float(op.dtype, [op.tokens, op.experts], numbers).expect("a number an element");
    let given = given.with("logits", logits(numbers));
    let settled = settled(op, &given);
    given.with("logits", logits(settled))
}

/// The logits, with rows copied from others until no expert's choice hangs on scores that a kernel may round either way.
fn settled(op: &ExpertChoice, given: &Tensors) -> Vec<f32> {
    let found = scores(op, &Values::<Err>::of(given));
    // the token whose logits each one has
    let mut same_as: Vec<usize> = (0..op.tokens).collect();
    // every pass that copies leaves fewer rows that differ
    while (0..op.experts).filter(|&expert| settle(op, expert, &found, &mut same_as)).count() > 0 {}
    let numbers = given["logits"].to_f32();
    same_as.iter().flat_map(|&row| numbers[row * op.experts..][..op.experts].to_vec()).collect()
}

/// Copies rows whose scores with an expert are too close to say which it prefers, among those that its choice hangs on. Whether there were any.
fn settle(op: &ExpertChoice, expert: usize, (scores, may): &(Vec<Err>, Vec<bool>), same_as: &mut [usize]) -> bool {
    let of = |row: usize| row * op.experts + expert;
    // whether a token counts is its own, whether its logit takes part is the row's
    let counts = |token: usize| may[token * op.experts..][..op.experts].iter().any(|&m| m);
    let mut tokens: Vec<usize> = (0..op.tokens).filter(|&t| counts(t) && may[of(same_as[t])]).collect();
    tokens.sort_by(|&a, &b| scores[of(same_as[b])].v.total_cmp(&scores[of(same_as[a])].v).then(a.cmp(&b)));
    let Some(&first) = tokens.first() else { return false };
    let (mut last, mut moved) = (same_as[first], false);
    for (place, &token) in tokens.iter().enumerate().skip(1) {
        let row = same_as[token];
        let (a, b) = (scores[of(last)], scores[of(row)]);
        let (gap, reach) = (a.v - b.v, a.e + b.e);
        // two that are 0 for certain are equal without being the same
        let equal = row == last || (gap == 0.0 && reach == 0.0);
        if equal {
            continue;
        }
        if gap > reach {
            if place >= op.capacity {
                break;
            }
            last = row;
        } else {
            same_as.iter_mut().filter(|of| **of == row).for_each(|of| *of = last);
            moved = true;
        }
    }
    moved
}

pub(super) fn backward(seed: u64) -> Case<ExpertChoiceBackward> {
    // planned cases of the forward pass but for the largest, then random ones
    let of = if seed < PLANNED_BACKWARD { seed } else { (seed - PLANNED_BACKWARD).saturating_add(PLANNED) };
    let forward = ExpertChoice::case(of);
    let op = ExpertChoiceBackward::new(forward.op.clone());
    let mut rng = Rng::new(seed, 0xec02);
    let indices = crate::outputs(&forward.op, &forward.inputs)["indices"].clone();
    let spread = rng.pick(&[1.0, 1.0, 30.0]);
    let mut d_weights = Family::Normal(spread).fill(&mut rng, op.forward.rows(), 1);
    if forward.note.contains("special") {
        let rare = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        d_weights.iter_mut().for_each(|x| *x = if rng.chance(2) { rng.pick(&rare) } else { *x });
    }
    let d_weights = Tensor::f32(indices.dims(), d_weights).expect("a number a slot");
    let inputs = Tensors::new()
        .with("logits", forward.inputs["logits"].clone())
        .with("indices", indices)
        .with("d_weights", d_weights);
    // most tokens are taken by few experts, or by none
    Case { seed, op, inputs, note: forward.note }.degenerate()
}
