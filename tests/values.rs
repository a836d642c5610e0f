//! What special values do: each line of the table in `docs/numerics.md`.

use gatefold_core::attention::{Causal, Dims, SCALE_LIMIT, ScoreBias, Sequences, Storage, Weight, pack_int8};
use gatefold_core::{
    Attention, AttentionBackward, Dtype, Op, Role, RowFunction, Rowwise, RowwiseBackward, Tensor, Tensors,
};
use gatefold_cpu_ref::data::{Family, Rng};
use gatefold_cpu_ref::{Reference, bounded_as};
use gatefold_shaders::Kernels;
use gatefold_tests::compare::{compare, same_bits};
use gatefold_tests::gpu;

const WEIGHTS: [Weight; 2] = [Weight::Softmax, Weight::Sigmoid];
const SEQ: usize = 37;
const DIM: usize = 8;

fn spec(weight: Weight) -> Attention {
    Attention { weight, lse: weight == Weight::Softmax, ..Attention::softmax(Dims::new(1, 1, SEQ, DIM)) }
}

/// Normal numbers for every float input, nothing hidden.
fn draw<O: Op>(op: &O) -> Tensors {
    let mut rng = Rng::new(17, 3);
    let inputs = op.operands().into_iter().filter(|o| o.role == Role::Input && o.dtype != Dtype::U32);
    let drawn = inputs.map(|o| {
        let numbers = Family::Normal(1.0).fill(&mut rng, o.len(), 1);
        (o.name.to_string(), Tensor::float(o.dtype, o.dims, numbers).unwrap())
    });
    drawn.collect()
}

/// An input with some elements changed.
fn put(inputs: &Tensors, name: &str, change: impl Fn(&mut [f32])) -> Tensors {
    let mut numbers = inputs[name].to_f32();
    change(&mut numbers);
    inputs.clone().with(name, Tensor::f32(inputs[name].dims(), numbers).unwrap())
}

/// Runs on the adapter, and checks against the reference besides.
fn run<O: Reference + Kernels>(op: &O, inputs: &Tensors) -> Tensors {
    let outputs = gpu().run_tensors(op, inputs).unwrap();
    let rounds_weights = gpu().plan(op).unwrap().rounds_weights;
    let found = compare(&bounded_as(op, inputs, rounds_weights), &outputs).unwrap();
    assert!(found.ratio <= 1.0, "{} {}: {}", O::NAME, op.label(), found.describe());
    outputs
}

fn row(t: &Tensor, i: usize) -> Vec<f32> {
    t.to_f32()[i * DIM..(i + 1) * DIM].to_vec()
}

/// The gradient op of a spec with what a forward run gave.
fn gradient(forward: &Attention, inputs: &Tensors) -> Tensors {
    let backward = AttentionBackward::new(forward.clone());
    let mut all = inputs.clone();
    if forward.weight == Weight::Softmax {
        let made = run(forward, inputs);
        all = all.with("o", made["o"].clone()).with("lse", made["lse"].clone());
    }
    let d_o = draw(&backward)["d_o"].clone();
    run(&backward, &all.with("d_o", d_o))
}

#[test]
fn a_fully_masked_row_gives_plus_zero() {
    for weight in WEIGHTS {
        let spec = Attention { score_bias: Some(ScoreBias::default()), ..spec(weight) };
        let inputs = put(&draw(&spec), "score_bias", |b| b[3 * SEQ..4 * SEQ].fill(f32::NEG_INFINITY));
        let outputs = run(&spec, &inputs);
        assert!(row(&outputs["o"], 3).iter().all(|x| x.to_bits() == 0), "{weight:?}");
        if let Some(lse) = outputs.get("lse") {
            assert_eq!(lse.to_f32()[3], f32::NEG_INFINITY);
        }
        let gradients = gradient(&spec, &inputs);
        assert!(row(&gradients["d_q"], 3).iter().all(|&x| x == 0.0), "{weight:?}");
        assert!(gradients["d_score_bias"].to_f32()[3 * SEQ..4 * SEQ].iter().all(|&x| x == 0.0), "{weight:?}");
    }
}

