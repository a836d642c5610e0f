//! Cases of the gate and its gradient: every preset in several sizes, every option on several presets, ties, special values.

use gatefold_core::routing::{ExpertGroups, GateActivation, GateWeight, GroupScore, NanLogits, ROUTER_PRESETS, Score};
use gatefold_core::{Dtype, Op, TopKGate, TopKGateBackward};

use super::top_k_gate_draw::{self as numbers, Style};
use crate::case::edge;
use crate::data::Rng;
use crate::{Case, Reference};

const SALT: u64 = 0x6a7e;

/// Tokens, experts and experts a token, for groups of at least 2 experts.
const SIZES: [(usize, usize, usize); 6] =
    [(7, 16, 2), (22, 32, 4), (5, 64, 6), (64, 128, 8), (3, 256, 8), (1, 512, 12)];

/// The same for gates without groups: no multiple of anything.
const ODD: [(usize, usize, usize); 8] =
    [(1, 1, 1), (7, 2, 2), (22, 7, 3), (64, 8, 1), (100, 31, 31), (9, 71, 5), (3, 129, 8), (2, 1024, 64)];

const BY_PRESET: usize = 6;
const OPTIONS: usize = 15;
const BASES: usize = 5;
const TIES: usize = 20;
const SPECIAL: usize = 20;

/// Planned cases.
pub(super) const PLANNED: u64 = (17 * BY_PRESET + ODD.len() + OPTIONS * BASES + TIES + SPECIAL + 2) as u64;

fn preset(n: usize, size: (usize, usize, usize)) -> (TopKGate, &'static str) {
    let preset = &ROUTER_PRESETS[n % ROUTER_PRESETS.len()];
    let (tokens, experts, top_k) = size;
    let wide = |g: &TopKGate| g.validate().is_ok();
    let gate = (preset.gate)(tokens, experts, top_k);
    // the best 3 of 8 groups of 2 have 6 experts
    let gate =
        if wide(&gate) { gate } else { (preset.gate)(tokens, experts.next_multiple_of(8).max(16), top_k.min(6)) };
    (gate, preset.name)
}

/// Option `n` by itself.
fn with_option(n: usize, g: TopKGate) -> (TopKGate, &'static str) {
    let softmax = g.weight == GateWeight::SelectedSoftmax;
    let half = g.experts / 2;
    match n {
        0 => (TopKGate { scores: true, ..g }, "scores"),
        1 => (TopKGate { lse: true, ..g }, "lse"),
        2 => (TopKGate { token_mask: true, ..g }, "padding"),
        3 => (TopKGate { token_mask: true, scores: true, lse: true, ..g }, "padding, all outputs"),
        4 => (TopKGate { expert_range: Some([half / 2, half + 1]), ..g }, "experts elsewhere"),
        5 => (TopKGate { temperature: true, lse: true, ..g }, "temperature"),
        6 => (TopKGate { logit_bias: true, ..g }, "bias of logits"),
        7 => (TopKGate { selection_bias: true, scores: true, ..g }, "bias of selection"),
        8 if !softmax => (TopKGate { threshold: Some(0.125), ..g }, "threshold"),
        9 if !softmax => (TopKGate { renormalize: Some(0.5), scale: -1.5, ..g }, "divided by more than the sum"),
        10 => (TopKGate { activation: GateActivation::Tanh, logit_bias: true, temperature: true, ..g }, "tanh"),
        11 => (TopKGate { activation: GateActivation::Gelu, scores: true, ..g }, "gelu"),
        12 => (TopKGate { dtype: Dtype::F16, logit_bias: true, temperature: true, lse: true, ..g }, "f16"),
        13 => {
            let groups = Some(ExpertGroups { groups: 4, keep: 2, score: GroupScore::TopSum(3) });
            (TopKGate { groups, top_k: g.top_k.min(half), nan: NanLogits::Lowest, ..g }, "groups by three")
        }
        _ => {
            let groups = Some(ExpertGroups { groups: g.experts, keep: half + 1, score: GroupScore::Max });
            let groups = groups.filter(|g| g.groups <= 64);
            (TopKGate { groups, top_k: g.top_k.min(half), scale: 0.25, ..g }, "groups of one")
        }
    }
}

