//! Cases of the plan: sizes, fillings of the slots, capacities about the load, ties among weights.

use gatefold_core::routing::{DropPolicy, ELSEWHERE, NO_EXPERT};
use gatefold_core::{RoutingPlan, Tensor, Tensors};

use crate::Case;
use crate::case::edge;
use crate::data::Rng;

const SALT: u64 = 0x91a7;

/// How slots are filled.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Slots {
    /// Experts of a token differ, if there are as many; all are as likely.
    Even,
    /// Most go to the first experts; some get none.
    Skewed,
    /// All to one expert, the last.
    OneExpert,
    /// A third of the slots have no expert, a sixth one elsewhere.
    Partial,
    /// No slot has an expert here.
    Nobody,
    /// Experts in runs, as in a sequence of one topic after the other.
    Runs,
}

/// How weights look.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Weights {
    /// In 0 to 1, as those of a softmax are.
    Shares,
    /// Of either sign and of every magnitude, with infinities.
    Wide,
    /// Few different ones, with zeros of either sign.
    Ties,
    /// All the same.
    Equal,
    /// Too small to be normal.
    Denormal,
    /// Different in their last byte only.
    Close,
}

/// The capacity, about the largest load.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Room {
    /// None.
    All,
    /// This many.
    Of(usize),
    /// Half of the load of an expert on average, rounded up.
    Half,
    /// That load itself.
    Mean,
    /// More than any expert can get.
    More,
}

/// A planned case, but for its sizes.
type Edge = (Slots, Room, DropPolicy, Weights, usize);

/// `tokens, top_k, experts`.
const SIZES: [[usize; 3]; 21] = [
    [0, 2, 8],
    [1, 1, 1],
    [1, 8, 8],
    [7, 2, 2],
    [22, 3, 7],
    [64, 2, 8],
    [100, 4, 31],
    [64, 6, 32],
    [22, 8, 40],
    [100, 2, 71],
    [7, 64, 128],
    [64, 4, 129],
    [64, 6, 160],
    [100, 8, 256],
    [64, 8, 288],
    [22, 22, 512],
    [512, 2, 8],
    [64, 5, 1024],
    [600, 1, 3],
    [3000, 6, 64],
    [35_000, 2, 9],
];

const BY_POSITION: DropPolicy = DropPolicy::Position;
const BY_WEIGHT: DropPolicy = DropPolicy::Weight;

/// For every size.
const EVERYWHERE: [Edge; 5] = [
    (Slots::Even, Room::All, BY_POSITION, Weights::Equal, 1),
    (Slots::Partial, Room::All, BY_POSITION, Weights::Equal, 16),
    (Slots::Skewed, Room::Half, BY_POSITION, Weights::Equal, 4),
    (Slots::Skewed, Room::Half, BY_WEIGHT, Weights::Ties, 1),
    (Slots::Even, Room::Mean, BY_WEIGHT, Weights::Wide, 64),
];

/// For a size each, in turn.
const ELSE: [Edge; 20] = [
    (Slots::OneExpert, Room::All, BY_POSITION, Weights::Equal, 1),
    (Slots::OneExpert, Room::All, BY_POSITION, Weights::Equal, 128),
    (Slots::OneExpert, Room::Half, BY_POSITION, Weights::Equal, 16),
    (Slots::OneExpert, Room::Half, BY_WEIGHT, Weights::Close, 1),
    (Slots::Nobody, Room::All, BY_POSITION, Weights::Equal, 1),
    (Slots::Nobody, Room::Mean, BY_WEIGHT, Weights::Wide, 4),
    (Slots::Even, Room::Of(0), BY_POSITION, Weights::Equal, 16),
    (Slots::Even, Room::Of(0), BY_WEIGHT, Weights::Ties, 1),
    (Slots::Even, Room::Of(1), BY_POSITION, Weights::Equal, 1),
    (Slots::Even, Room::Of(1), BY_WEIGHT, Weights::Ties, 1),
    (Slots::Partial, Room::Of(1), BY_WEIGHT, Weights::Wide, 128),
    (Slots::Skewed, Room::More, BY_POSITION, Weights::Equal, 1),
    (Slots::Skewed, Room::More, BY_WEIGHT, Weights::Wide, 1),
    (Slots::Skewed, Room::Mean, BY_WEIGHT, Weights::Equal, 4),
    (Slots::Skewed, Room::Mean, BY_WEIGHT, Weights::Denormal, 1),
    (Slots::Runs, Room::Mean, BY_WEIGHT, Weights::Close, 1),
    (Slots::Runs, Room::Half, BY_WEIGHT, Weights::Shares, 16),
    (Slots::Runs, Room::Half, BY_POSITION, Weights::Shares, 64),
    (Slots::Runs, Room::All, BY_POSITION, Weights::Shares, 128),
    (Slots::Partial, Room::Half, BY_WEIGHT, Weights::Shares, 3),
];

/// Sizes of the others, by turns.
const ELSE_SIZES: [[usize; 3]; 6] = [[64, 2, 8], [513, 1, 3], [100, 4, 31], [300, 3, 71], [40, 8, 129], [700, 2, 5]];

pub(super) const PLANNED: u64 = (SIZES.len() * EVERYWHERE.len() + ELSE.len()) as u64;

