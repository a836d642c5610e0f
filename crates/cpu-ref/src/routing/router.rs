//! The gate with its projection, from the definitions of both.

use gatefold_core::{Gemm, Router, RouterBackward};

use super::composite::{eval, inputs_of};
use super::router_cases as cases;
use crate::{Case, Real, Reference, Values};

impl Reference for Router {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let gate = &self.gate;
        let project = Gemm::new(gate.tokens, gate.experts, self.hidden);
        let made = eval(&project, &[("a", inputs.float("x")), ("b", inputs.float("w_gate"))], &[]);
        let logits = made.float("c").to_vec();
        let mut given = inputs_of(gate, inputs);
        given.floats.insert("logits".into(), logits.clone());
        let mut outputs = gate.eval(&given);
        outputs.floats.insert("logits".into(), logits);
        outputs
    }

    fn case(seed: u64) -> Case<Self> {
        cases::forward(seed)
    }

    const PLANNED: u64 = cases::PLANNED;
}

impl Reference for RouterBackward {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let (tokens, experts) = (self.gate.forward.tokens, self.gate.forward.experts);
        let mut outputs = self.gate.eval(&inputs_of(&self.gate, inputs));
        let mut d_logits = outputs.floats.remove("d_logits").unwrap_or_default();
        for (d, &more) in d_logits.iter_mut().zip(inputs.float("d_logits_more")) {
            *d = *d + more;
        }
        let to_rows = Gemm { transpose_b: true, ..Gemm::new(tokens, self.hidden, experts) };
        let mut d_x = eval(&to_rows, &[("a", &d_logits), ("b", inputs.float("w_gate"))], &[]);
        let to_weights = Gemm { transpose_a: true, ..Gemm::new(self.hidden, experts, tokens) };
        let mut d_w = eval(&to_weights, &[("a", inputs.float("x")), ("b", &d_logits)], &[]);
        outputs.floats.insert("d_x".into(), d_x.floats.remove("c").unwrap_or_default());
        outputs.floats.insert("d_w_gate".into(), d_w.floats.remove("c").unwrap_or_default());
        outputs
    }

    fn case(seed: u64) -> Case<Self> {
        cases::backward(seed)
    }

    const PLANNED: u64 = cases::PLANNED;

    /// Puts the forward pass's logits and indices in their place.
    fn complete(&self, mut inputs: gatefold_core::Tensors) -> gatefold_core::Tensors {
        let made = crate::outputs(&self.forward(), &inputs);
        for name in ["logits", "indices"] {
            inputs.insert(name, made[name].clone());
        }
        inputs.take("selection_bias");
        inputs
    }
}
