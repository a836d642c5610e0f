//! Properties of routing: experts may be relabelled, tokens do not know of each other, a capacity that nobody reaches is none, and what goes to
//! experts that change nothing comes back.

use gatefold_core::routing::{DropPolicy, ExpertFunction};
use gatefold_core::{
    ExpertActivation, ExpertActivationBackward, ExpertChoice, ExpertChoiceBackward, GroupedGemmWeights, Moe,
    MoeBackward, MoeCombine, MoeCombineBackward, MoeDispatch, Op, Router, RouterBackward, RouterLoss, RoutingPlan,
    SelectionBiasUpdate, Tensor, Tensors, TopK, TopKGate, TopKGateBackward,
};
use gatefold_cpu_ref::Reference;
use gatefold_shaders::Kernels;

use super::{Outcomes, Runner, change, draw, map, take, turned};

const TOKENS: usize = 70;
const EXPERTS: usize = 8;

/// `count` places in another order: place `n` gets what was at `step·n + 3` modulo `count`, for the least step from 5 on without a common divisor.
fn order(count: usize) -> Vec<usize> {
    let coprime = |step: &usize| (2..=*step).all(|d| !step.is_multiple_of(d) || !count.is_multiple_of(d));
    let step = (5..).find(coprime).unwrap_or(1);
    (0..count).map(|n| (step * n + 3) % count).collect()
}

/// Integers below `order.len()` as they are called after the reordering; other words, and floats, as they are.
fn relabelled(t: &Tensor, order: &[usize]) -> Tensor {
    let Some(words) = t.as_u32() else { return t.clone() };
    let place = |w: u32| order.iter().position(|&old| old == w as usize).and_then(|new| u32::try_from(new).ok());
    let words: Vec<_> = words.iter().map(|&w| place(w).unwrap_or(w)).collect();
    Tensor::u32(t.dims(), words).expect("as many words as before")
}

fn ints(dims: &[usize], element: impl Fn(usize) -> usize) -> Tensor {
    let words = (0..dims.iter().product()).map(|n| u32::try_from(element(n)).unwrap_or(u32::MAX));
    Tensor::u32(dims, words.collect::<Vec<_>>()).expect("as many as the shape says")
}

/// Two experts of each token, unlike each other.
fn choices(tokens: usize, experts: usize) -> Tensor {
    ints(&[tokens, 2], |a| (7 * (a / 2) + (a / 2) / 3 + 3 * (a % 2)) % experts)
}

fn gates() -> [TopKGate; 3] {
    let base = TopKGate { scores: true, lse: true, ..TopKGate::mixtral(TOKENS, EXPERTS, 2) };
    let plain = TopKGate { scores: true, lse: true, ..TopKGate::new(TOKENS, EXPERTS, 3) };
    [base.clone(), plain, TopKGate { logit_bias: true, ..base }]
}

/// Experts have names only: with the columns of the logits, whatever is an expert's moves.
pub fn experts_may_be_relabelled(runner: &Runner<'_>) -> Outcomes {
    let order = order(EXPERTS);
    for op in gates() {
        let inputs = draw(&op, 60, Tensors::new());
        let moved = turned(&inputs, &|name, t| take(t, usize::from(name == "logits"), &order));
        let named = |name: &str, t: &Tensor| match name {
            "indices" => relabelled(t, &order),
            "scores" => take(t, 1, &order),
            _ => t.clone(),
        };
        let (gate, other) = (runner.run(&op, &inputs).turned(named), runner.run(&op, &moved));
        other.same(&gate, &["indices"])?;
        other.near(&gate, &["weights", "scores", "lse"])?;
    }
    // a whole layer, with the rows of an expert's parameters
    let op = layer(TOKENS);
    let inputs = draw(&op, 61, Tensors::new());
    let axis = |name: &str| match name {
        "w_gate" => Some(1),
        "w_up" | "w_down" => Some(0),
        _ => None,
    };
    let moved = turned(&inputs, &|name, t| axis(name).map_or(t.clone(), |axis| take(t, axis, &order)));
    runner.run(&op, &moved).near(&runner.run(&op, &inputs), &["o"])
}

