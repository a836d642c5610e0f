//! Files of the family format: metadata `case` with `op`, `attrs`, `outputs`, `grads`, `rtol`, `atol`.

use gatefold_core::attention::{
    Activation, Bias, Causal, Dims, Gate, Normalizer, QueryScale, Reweight, RowNorm, ScoreBias, Sequences, Weight,
    Window,
};
use gatefold_core::{
    Attention, AttentionBackward, AttentionMerge, Dtype, RowFunction, Rowwise, RowwiseBackward, Tensor, Tensors,
};
use serde_json::{Map, Value};

use super::archive::{Archive, Array};
use super::job::{Case, OpJob, Stop, Want};
use super::{routing_expert_choice, routing_losses, routing_plan, routing_rows, routing_top_k_gate};

pub(super) fn unsupported<T>(what: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::NotSupported(what.into()))
}

/// A number of the metadata, rounded to f32.
pub(super) fn number(name: &str, value: &Value) -> Result<f32, Stop> {
    #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
    let found = value.as_f64().map(|x| x as f32);
    found.ok_or_else(|| Stop::Wrong(format!("{name}: expected a number, got {value}")))
}

/// Reads a family file's case.
pub(super) fn read(file: &Archive) -> Result<Case, Stop> {
    let op = file.case.get("op").and_then(Value::as_str).unwrap_or_default();
    let none = Map::new();
    let attrs = file.case.get("attrs").and_then(Value::as_object).unwrap_or(&none);
    let mut case = match op {
        "attention" => attention(file, attrs)?,
        "infsa_attention" => infsa(file, attrs)?,
        "parallax_attention" => parallax(file, attrs)?,
        "merge_partials" => merge(file)?,
        "top_k_gate" => routing_top_k_gate::read(file, attrs)?,
        "dense_gate" => routing_top_k_gate::read_dense(file, attrs)?,
        "combine" => routing_rows::read(file)?,
        "dispatch" if file.arrays.contains_key("x") => routing_rows::read_rows(file)?,
        "expert_choice" => routing_expert_choice::read(file, attrs)?,
        "softmax" => rowwise(file, attrs, RowFunction::Softmax)?,
        "dispatch" => routing_plan::read(file, attrs)?,
        "log_softmax" => rowwise(file, attrs, RowFunction::LogSoftmax)?,
        "logsumexp" => rowwise(file, attrs, RowFunction::LogSumExp)?,
        "load_balance_loss" | "router_z_loss" | "congestion_loss" => routing_losses::read(file, attrs)?,
        "selection_bias_update" => routing_losses::read_bias(file, attrs)?,
        other => return unsupported(format!("op {other}")),
    };
    set_tolerances(file, &mut case.wants)?;
    Ok(case)
}

/// `atol·M + rtol·|want|`, `M` the largest magnitude of the tensor, but at least a thousandth of the case's. Integers must be equal.
fn set_tolerances(file: &Archive, wants: &mut [Want]) -> Result<(), Stop> {
    let tolerance = |name: &str| {
        let found = file.case.get(name).and_then(Value::as_f64).filter(|x| *x >= 0.0);
        found.ok_or_else(|| Stop::Wrong(format!("{name}: expected a number in the metadata")))
    };
    let (rtol, atol) = (tolerance("rtol")?, tolerance("atol")?);
    let is_whole = |w: &Want| matches!(file.arrays.get(&w.output), Some(Ok(a)) if !a.is_float());
    let largest = |w: &Want| w.values.iter().filter(|x| x.is_finite()).fold(0.0f64, |m, x| m.max(x.abs()));
    let overall = wants.iter().filter(|w| !is_whole(w)).map(largest).fold(0.0, f64::max);
    for want in wants.iter_mut().filter(|w| !is_whole(w)) {
        want.absolute = atol * largest(want).max(1e-3 * overall);
        want.relative = rtol;
    }
    Ok(())
}

