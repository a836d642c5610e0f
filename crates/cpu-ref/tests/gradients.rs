//! The hand-written gradients against dual numbers and central differences through the forward definition.

use std::collections::BTreeMap;

use gatefold_core::attention::{Normalizer, Weight};
use gatefold_core::gemm::Gradient;
use gatefold_core::{AttentionBackward, Gemm, Op, RowFunction, Rowwise, RowwiseBackward};
use gatefold_cpu_ref::data::Rng;
use gatefold_cpu_ref::{Dual, Reference, Values};

type Floats = BTreeMap<String, Vec<f64>>;

/// `inputs` with `direction` as the derivative of operand `name`.
fn dual(inputs: &Values<f64>, name: &str, direction: &[f64]) -> Values<Dual> {
    let moved = |(n, x): (&String, &Vec<f64>)| {
        let derivative = |i: usize| if n == name { direction[i] } else { 0.0 };
        (n.clone(), x.iter().enumerate().map(|(i, &v)| Dual { v, d: derivative(i) }).collect())
    };
    Values { floats: inputs.floats.iter().map(moved).collect(), ints: inputs.ints.clone(), ..Values::default() }
}

fn step(inputs: &Values<f64>, name: &str, direction: &[f64], by: f64) -> Values<f64> {
    let mut moved = inputs.clone();
    if let Some(x) = moved.floats.get_mut(name) {
        x.iter_mut().zip(direction).for_each(|(x, d)| *x += by * d);
    }
    moved
}

/// `Σ upstream·output`, over what is finite.
fn loss(outputs: &Floats, upstream: &Floats) -> f64 {
    let terms = upstream.iter().flat_map(|(name, g)| g.iter().zip(&outputs[name]));
    terms.filter(|(_, y)| y.is_finite()).map(|(g, y)| g * y).sum()
}

/// Checks that `gradients["d_x"]` is the derivative of the loss in a random direction of every input `x` that has a gradient.
fn check<O: Reference>(
    forward: &O,
    inputs: &Values<f64>,
    upstream: &Floats,
    gradients: &Values<f64>,
    differences: bool,
) {
    let mut rng = Rng::new(9, 9);
    for (name, x) in &inputs.floats {
        let Some(gradient) = gradients.floats.get(&format!("d_{}", name)) else {
            continue;
        };
        let direction: Vec<f64> = x.iter().map(|_| f64::from(rng.normal())).collect();
        let expected: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        let magnitude: f64 = gradient.iter().zip(&direction).map(|(g, d)| (g * d).abs()).sum();
        let outputs = forward.eval(&dual(inputs, name, &direction));
        let terms = upstream.iter().flat_map(|(n, g)| g.iter().zip(&outputs.floats[n]));
        let (mut by_dual, mut scale) = (0.0, magnitude);
        for (g, y) in terms {
            by_dual += g * y.d;
            // a weight's derivative may cancel to nothing, and leaves rounding errors of the upstream gradient's size
            scale += (g * y.d).abs() + 0.001 * g.abs();
        }
        let error = (by_dual - expected).abs();
        assert!(error <= 1e-12 * scale, "d_{name}: {expected} by formula, {by_dual} by dual numbers\n{forward:#?}");
        if !differences {
            continue;
        }
        let at = |by: f64| loss(&forward.eval(&step(inputs, name, &direction, by)).floats, upstream);
        let size = loss_size(&forward.eval(inputs).floats, upstream);
        let by_difference = (at(1e-6) - at(-1e-6)) / 2e-6;
        let error = (by_difference - expected).abs();
        // a share of the loss itself is what the difference of two f64 losses leaves at this step
        assert!(
            error <= 1e-7 * scale + 1e-9 * size,
            "d_{name}: {expected} by formula, {by_difference} by differences\n{forward:#?}"
        );
    }
}

fn loss_size(outputs: &Floats, upstream: &Floats) -> f64 {
    let terms = upstream.iter().flat_map(|(name, g)| g.iter().zip(&outputs[name]));
    terms.filter(|(_, y)| y.is_finite()).map(|(g, y)| (g * y).abs()).sum()
}