/// A layer of eight experts, two a token.
fn layer(tokens: usize) -> Moe {
    Moe::new(Router::new(TopKGate::mixtral(tokens, EXPERTS, 2), 12), 20, ExpertFunction::SwiGlu)
}

/// Whether an operand has a row per token.
fn is_of_tokens(name: &str) -> bool {
    matches!(name, "x" | "logits" | "weights" | "indices" | "scores" | "lse" | "o" | "token_mask")
}

/// Runs `make(TOKENS)` on all tokens, on all but one, and on all in another order: a token's rows are the same, bit by bit.
fn each_alone<O: Reference + Kernels>(runner: &Runner<'_>, make: impl Fn(usize) -> O, names: &[&str]) -> Outcomes {
    let whole = make(TOKENS);
    let inputs = draw(&whole, 62, Tensors::new());
    let all = runner.run(&whole, &inputs);
    let without: Vec<usize> = (0..TOKENS).filter(|&t| t != 33).collect();
    for picks in [without, order(TOKENS)] {
        let rows = |name: &str, t: &Tensor| if is_of_tokens(name) { take(t, 0, &picks) } else { t.clone() };
        runner.run(&make(picks.len()), &turned(&inputs, &rows)).same(&all.turned(rows), names)?;
    }
    Ok(())
}

/// A token's route, and what comes of it, does not depend on the others, nor on where it stands.
pub fn tokens_stand_for_themselves(runner: &Runner<'_>) -> Outcomes {
    for gate in gates() {
        each_alone(runner, |tokens| TopKGate { tokens, ..gate.clone() }, &["weights", "indices", "scores", "lse"])?;
    }
    let router = |tokens| Router::new(TopKGate::mixtral(tokens, EXPERTS, 2), 12);
    each_alone(runner, router, &["logits", "weights", "indices"])?;
    each_alone(runner, layer, &["o", "weights", "indices"])
}

/// A plan keeps its counts when tokens are reordered, and relabels them with the experts; every expert's rows are those of its assignments, in their order.
pub fn assignments_may_be_permuted(runner: &Runner<'_>) -> Outcomes {
    for op in [RoutingPlan::new(TOKENS, 2, EXPERTS), RoutingPlan { block: 8, ..RoutingPlan::new(TOKENS, 2, EXPERTS) }] {
        let given = Tensors::new().with("indices", choices(TOKENS, EXPERTS));
        let plan = runner.run(&op, &given);
        let tokens = order(TOKENS);
        let moved = runner.run(&op, &change(&given, &["indices"], |t| take(t, 0, &tokens)));
        moved.same(&plan, &["counts", "offsets", "block_experts", "dispatch_args"])?;
        let experts = order(EXPERTS);
        let named = runner.run(&op, &change(&given, &["indices"], |t| relabelled(t, &experts)));
        let counts = plan.turned(|name, t| if name == "counts" { take(t, 0, &experts) } else { t.clone() });
        named.same(&counts, &["counts"])?;
        // where each plan has put the assignments of a token
        let rows = |of: &Tensors, expert: usize| {
            let ints = |name: &str| of[name].as_u32().unwrap_or_default().to_vec();
            let (offsets, counts, rows) = (ints("offsets"), ints("counts"), ints("permutation"));
            let first = offsets[expert] as usize;
            rows[first..first + counts[expert] as usize].to_vec()
        };
        for expert in 0..EXPERTS {
            let mut of_moved: Vec<u32> = rows(&moved.outputs, expert);
            let ascending = of_moved.windows(2).all(|pair| pair[0] < pair[1]);
            // rows that nobody has are no token's
            let token = |a: u32| tokens.get(a as usize / 2).and_then(|&t| u32::try_from(t).ok());
            let back = |a: &mut u32| *a = token(*a).map_or(u32::MAX, |t| 2 * t + *a % 2);
            of_moved.iter_mut().for_each(back);
            of_moved.sort_unstable();
            let new = experts.iter().position(|&old| old == expert).unwrap_or(0);
            if !ascending || of_moved != rows(&plan.outputs, expert) || of_moved != rows(&named.outputs, new) {
                return Err(format!("{}: expert {expert} has other assignments", op.label()));
            }
        }
    }
    Ok(())
}

