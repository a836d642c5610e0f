//! The gradients of products by expert, each an op of its own, against dual numbers through the forward definition.

use gatefold_core::{GroupedGemm, Tensors};
use gatefold_cpu_ref::data::{Family, Rng};
use gatefold_cpu_ref::{Dual, Reference, Values};

const OFFSETS: [u32; 5] = [2, 5, 5, 11, 12];

/// `inputs` with `direction` as the derivative of operand `name`.
fn dual(inputs: &Values<f64>, name: &str, direction: &[f64]) -> Values<Dual> {
    let moved = |(n, x): (&String, &Vec<f64>)| {
        let derivative = |i: usize| if n == name { direction[i] } else { 0.0 };
        (n.clone(), x.iter().enumerate().map(|(i, &v)| Dual { v, d: derivative(i) }).collect())
    };
    Values { floats: inputs.floats.iter().map(moved).collect(), ints: inputs.ints.clone(), ..Values::default() }
}

fn values(floats: &[(&str, Vec<f64>)]) -> Values<f64> {
    let floats = floats.iter().map(|(name, x)| ((*name).to_string(), x.clone())).collect();
    Values { floats, ints: [("offsets".to_string(), OFFSETS.to_vec())].into(), ..Values::of(&Tensors::new()) }
}

#[test]
fn gradients_are_derivatives() {
    let mut rng = Rng::new(3, 3);
    for transpose_w in [false, true] {
        let op = GroupedGemm { transpose_w, bias: true, ..GroupedGemm::new(4, 14, 3, 5) };
        let mut drawn = |count: usize| -> Vec<f64> {
            Family::Normal(1.0).fill(&mut rng, count, 1).into_iter().map(f64::from).collect()
        };
        let (x, w, bias, d_y) = (drawn(14 * 5), drawn(4 * 15), drawn(4 * 3), drawn(14 * 3));
        let inputs = values(&[("x", x.clone()), ("w", w.clone()), ("bias", bias)]);
        let of_x = op.gradient_x().eval(&values(&[("x", d_y.clone()), ("w", w)]));
        let of_w = op.gradient_w().eval(&values(&[("x", x), ("d_y", d_y.clone())]));
        for (name, gradient) in [("x", of_x.float("y")), ("w", of_w.float("d_w")), ("bias", of_w.float("d_bias"))] {
            let direction = drawn(gradient.len());
            let expected: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            let outputs = op.eval(&dual(&inputs, name, &direction));
            let found: f64 = d_y.iter().zip(outputs.float("y")).map(|(g, y)| g * y.d).sum();
            assert!((found - expected).abs() < 1e-12 * 1e3, "{name}: {expected} by formula, {found} by dual numbers");
            assert!(expected.abs() > 1e-3, "{name}");
        }
    }
}
