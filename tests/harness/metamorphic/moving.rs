//! Properties of what stands around attention: turned rows, caches, parts that are merged, and statistics.

use gatefold_core::attention::{AttentionMerge, Bias, Dims};
use gatefold_core::{Attention, AttentionStatistics, CacheAppend, RotaryEmbedding, Tensor, Tensors};

use super::{DIMS, Outcomes, Runner, change, draw, map, take, turned};

fn ints(dims: &[usize], element: impl Fn(usize) -> usize) -> Tensor {
    let words = (0..dims.iter().product()).map(|n| u32::try_from(element(n)).unwrap_or(u32::MAX));
    Tensor::u32(dims, words.collect::<Vec<_>>()).expect("as many as the shape says")
}

/// A row that is turned and turned back is itself, but for rounding; at position 0 nothing turns; batch entries, heads and tokens, with their
/// positions, do not know of each other.
pub fn a_turn_may_be_undone(runner: &Runner<'_>) -> Outcomes {
    let op = RotaryEmbedding { rotary_dim: 8, ..RotaryEmbedding::new(2, 3, 7, 12, 50) };
    let (cosines, sines) = op.caches(10_000.0).map_err(|e| e.to_string())?;
    let given = Tensors::new().with("cos_cache", cosines).with("sin_cache", sines);
    let inputs = draw(&op, 90, given.with("positions", ints(&[2, 7], |n| 3 * n)));
    let y = runner.run(&op, &inputs);
    let back = RotaryEmbedding { inverse: true, ..op.clone() };
    let restored = runner.run(&back, &inputs.clone().with("x", y.outputs["y"].clone()));
    let x = inputs["x"].to_f64();
    let largest = x.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    // a turn passes errors on; cosines and sines are themselves rounded
    let passed = 2.0 * (0..x.len()).map(|e| y.bound("y", e)).fold(0.0, f64::max) + 2f64.powi(-22) * largest;
    restored.within("y", |e| (x[e] - passed, x[e] + passed))?;
    let nowhere = inputs.clone().with("positions", ints(&[2, 7], |_| 0));
    let still = runner.run(&op, &nowhere);
    still.same_in_any_plan(&still.clone().with_output("y", inputs["x"].clone()), &["y"])?;
    let turn = |name: &str, t: &Tensor| match name {
        "x" | "y" => take(&take(&take(t, 0, &[1, 0]), 1, &[2, 0, 1]), 2, &[6, 5, 4, 3, 2, 1, 0]),
        "positions" => take(&take(t, 0, &[1, 0]), 1, &[6, 5, 4, 3, 2, 1, 0]),
        _ => t.clone(),
    };
    runner.run(&op, &turned(&inputs, &turn)).same(&y.turned(turn), &["y"])
}

/// Rows that are appended in two calls lie where one call would have put them.
pub fn a_cache_grows_in_pieces(runner: &Runner<'_>) -> Outcomes {
    let append = |seq| CacheAppend::new(2, 3, seq, 12, 20);
    let start = |more: usize| ints(&[2], move |b| [4, 9][b] + more);
    let inputs = draw(&append(7), 91, Tensors::new().with("lens", start(0)));
    let at_once = runner.run(&append(7), &inputs);
    let piece = |cache: &Tensor, from: usize, to: usize| {
        let rows = take(&inputs["x"], 2, &(from..to).collect::<Vec<_>>());
        let given = Tensors::new().with("cache", cache.clone()).with("x", rows).with("lens", start(from));
        runner.run(&append(to - from), &given)
    };
    let first = piece(&inputs["cache"], 0, 3);
    piece(&first.outputs["cache"], 3, 7).same_in_any_plan(&at_once, &["cache"])
}

