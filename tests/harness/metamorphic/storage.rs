//! Properties of where and how tensors are stored: caches in pages and in place, rows of tokens first, transposed matrices, keys and values in
//! int8. And of dropout, whose mask depends on places.

use gatefold_core::attention::{CacheAppend, Dims, Dropout, RowLayout, Scales, Sequences, Storage};
use gatefold_core::{Attention, Dtype, Gemm, Op, RotaryEmbedding, Tensor, Tensors};

use super::{DIMS, Outcomes, Runner, SQUARE, change, draw, gradient, map, saved, specs, take, unit_vectors};

fn ints(dims: &[usize], element: impl Fn(usize) -> u32) -> Tensor {
    Tensor::u32(dims, (0..dims.iter().product()).map(element).collect::<Vec<_>>()).expect("as many as the shape says")
}

/// A cache may lie in any pages, if the table says so.
pub fn pages_may_be_permuted(runner: &Runner<'_>) -> Outcomes {
    let (page, pages) = (8, 15);
    for op in specs(runner, DIMS) {
        let op = Attention { sequences: Sequences::Paged { page, pages }, ..op };
        let place = |n: usize| u32::try_from(n).unwrap_or_default();
        let given = Tensors::new().with("lens_kv", ints(&[3], |b| [37, 0, 19][b]));
        let table = ints(&[3, 5], place);
        let inputs = draw(&op, 42, given.with("block_table", table));
        // page n comes to lie at 4·n + 7, modulo 15
        let from: Vec<usize> =
            (0..pages).map(|to| (0..pages).find(|n| (4 * n + 7) % pages == to).unwrap_or(0)).collect();
        let moved = change(&inputs, &["k", "v"], |t| take(t, 0, &from));
        let moved = moved.with("block_table", ints(&[3, 5], |n| place((4 * n + 7) % pages)));
        runner.run(&op, &moved).same(&runner.run(&op, &inputs), &saved(&op))?;
    }
    Ok(())
}

/// Rows that are appended to a cache, in place, are those of a sequence that was whole from the beginning.
pub fn a_cache_in_place_is_the_sequence(runner: &Runner<'_>) -> Outcomes {
    let (before, room) = (20, 44);
    for op in specs(runner, DIMS) {
        let inputs = draw(&op, 43, Tensors::new());
        let append = CacheAppend { dtype: op.dtype, ..CacheAppend::new(3, 2, 17, 12, room) };
        let cached = |t: &Tensor| {
            // what is not written yet may hold anything
            let rows: Vec<usize> = (0..room).map(|row| row.min(before - 1)).collect();
            let cache = map(&take(t, 2, &rows), |e, x| if e / 12 % room < before { x } else { f32::NAN });
            let new = take(t, 2, &(before..37).collect::<Vec<_>>());
            let given = Tensors::new().with("cache", cache).with("x", new).with("lens", ints(&[3], |_| 20));
            runner.run(&append, &given).outputs["cache"].clone()
        };
        let held = Attention {
            dims: Dims { seq_kv: room, ..DIMS },
            sequences: Sequences::Padded { q: false, kv: true },
            ..op.clone()
        };
        let of_cache = change(&inputs, &["k", "v"], cached).with("lens_kv", ints(&[3], |_| 37));
        runner.run(&held, &of_cache).alike(&runner.run(&op, &inputs), &saved(&op))?;
    }
    Ok(())
}

/// `[a, b, …]` as `[b, a, …]` within each of the outermost.
fn swapped(t: &Tensor) -> Tensor {
    let [outer, a, b, width] =
        [t.dims()[0], t.dims()[1], t.dims()[2], t.len() / t.dims()[..3].iter().product::<usize>()];
    let x = t.to_f32();
    let dims = [&[outer, b, a], &t.dims()[3..]].concat();
    let at = |e: usize| {
        let (row, d) = (e / width, e % width);
        let (o, within) = (row / (a * b), row % (a * b));
        ((o * a + within % a) * b + within / a) * width + d
    };
    Tensor::float(t.dtype(), dims, (0..x.len()).map(|e| x[at(e)]).collect::<Vec<_>>()).expect("the same elements")
}

/// Rows may lie by tokens or by heads.
pub fn tokens_may_come_first(runner: &Runner<'_>) -> Outcomes {
    let by_heads = RotaryEmbedding { rotary_dim: 8, ..RotaryEmbedding::new(2, 3, 7, 12, 50) };
    let by_tokens = RotaryEmbedding { layout: RowLayout::TokensFirst, ..by_heads.clone() };
    let positions = ints(&[2, 7], |n| u32::try_from(3 * n).unwrap_or_default());
    let inputs = draw(&by_heads, 44, Tensors::new().with("positions", positions));
    let y = runner.run(&by_heads, &inputs).turned(|_, t| swapped(t));
    runner.run(&by_tokens, &change(&inputs, &["x"], swapped)).same_in_any_plan(&y, &["y"])
}

/// Either factor of a product may be stored transposed.
pub fn factors_may_be_transposed(runner: &Runner<'_>) -> Outcomes {
    let plain = Gemm { batch: 2, bias: true, ..Gemm::new(33, 36, 40) };
    let inputs = draw(&plain, 45, Tensors::new());
    let c = runner.run(&plain, &inputs);
    let transposed = |t: &Tensor| {
        let [batch, rows, columns] = [t.dims()[0], t.dims()[1], t.dims()[2]];
        let flat = Tensor::from_bytes(t.dtype(), [batch, rows, columns, 1], t.bytes()).expect("the same elements");
        Tensor::from_bytes(t.dtype(), [batch, columns, rows], swapped(&flat).bytes()).expect("the same elements")
    };
    let left = Gemm { transpose_a: true, ..plain.clone() };
    let right = Gemm { transpose_b: true, ..plain.clone() };
    runner.run(&left, &change(&inputs, &["a"], transposed)).near(&c, &["c"])?;
    runner.run(&right, &change(&inputs, &["b"], transposed)).near(&c, &["c"])
}

