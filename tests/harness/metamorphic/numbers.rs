//! Properties of numbers: what scales, shifts, adds up, and what weights may be.

use gatefold_core::attention::{AttentionMerge, Bias, Dims, Weight};
use gatefold_core::{Attention, Dtype, Op, Tensor, Tensors};

use super::{DIMS, Outcomes, Runner, SQUARE, both, change, draw, gradient, join, map, of, saved, specs, take, turned};

/// A value for every element of a tensor.
fn all(t: &Tensor, x: f32) -> Tensor {
    map(t, |_, _| x)
}

/// Unit vectors as values: then a row of the output is the row of weights.
pub(crate) fn unit_vectors(t: &Tensor) -> Tensor {
    let (keys, width) = (t.dims()[2], t.dims()[3]);
    map(t, |e, _| f32::from(e / width % keys == e % width))
}

/// Scores that are exact in f32, so that a constant may be added to all of them.
fn an_exact_shift_changes_no_bit(runner: &Runner<'_>) -> Outcomes {
    let op = Attention { scale: Some(1.0), ..Attention::softmax(DIMS).saving(true) };
    let small = |t: &Tensor| map(t, |_, x| x.clamp(-2.0, 2.0).round());
    let inputs = change(&draw(&op, 10, Tensors::new()), &["q", "k"], small);
    let shifted = Attention { bias: Bias::Const(-64.0), ..op.clone() };
    let (o, of_shifted) = (runner.run(&op, &inputs), runner.run(&shifted, &inputs));
    of_shifted.same(&o, &["o"])?;
    let mut moved = o.clone();
    moved.outputs.insert("lse", map(&o.outputs["lse"], |_, x| x - 64.0));
    of_shifted.near(&moved, &["lse"])
}

/// Of softmax: a constant on every score. Bit by bit if scores stay exact; else near.
pub fn a_shift_changes_nothing(runner: &Runner<'_>) -> Outcomes {
    an_exact_shift_changes_no_bit(runner)?;
    let op = Attention::softmax(DIMS).saving(true);
    let inputs = draw(&gradient(&op), 11, Tensors::new());
    let shifted = Attention { bias: Bias::Const(0.3), ..op.clone() };
    let of_shifted = gradient(&shifted);
    let again = draw(&of_shifted, 11, Tensors::new());
    let ([o, d], [shifted_o, shifted_d]) = (both(runner, &op, &inputs), both(runner, &shifted, &again));
    shifted_o.near(&o, &["o"])?;
    shifted_d.near(&d, &["d_q", "d_k", "d_v"])
}

/// Powers of two on values go through, bit by bit where no f16 number is too small to be normal.
pub fn values_scale(runner: &Runner<'_>) -> Outcomes {
    for op in specs(runner, DIMS) {
        let inputs = draw(&gradient(&op), 12, Tensors::new());
        for factor in [8.0, 0.25] {
            let times = |t: &Tensor| map(t, |_, x| factor * x);
            let turn = |name: &str, t: &Tensor| if matches!(name, "o" | "d_q" | "d_k") { times(t) } else { t.clone() };
            let [o, d] = both(runner, &op, &inputs);
            let [scaled_o, scaled_d] = both(runner, &op, &change(&inputs, &["v", "o"], times));
            let (o, d) = (o.turned(turn), d.turned(turn));
            if op.dtype == Dtype::F16 {
                scaled_o.near(&o, &saved(&op))?;
                scaled_d.near(&d, &["d_q", "d_k", "d_v"])?;
            } else {
                scaled_o.same(&o, &saved(&op))?;
                scaled_d.same(&d, &["d_q", "d_k", "d_v"])?;
            }
        }
    }
    Ok(())
}

/// The output is linear in the values, whose sum is exact here.
pub fn values_add_up(runner: &Runner<'_>) -> Outcomes {
    for op in specs(runner, DIMS) {
        let coarse = |t: &Tensor| map(t, |_, x| (64.0 * x).round() / 64.0);
        let [one, other] = [13, 14].map(|seed| change(&draw(&op, seed, Tensors::new()), &["v"], coarse));
        let (a, b) = (one["v"].to_f32(), other["v"].to_f32());
        let sum = change(&one, &["v"], |t| map(t, |e, _| a[e] + b[e]));
        let other = change(&one, &["v"], |_| other["v"].clone());
        let [one, other, sum] = [one, other, sum].map(|inputs| runner.run(&op, &inputs));
        sum.near_sum_of(&[&one, &other], "o")?;
    }
    Ok(())
}

/// A power of two may move from keys to queries.
pub fn queries_and_keys_scale(runner: &Runner<'_>) -> Outcomes {
    for op in specs(runner, DIMS) {
        let inputs = draw(&gradient(&op), 15, Tensors::new());
        let scaled = |t: &Tensor, factor: f32| map(t, |_, x| factor * x);
        let up = change(&change(&inputs, &["q"], |t| scaled(t, 4.0)), &["k"], |t| scaled(t, 0.25));
        let turn = |name: &str, t: &Tensor| match name {
            "d_q" => scaled(t, 0.25),
            "d_k" => scaled(t, 4.0),
            _ => t.clone(),
        };
        let ([o, d], [up_o, up_d]) = (both(runner, &op, &inputs), both(runner, &op, &up));
        if op.dtype == Dtype::F16 {
            up_o.near(&o, &saved(&op))?;
            up_d.near(&d.turned(turn), &["d_q", "d_k", "d_v"])?;
        } else {
            up_o.same(&o, &saved(&op))?;
            up_d.same(&d.turned(turn), &["d_q", "d_k", "d_v"])?;
        }
    }
    Ok(())
}