/// Parts of keys may be merged in any order, one after another or all at once; a part alone is itself.
pub fn parts_merge_in_any_order(runner: &Runner<'_>) -> Outcomes {
    let (parts, rows, val_dim) = (3, 11, 12);
    let op = AttentionMerge::softmax(parts, rows, val_dim);
    let inputs = draw(&op, 92, Tensors::new());
    let whole = runner.run(&op, &inputs);
    let turn = |_: &str, t: &Tensor| take(t, 0, &[2, 0, 1]);
    runner.run(&op, &turned(&inputs, &turn)).near(&whole, &["o", "lse"])?;
    let some = |picks: &[usize]| turned(&inputs, &|_, t| take(t, 0, picks));
    let merged = |count: usize, given: &Tensors| runner.run(&AttentionMerge { parts: count, ..op.clone() }, given);
    let pair = merged(2, &some(&[0, 1]));
    let of =
        |t: &Tensor| Tensor::from_bytes(t.dtype(), [&[1], t.dims()].concat(), t.bytes()).expect("the same elements");
    let beside = |name: &str, last: &Tensor| super::join(&[&of(&pair.outputs[name]), last], 0);
    let last = some(&[2]);
    let given = Tensors::new()
        .with("o_parts", beside("o", &last["o_parts"]))
        .with("lse_parts", beside("lse", &last["lse_parts"]));
    merged(2, &given).near_with(&whole, "o", &[&pair])?;
    let sum = AttentionMerge::sigmoid(1, rows, val_dim);
    let alone = Tensors::new().with("o_parts", last["o_parts"].clone());
    let known =
        Tensor::from_bytes(last["o_parts"].dtype(), [rows, val_dim], last["o_parts"].bytes()).expect("one part");
    let out = runner.run(&sum, &alone);
    out.same_in_any_plan(&out.clone().with_output("o", known), &["o"])
}

/// Statistics of weights move with heads, queries and keys, and know no shift of scores; equal scores have the entropy of as many keys.
pub fn statistics_follow_the_weights(runner: &Runner<'_>) -> Outcomes {
    let op = AttentionStatistics::new(Attention::softmax(DIMS));
    let inputs = draw(&op, 93, Tensors::new());
    let found = runner.run(&op, &inputs);
    let all = ["importance", "entropy", "top_mass"];
    let heads = |name: &str, t: &Tensor| {
        let order: &[usize] = if name == "k" { &[1, 0] } else { &[2, 3, 0, 1] };
        take(&take(t, 0, &[2, 0, 1]), 1, order)
    };
    runner.run(&op, &turned(&inputs, &heads)).same(&found.turned(heads), &all)?;
    let back = |count: usize| (0..count).rev().collect::<Vec<_>>();
    let queries = |name: &str, t: &Tensor| {
        if matches!(name, "q" | "entropy" | "top_mass") { take(t, 2, &back(DIMS.seq_q)) } else { t.clone() }
    };
    let moved = runner.run(&op, &turned(&inputs, &queries));
    moved.same(&found.turned(queries), &["entropy", "top_mass"])?;
    moved.near(&found, &["importance"])?;
    let keys = |name: &str, t: &Tensor| {
        if matches!(name, "k" | "importance") { take(t, 2, &back(DIMS.seq_kv)) } else { t.clone() }
    };
    runner.run(&op, &turned(&inputs, &keys)).near(&found.turned(keys), &all)?;
    let shifted = AttentionStatistics::new(Attention { bias: Bias::Const(0.3), ..op.forward.clone() });
    runner.run(&shifted, &inputs).near(&found, &all)?;
    let equal = runner.run(&op, &change(&inputs, &["q"], |t| map(t, |_, _| 0.0)));
    let Dims { batch, q_heads, seq_q, seq_kv, .. } = DIMS;
    let known = |x: f64, per_row: usize| vec![x; batch * q_heads * per_row];
    equal.is("entropy", &known((seq_kv as f64).ln(), seq_q))?;
    equal.is("top_mass", &known(1.0 / seq_kv as f64, seq_q))?;
    equal.is("importance", &known(1.0 / seq_kv as f64, seq_kv))
}