/// Without a capacity, and with one that nobody reaches.
pub fn a_capacity_that_nobody_reaches(runner: &Runner<'_>) -> Outcomes {
    let open = RoutingPlan { block: 8, ..RoutingPlan::new(TOKENS, 2, EXPERTS) };
    let inputs = Tensors::new().with("indices", choices(TOKENS, EXPERTS));
    let names = ["counts", "offsets", "permutation", "inverse", "block_experts", "dispatch_args"];
    let plan = runner.run(&open, &inputs);
    let most = plan.outputs["counts"].as_u32().and_then(|c| c.iter().max().copied()).unwrap_or(0) as usize;
    for capacity in [most, 2 * TOKENS] {
        let wide = RoutingPlan { capacity: Some(capacity), ..open.clone() };
        let by_weight = RoutingPlan { drop: DropPolicy::Weight, ..wide.clone() };
        if wide.rows() != open.rows() {
            continue;
        }
        runner.run(&wide, &inputs).same_in_any_plan(&plan, &names)?;
        let weighted = draw(&by_weight, 63, inputs.clone());
        runner.run(&by_weight, &weighted).same_in_any_plan(&plan, &names)?;
    }
    let open = layer(TOKENS);
    let wide = Moe { capacity: Some(2 * TOKENS), ..open.clone() };
    let inputs = draw(&open, 64, Tensors::new());
    runner.run(&wide, &inputs).same_in_any_plan(&runner.run(&open, &inputs), &["o", "weights", "indices"])
}

/// A layer that takes all experts is the dense mixture: every expert's output, by the softmax of the logits.
pub fn all_experts_are_the_dense_mixture(runner: &Runner<'_>) -> Outcomes {
    let (experts, hidden, width) = (4, 6, 8);
    for tokens in [2, 40] {
        let op = Moe::new(Router::new(TopKGate::new(tokens, experts, experts), hidden), width, ExpertFunction::Silu);
        let inputs = draw(&op, 65, Tensors::new());
        let [x, w_gate, w_up, w_down] = ["x", "w_gate", "w_up", "w_down"].map(|name| inputs[name].to_f64());
        let mut known = vec![0.0; tokens * hidden];
        for t in 0..tokens {
            let row = &x[t * hidden..][..hidden];
            let logit = |e: usize| (0..hidden).map(|h| row[h] * w_gate[h * experts + e]).sum::<f64>();
            let all: f64 = (0..experts).map(|e| logit(e).exp()).sum();
            for e in 0..experts {
                let inner = |w: usize| {
                    let sum = |h: usize| row[h] * w_up[(e * hidden + h) * width + w];
                    let g = (0..hidden).map(sum).sum::<f64>();
                    g / (1.0 + (-g).exp())
                };
                for h in 0..hidden {
                    let out = (0..width).map(|w| inner(w) * w_down[(e * width + w) * hidden + h]).sum::<f64>();
                    known[t * hidden + h] += logit(e).exp() / all * out;
                }
            }
        }
        runner.run(&op, &inputs).is("o", &known)?;
    }
    Ok(())
}

/// Rows that are dispatched and combined without an expert in between come back, if their weights add up to 1.
pub fn what_is_dispatched_comes_back(runner: &Runner<'_>) -> Outcomes {
    for hidden in [12, 7] {
        let plan = RoutingPlan { block: 8, ..RoutingPlan::new(TOKENS, 2, EXPERTS) };
        let placed = runner.run(&plan, &Tensors::new().with("indices", choices(TOKENS, EXPERTS))).outputs;
        let dispatch = MoeDispatch::new(TOKENS, 2, hidden, plan.rows());
        let inputs = draw(&dispatch, 66, Tensors::new().with("permutation", placed["permutation"].clone()));
        let rows = runner.run(&dispatch, &inputs).outputs["y"].clone();
        let combine = MoeCombine::new(TOKENS, 2, hidden, plan.rows());
        let eighths =
            |a: usize| if a.is_multiple_of(2) { (a / 2 % 8) as f32 / 8.0 } else { 1.0 - (a / 2 % 8) as f32 / 8.0 };
        let weights = Tensor::f32([TOKENS, 2], (0..2 * TOKENS).map(eighths).collect::<Vec<_>>()).expect("two a token");
        let given = Tensors::new().with("y", rows).with("weights", weights).with("inverse", placed["inverse"].clone());
        runner.run(&combine, &given).is("o", &inputs["x"].to_f64())?;
    }
    Ok(())
}