/// Weights that are normalised add up to 1; they lie between 0 and 1, so outputs lie among the values.
pub fn weights_are_shares(runner: &Runner<'_>) -> Outcomes {
    for op in specs(runner, SQUARE) {
        let inputs = draw(&op, 16, Tensors::new());
        if op.weight != Weight::Sigmoid {
            let ones = runner.run(&op, &change(&inputs, &["v"], |t| all(t, 1.0)));
            ones.is("o", &vec![1.0; ones.outputs["o"].len()])?;
        }
        let weights = runner.run(&op, &change(&inputs, &["v"], unit_vectors));
        weights.within("o", |_| (0.0, 1.0))?;
        let o = runner.run(&op, &inputs);
        let (values, rows) = (inputs["v"].to_f64(), SQUARE.seq_kv);
        // heads do not share values here
        let of_column = |e: usize| {
            let (head, d) = (e / (SQUARE.seq_q * SQUARE.val_dim), e % SQUARE.val_dim);
            (0..rows).map(move |j| (head * rows + j) * SQUARE.val_dim + d)
        };
        let zero = if op.weight == Weight::Sigmoid { continue } else { f64::INFINITY };
        o.within("o", |e| of_column(e).fold((zero, -zero), |(a, b), at| (a.min(values[at]), b.max(values[at]))))?;
    }
    Ok(())
}

/// Equal scores have equal weights, bit by bit: one over the number of keys, or the weight of the bias.
pub fn equal_scores_weigh_the_same(runner: &Runner<'_>) -> Outcomes {
    for op in specs(runner, SQUARE) {
        // zero is not positive: relu's weights are those of a bias
        let bias = if op.weight == Weight::Softmax { Bias::Const(0.0) } else { Bias::Const(1.5) };
        let op = Attention { bias, ..op };
        let inputs = change(&draw(&op, 17, Tensors::new()), &["q"], |t| all(t, 0.0));
        let o = runner.run(&op, &change(&inputs, &["v"], unit_vectors));
        let weights = o.outputs["o"].to_f64();
        if let Some(other) = weights.iter().position(|w| w.to_bits() != weights[0].to_bits()) {
            return Err(format!("{}: weight {other} is {:e}, the first {:e}", op.label(), weights[other], weights[0]));
        }
        let known = if op.weight == Weight::Sigmoid { 1.0 / (1.0 + (-1.5f64).exp()) } else { 1.0 / 12.0 };
        o.is("o", &vec![known; weights.len()])?;
    }
    Ok(())
}

/// One key has all of softmax's weight: its value comes out, but for 8 roundings (1/1 need not be 1 in WGSL).
pub fn one_key_is_the_output(runner: &Runner<'_>) -> Outcomes {
    let dims = Dims { seq_kv: 1, ..DIMS };
    for op in specs(runner, dims).into_iter().filter(|op| op.weight == Weight::Softmax) {
        let inputs = draw(&op, 18, Tensors::new());
        let (o, v) = (runner.run(&op, &inputs).outputs["o"].to_f64(), inputs["v"].to_f64());
        let unit = if op.dtype == Dtype::F16 { 2f64.powi(-11) } else { 2f64.powi(-24) };
        for (e, &got) in o.iter().enumerate() {
            let (head, d) = (e / (dims.seq_q * dims.val_dim), e % dims.val_dim);
            let value = v[head / 2 * dims.val_dim + d];
            if (got - value).abs() > 8.0 * unit * value.abs() {
                return Err(format!("{}: o[{e}]: {got:e}, the value is {value:e}", op.label()));
            }
        }
    }
    Ok(())
}

/// Heads that share keys and values see what they would of copies; the gradient of a shared row is the sum of its copies'.
pub fn shared_heads_are_copies(runner: &Runner<'_>) -> Outcomes {
    for op in specs(runner, DIMS) {
        let inputs = draw(&gradient(&op), 19, Tensors::new());
        let copied = Attention { dims: Dims { kv_heads: 4, ..DIMS }, ..op.clone() };
        let copies = change(&inputs, &["k", "v"], |t| take(t, 1, &[0, 0, 1, 1]));
        let ([o, d], [copied_o, copied_d]) = (both(runner, &op, &inputs), both(runner, &copied, &copies));
        copied_o.alike(&o, &saved(&op))?;
        copied_d.alike(&d, &["d_q"])?;
        let heads =
            |which: [usize; 2]| copied_d.turned(|name, t| if name == "d_q" { t.clone() } else { take(t, 1, &which) });
        for name in ["d_k", "d_v"] {
            d.near_sum_of(&[&heads([0, 2]), &heads([1, 3])], name)?;
        }
    }
    Ok(())
}

