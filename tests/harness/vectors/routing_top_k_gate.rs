//! Gates of the family format: `top_k_gate` and `dense_gate`.

use gatefold_core::routing::{ExpertGroups, GateActivation, GateWeight, GroupScore, NanLogits, Score};
use gatefold_core::{Dtype, Op, Tensor, Tensors, TopKGate, TopKGateBackward};
use serde_json::{Map, Value};

use super::archive::{Archive, Array};
use super::family::number;
use super::job::{Case, OpJob, Stop, Want};

fn whole(attrs: &Map<String, Value>, name: &str) -> Result<Option<usize>, Stop> {
    let Some(value) = attrs.get(name) else { return Ok(None) };
    let found = value.as_u64().and_then(|n| usize::try_from(n).ok());
    found.map(Some).ok_or_else(|| Stop::Wrong(format!("{name}: expected a whole number, got {value}")))
}

/// A want without tolerance: the family's are set later.
fn want(output: &str, array: &Array) -> Want {
    Want { output: output.into(), dims: array.dims.clone(), values: array.values.clone(), absolute: 0.0, relative: 0.0 }
}

fn unknown<T>(name: &str, value: Option<&Value>) -> Result<T, Stop> {
    Err(Stop::NotSupported(format!("{name} {}", value.unwrap_or(&Value::Null))))
}

/// `[tokens, experts]` of the logits.
fn sizes(file: &Archive) -> Result<[usize; 2], Stop> {
    match file.need("logits")?.dims[..] {
        [tokens, experts] => Ok([tokens, experts]),
        ref other => Err(Stop::Wrong(format!("logits: expected 2 dimensions, got {other:?}"))),
    }
}

fn gate(file: &Archive, attrs: &Map<String, Value>) -> Result<TopKGate, Stop> {
    let [tokens, experts] = sizes(file)?;
    let k = whole(attrs, "k")?.ok_or_else(|| Stop::Wrong("k: expected in the attributes".into()))?;
    let order = attrs.get("order");
    let (score, weight) = match order.and_then(Value::as_str) {
        None | Some("softmax_then_topk") => (Score::Softmax, GateWeight::Score),
        Some("topk_then_softmax") => (Score::Identity, GateWeight::SelectedSoftmax),
        Some("sigmoid") => (Score::Sigmoid, GateWeight::Score),
        Some(_) => return unknown("order", order),
    };
    let scale = attrs.get("scale").map_or(Ok(1.0), |s| number("scale", s))?;
    let renormalise = attrs.get("renormalise").and_then(Value::as_bool).unwrap_or(false);
    let groups = whole(attrs, "groups")?.filter(|&n| n > 1);
    let groups = match groups {
        None => None,
        Some(groups) => {
            let score = match attrs.get("group_score").and_then(Value::as_str) {
                None | Some("max") => GroupScore::Max,
                Some("top2_sum") => GroupScore::TopSum(2),
                Some(_) => return unknown("group_score", attrs.get("group_score")),
            };
            Some(ExpertGroups { groups, keep: whole(attrs, "group_limit")?.unwrap_or(groups), score })
        }
    };
    Ok(TopKGate {
        score,
        weight,
        scale,
        groups,
        renormalize: renormalise.then_some(0.0),
        selection_bias: file.get("correction_bias")?.is_some(),
        scores: true,
        nan: NanLogits::Lowest,
        ..TopKGate::new(tokens, experts, k)
    })
}

/// The forward op, and with an upstream gradient the backward op on what it gave.
fn case(file: &Archive, spec: TopKGate, given: Tensors, upstream: Option<Tensors>) -> Result<Case, Stop> {
    spec.validate().map_err(|e| Stop::Wrong(e.to_string()))?;
    let mut case = Case::default();
    case.jobs.push(Box::new(OpJob { op: spec.clone(), inputs: given.clone(), from_earlier: Vec::new() }));
    if let Some(upstream) = upstream {
        let mut inputs = given;
        inputs.take("selection_bias");
        for (name, t) in upstream.iter() {
            inputs.insert(name, t.clone());
        }
        let d_scores = upstream.get("d_scores").is_some();
        let op = TopKGateBackward { d_scores, ..TopKGateBackward::new(spec) };
        case.jobs.push(Box::new(OpJob { op, inputs, from_earlier: vec!["indices"] }));
        for name in ["d_logits", "d_temperature", "d_logit_bias"] {
            case.wants.extend(file.get(name)?.map(|array| want(name, array)));
        }
    }
    Ok(case)
}

/// Reads a gate that chooses.
pub(super) fn read(file: &Archive, attrs: &Map<String, Value>) -> Result<Case, Stop> {
    let spec = gate(file, attrs)?;
    let mut given = Tensors::new().with("logits", file.need("logits")?.tensor(Dtype::F32)?);
    if let Some(bias) = file.get("correction_bias")? {
        given.insert("selection_bias", bias.tensor(Dtype::F32)?);
    }
    let upstream = match file.get("d_weights")? {
        None => None,
        Some(d) => Some(Tensors::new().with("d_weights", d.tensor(Dtype::F32)?)),
    };
    let mut case = case(file, spec, given, upstream)?;
    for name in ["weights", "indices"] {
        case.wants.push(want(name, file.need(name)?));
    }
    case.wants.extend(file.get("scores")?.map(|scores| want("scores", scores)));
    Ok(case)
}

/// Reads a gate of all experts: its weights are our scores.
pub(super) fn read_dense(file: &Archive, attrs: &Map<String, Value>) -> Result<Case, Stop> {
    let [tokens, experts] = sizes(file)?;
    let activation = match attrs.get("activation").and_then(Value::as_str) {
        None | Some("none") => GateActivation::None,
        Some("sigmoid") => GateActivation::Sigmoid,
        Some("tanh") => GateActivation::Tanh,
        Some("gelu") => GateActivation::Gelu,
        Some(_) => return unknown("activation", attrs.get("activation")),
    };
    let logit_bias = file.get("logit_bias")?.is_some();
    let spec =
        TopKGate { activation, logit_bias, nan: NanLogits::Lowest, ..TopKGate::dense_to_sparse(tokens, experts, 1) };
    let mut given = Tensors::new();
    for name in ["logits", "temperature", "logit_bias"] {
        if let Some(array) = file.get(name)? {
            given.insert(name, array.tensor(Dtype::F32)?);
        }
    }
    let upstream = match file.get("d_weights")? {
        None => None,
        Some(d) => {
            let none = Tensor::f32([tokens, 1], vec![0.0; tokens]).map_err(|e| e.to_string())?;
            Some(Tensors::new().with("d_scores", d.tensor(Dtype::F32)?).with("d_weights", none))
        }
    };
    let mut case = case(file, spec, given, upstream)?;
    case.wants.push(want("scores", file.need("weights")?));
    Ok(case)
}