/// Specs and inputs of the conformance cases that are small, with numbers of ordinary size. Numbers made to cancel are left out: what is
/// left of their gradients is rounding of terms that the scale below does not see.
fn attention_cases() -> impl Iterator<Item = (AttentionBackward, Values<f64>)> {
    let ordinary = |note: &str| {
        let extreme = [
            "Spike",
            "Normal(100",
            "Normal(4",
            "Cancel",
            "scores",
            "enormal",
            "Nan",
            "NaN",
            "Infinit",
            "Zero",
            "beyond f16",
        ];
        !extreme.iter().any(|w| note.contains(w))
    };
    (0..AttentionBackward::PLANNED + 220).filter_map(move |seed| {
        let case = AttentionBackward::case(seed);
        let d = &case.op.forward.dims;
        let pairs = d.batch * d.q_heads * d.seq_q * d.seq_kv;
        let small = pairs > 0 && pairs * (d.head_dim + d.val_dim) < 100_000;
        // the only row may have a single weight above 0, whose gradient is what two terms leave that cancel
        let lone = d.batch * d.q_heads * d.seq_q == 1 && case.op.forward.normalizer.couples_row();
        (small && !lone && ordinary(&case.note)).then(|| (case.op, Values::of(&case.inputs)))
    })
}

/// What must be among the gradients and options of at least three specs.
const SEEN: &[&str] = &[
    "d_sink",
    "d_sink_key",
    "d_relative_bias",
    "d_alibi_slopes",
    "d_score_bias",
    "d_key_bias",
    "d_bias",
    "softcap",
    "packed",
    "padded",
    "window",
    "d_lse",
    "d_log_norm",
    "d_gate",
    "d_o_gain",
    "d_q_gain",
    "d_k_gain",
    "d_query_scale",
    "d_value_scale",
    "log_keys",
    "gate_last",
    "key_penalty",
    "d_alpha",
    "d_inject_logit",
    "d_task_vector",
    "dropout",
    "dropout_seed",
    "reweight3",
    "reweight15",
    "d_rho",
    "global_frobenius",
    "query_penalty",
    "qk_relu",
    "qk_elu_one",
    "d_r",
    "local_linear",
];

#[test]
fn attention() {
    let mut seen = BTreeMap::new();
    let mut count = 0;
    for (mut op, mut inputs) in attention_cases() {
        op.forward = op.forward.saving(true);
        let mut upstream: Floats = [("o".to_string(), inputs.float("d_o").to_vec())].into();
        if op.d_lse {
            upstream.insert("lse".into(), inputs.float("d_lse").to_vec());
        }
        let names = ["o", "o_core", "lse", "row_sum", "row_mean", "row_max", "v_mean", "rk_mean", "d_o", "d_lse"];
        let mut forward = inputs.clone();
        names.iter().for_each(|&n| drop(forward.floats.remove(n)));
        // the outputs of the forward pass in f64, not rounded to storage
        inputs.floats.extend(op.forward.eval(&forward).floats);
        let gradients = op.eval(&inputs);
        // differences see through a detached sum
        let detached = op.forward.normalizer.name().starts_with("detached");
        check(&op.forward, &forward, &upstream, &gradients, count % 4 == 0 && !detached);
        if op.d_bias && op.forward.head_bias {
            let heads: f64 = gradients.float("d_head_bias").iter().sum();
            let size: f64 = gradients.float("d_head_bias").iter().map(|x| x.abs()).sum();
            assert!((gradients.float("d_bias")[0] - heads).abs() <= 1e-10 * size + 1e-12, "d_bias\n{op:#?}");
            *seen.entry("d_bias".to_string()).or_insert(0) += 1;
        }
        gradients.floats.keys().for_each(|name| *seen.entry(name.clone()).or_insert(0) += 1);
        for option in op.label().split('.').chain(op.d_lse.then_some("d_lse")) {
            *seen.entry(option.to_string()).or_insert(0) += 1;
        }
        count += 1;
    }
    assert!(count >= 40, "{count} specs");
    for name in SEEN
        .iter()
        .copied()
        .chain(Weight::FUNCTIONS.iter().map(|w| w.label().leak() as &str))
        .chain(Normalizer::ALL[1..].iter().map(|n| n.name()))
    {
        assert!(seen.get(name).is_some_and(|&n| n >= 3), "{name} in too few of {count} specs: {seen:?}");
    }
    for name in ["score_mod_near", "mask_mod_documents", "custom_bump"] {
        assert!(seen.get(name).is_some_and(|&n| n >= 2), "{name} in too few of {count} specs: {seen:?}");
    }
}