#[test]
fn no_keys_give_zero() {
    for weight in WEIGHTS {
        let spec = Attention { dims: Dims { seq_kv: 0, ..Dims::new(2, 3, 5, DIM) }, ..spec(weight) };
        let outputs = run(&spec, &draw(&spec));
        assert!(outputs["o"].to_f32().iter().all(|x| x.to_bits() == 0), "{weight:?}");
        assert!(outputs.get("lse").is_none_or(|l| l.to_f32().iter().all(|&x| x == f32::NEG_INFINITY)));
        let gradients = gradient(&spec, &draw(&spec));
        assert!(gradients["d_q"].to_f32().iter().all(|&x| x == 0.0) && gradients["d_k"].is_empty());
    }
}

#[test]
fn nothing_to_do_is_no_error() {
    for weight in WEIGHTS {
        for dims in [Dims { seq_q: 0, ..Dims::new(2, 2, 5, DIM) }, Dims::new(0, 2, 5, DIM)] {
            let spec = Attention { dims, ..spec(weight) };
            assert!(run(&spec, &draw(&spec))["o"].is_empty());
            let gradients = gradient(&spec, &draw(&spec));
            assert!(gradients["d_k"].to_f32().iter().all(|&x| x == 0.0));
        }
    }
    let rows = Rowwise::new(RowFunction::Softmax, 0, 9);
    assert!(run(&rows, &draw(&rows))["y"].is_empty());
}

#[test]
fn what_is_masked_has_no_effect() {
    for weight in WEIGHTS {
        let spec = Attention { key_bias: true, ..spec(weight) };
        let masked = put(&draw(&spec), "key_bias", |b| b[5] = f32::NEG_INFINITY);
        let clean = run(&spec, &masked);
        for bad in [f32::NAN, f32::INFINITY, 3.0e38] {
            let dirty = put(&masked, "k", |k| k[5 * DIM..6 * DIM].fill(bad));
            let dirty = put(&dirty, "v", |v| v[5 * DIM..6 * DIM].fill(bad));
            same_bits(&clean, &run(&spec, &dirty)).unwrap_or_else(|e| panic!("{weight:?} {bad}: {e}"));
        }
    }
}

#[test]
fn padding_has_no_effect_and_gives_zero() {
    for weight in WEIGHTS {
        let spec = Attention { sequences: Sequences::Padded { q: true, kv: true }, ..spec(weight) };
        let base = Attention { sequences: Sequences::Dense, ..spec.clone() };
        let lens = |n: u32| Tensor::u32([1], vec![n]).unwrap();
        let inputs = draw(&base).with("lens_q", lens(20)).with("lens_kv", lens(30));
        let clean = run(&spec, &inputs);
        assert!(clean["o"].to_f32()[20 * DIM..].iter().all(|x| x.to_bits() == 0));
        let dirty = put(&inputs, "k", |k| k[30 * DIM..].fill(f32::NAN));
        let dirty = put(&dirty, "v", |v| v[30 * DIM..].fill(f32::INFINITY));
        let dirty = put(&dirty, "q", |q| q[20 * DIM..].fill(f32::NAN));
        same_bits(&clean, &run(&spec, &dirty)).unwrap_or_else(|e| panic!("{weight:?}: {e}"));
        let gradients = gradient(&spec, &inputs);
        for (name, from) in [("d_q", 20), ("d_k", 30), ("d_v", 30)] {
            assert!(gradients[name].to_f32()[from * DIM..].iter().all(|&x| x == 0.0), "{weight:?} {name}");
        }
    }
}

#[test]
fn a_nan_query_spoils_its_own_row_only() {
    for weight in WEIGHTS {
        let clean = run(&spec(weight), &draw(&spec(weight)));
        let outputs = run(&spec(weight), &put(&draw(&spec(weight)), "q", |q| q[4 * DIM + 2] = f32::NAN));
        for i in 0..SEQ {
            let got = row(&outputs["o"], i);
            if i == 4 {
                assert!(got.iter().all(|x| x.is_nan()), "{weight:?}");
            } else {
                assert_eq!(got, row(&clean["o"], i), "{weight:?} row {i}");
            }
        }
    }
}

#[test]
fn a_nan_key_or_value_spoils_the_rows_that_see_it() {
    for (weight, name) in WEIGHTS.into_iter().flat_map(|w| [(w, "k"), (w, "v")]) {
        let spec = Attention { causal: Causal::TopLeft, ..spec(weight) };
        let outputs = run(&spec, &put(&draw(&spec), name, |x| x[10 * DIM] = f32::NAN));
        for i in 0..SEQ {
            let nan = row(&outputs["o"], i).iter().all(|x| x.is_nan());
            let finite = row(&outputs["o"], i).iter().all(|x| x.is_finite());
            assert!(if i >= 10 { nan } else { finite }, "{weight:?} {name} row {i}");
        }
    }
}

