//! Properties of products, plain and by expert, and of what stands between two of them.

use gatefold_core::routing::ExpertFunction;
use gatefold_core::{ExpertActivation, Gemm, GroupedGemm, GroupedGemmWeights, Tensor, Tensors};

use super::{Outcomes, Runner, change, draw, join, map, take, turned};

fn backwards(count: usize) -> Vec<usize> {
    (0..count).rev().collect()
}

/// Rows of `a`, columns of `b` and entries of the batch do not know of each other.
pub fn rows_and_columns_may_be_permuted(runner: &Runner<'_>) -> Outcomes {
    let (m, n) = (33, 38);
    for transpose_b in [false, true] {
        let op = Gemm { batch: 2, bias: true, transpose_b, ..Gemm::new(m, n, 40) };
        let inputs = draw(&op, 80, Tensors::new());
        let c = runner.run(&op, &inputs);
        let rows =
            |name: &str, t: &Tensor| if matches!(name, "a" | "c") { take(t, 1, &backwards(m)) } else { t.clone() };
        runner.run(&op, &turned(&inputs, &rows)).same(&c.turned(rows), &["c"])?;
        let columns = |name: &str, t: &Tensor| match name {
            "bias" => take(t, 0, &backwards(n)),
            "b" if transpose_b => take(t, 1, &backwards(n)),
            "b" | "c" => take(t, 2, &backwards(n)),
            _ => t.clone(),
        };
        runner.run(&op, &turned(&inputs, &columns)).same(&c.turned(columns), &["c"])?;
        let entries = |name: &str, t: &Tensor| if name == "bias" { t.clone() } else { take(t, 0, &[1, 0]) };
        runner.run(&op, &turned(&inputs, &entries)).same(&c.turned(entries), &["c"])?;
    }
    Ok(())
}

/// Powers of two go through, in either factor and in α; terms that are zero change nothing; a sum of factors gives a sum of products.
pub fn products_are_linear(runner: &Runner<'_>) -> Outcomes {
    let op = Gemm { batch: 2, ..Gemm::new(33, 36, 40) };
    let inputs = draw(&op, 81, Tensors::new());
    let c = runner.run(&op, &inputs);
    let times = |t: &Tensor| map(t, |_, x| 4.0 * x);
    let scaled = c.turned(|_, t| times(t));
    runner.run(&op, &change(&inputs, &["a"], times)).same(&scaled, &["c"])?;
    runner.run(&op, &change(&inputs, &["b"], times)).same(&scaled, &["c"])?;
    runner.run(&Gemm { alpha: 4.0, ..op.clone() }, &inputs).same(&scaled, &["c"])?;
    let none =
        |dims: [usize; 3]| Tensor::f32(dims, vec![0.0; dims.iter().product()]).expect("as many as the shape says");
    let padded = Tensors::new()
        .with("a", join(&[&inputs["a"], &none([2, 33, 9])], 2))
        .with("b", join(&[&inputs["b"], &none([2, 9, 36])], 1));
    runner.run(&Gemm { k: 49, ..op.clone() }, &padded).near(&c, &["c"])?;
    let coarse = |t: &Tensor| map(t, |_, x| (64.0 * x).round() / 64.0);
    let [one, other] = [82, 83].map(|seed| change(&draw(&op, seed, Tensors::new()), &["a"], coarse));
    let (a, b) = (one["a"].to_f32(), other["a"].to_f32());
    let sum = change(&one, &["a"], |t| map(t, |e, _| a[e] + b[e]));
    let other = change(&one, &["a"], |_| other["a"].clone());
    let [one, other, sum] = [one, other, sum].map(|inputs| runner.run(&op, &inputs));
    sum.near_sum_of(&[&one, &other], "c")
}

fn offsets(words: &[u32]) -> Tensor {
    Tensor::u32([words.len()], words).expect("one more than experts")
}