/// A key that comes twice counts as one with ln 2 on its scores.
pub fn a_key_twice_is_one_and_ln_2(runner: &Runner<'_>) -> Outcomes {
    for op in specs(runner, DIMS).into_iter().filter(|op| op.weight == Weight::Softmax) {
        let once = Attention { key_bias: true, ..op };
        let twice = Attention { dims: Dims { seq_kv: DIMS.seq_kv + 1, ..DIMS }, ..once.clone() };
        let drawn = draw(&once, 20, Tensors::new());
        let none = change(&drawn, &["key_bias"], |t| all(t, 0.0));
        let more = change(&none, &["k", "v"], |t| join(&[t, &take(t, 2, &[5])], 2));
        let more = change(&more, &["key_bias"], |t| join(&[t, &take(t, 1, &[0])], 1));
        let heavier = |t: &Tensor| map(t, |e, x| if e % DIMS.seq_kv == 5 { std::f32::consts::LN_2 } else { x });
        let one = runner.run(&once, &change(&none, &["key_bias"], heavier));
        runner.run(&twice, &more).near(&one, &["o", "lse"])?;
    }
    Ok(())
}

/// The weights that the gradient forms anew are those of the forward pass: bit by bit where they are functions of their own scores; softmax's are
/// `exp(z − lse)` here and `exp(z − m)/Σ` there, and near.
pub fn weights_formed_anew_are_the_same(runner: &Runner<'_>) -> Outcomes {
    for op in specs(runner, SQUARE) {
        let inputs = change(&draw(&gradient(&op), 21, Tensors::new()), &["v", "d_o"], unit_vectors);
        let o = runner.run(&op, &of(&op, &inputs));
        // column i of d_v is row i of the weights
        let columns = |t: &Tensor| {
            let (x, n) = (t.to_f32(), SQUARE.seq_kv);
            map(t, |e, _| x[e / (n * n) * n * n + e % n * n + e / n % n])
        };
        let formed =
            runner.run(&gradient(&op), &inputs).turned(|name, t| if name == "d_v" { columns(t) } else { t.clone() });
        let formed = formed.renamed("d_v", "o");
        // a GPU's compiler may join a product and a sum in one kernel and not in the other
        if op.weight == Weight::Sigmoid && runner.is_software() {
            formed.same_in_any_plan(&o, &["o"])?;
        } else {
            formed.near(&o, &["o"])?;
        }
    }
    Ok(())
}

/// Keys may be split between calls. With a part that saw no key the other comes out bit by bit; parts of sigmoid are added up.
pub fn parts_merge(runner: &Runner<'_>) -> Outcomes {
    for op in specs(runner, DIMS).into_iter().filter(|op| op.weight != Weight::Relu) {
        let inputs = draw(&op, 22, Tensors::new());
        let (lse, rows) = (op.lse, DIMS.batch * DIMS.q_heads * DIMS.seq_q);
        let merge = AttentionMerge { parts: 2, rows, val_dim: DIMS.val_dim, lse, dtype: op.dtype };
        let part = |keys: std::ops::Range<usize>| {
            let op = Attention { dims: Dims { seq_kv: keys.len(), ..DIMS }, ..op.clone() };
            let keys: Vec<usize> = keys.collect();
            runner.run(&op, &change(&inputs, &["k", "v"], |t| take(t, 2, &keys)))
        };
        let flat = |t: &Tensor, width: &[usize]| {
            Tensor::from_bytes(t.dtype(), [&[1, rows], width].concat(), t.bytes()).expect("the same elements")
        };
        let merged = |a: &Tensors, b: &Tensors| {
            let beside = |name: &str, width: &[usize]| join(&[&flat(&a[name], width), &flat(&b[name], width)], 0);
            let parts = Tensors::new().with("o_parts", beside("o", &[DIMS.val_dim]));
            let parts = if lse { parts.with("lse_parts", beside("lse", &[])) } else { parts };
            runner.run(&merge, &parts).turned(|name, t| {
                let dims = if name == "o" { vec![3, 4, 20, 12] } else { vec![3, 4, 20] };
                Tensor::from_bytes(t.dtype(), dims, t.bytes()).expect("the same elements")
            })
        };
        let (a, b, whole) = (part(0..20), part(20..37), runner.run(&op, &inputs));
        merged(&a.outputs, &b.outputs).near_with(&whole, "o", &[&a, &b])?;
        if lse {
            let unseen = turned(&a.outputs, &|name, t| all(t, if name == "o" { f32::NAN } else { f32::NEG_INFINITY }));
            merged(&a.outputs, &unseen).same_in_any_plan(&a, &["o", "lse"])?;
        } else {
            let (x, y) = (a.outputs["o"].to_f32(), b.outputs["o"].to_f32());
            let sum = a.turned(|_, t| map(t, |e, _| x[e] + y[e]));
            merged(&a.outputs, &b.outputs).same_in_any_plan(&sum, &["o"])?;
        }
    }
    Ok(())
}