/// Queries that read the first dimension of each key, and keys of 0 but for key 6.
fn logit(weight: Weight, value: f32) -> (Attention, Tensors) {
    let spec = spec(weight);
    let inputs = put(&draw(&spec), "q", |q| {
        q.fill(0.0);
        q.iter_mut().step_by(DIM).for_each(|x| *x = 1.0);
    });
    let inputs = put(&inputs, "k", |k| {
        k.fill(0.0);
        k[6 * DIM] = value;
    });
    (spec, inputs)
}

#[test]
fn an_infinite_logit() {
    let (spec, inputs) = logit(Weight::Softmax, f32::NEG_INFINITY);
    let without = run(&spec, &put(&inputs, "v", |v| v[6 * DIM..7 * DIM].fill(1e30)));
    assert!(without["o"].to_f32().iter().all(|x| x.abs() < 10.0), "softmax: weight 0");
    let (spec, inputs) = logit(Weight::Softmax, f32::INFINITY);
    assert!(run(&spec, &inputs)["o"].to_f32().iter().all(|x| x.is_nan()), "softmax: NaN");
    let (spec, inputs) = logit(Weight::Sigmoid, f32::NEG_INFINITY);
    let huge = put(&inputs, "v", |v| v[6 * DIM..7 * DIM].fill(1e30));
    assert!(run(&spec, &huge)["o"].to_f32().iter().all(|x| x.abs() < 1e3), "sigmoid: 0");
    let (spec, inputs) = logit(Weight::Sigmoid, f32::INFINITY);
    let only = put(&inputs, "v", |v| {
        v.fill(0.0);
        v[6 * DIM..7 * DIM].fill(3.0);
    });
    assert!(run(&spec, &only)["o"].to_f32().iter().all(|&x| x == 3.0), "sigmoid: 1");
}

#[test]
fn scores_saturate() {
    for weight in WEIGHTS {
        let (spec, inputs) = logit(weight, 3.0e38);
        let inputs = put(&inputs, "q", |q| q.iter_mut().for_each(|x| *x *= 3.0e38));
        let outputs = run(&spec, &inputs);
        assert!(outputs["o"].to_f32().iter().all(|x| x.is_finite()), "{weight:?}");
        assert!(outputs.get("lse").is_none_or(|l| l.to_f32().iter().all(|x| x.is_finite())));
    }
}

/// A scale that no number of 8 bits can be trusted with spoils the queries that see its row, and no other bit.
#[test]
fn a_broken_scale_spoils_the_rows_that_see_it() {
    let causal = Causal::TopLeft;
    let op = Attention { causal, storage: Storage::INT8_PER_TOKEN, ..spec(Weight::Softmax) };
    let bytes: Vec<i8> = (0..SEQ * DIM).map(|n| i8::try_from(n * 89 % 255).unwrap_or(-128)).collect();
    let packed = pack_int8([1, 1, SEQ, DIM], &bytes).unwrap();
    let scales = Tensor::f32([1, 1, SEQ], vec![0.01; SEQ]).unwrap();
    let inputs = draw(&op).with("k", packed.clone()).with("v", packed);
    let inputs = inputs.with("k_scale", scales.clone()).with("v_scale", scales);
    let sound = run(&op, &inputs)["o"].to_f32();
    for name in ["k_scale", "v_scale"] {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, SCALE_LIMIT, -SCALE_LIMIT] {
            let o = run(&op, &put(&inputs, name, |scales| scales[20] = broken))["o"].to_f32();
            let before = o.iter().zip(&sound).take(20 * DIM).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(before && o[20 * DIM..].iter().all(|x| x.is_nan()), "{name} {broken}");
        }
        let large = 1e30;
        let o = run(&op, &put(&inputs, name, |scales| scales[20] = large))["o"].to_f32();
        assert!(o.iter().all(|x| x.is_finite()), "{name} {large}");
    }
}

#[test]
fn denormals_may_be_zero() {
    for weight in WEIGHTS {
        let inputs = put(&draw(&spec(weight)), "v", |v| v.iter_mut().for_each(|x| *x *= 1e-40));
        assert!(run(&spec(weight), &inputs)["o"].to_f32().iter().all(|x| x.abs() < 1e-37));
    }
}

