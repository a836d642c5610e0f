//! Losses of a router, and the bias that it selects by: `load_balance_loss`, `router_z_loss`, `congestion_loss`, `selection_bias_update`.

use gatefold_core::routing::{Congestion, CongestionCost, Load, RouterLossKind};
use gatefold_core::{Dtype, RouterLoss, SelectionBiasUpdate, Tensors};
use serde_json::{Map, Value};

use super::archive::Archive;
use super::family::{listed, number, unsupported, want};
use super::job::{Case, OpJob, Stop};

fn wrong<T>(name: &str, value: &Value) -> Result<T, Stop> {
    Err(Stop::Wrong(format!("{name}: got {value}")))
}

fn congestion(attrs: &Map<String, Value>) -> Result<RouterLossKind, Stop> {
    let text = |name: &str| attrs.get(name).and_then(Value::as_str).unwrap_or_default();
    let load = match text("variant") {
        "hard" => Load::Hard,
        "soft" => Load::Soft,
        other => return unsupported(format!("variant {other}")),
    };
    let cost = match text("cost") {
        "linear" => CongestionCost::Linear,
        "quadratic" => CongestionCost::Quadratic,
        other => return unsupported(format!("cost {other}")),
    };
    let lambda = attrs.get("lambda").map_or(Ok(1.0), |x| number("lambda", x))?;
    Ok(RouterLossKind::Congestion(Congestion { load, cost, lambda }))
}

/// A loss with its gradient, if there is an upstream one.
pub(super) fn read(file: &Archive, attrs: &Map<String, Value>) -> Result<Case, Stop> {
    let op = file.case.get("op").and_then(Value::as_str).unwrap_or_default();
    let kind = match op {
        "load_balance_loss" => RouterLossKind::LoadBalance,
        "router_z_loss" => RouterLossKind::ZLoss,
        _ => congestion(attrs)?,
    };
    let (mut coefficient, mut top_k) = (1.0, 0);
    for (name, value) in attrs {
        match name.as_str() {
            "coefficient" => coefficient = number(name, value)?,
            "k" => {
                top_k = value.as_u64().and_then(|k| usize::try_from(k).ok()).map_or_else(|| wrong(name, value), Ok)?
            }
            "variant" | "cost" | "lambda" if matches!(kind, RouterLossKind::Congestion(_)) => {}
            _ => return unsupported(format!("{name} {value}")),
        }
    }
    let logits = file.need("logits")?;
    let [tokens, experts] = logits.dims[..] else {
        return Err(Stop::Wrong(format!("logits: expected 2 dimensions, got {:?}", logits.dims)));
    };
    let mut inputs = Tensors::new().with("logits", logits.tensor(Dtype::F32)?);
    if kind != RouterLossKind::ZLoss {
        inputs.insert("indices", file.need("indices")?.tensor(Dtype::U32)?);
    }
    let d_loss = file.get("d_loss")?;
    if let Some(d_loss) = d_loss {
        inputs.insert("d_loss", d_loss.tensor(Dtype::F32)?);
    }
    let op = RouterLoss { gradient: d_loss.is_some(), ..RouterLoss::new(kind, tokens, experts, top_k, coefficient) };
    let mut case = Case::default();
    case.jobs.push(Box::new(OpJob { op, inputs, from_earlier: Vec::new() }));
    for name in listed(file) {
        case.wants.push(want(&name, file.need(&name)?));
    }
    Ok(case)
}

/// A step of the bias.
pub(super) fn read_bias(file: &Archive, attrs: &Map<String, Value>) -> Result<Case, Stop> {
    let mut rate = 0.0;
    for (name, value) in attrs {
        match name.as_str() {
            "rate" => rate = number(name, value)?,
            _ => return unsupported(format!("{name} {value}")),
        }
    }
    let (counts, bias) = (file.need("counts")?, file.need("correction_bias")?);
    let inputs =
        Tensors::new().with("counts", counts.tensor(Dtype::U32)?).with("selection_bias", bias.tensor(Dtype::F32)?);
    let op = SelectionBiasUpdate::new(counts.values.len(), rate);
    let mut case = Case::default();
    case.jobs.push(Box::new(OpJob { op, inputs, from_earlier: Vec::new() }));
    case.wants.push(want("selection_bias", file.need("o")?));
    Ok(case)
}