fn planned(seed: u64) -> Option<([usize; 3], Edge)> {
    let at = edge(seed, PLANNED)?;
    match at.checked_sub(SIZES.len() * EVERYWHERE.len()) {
        None => Some((SIZES[at / EVERYWHERE.len()], EVERYWHERE[at % EVERYWHERE.len()])),
        Some(n) => Some((ELSE_SIZES[n % ELSE_SIZES.len()], ELSE[n])),
    }
}

fn random(rng: &mut Rng) -> ([usize; 3], Edge) {
    let tokens = rng.pick(&[1, 7, 22, 64, 64, 100, 100, 512, 1000, 2500]);
    let experts = rng.pick(&[1, 2, 7, 8, 31, 32, 40, 71, 128, 129, 160, 256, 288, 512, 1024]);
    let top_k = rng.pick(&[1, 2, 2, 3, 4, 6, 8, 9, 16]);
    let slots = rng.pick(&[Slots::Even, Slots::Even, Slots::Skewed, Slots::Partial, Slots::Runs, Slots::OneExpert]);
    let room = rng.pick(&[Room::All, Room::All, Room::Half, Room::Half, Room::Mean, Room::Of(1), Room::Of(3)]);
    let drop = if room == Room::All || rng.chance(40) { BY_POSITION } else { BY_WEIGHT };
    let all = [Weights::Shares, Weights::Wide, Weights::Ties, Weights::Equal, Weights::Denormal, Weights::Close];
    let block = rng.pick(&[1, 1, 1, 4, 7, 16, 64, 128]);
    ([tokens, top_k, experts], (slots, room, drop, rng.pick(&all), block))
}

/// An expert: those of low numbers often, if `skewed`.
fn expert(rng: &mut Rng, experts: usize, skewed: bool) -> usize {
    let drawn = rng.below(experts);
    if skewed { rng.below(drawn / 2 + 1) } else { drawn }
}

fn indices(rng: &mut Rng, op: &RoutingPlan, slots: Slots) -> Vec<u32> {
    let mut all: Vec<usize> = Vec::with_capacity(op.assignments());
    for token in 0..op.tokens {
        let first = all.len();
        for _ in 0..op.top_k {
            let mut drawn = match slots {
                Slots::OneExpert => op.experts - 1,
                Slots::Runs => (token * op.experts / op.tokens + rng.below(2)) % op.experts,
                _ => expert(rng, op.experts, slots == Slots::Skewed),
            };
            // the next free one, if a token's experts are to differ
            if slots == Slots::Even && op.top_k <= op.experts {
                while all[first..].contains(&drawn) {
                    drawn = (drawn + 1) % op.experts;
                }
            }
            all.push(drawn);
        }
    }
    let elsewhere = |rng: &mut Rng, expert: u32| if rng.chance(20) { u32::MAX - 1 } else { ELSEWHERE | expert };
    let word = |expert: usize| {
        let expert = u32::try_from(expert).unwrap_or(NO_EXPERT);
        match (slots, rng.below(6)) {
            (Slots::Partial, 0 | 1) | (Slots::Nobody, 0..=2) => NO_EXPERT,
            (Slots::Partial, 2) | (Slots::Nobody, _) => elsewhere(rng, expert),
            _ => expert,
        }
    };
    all.into_iter().map(word).collect()
}

fn weights(rng: &mut Rng, count: usize, weights: Weights) -> Vec<f32> {
    let same = rng.normal();
    let mut draw = || match weights {
        Weights::Shares => rng.unit(),
        Weights::Wide => {
            let exponent = rng.below(250) as f32 - 125.0;
            rng.pick(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, f32::INFINITY, 0.0]) * (rng.normal() + 1e-3) * exponent.exp2()
        }
        Weights::Ties => rng.pick(&[0.0, -0.0, 0.5, -0.5, 1.0, -1.0, f32::MAX, f32::MIN]),
        Weights::Equal => same,
        Weights::Denormal => rng.normal() * 1e-39,
        Weights::Close => f32::from_bits(0x3f00_0000 | (rng.next_u64() & 0xff) as u32),
    };
    (0..count).map(|_| draw()).collect()
}

/// The spec of an edge.
fn spec([tokens, top_k, experts]: [usize; 3], (_, room, drop, _, block): Edge) -> RoutingPlan {
    let load = tokens * top_k;
    let capacity = match room {
        Room::All => None,
        Room::Of(n) => Some(n),
        Room::Half => Some(load.div_ceil(2 * experts)),
        Room::Mean => Some(load.div_ceil(experts)),
        Room::More => Some(load + 1),
    };
    RoutingPlan { capacity, drop, block, ..RoutingPlan::new(tokens, top_k, experts) }
}

pub(super) fn case(seed: u64) -> Case<RoutingPlan> {
    let mut rng = Rng::new(seed, SALT);
    let (sizes, edge) = planned(seed).unwrap_or_else(|| random(&mut rng));
    let op = spec(sizes, edge);
    let (slots, room, _, kind, _) = edge;
    let dims = [op.tokens, op.top_k];
    let ints = Tensor::u32(dims, indices(&mut rng, &op, slots)).expect("as many as there are assignments");
    let mut inputs = Tensors::new().with("indices", ints);
    let mut note = format!("slots {slots:?}, room {room:?}");
    if op.by_weight() {
        let floats = Tensor::f32(dims, weights(&mut rng, op.assignments(), kind)).expect("as many as assignments");
        inputs.insert("weights", floats);
        note = format!("{note}, weights {kind:?}");
    }
    Case { seed, op, inputs, note: note.to_lowercase() }.degenerate()
}
