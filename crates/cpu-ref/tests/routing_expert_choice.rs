//! The gradient of expert choice against dual numbers through its forward definition.

use gatefold_core::{ExpertChoice, ExpertChoiceBackward, Tensor, Tensors};
use gatefold_cpu_ref::data::{Family, Rng};
use gatefold_cpu_ref::{Dual, Reference, Values, outputs};

#[test]
fn the_gradient_is_the_derivative() {
    for (tokens, experts, capacity) in [(9, 4, 3), (22, 8, 6), (7, 2, 7), (5, 1, 2), (3, 40, 1)] {
        let mut rng = Rng::new(tokens as u64, 77);
        let op = ExpertChoice::new(tokens, experts, capacity);
        let mut normal = |n: usize| Family::Normal(1.0).fill(&mut rng, n, 1);
        let (numbers, direction, upstream) =
            (normal(tokens * experts), normal(tokens * experts), normal(experts * capacity));
        let logits = Tensor::f32([tokens, experts], numbers.clone()).unwrap();
        let given = Tensors::new().with("logits", logits);
        let indices = outputs(&op, &given)["indices"].clone();
        let d_weights = Tensor::f32([experts, capacity], upstream.clone()).unwrap();
        let all = given.with("indices", indices).with("d_weights", d_weights);
        let gradient = ExpertChoiceBackward::new(op.clone()).eval(&Values::<f64>::of(&all));
        let by_formula: f64 = gradient.float("d_logits").iter().zip(&direction).map(|(g, &d)| g * f64::from(d)).sum();
        let moved = numbers.iter().zip(&direction).map(|(&v, &d)| Dual { v: v.into(), d: d.into() }).collect();
        let made = op.eval(&Values::<Dual> { floats: [("logits".to_string(), moved)].into(), ..Values::default() });
        let by_dual: f64 = made.float("weights").iter().zip(&upstream).map(|(w, &g)| w.d * f64::from(g)).sum();
        assert!((by_formula - by_dual).abs() < 1e-12, "{op:?}: {by_formula} by formula, {by_dual} by dual numbers");
    }
}