/// An upstream gradient times a power of two gives all gradients times it, bit by bit.
fn scales<O: Reference + Kernels>(runner: &Runner<'_>, op: &O, given: Tensors, upstream: &str) -> Outcomes {
    let inputs = draw(op, 67, given);
    let times = |t: &Tensor| map(t, |_, x| 4.0 * x);
    let more = runner.run(op, &change(&inputs, &[upstream], times));
    let made = op.operands().into_iter().filter(|o| o.role.is_made() && o.name.starts_with("d_"));
    let names: Vec<_> = made.map(|o| o.name).collect();
    let expected = runner.run(op, &inputs).turned(|name, t| if name.starts_with("d_") { times(t) } else { t.clone() });
    more.same(&expected, &names).map_err(|e| format!("{}: {e}", O::NAME))
}

/// Gradients are linear in what comes from above.
pub fn gradients_scale(runner: &Runner<'_>) -> Outcomes {
    let indices = || Tensors::new().with("indices", choices(TOKENS, EXPERTS));
    let offsets = ints(&[EXPERTS + 1], |e| e * e + e);
    let rows = EXPERTS * EXPERTS + EXPERTS;
    scales(runner, &TopKGateBackward::new(gates()[2].clone()), indices(), "d_weights")?;
    let router = RouterBackward { more: false, ..router_backward() };
    scales(runner, &router, indices(), "d_weights")?;
    scales(runner, &MoeBackward::new(layer(TOKENS)), indices(), "d_o")?;
    let weights = GroupedGemmWeights { bias: true, ..GroupedGemmWeights::new(EXPERTS, rows, 12, 9) };
    scales(runner, &weights, Tensors::new().with("offsets", offsets), "d_y")?;
    for function in ExpertFunction::ALL {
        scales(
            runner,
            &ExpertActivationBackward { forward: ExpertActivation::new(function, 9, 10) },
            Tensors::new(),
            "d_y",
        )?;
    }
    let choice = ExpertChoiceBackward { forward: ExpertChoice::new(TOKENS, EXPERTS, 9) };
    let taken = ints(&[EXPERTS, 9], |n| n % 9);
    scales(runner, &choice, Tensors::new().with("indices", taken), "d_weights")?;
    let plan = RoutingPlan::new(TOKENS, 2, EXPERTS);
    let placed = runner.run(&plan, &indices()).outputs;
    let placed =
        Tensors::new().with("permutation", placed["permutation"].clone()).with("inverse", placed["inverse"].clone());
    scales(runner, &MoeCombineBackward::clone(&MoeCombine::new(TOKENS, 2, 12, plan.rows()).backward()), placed, "d_o")?;
    scales(runner, &RouterLoss::load_balance(TOKENS, EXPERTS, 2, 0.5), indices(), "d_loss")?;
    scales(runner, &RouterLoss::z_loss(TOKENS, EXPERTS, 0.5), Tensors::new(), "d_loss")
}

fn router_backward() -> RouterBackward {
    MoeBackward::new(layer(TOKENS)).router()
}

