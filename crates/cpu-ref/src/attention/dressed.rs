//! The gradient of an attention with a prologue or an epilogue: through the epilogue, the core and the prologue, one after another.

use gatefold_core::{AttentionBackward, Op};

use super::rows::{self, Kind, Rows};
use super::{affine, injection, penalty};
use crate::{Real, Reference, Values};

/// The gradient through epilogue, core and prologue.
pub(crate) fn gradient<R: Real>(spec: &AttentionBackward, inputs: &Values<R>) -> Values<R> {
    let op = &spec.forward;
    let mut core_inputs = rows::prologue(op, inputs);
    let mut more = Vec::new();
    let store = |all: Vec<R>| rows::all_stored(all, op.dtype);
    let mut mean_shares = Vec::new();
    if !op.epilogue.is_none() {
        let core = inputs.float("o_core");
        let mut d_x = inputs.float("d_o").to_vec();
        if op.epilogue.maps_rows() {
            let x = store(affine::forward(op, &core_inputs, core));
            let found = Rows::new(op, inputs, Kind::Output).backward(&x, &d_x, inputs.float("gate").len());
            d_x = store(found.d_x);
            more.extend([("d_gate", found.d_factor), ("d_o_gain", found.d_gain)]);
        }
        if op.epilogue.affine {
            let found = affine::backward(op, &core_inputs, core, &d_x);
            d_x = store(found.d_x);
            more.push(("d_alpha", found.d_alpha));
            mean_shares = found.d_v;
        }
        if op.epilogue.injection.is_some() {
            let found = injection::backward(op, inputs, core, &d_x);
            d_x = store(found.d_x);
            more.extend([("d_inject_logit", found.d_logit), ("d_task_vector", found.d_vector)]);
        }
        core_inputs.floats.insert("d_o".into(), d_x);
        core_inputs.floats.insert("o".into(), core.to_vec());
    }
    let mut outputs = spec.core().eval(&core_inputs);
    if op.prologue.key_penalty.is_some() {
        let mut d_k = store(outputs.float("d_k").to_vec());
        let sums = outputs.floats.remove("d_key_bias").unwrap_or_default();
        penalty::subtract_gradient(op, inputs, core_inputs.float("k"), &sums, &mut d_k);
        outputs.floats.insert("d_k".into(), d_k);
        more.push(("d_key_bias", penalty::given_bias_gradient(op, inputs, sums)));
    }
    if !mean_shares.is_empty() {
        let core = store(outputs.float("d_v").to_vec());
        outputs.floats.insert("d_v".into(), core.into_iter().zip(mean_shares).map(|(x, y)| x + y).collect());
    }
    for (kind, name) in rows::prologue_kinds(op) {
        let (output, factor, gradients) = match kind {
            Kind::Query => ("d_q", "query_scale", ["d_query_scale", "d_q_gain"]),
            Kind::Key => ("d_k", "", ["", "d_k_gain"]),
            _ => ("d_v", "value_scale", ["d_value_scale", ""]),
        };
        let d_y = store(outputs.float(output).to_vec());
        let found = Rows::new(op, inputs, kind).backward(inputs.float(name), &d_y, inputs.float(factor).len());
        outputs.floats.insert(output.into(), found.d_x);
        more.extend(gradients.into_iter().zip([found.d_factor, found.d_gain]));
    }
    let operands = spec.operands();
    let wanted = more.into_iter().filter(|(name, _)| operands.iter().any(|o| o.name == *name));
    outputs.floats.extend(wanted.map(|(name, values)| (name.to_string(), values)));
    outputs
}
