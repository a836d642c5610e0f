//! What must hold of re-weighted weights whatever the numbers.

use gatefold_core::Attention;
use gatefold_core::attention::{Causal, Dims, Normalizer, Reweight, Weight};
use gatefold_cpu_ref::data::Rng;
use gatefold_cpu_ref::{Reference, Values};

const PLAIN: Reweight = Reweight { power: 1, offset: 0.0, offset_rows: 0 };

fn inputs(dims: &Dims) -> Values<f64> {
    let mut rng = Rng::new(3, 78);
    let mut draw = |heads: usize, seq: usize, width: usize| {
        (0..dims.batch * heads * seq * width).map(|_| f64::from(rng.normal())).collect()
    };
    let q = draw(dims.q_heads, dims.seq_q, dims.head_dim);
    let k = draw(dims.kv_heads, dims.seq_kv, dims.head_dim);
    let v = draw(dims.kv_heads, dims.seq_kv, dims.val_dim);
    Values { floats: [("q".into(), q), ("k".into(), k), ("v".into(), v)].into(), ..Values::default() }
}

fn output(op: &Attention, inputs: &Values<f64>) -> Vec<f64> {
    op.eval(inputs).float("o").to_vec()
}

#[track_caller]
fn near(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "element {i}: {a} and {b}");
    }
}

/// The first power of what nothing is taken from changes nothing, whatever the weight.
#[test]
fn the_first_power_changes_nothing() {
    let dims = Dims { q_heads: 4, seq_q: 11, ..Dims::new(2, 2, 13, 6) };
    let given = inputs(&dims);
    for weight in [Weight::Softplus, Weight::Sigmoid, Weight::Relu, Weight::Taylor(4)] {
        let plain = Attention { weight, normalizer: Normalizer::RowSum, ..Attention::softmax(dims) };
        let measured = Attention { reweight: Some(PLAIN), ..plain.clone() };
        near(&output(&measured, &given), &output(&plain, &given));
    }
    let lssa = Attention::lssa(dims);
    near(&output(&Attention { reweight: Some(PLAIN), ..lssa.clone() }, &given), &output(&lssa, &given));
}

/// A power of relu is relu to that power.
#[test]
fn powers_are_powers() {
    let dims = Dims::new(1, 2, 19, 6);
    let given = inputs(&dims);
    let by_sum = |weight| Attention { weight, normalizer: Normalizer::RowSum, ..Attention::softmax(dims) };
    let cubed = Attention { reweight: Some(Reweight { power: 3, ..PLAIN }), ..by_sum(Weight::Relu) };
    near(&output(&cubed, &given), &output(&by_sum(Weight::ReluPower(3)), &given));
}

/// By the definition of the paper, term by term: N·p less 1, to the power, by its sum. The first three rows are free.
#[test]
fn rows_are_those_of_the_paper() {
    let dims = Dims::new(1, 1, 23, 4);
    let given = inputs(&dims);
    for power in [1, 3, 15] {
        let op = Attention {
            weight: Weight::Softplus,
            normalizer: Normalizer::RowSum,
            causal: Causal::TopLeft,
            reweight: Some(Reweight { power, ..Reweight::LSSAR }),
            ..Attention::softmax(dims)
        };
        let o = output(&op, &given);
        let row = |name: &str, i: usize| &given.float(name)[i * 4..i * 4 + 4];
        for i in 0..23 {
            let dot = |j: usize| -> f64 { row("q", i).iter().zip(row("k", j)).map(|(x, y)| x * y).sum() };
            let a: Vec<f64> = (0..=i).map(|j| (0.5 * dot(j)).exp().ln_1p()).collect();
            let (sum, n) = (a.iter().sum::<f64>(), (i + 1) as f64);
            let offset = if i < 3 { 0.0 } else { 1.0 };
            let t: Vec<f64> = a.iter().map(|a| (n * a / sum - offset).max(0.0).powi(power.cast_signed())).collect();
            let total: f64 = t.iter().sum();
            let expected: Vec<f64> =
                (0..4).map(|d| t.iter().enumerate().map(|(j, t)| t / total * row("v", j)[d]).sum()).collect();
            near(&o[i * 4..i * 4 + 4], &expected);
        }
    }
}

/// Rows whose keys are all alike keep their own weights: means of the values.
#[test]
fn even_rows_keep_their_weights() {
    let dims = Dims::new(1, 2, 17, 4);
    let given = inputs(&dims);
    let even = |op: Attention| Attention { scale: Some(0.0), ..op };
    near(&output(&even(Attention::lssar(dims)), &given), &output(&even(Attention::lssa(dims)), &given));
}