/// Losses know neither the order of tokens nor experts' names.
pub fn losses_know_no_order(runner: &Runner<'_>) -> Outcomes {
    let (tokens, experts) = (order(TOKENS), order(EXPERTS));
    for op in [RouterLoss::load_balance(TOKENS, EXPERTS, 2, 0.5), RouterLoss::z_loss(TOKENS, EXPERTS, 0.5)] {
        let given = Tensors::new();
        let given = if op.top_k > 0 { given.with("indices", choices(TOKENS, EXPERTS)) } else { given };
        let inputs = draw(&op, 68, given);
        let loss = runner.run(&op, &inputs);
        let rows = |name: &str, t: &Tensor| {
            if matches!(name, "logits" | "indices" | "d_logits") { take(t, 0, &tokens) } else { t.clone() }
        };
        runner.run(&op, &turned(&inputs, &rows)).near(&loss.turned(rows), &["loss", "d_logits"])?;
        let named = |name: &str, t: &Tensor| match name {
            "logits" | "d_logits" => take(t, 1, &experts),
            "indices" => relabelled(t, &experts),
            _ => t.clone(),
        };
        runner.run(&op, &turned(&inputs, &named)).near(&loss.turned(named), &["loss", "d_logits"])?;
    }
    let op = SelectionBiasUpdate::new(EXPERTS, 0.25);
    let inputs = draw(&op, 69, Tensors::new().with("counts", ints(&[EXPERTS], |e| 3 * e)));
    let bias = Tensor::f32([EXPERTS], (0u8..8).map(f32::from).collect::<Vec<_>>()).expect("one an expert");
    let inputs = inputs.with("selection_bias", bias);
    let moved = |_: &str, t: &Tensor| take(t, 0, &experts);
    runner.run(&op, &turned(&inputs, &moved)).same(&runner.run(&op, &inputs).turned(moved), &["selection_bias"])
}

/// Experts choose among tokens whatever their order; fewer places are the first of more.
pub fn experts_choose_in_any_order(runner: &Runner<'_>) -> Outcomes {
    let (tokens, order) = (50, order(50));
    let op = ExpertChoice::new(tokens, EXPERTS, 9);
    let inputs = draw(&op, 70, Tensors::new());
    let chosen = runner.run(&op, &inputs);
    let moved = runner.run(&op, &change(&inputs, &["logits"], |t| take(t, 0, &order)));
    moved.same(
        &chosen.turned(|name, t| if name == "indices" { relabelled(t, &order) } else { t.clone() }),
        &["weights", "indices"],
    )?;
    let first: Vec<usize> = (0..4).collect();
    let cut = |name: &str, t: &Tensor| if name == "rejected" { t.clone() } else { take(t, 1, &first) };
    runner
        .run(&ExpertChoice { capacity: 4, ..op }, &inputs)
        .same_in_any_plan(&chosen.turned(cut), &["weights", "indices"])
}

/// The largest elements are those whatever the order; rows do not know of each other; fewer are the first of more; the smallest are the largest of
/// the negative.
pub fn the_largest_in_any_order(runner: &Runner<'_>) -> Outcomes {
    for cols in [50, 3_000] {
        let (rows, order) = (5, order(cols));
        let op = TopK::new(rows, cols, 7);
        let inputs = draw(&op, 71, Tensors::new());
        let top = runner.run(&op, &inputs);
        let moved = runner.run(&op, &change(&inputs, &["x"], |t| take(t, 1, &order)));
        moved.same(
            &top.turned(|name, t| if name == "indices" { relabelled(t, &order) } else { t.clone() }),
            &["values", "indices"],
        )?;
        let upside = |_: &str, t: &Tensor| take(t, 0, &[4, 3, 2, 1, 0]);
        runner.run(&op, &turned(&inputs, &upside)).same(&top.turned(upside), &["values", "indices"])?;
        let first = |_: &str, t: &Tensor| take(t, 1, &[0, 1, 2]);
        runner
            .run(&TopK { k: 3, ..op.clone() }, &inputs)
            .same_in_any_plan(&top.turned(first), &["values", "indices"])?;
        let smallest = TopK { largest: false, ..op };
        let negative = |t: &Tensor| map(t, |_, x| -x);
        let low = runner.run(&smallest, &change(&inputs, &["x"], negative));
        low.same_in_any_plan(
            &top.turned(|name, t| if name == "values" { negative(t) } else { t.clone() }),
            &["values", "indices"],
        )?;
    }
    Ok(())
}