/// The planned spec of a seed, how its numbers look, and what is special about it.
fn planned(seed: u64) -> Option<(TopKGate, Style, String)> {
    let mut at = edge(seed, PLANNED)?;
    if at < 17 * BY_PRESET {
        let (gate, name) = preset(at / BY_PRESET, SIZES[at % BY_PRESET]);
        let style = if at % BY_PRESET == 1 && !gate.selection_bias { Style::Wide } else { Style::Plain };
        return Some((gate, style, name.into()));
    }
    at -= 17 * BY_PRESET;
    if let Some(&(tokens, experts, top_k)) = ODD.get(at) {
        let gate = if at.is_multiple_of(2) { TopKGate::qwen_moe } else { TopKGate::minimax };
        return Some((gate(tokens, experts, top_k), Style::Plain, "odd sizes".into()));
    }
    at -= ODD.len();
    if at < OPTIONS * BASES {
        let bases =
            [TopKGate::switch, TopKGate::mixtral, TopKGate::minimax, TopKGate::sqrt_softplus, TopKGate::top_k_raw];
        let (tokens, experts, top_k) = [(13, 32, 4), (22, 40, 6), (9, 8, 3)][at % 3];
        let (gate, note) = with_option(at % OPTIONS, bases[at / OPTIONS](tokens, experts, top_k));
        return Some((gate, Style::Plain, note.into()));
    }
    at -= OPTIONS * BASES;
    if at < TIES {
        // a threshold that logits may be equal to
        let raw = TopKGate { threshold: Some(0.5), logit_bias: true, ..TopKGate::top_k_raw(40, 24, 20) };
        let gate = if at < 3 { raw } else { preset(at - 3, [(33, 16, 9), (20, 64, 6)][at % 2]).0 };
        return Some((gate, Style::Ties, "ties".into()));
    }
    at -= TIES;
    if at < SPECIAL {
        let (gate, _) = preset(at, [(40, 16, 2), (17, 64, 6)][at % 2]);
        let nan = if at % 3 == 0 { NanLogits::Refuse } else { NanLogits::Lowest };
        let gate = TopKGate { nan, token_mask: at % 4 == 0, scores: true, lse: true, ..gate };
        return Some((gate, Style::Special, "special values".into()));
    }
    let tokens = if at == SPECIAL { 0 } else { 512 };
    let all = TopKGate { lse: true, ..TopKGate::activation_dense_to_sparse(tokens, 40, 8) };
    Some((all, Style::Plain, format!("{tokens} tokens")))
}

fn random(rng: &mut Rng) -> TopKGate {
    let experts = rng.pick(&[1, 2, 7, 8, 8, 16, 31, 32, 40, 64, 64, 71, 128, 129, 160, 256]);
    let most = 4000 / experts;
    let tokens = rng.pick(&[1, 7, 22, 64, 100, 512]).min(most.max(1));
    let mut top_k = 1 + rng.below(experts.min(12));
    let weight = rng.pick(&GateWeight::ALL);
    let free = weight != GateWeight::SelectedSoftmax;
    let sum = GroupScore::TopSum(1 + rng.below(3));
    let groups = ExpertGroups { groups: rng.pick(&[2, 4, 8]), keep: 1, score: rng.pick(&[GroupScore::Max, sum]) };
    let groups = ExpertGroups { keep: 1 + rng.below(groups.groups), ..groups };
    let size = experts / groups.groups;
    let fits = experts.is_multiple_of(groups.groups) && size >= 3;
    let groups = Some(groups).filter(|_| fits && rng.chance(30));
    if let Some(g) = groups {
        top_k = top_k.min(g.keep * size);
    }
    let start = rng.below(experts);
    TopKGate {
        tokens,
        experts,
        top_k,
        score: rng.pick(&Score::ALL),
        weight,
        activation: if rng.chance(25) { rng.pick(&GateActivation::ALL) } else { GateActivation::None },
        temperature: rng.chance(25),
        logit_bias: rng.chance(25),
        selection_bias: rng.chance(25),
        groups,
        renormalize: Some(rng.pick(&[0.0, 1e-20, 0.01])).filter(|_| free && rng.chance(40)),
        scale: rng.pick(&[1.0, 1.0, 2.5, -0.5]),
        threshold: Some(rng.pick(&[0.05, 0.3])).filter(|_| free && rng.chance(15)),
        token_mask: rng.chance(25),
        expert_range: Some([start, start + 1 + rng.below(experts - start)]).filter(|_| rng.chance(15)),
        scores: rng.chance(35),
        lse: rng.chance(35),
        nan: if rng.chance(50) { NanLogits::Refuse } else { NanLogits::Lowest },
        dtype: if rng.chance(20) { Dtype::F16 } else { Dtype::F32 },
    }
}

/// Spec, style and note of a seed.
fn drawn(seed: u64, rng: &mut Rng) -> (TopKGate, Style, String) {
    planned(seed).unwrap_or_else(|| {
        let op = random(rng);
        // a score that decides must not be rounded to another one
        let wide = !op.ranks_by_score() && op.threshold.is_none() && op.activation == GateActivation::None;
        let style = match rng.below(10) {
            0 => Style::Special,
            1 | 2 => Style::Ties,
            3 if wide => Style::Wide,
            _ => Style::Plain,
        };
        (op, style, format!("{style:?}"))
    })
}

/// A case's note says where little may be said.
fn noted<O: Op>(case: Case<O>, style: Style) -> Case<O> {
    if style == Style::Special { case.degenerate() } else { case }
}

/// The case of a seed of the gate.
pub(super) fn forward(seed: u64) -> Case<TopKGate> {
    let mut rng = Rng::new(seed, SALT);
    let (op, style, note) = drawn(seed, &mut rng);
    let inputs = numbers::forward(&mut rng, &op, style);
    noted(Case { seed, op, inputs, note }, style)
}

/// The case of a seed of its gradient: the same gates, and in turns gradients of the other outputs.
pub(super) fn backward(seed: u64) -> Case<TopKGateBackward> {
    let mut rng = Rng::new(seed, SALT + 1);
    let (mut forward, style, note) = drawn(seed, &mut rng);
    let [d_scores, d_lse] = [rng.chance(35), rng.chance(35)];
    forward.scores |= d_scores;
    forward.lse |= d_lse;
    let op = TopKGateBackward { forward, d_scores, d_lse };
    let broken = style == Style::Special && rng.chance(50);
    let inputs = numbers::backward(&mut rng, &op, style, broken);
    let inputs = op.complete(inputs);
    noted(Case { seed, op, inputs, note }, style)
}