/// Words of int8 and scales of a few bits, so that their product is exact in f32.
fn words(seed: u64, op: &Attention) -> Tensors {
    let random = |n: usize| u32::try_from(crate::profile::mix(seed << 32 | n as u64) >> 32).unwrap_or_default();
    let given = op.operands().into_iter().filter(|o| matches!(o.name, "k" | "v"));
    let given: Tensors = given.map(|o| (o.name.to_string(), ints(&o.dims, random))).collect();
    let scale = |t: &Tensor| map(t, |e, _| (1.0 + (e % 8) as f32 / 8.0) / if e % 3 == 0 { -64.0 } else { 64.0 });
    change(&draw(op, seed, given), &["k_scale", "v_scale"], scale)
}

/// The elements that words and scales of them stand for.
fn elements(op: &Attention, name: &str, inputs: &Tensors) -> Tensor {
    let (words, scales, [b, h, s]) =
        (&inputs[name], inputs[&format!("{name}_scale")].to_f32(), [DIMS.batch, DIMS.kv_heads, DIMS.seq_kv]);
    let bytes = words.as_u32().unwrap_or_default().iter().flat_map(|w| w.to_le_bytes());
    let of_row = |row: usize| match op.storage.scales() {
        Some(Scales::PerHead) => scales[row / s % h],
        _ => scales[row],
    };
    let numbers: Vec<f32> =
        bytes.enumerate().map(|(e, n)| f32::from(i8::from_le_bytes([n])) * of_row(e / 12)).collect();
    Tensor::float(op.dtype, [b, h, s, 12], numbers).expect("three words a row")
}

/// Powers of two on the scales of keys and values go through, bit by bit, and numbers stand for the elements that they are scaled to.
pub fn int8_scales(runner: &Runner<'_>) -> Outcomes {
    let all = specs(runner, DIMS).into_iter().filter(|op| op.dtype == Dtype::F32);
    let stored = |op: Attention| {
        [Storage::INT8_PER_TOKEN, Storage::INT8_PER_HEAD].map(|s| Attention { storage: s, ..op.clone() })
    };
    for op in all.flat_map(stored) {
        let inputs = words(46, &op);
        let o = runner.run(&op, &inputs);
        let times = |factor: f32| move |t: &Tensor| map(t, |_, x| factor * x);
        let doubled = o.turned(|name, t| if name == "o" { times(2.0)(t) } else { t.clone() });
        runner.run(&op, &change(&inputs, &["v_scale"], times(2.0))).same(&doubled, &saved(&op))?;
        let moved = change(&change(&inputs, &["k_scale"], times(4.0)), &["q"], times(0.25));
        runner.run(&op, &moved).same(&o, &saved(&op))?;
        let floats = Attention { storage: Storage::Float, ..op.clone() };
        let given = Tensors::new().with("q", inputs["q"].clone());
        let given = given.with("k", elements(&op, "k", &inputs)).with("v", elements(&op, "v", &inputs));
        runner.run(&floats, &given).near(&o, &saved(&op))?;
    }
    Ok(())
}

/// What is kept counts `1/(1 − p)` times, bit by bit where that is a power of two; what is kept at a larger probability is kept at a smaller one;
/// the gradient drops the same pairs.
pub fn kept_weights_scale(runner: &Runner<'_>) -> Outcomes {
    for op in specs(runner, SQUARE).into_iter().filter(|op| op.dtype == Dtype::F32) {
        let dropping = |probability| Attention { dropout: Some(Dropout::new(probability, 4711)), ..op.clone() };
        let inputs = change(&draw(&gradient(&op), 47, Tensors::new()), &["v", "d_o"], unit_vectors);
        let [plain, half, most] = [op.clone(), dropping(0.5), dropping(0.75)]
            .map(|op| runner.run(&op, &super::of(&op, &inputs)).outputs["o"].to_f32());
        let d_v = runner.run(&gradient(&dropping(0.5)), &inputs).outputs["d_v"].to_f32();
        let (n, mut kept) = (SQUARE.seq_kv, 0);
        for e in 0..plain.len() {
            let within = [half[e], most[e]].iter().zip([2.0, 4.0]).all(|(&x, by)| x == 0.0 || x == by * plain[e]);
            // column i of d_v is row i of the weights
            let back = d_v[e / (n * n) * n * n + e % n * n + e / n % n];
            if !within || (most[e] != 0.0 && half[e] == 0.0) || (back == 0.0) != (half[e] == 0.0) {
                return Err(format!(
                    "o[{e}]: {:e}, {:e} of half, {:e} of a quarter, {back:e} back",
                    plain[e], half[e], most[e]
                ));
            }
            kept += usize::from(half[e] != 0.0);
        }
        let seen = plain.iter().filter(|&&x| x != 0.0).count();
        if !(2 * seen..3 * seen).contains(&(5 * kept)) {
            return Err(format!("{kept} of {seen} weights are kept at 0.5"));
        }
    }
    Ok(())
}
