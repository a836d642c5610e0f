//! The ops on rows of a plan: hand-written gradients against dual numbers, bounds against plain f32, and what they mean for each other.

use std::collections::BTreeMap;

use gatefold_core::routing::{ExpertFunction, NO_ROW};
use gatefold_core::{
    Dtype, ExpertActivation, ExpertActivationBackward, MoeCombine, MoeCombineBackward, MoeDispatch, Tensor, Tensors,
};
use gatefold_cpu_ref::data::Rng;
use gatefold_cpu_ref::{Dual, Reference, Values, bounded, outputs};

/// Checks `gradient`, the derivative of `Σ upstream·output` by `name`, against dual numbers in a random direction.
fn check<O: Reference>(op: &O, inputs: &Values<f64>, name: &str, output: &str, upstream: &[f64], gradient: &[f64]) {
    let mut rng = Rng::new(3, 3);
    let direction: Vec<f64> = gradient.iter().map(|_| f64::from(rng.normal())).collect();
    let moved = inputs.floats.iter().map(|(n, x)| {
        let derivative = |i: usize| if n == name { direction[i] } else { 0.0 };
        (n.clone(), x.iter().enumerate().map(|(i, &v)| Dual { v, d: derivative(i) }).collect())
    });
    let floats: BTreeMap<_, Vec<Dual>> = moved.collect();
    let found = op.eval(&Values { floats, ints: inputs.ints.clone(), ..Values::default() });
    let by_dual: f64 = found.float(output).iter().zip(upstream).map(|(y, g)| y.d * g).sum();
    let terms = gradient.iter().zip(&direction).map(|(g, d)| g * d);
    let (by_formula, size) = terms.fold((0.0, 0.0), |(sum, size): (f64, f64), t| (sum + t, size + t.abs()));
    let error = (by_dual - by_formula).abs();
    assert!(error <= 1e-11 * size.max(1e-30), "d_{name}: {by_formula} by formula, {by_dual} by dual numbers\n{op:?}");
}

fn is_ordinary(note: &str) -> bool {
    !note.contains("special") && !note.contains("degenerate")
}

#[test]
fn gradients_of_a_combine() {
    let mut ran = 0;
    for case in (0..300).map(MoeCombineBackward::case) {
        let b = &case.op;
        if case.inputs.iter().any(|(_, t)| t.to_f64().iter().any(|x| !x.is_finite())) || b.tokens == 0 {
            continue;
        }
        let inputs = Values::<f64>::of(&case.inputs);
        let made = b.eval(&inputs);
        let forward = MoeCombine::new(b.tokens, b.top_k, b.hidden, b.rows);
        check(&forward, &inputs, "y", "o", inputs.float("d_o"), made.float("d_y"));
        check(&forward, &inputs, "weights", "o", inputs.float("d_o"), made.float("d_weights"));
        ran += 1;
    }
    assert!(ran > 60, "{ran}");
}

#[test]
fn dispatch_and_plain_combine_are_gradients_of_each_other() {
    let mut ran = 0;
    for case in (0..200).map(MoeCombine::case).filter(|c| !c.op.weighted && c.op.tokens > 0 && c.op.rows > 0) {
        let op = &case.op;
        let mut permutation = vec![NO_ROW; op.rows];
        for (slot, &row) in case.inputs["inverse"].as_u32().unwrap().iter().enumerate() {
            if row != NO_ROW {
                permutation[row as usize] = u32::try_from(slot).unwrap();
            }
        }
        let mut rng = Rng::new(1, 7);
        let mut draw = |n: usize| (0..n).map(|_| f64::from(rng.normal())).collect::<Vec<_>>();
        let (x, y) = (draw(op.tokens * op.hidden), draw(op.rows * op.hidden));
        let floats = BTreeMap::from([("x".to_string(), x.clone()), ("y".to_string(), y.clone())]);
        let inverse = case.inputs["inverse"].as_u32().unwrap().to_vec();
        let ints = BTreeMap::from([("permutation".to_string(), permutation), ("inverse".to_string(), inverse)]);
        let inputs = Values { floats, ints, ..Values::default() };
        // d_y of the sum is a dispatch of d_o, d_x of the dispatch is a sum of d_y
        check(op, &inputs, "y", "o", &x, op.gradient().eval(&inputs).float("y"));
        check(&op.gradient(), &inputs, "x", "y", &y, op.gradient().gradient().eval(&inputs).float("o"));
        ran += 1;
    }
    assert!(ran > 30, "{ran}");
}