#[test]
fn equal_logits_give_equal_weights() {
    let (spec, inputs) = logit(Weight::Softmax, 0.0);
    let o = run(&spec, &inputs)["o"].to_f32();
    let v = inputs["v"].to_f32();
    for (d, got) in o[..DIM].iter().enumerate() {
        let mean = v.iter().skip(d).step_by(DIM).sum::<f32>() / SEQ as f32;
        assert!((got - mean).abs() < 1e-5, "{got} {mean}");
    }
    assert!(o.chunks(DIM).all(|r| r == &o[..DIM]), "every row is the same");
}

#[test]
fn a_sink_alone() {
    let spec = Attention { sink: true, dims: Dims { seq_kv: 0, ..Dims::new(1, 2, 3, DIM) }, ..spec(Weight::Softmax) };
    let outputs = run(&spec, &draw(&spec));
    let sink = draw(&spec)["sink"].to_f32();
    assert!(outputs["o"].to_f32().iter().all(|&x| x == 0.0));
    assert!((outputs["lse"].to_f32()[0] - sink[0]).abs() < 1e-5);
}

/// An infinity in a query: one head's sink key scores `+∞` with it, and the row is NaN; the other's `−∞`, and the row sees nothing.
#[test]
fn a_sink_key_and_an_infinite_query() {
    let dims = Dims { seq_kv: 0, ..Dims::new(1, 2, 5, DIM) };
    let spec = Attention { sink_key: true, dims, ..spec(Weight::Softmax) };
    let inputs = put(&draw(&spec), "q", |q| (q[0], q[5 * DIM]) = (f32::INFINITY, f32::INFINITY));
    let inputs = put(&inputs, "sink_key", |k| (k[0], k[DIM]) = (1.0, -1.0));
    let outputs = run(&spec, &inputs);
    assert!(row(&outputs["o"], 0).iter().all(|x| x.is_nan()) && row(&outputs["o"], 5).iter().all(|&x| x == 0.0));
    assert!(outputs["lse"].to_f32()[0].is_nan() && outputs["lse"].to_f32()[5] == f32::NEG_INFINITY);
    let d_key = gradient(&spec, &inputs)["d_sink_key"].to_f32();
    assert!(d_key[..DIM].iter().all(|x| x.is_nan()) && d_key[DIM..].iter().all(|x| x.is_finite()));
}

#[test]
fn rows_of_special_values() {
    let spec = |function| Rowwise::new(function, 4, 5);
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let x = Tensor::f32(
        [4, 5],
        vec![nan, 0.0, 1.0, 2.0, 3.0, inf, 0.0, 1.0, 2.0, 3.0, -inf, -inf, -inf, -inf, -inf, -inf, 0.0, 0.0, 0.0, 0.0],
    );
    let inputs = Tensors::new().with("x", x.unwrap());
    let y = run(&spec(RowFunction::Softmax), &inputs)["y"].to_f32();
    assert!(y[..10].iter().all(|x| x.is_nan()) && y[10..16].iter().all(|&x| x == 0.0));
    assert!(y[16..].iter().all(|x| (x - 0.25).abs() < 1e-6));
    let y = run(&spec(RowFunction::LogSumExp), &inputs)["y"].to_f32();
    assert!(y[0].is_nan() && y[1].is_nan() && y[2] == -inf && (y[3] - 4f32.ln()).abs() < 1e-6, "{y:?}");
}

#[test]
fn rows_of_length_zero() {
    for function in [RowFunction::Softmax, RowFunction::LogSoftmax, RowFunction::LogSumExp] {
        let spec = Rowwise { lens: true, ..Rowwise::new(function, 2, 70) };
        let lens = Tensor::u32([2], vec![0, 70]).unwrap();
        let inputs = draw(&Rowwise { lens: false, ..spec.clone() }).with("lens", lens);
        let y = run(&spec, &inputs)["y"].to_f32();
        match function {
            RowFunction::LogSumExp => assert_eq!(y[0], f32::NEG_INFINITY),
            _ => assert!(y[..70].iter().all(|&x| x == 0.0)),
        }
        let backward = RowwiseBackward { forward: spec };
        let base = RowwiseBackward { forward: Rowwise { lens: false, ..backward.forward.clone() } };
        let given = backward.complete(inputs.with("d_y", draw(&base)["d_y"].clone()));
        assert!(run(&backward, &given)["d_x"].to_f32()[..70].iter().all(|&x| x == 0.0), "{function:?}");
    }
}