/// Experts may be relabelled with their rows, rows of an expert permuted; an expert alone is a plain product, and powers of two go through. So it is
/// with the gradients of the weights, whose sums are taken in another order then.
pub fn experts_products_stand_for_themselves(runner: &Runner<'_>) -> Outcomes {
    let (rows, n, k) = (40, 20, 24);
    let op = GroupedGemm { bias: true, ..GroupedGemm::new(3, rows, n, k) };
    let inputs = draw(&op, 84, Tensors::new().with("offsets", offsets(&[0, 7, 7, 40])));
    let y = runner.run(&op, &inputs);
    // the last expert comes first, its rows backwards; the one without rows stays without
    let order: Vec<usize> = (7..40).rev().chain(0..7).collect();
    let moved = |name: &str, t: &Tensor| match name {
        "offsets" => offsets(&[0, 33, 33, 40]),
        "w" | "bias" | "d_w" | "d_bias" => take(t, 0, &[2, 1, 0]),
        _ => take(t, 0, &order),
    };
    runner.run(&op, &turned(&inputs, &moved)).same(&y.turned(moved), &["y"])?;
    let times = |t: &Tensor| map(t, |_, x| 4.0 * x);
    let scaled = runner.run(&op, &change(&inputs, &["x", "bias"], times));
    scaled.same(&y.turned(|_, t| times(t)), &["y"])?;

    let single = GroupedGemm::new(1, rows, n, k);
    let inputs = draw(&single, 85, Tensors::new().with("offsets", offsets(&[0, 40])));
    let shaped =
        |t: &Tensor, dims: [usize; 3]| Tensor::from_bytes(t.dtype(), dims, t.bytes()).expect("the same elements");
    let given = Tensors::new().with("a", shaped(&inputs["x"], [1, rows, k])).with("b", inputs["w"].clone());
    let plain = runner.run(&Gemm::new(rows, n, k), &given).renamed("c", "y");
    let flat = plain.turned(|_, t| Tensor::from_bytes(t.dtype(), [rows, n], t.bytes()).expect("the same elements"));
    runner.run(&single, &inputs).near(&flat, &["y"])?;

    let op = GroupedGemmWeights { bias: true, ..GroupedGemmWeights::new(3, rows, n, k) };
    let inputs = draw(&op, 86, Tensors::new().with("offsets", offsets(&[0, 7, 7, 40])));
    let gradient = runner.run(&op, &inputs).turned(moved);
    runner.run(&op, &turned(&inputs, &moved)).near(&gradient, &["d_w", "d_bias"])
}

/// Rows may be permuted; a gated function is linear in its up; that of an up of 1 is the function itself.
pub fn activations_go_by_rows(runner: &Runner<'_>) -> Outcomes {
    let (rows, width) = (9, 10);
    for function in ExpertFunction::ALL {
        let op = ExpertActivation::new(function, rows, width);
        let inputs = draw(&op, 87, Tensors::new());
        let y = runner.run(&op, &inputs);
        let turn = |_: &str, t: &Tensor| take(t, 0, &backwards(rows));
        runner.run(&op, &turned(&inputs, &turn)).same(&y.turned(turn), &["y"])?;
    }
    for (gated, alone) in
        [(ExpertFunction::SwiGlu, ExpertFunction::Silu), (ExpertFunction::GeGlu, ExpertFunction::Gelu)]
    {
        let op = ExpertActivation::new(gated, rows, width);
        let inputs = draw(&op, 88, Tensors::new());
        let up = |e: usize| e % (2 * width) >= width;
        let y = runner.run(&op, &inputs);
        let more = change(&inputs, &["h"], |t| map(t, |e, x| if up(e) { 4.0 * x } else { x }));
        runner.run(&op, &more).same(&y.turned(|_, t| map(t, |_, x| 4.0 * x)), &["y"])?;
        let ones = change(&inputs, &["h"], |t| map(t, |e, x| if up(e) { 1.0 } else { x }));
        let gate = change(&inputs, &["h"], |t| take(t, 1, &(0..width).collect::<Vec<_>>()));
        runner.run(&op, &ones).near(&runner.run(&ExpertActivation::new(alone, rows, width), &gate), &["y"])?;
    }
    Ok(())
}