#[test]
fn gradients_of_activations() {
    let mut ran = BTreeMap::new();
    for case in (0..400).map(ExpertActivationBackward::case) {
        let is_large = case.inputs.iter().any(|(_, t)| t.to_f64().iter().any(|x| x.is_nan() || x.abs() > 1e6));
        if is_large || case.op.forward.rows == 0 {
            continue;
        }
        let inputs = Values::<f64>::of(&case.inputs);
        let made = case.op.eval(&inputs);
        check(&case.op.forward, &inputs, "h", "y", inputs.float("d_y"), made.float("d_h"));
        *ran.entry(case.op.forward.function.name()).or_insert(0) += 1;
    }
    assert!(ran.len() == 6 && ran.values().all(|n| *n > 10), "{ran:?}");
}

#[test]
fn published_values() {
    let x = [-3.0f32, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 20.0];
    let value = |function, h: &[f32]| {
        let width = if ExpertFunction::is_gated(function) { h.len() / 2 } else { h.len() };
        let h = Tensor::f32([1, h.len()], h).unwrap();
        outputs(&ExpertActivation::new(function, 1, width), &Tensors::new().with("h", h))["y"].to_f64()
    };
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-6);
    // the textbook form, by tanh
    let textbook =
        |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh());
    let gelu = x.map(|x| textbook(x.into()));
    assert!(close(&value(ExpertFunction::Gelu, &x), &gelu));
    assert!((gelu[5] - 0.841_192).abs() < 1e-6, "PyTorch's gelu(1, approximate=\"tanh\")");
    let pair: Vec<f32> = x.iter().copied().chain(x.iter().rev().copied()).collect();
    let ge_glu: Vec<f64> = gelu.iter().zip(x.iter().rev()).map(|(g, u)| g * f64::from(*u)).collect();
    assert!(close(&value(ExpertFunction::GeGlu, &pair), &ge_glu));
    // gpt-oss: both cut at 7, up by one more
    let clamped = value(ExpertFunction::GPT_OSS, &[9.0, -9.0, 1.0, 9.0, -9.0, 0.5]);
    let want = |g: f64, u: f64| g / (1.0 + (-f64::from(1.702f32) * g).exp()) * (u + 1.0);
    assert!(close(&clamped, &[want(7.0, 7.0), want(-9.0, -7.0), want(1.0, 0.5)]), "{clamped:?}");
}

/// The bounds are sound for a plain evaluation in f32, and say something.
fn is_within_bounds<O: Reference>(seeds: u64) {
    let mut relative = Vec::new();
    for seed in 0..seeds {
        let case = O::case(seed);
        let truth = bounded(&case.op, &case.inputs);
        let plain = case.op.eval(&Values::<f32>::of(&case.inputs));
        // f32 cannot hold NO_ROW
        for (name, exact) in truth.outputs.iter().filter(|(_, exact)| exact.dtype != Dtype::U32) {
            for (i, &got) in plain.float(name).iter().enumerate() {
                let (value, bound, got) = (exact.values[i], exact.bounds[i], f64::from(got));
                let same = got == value || (got.is_nan() && value.is_nan());
                let fine = same || bound == f64::INFINITY || (got - value).abs() <= bound;
                assert!(fine, "seed {seed} {name}[{i}]: {value}, f32 {got}, bound {bound:e}\n{:?}", case.op);
                if value.is_finite() && value != 0.0 && is_ordinary(&case.note) {
                    relative.push(bound / value.abs());
                }
            }
        }
    }
    relative.sort_by(f64::total_cmp);
    assert!(relative[relative.len() / 2] < 1e-4, "{}: {:e}", O::NAME, relative[relative.len() / 2]);
}

#[test]
fn f32_is_within_bounds() {
    is_within_bounds::<MoeDispatch>(120);
    is_within_bounds::<MoeCombine>(120);
    is_within_bounds::<MoeCombineBackward>(120);
    is_within_bounds::<ExpertActivation>(160);
    is_within_bounds::<ExpertActivationBackward>(160);
}