#[test]
fn rowwise() {
    let mut rng = Rng::new(5, 5);
    for function in [RowFunction::Softmax, RowFunction::LogSoftmax, RowFunction::LogSumExp] {
        for (rows, cols, scale) in [(3, 1, 1.0), (4, 2, -0.7), (2, 33, 1.0), (5, 130, 0.125), (3, 20, 2.0), (3, 8, 0.0)]
        {
            for lens in [false, true] {
                let forward = Rowwise { scale, lens, ..Rowwise::new(function, rows, cols) };
                let mut draw = |n: usize| -> Vec<f64> { (0..n).map(|_| f64::from(rng.normal())).collect() };
                let mut inputs = Values { floats: [("x".to_string(), draw(rows * cols))].into(), ..Values::default() };
                if lens {
                    let all = (0..rows).map(|r| u32::try_from((r * 7) % (cols + 1)).unwrap()).collect();
                    inputs.ints.insert("lens".into(), all);
                }
                let y = forward.eval(&inputs).floats.remove("y").unwrap();
                let upstream: Floats = [("y".to_string(), draw(y.len()))].into();
                let mut given = inputs.clone();
                given.floats.insert("d_y".into(), upstream["y"].clone());
                given.floats.insert("y".into(), y);
                let gradients = RowwiseBackward { forward: forward.clone() }.eval(&given);
                check(&forward, &inputs, &upstream, &gradients, true);
            }
        }
    }
}

/// Runs a gradient of a product on the tensors it names.
fn gradient_of(gradient: &Gradient, inputs: &Values<f64>, d_c: &[f64]) -> Vec<f64> {
    let Gradient { op, a, b } = gradient;
    let of = |name: &str, count: usize| match name {
        "d_c" => d_c.to_vec(),
        "ones" => vec![1.0; count],
        other => inputs.float(other).to_vec(),
    };
    let count = |dims: [usize; 3]| dims.iter().product();
    let given = [("a".to_string(), of(a, count(op.a_dims()))), ("b".to_string(), of(b, count(op.b_dims())))];
    given.iter().zip([op.a_dims(), op.b_dims()]).for_each(|((_, x), dims)| assert_eq!(x.len(), count(dims)));
    op.eval(&Values { floats: given.into(), ..Values::default() }).floats.remove("c").unwrap()
}

#[test]
fn gemm() {
    let mut rng = Rng::new(7, 7);
    let mut refused = 0;
    for options in 0..32usize {
        let is = |bit: usize| options >> bit & 1 == 1;
        for (batch, m, n, k) in [(1, 3, 4, 5), (3, 2, 5, 7), (2, 1, 3, 1)] {
            let forward = Gemm {
                batch,
                transpose_a: is(0),
                transpose_b: is(1),
                shared_a: is(2),
                shared_b: is(3),
                bias: is(4),
                alpha: if is(4) { -0.75 } else { 1.0 },
                ..Gemm::new(m, n, k)
            };
            let mut draw = |n: usize| -> Vec<f64> { (0..n).map(|_| f64::from(rng.normal())).collect() };
            let operands = forward.operands();
            let floats = |role| operands.iter().filter(move |o| o.role == role).map(|o| (o.name.to_string(), o.len()));
            let inputs: Floats = floats(gatefold_core::Role::Input).map(|(name, n)| (name, draw(n))).collect();
            let upstream: Floats = floats(gatefold_core::Role::Output).map(|(name, n)| (name, draw(n))).collect();
            let inputs = Values { floats: inputs, ..Values::default() };
            let mut gradients = Values::<f64>::default();
            let mut add = |name: &str, gradient: Option<Gradient>| match gradient {
                Some(g) => drop(gradients.floats.insert(name.into(), gradient_of(&g, &inputs, &upstream["c"]))),
                None => refused += 1,
            };
            add("d_a", forward.gradient_a().ok());
            add("d_b", forward.gradient_b().ok());
            if forward.bias {
                add("d_bias", Some(forward.gradient_bias()));
            }
            check(&forward, &inputs, &upstream, &gradients, true);
        }
    }
    // shared a in a batch; shared b in a batch with a transposed or shared
    assert_eq!(refused, 2 * 16 + 2 * 12);
}