/// Names listed under `outputs` and `grads`.
pub(super) fn listed(file: &Archive) -> Vec<String> {
    let names = |key| file.case.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let all = names("outputs").into_iter().chain(names("grads"));
    all.filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// A want without tolerance, for [`set_tolerances`].
pub(super) fn want(output: &str, array: &Array) -> Want {
    Want { output: output.into(), dims: array.dims.clone(), values: array.values.clone(), absolute: 0.0, relative: 0.0 }
}

/// Bounds of a window: −1 is unbounded.
pub(super) fn window_side(name: &str, value: Option<&Value>) -> Result<Option<u32>, Stop> {
    match value.and_then(Value::as_i64) {
        Some(-1) => Ok(None),
        Some(n) => u32::try_from(n).map(Some).map_err(|_| Stop::Wrong(format!("{name}: expected -1 or more, got {n}"))),
        None => Err(Stop::Wrong(format!("{name}: expected a whole number"))),
    }
}

/// A normaliser by its name in the files.
fn normalizer(name: &str) -> Option<Normalizer> {
    Some(match name {
        "none" => Normalizer::None,
        "row_sum" => Normalizer::RowSum,
        "clamp_one" => Normalizer::ClampedRowSum,
        "count" => Normalizer::Count,
        "learned_exp" => Normalizer::LearnedExp,
        // none is given: one that f32 does not see
        "frobenius" => Normalizer::GlobalFrobenius(1e-18),
        _ => return None,
    })
}

/// A norm by its name in the files.
fn row_norm(name: &str) -> Result<Option<RowNorm>, Stop> {
    Ok(match name {
        "none" => None,
        "l2" => Some(RowNorm::L2),
        "rms" => Some(RowNorm::RMS),
        _ => return unsupported(format!("norm {name}")),
    })
}

/// The weight, by its name in the files or ours.
fn weight(attrs: &Map<String, Value>) -> Result<Weight, Stop> {
    let name = attrs.get("weight").map_or(Some("softmax"), Value::as_str).unwrap_or("?");
    Ok(match name {
        "softmax" => Weight::Softmax,
        "elu1" => Weight::EluOne,
        "exp_clamp" => Weight::ExpClamp(attrs.get("clamp").map_or(Ok(5.0), |most| number("clamp", most))?),
        "taylor" => {
            let degree = attrs.get("taylor_order").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
            Weight::Taylor(degree.ok_or_else(|| Stop::Wrong("taylor_order: expected a whole number".into()))?)
        }
        _ => match Weight::FUNCTIONS.iter().find(|w| w.name() == name && w.degree().is_none()) {
            Some(&found) => found,
            None => return unsupported(format!("weight {name}")),
        },
    })
}

/// The re-weighting; an offset is 1 and free rows are none if they are not given.
fn reweight(value: &Value) -> Result<Reweight, Stop> {
    let whole = |name: &str, otherwise: u64| {
        let found = value.get(name).map_or(Some(otherwise), Value::as_u64).and_then(|n| u32::try_from(n).ok());
        found.ok_or_else(|| Stop::Wrong(format!("reweight.{name}: expected a whole number")))
    };
    let offset = value.get("offset").map_or(Ok(1.0), |offset| number("reweight.offset", offset))?;
    Ok(Reweight { power: whole("power", 0)?, offset, offset_rows: whole("offset_free_rows", 0)? })
}

/// Sets the option that an attribute stands for.
fn set_attribute(spec: &mut Attention, name: &str, value: &Value) -> Result<(), Stop> {
    let softmax = spec.weight == Weight::Softmax;
    match (name, value.as_str()) {
        ("weight" | "clamp" | "taylor_order", _) => {}
        ("scale", Some("log_d_log_n")) => {
            (spec.scale, spec.prologue.query_scale) = (Some(1.0), Some(QueryScale::LogKeys));
        }
        ("qk_norm", Some(name)) => {
            let norm = row_norm(name)?;
            (spec.prologue.query_norm, spec.prologue.key_norm) = (norm, norm);
        }
        ("reweight", None) if value.is_object() => spec.reweight = Some(reweight(value)?),
        ("key_norm_penalty", None) => spec.prologue.key_penalty = Some(number(name, value)?),
        ("output_norm", Some(name)) => spec.epilogue.norm = row_norm(name)?,
        ("affine", None) if value.is_boolean() => spec.epilogue.affine = value.as_bool() == Some(true),
        ("gate", Some("element")) => spec.epilogue.gate = Some(Gate::ELEMENT),
        ("gate", Some("head")) => spec.epilogue.gate = Some(Gate::HEAD),
        // the usual number of both
        ("qk_norm_eps" | "output_norm_eps", None) if value.as_f64() == Some(1e-6) => {}
        ("scale", None) => spec.scale = Some(number(name, value)?),
        ("softcap", None) => spec.softcap = Some(number(name, value)?),
        ("bias", Some("neg_log_keys")) => spec.bias = Bias::NegLogKeys,
        ("bias", Some("neg_log_len")) => spec.bias = Bias::NegLogLen,
        ("bias", None) => spec.bias = Bias::Const(number(name, value)?),
        ("causal", Some("none")) => spec.causal = Causal::None,
        ("causal", Some("top_left")) => spec.causal = Causal::TopLeft,
        ("causal", Some("bottom_right")) => spec.causal = Causal::BottomRight,
        ("window", None) => {
            spec.window = Window {
                left: window_side("window[0]", value.get(0))?,
                right: window_side("window[1]", value.get(1))?,
            };
        }
        ("chunk", None) => {
            let size = value.as_u64().and_then(|n| u32::try_from(n).ok());
            spec.chunk = Some(size.ok_or_else(|| Stop::Wrong(format!("{name}: expected a whole number")))?);
        }
        ("sink_tokens", None) => {
            let count = value.as_u64().and_then(|n| u32::try_from(n).ok());
            spec.sink_tokens = Some(count.ok_or_else(|| Stop::Wrong(format!("{name}: expected a whole number")))?);
        }
        ("normaliser", Some("row_sum")) if softmax => {}
        ("normaliser", Some(name)) if !softmax => match normalizer(name) {
            Some(found) => spec.normalizer = found,
            None => return unsupported(format!("normaliser {name}")),
        },
        ("normaliser_detached", None) if value.as_bool() == Some(true) => {
            spec.normalizer = match spec.normalizer {
                Normalizer::RowSum => Normalizer::DetachedRowSum,
                Normalizer::ClampedRowSum => Normalizer::DetachedClampedRowSum,
                _ => return unsupported(format!("{name} of this normaliser")),
            };
        }
        // less than f32 sums of ordinary size resolve
        ("normaliser_eps", None) if value.as_f64().is_some_and(|eps| (0.0..1e-7).contains(&eps)) => {}
        (_, Some(text)) => return unsupported(format!("{name} {text}")),
        (_, None) => return unsupported(format!("{name} {value}")),
    }
    Ok(())
}

/// Inputs of the attention op and of its gradient, by the names of the files, which are ours.
const SIDE_INPUTS: [&str; 13] = [
    "lens_q",
    "lens_kv",
    "head_bias",
    "key_bias",
    "score_bias",
    "alibi_slopes",
    "sink",
    "log_norm",
    "query_scale",
    "value_scale",
    "gate",
    "alpha",
    "alpha_mean",
];

/// The sizes, from the shapes of `q`, `k` and `v`.
pub(super) fn dims_of(q: &Array, k: &Array, v: &Array) -> Result<Dims, Stop> {
    let four = |name: &str, array: &Array| {
        let wrong = |_| Stop::Wrong(format!("{name}: expected four dimensions, got {:?}", array.dims));
        <[usize; 4]>::try_from(&array.dims[..]).map_err(wrong)
    };
    let ([batch, q_heads, seq_q, head_dim], [_, kv_heads, seq_kv, _]) = (four("q", q)?, four("k", k)?);
    let [_, _, _, val_dim] = four("v", v)?;
    Ok(Dims { batch, q_heads, kv_heads, seq_q, seq_kv, head_dim, val_dim })
}

fn attention(file: &Archive, attrs: &Map<String, Value>) -> Result<Case, Stop> {
    let mut spec = Attention::softmax(dims_of(file.need("q")?, file.need("k")?, file.need("v")?)?);
    spec.weight = weight(attrs)?;
    if spec.weight == Weight::Softplus {
        spec.normalizer = Normalizer::RowSum;
    }
    // what all of a row is divided by cancels where its output is divided by its length
    let cancels = attrs.get("output_norm").and_then(Value::as_str) == Some("l2");
    for (name, value) in attrs.iter().filter(|(name, value)| !(cancels && *name == "normaliser" && *value == "none")) {
        set_attribute(&mut spec, name, value)?;
    }
    attention_case(file, spec, 1.0)
}

/// InfSA by the names of its paper.
fn infsa(file: &Archive, attrs: &Map<String, Value>) -> Result<Case, Stop> {
    let mut spec = Attention::infsa(dims_of(file.need("q")?, file.need("k")?, file.need("v")?)?);
    let mut rho = 0.95;
    for (name, value) in attrs {
        match name.as_str() {
            "rho" => rho = number(name, value)?,
            "eps" => spec.normalizer = Normalizer::GlobalFrobenius(number(name, value)?),
            _ => return unsupported(format!("{name} {value}")),
        }
    }
    attention_case(file, spec, rho)
}

/// Local-linear attention with a given slope.
fn parallax(file: &Archive, attrs: &Map<String, Value>) -> Result<Case, Stop> {
    let mut spec = Attention::parallax(dims_of(file.need("q")?, file.need("k")?, file.need("v")?)?);
    spec.causal = Causal::None;
    for (name, value) in attrs {
        set_attribute(&mut spec, name, value)?;
    }
    attention_case(file, spec, 1.0)
}

/// The case of a spec, but for what inputs tell of it.
fn attention_case(file: &Archive, mut spec: Attention, rho: f32) -> Result<Case, Stop> {
    let outputs = listed(file);
    let known = |name: &str| ["q", "k", "v", "r", "d_o", "d_lse"].contains(&name) || SIDE_INPUTS.contains(&name);
    if let Some(other) = file.arrays.keys().find(|n| !known(n) && !outputs.contains(n)) {
        return unsupported(format!("input {other}"));
    }
    let has = |name: &str| file.arrays.contains_key(name);
    (spec.head_bias, spec.key_bias, spec.alibi, spec.sink) =
        (has("head_bias"), has("key_bias"), has("alibi_slopes"), has("sink"));
    if has("query_scale") {
        spec.prologue.query_scale = Some(QueryScale::Given);
    }
    spec.prologue.value_scale = has("value_scale").then_some(Activation::Identity);
    spec = spec.saving(true);
    if has("lens_q") || has("lens_kv") {
        spec.sequences = Sequences::Padded { q: has("lens_q"), kv: has("lens_kv") };
    }
    if let Some(bias) = file.get("score_bias")? {
        let own = |at: usize| bias.dims.get(at).is_some_and(|&n| n != 1);
        spec.score_bias = Some(ScoreBias { per_batch: own(0), per_head: own(1) });
    }
    let mut inputs = Tensors::new();
    if spec.normalizer.of_head().is_some() {
        let heads = spec.dims.q_heads;
        inputs.insert("rho", Tensor::f32([heads], vec![rho; heads]).map_err(|e| e.to_string())?);
    }
    for name in ["q", "k", "v", "r"].iter().chain(&SIDE_INPUTS) {
        if let Some(array) = file.get(name)? {
            let dtype = if name.starts_with("lens") { Dtype::U32 } else { Dtype::F32 };
            inputs.insert(*name, array.tensor(dtype).map_err(|e| format!("{name}: {e}"))?);
        }
    }
    let mut case = Case::default();
    attention_jobs(file, spec, inputs, &mut case)?;
    for name in &outputs {
        case.wants.push(want(name, file.need(name)?));
    }
    Ok(case)
}

/// The forward op and, if there is an upstream gradient, the backward op on what the forward op gave.
fn attention_jobs(file: &Archive, spec: Attention, inputs: Tensors, case: &mut Case) -> Result<(), Stop> {
    case.jobs.push(Box::new(OpJob { op: spec.clone(), inputs: inputs.clone(), from_earlier: Vec::new() }));
    let Some(d_o) = file.get("d_o")? else { return Ok(()) };
    let d_lse = file.get("d_lse")?;
    let mut inputs = inputs.with("d_o", d_o.tensor(Dtype::F32)?);
    if let Some(d_lse) = d_lse {
        inputs.insert("d_lse", d_lse.tensor(Dtype::F32)?);
    }
    let from_earlier = spec.kept();
    let op = AttentionBackward { d_lse: d_lse.is_some(), ..AttentionBackward::new(spec) };
    case.jobs.push(Box::new(OpJob { op, inputs, from_earlier }));
    Ok(())
}

/// Parts of a softmax attention, joined: batch entries, heads and queries are rows of ours.
fn merge(file: &Archive) -> Result<Case, Stop> {
    let o_parts = file.need("o_parts")?;
    let [parts, batch, heads, seq, width] = o_parts.dims[..] else {
        return Err(Stop::Wrong(format!("o_parts: expected 5 dimensions, got {:?}", o_parts.dims)));
    };
    let rows = batch * heads * seq;
    let rows_of = |name: &str, dims: &[usize]| Ok::<_, Stop>(file.need(name)?.reshaped(dims)?);
    let inputs = Tensors::new()
        .with("o_parts", rows_of("o_parts", &[parts, rows, width])?.tensor(Dtype::F32)?)
        .with("lse_parts", rows_of("lse_parts", &[parts, rows])?.tensor(Dtype::F32)?);
    let mut case = Case::default();
    let op = AttentionMerge::softmax(parts, rows, width);
    case.jobs.push(Box::new(OpJob { op, inputs, from_earlier: Vec::new() }));
    case.wants.push(want("o", &rows_of("o", &[rows, width])?));
    case.wants.push(want("lse", &rows_of("lse", &[rows])?));
    Ok(case)
}

/// The order of dimensions that brings `axis` to the end.
pub(super) fn axis_last(rank: usize, axis: i64) -> Result<Vec<usize>, Stop> {
    let counted = if axis < 0 { axis + rank as i64 } else { axis };
    let at = usize::try_from(counted).ok().filter(|&a| a < rank);
    let at = at.ok_or_else(|| Stop::Wrong(format!("axis: expected -{rank} to {}, got {axis}", rank as i64 - 1)))?;
    Ok((0..rank).filter(|&d| d != at).chain([at]).collect())
}

/// An array as rows along its last dimension.
pub(super) fn as_rows(array: &Array, order: &[usize]) -> Result<Array, Stop> {
    let moved = array.permuted(order)?;
    let cols = moved.dims.last().copied().unwrap_or(1);
    let rows = moved.dims.iter().rev().skip(1).product();
    Ok(moved.reshaped(&[rows, cols])?)
}

fn rowwise(file: &Archive, attrs: &Map<String, Value>, function: RowFunction) -> Result<Case, Stop> {
    let (mut axis, mut scale) = (-1, 1.0);
    for (name, value) in attrs {
        match name.as_str() {
            "axis" => axis = value.as_i64().ok_or_else(|| Stop::Wrong(format!("axis: got {value}")))?,
            "scale" => scale = number(name, value)?,
            _ => return unsupported(format!("{name} {value}")),
        }
    }
    let x = file.need("x")?;
    let order = axis_last(x.dims.len(), axis)?;
    let wide = |array: &Array| if array.dims.len() == order.len() { as_rows(array, &order) } else { Ok(array.clone()) };
    // Log-sum-exp has one element a row: already in the order of the rows, whatever the axis was.
    let narrow = |array: &Array| Ok::<_, Stop>(array.reshaped(&[array.values.len()])?);
    let whole = |array: &Array| if function == RowFunction::LogSumExp { narrow(array) } else { wide(array) };
    let rows = wide(x)?;
    let lens = file.get("lens")?;
    let spec = Rowwise { scale, lens: lens.is_some(), ..Rowwise::new(function, rows.dims[0], rows.dims[1]) };
    let mut inputs = Tensors::new().with("x", rows.tensor(Dtype::F32)?);
    if let Some(lens) = lens {
        inputs.insert("lens", lens.tensor(Dtype::U32)?);
    }
    let mut case = Case::default();
    case.jobs.push(Box::new(OpJob { op: spec.clone(), inputs: inputs.clone(), from_earlier: Vec::new() }));
    case.wants.push(want("y", &whole(file.need("y")?)?));
    if let Some(d_y) = file.get("d_y")? {
        let mut from_earlier = Vec::new();
        if function != RowFunction::LogSumExp {
            inputs.take("x");
            from_earlier.push("y");
        }
        let inputs = inputs.with("d_y", whole(d_y)?.tensor(Dtype::F32)?);
        case.jobs.push(Box::new(OpJob { op: RowwiseBackward { forward: spec }, inputs, from_earlier }));
        case.wants.push(want("d_x", &wide(file.need("d_x")?)?));
    }
    Ok(case)
}
