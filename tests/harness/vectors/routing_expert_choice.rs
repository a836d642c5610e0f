//! Family files of expert choice: logits, the choice, and the gradient of its weights.

use gatefold_core::routing::NO_ROW;
use gatefold_core::{Dtype, ExpertChoice, ExpertChoiceBackward, Tensors};
use serde_json::{Map, Value};

use super::archive::{Archive, Array};
use super::family::want;
use super::job::{Case, OpJob, Stop};

/// Indices as ours: −1 is none.
fn indices(array: &Array) -> Array {
    let ours = |&x: &f64| if x < 0.0 { f64::from(NO_ROW) } else { x };
    Array { values: array.values.iter().map(ours).collect(), ..array.clone() }
}

pub(super) fn read(file: &Archive, attrs: &Map<String, Value>) -> Result<Case, Stop> {
    if let Some((name, value)) = attrs.iter().find(|(name, _)| *name != "capacity") {
        return Err(Stop::NotSupported(format!("{name} {value}")));
    }
    let (logits, weights) = (file.need("logits")?, file.need("weights")?);
    let (&[tokens, experts], &[_, capacity]) = (&logits.dims[..], &weights.dims[..]) else {
        return Err(Stop::Wrong("logits, weights: expected two dimensions each".into()));
    };
    let op = ExpertChoice::new(tokens, experts, capacity);
    let inputs = Tensors::new().with("logits", logits.tensor(Dtype::F32)?);
    let mut case = Case::default();
    case.jobs.push(Box::new(OpJob { op: op.clone(), inputs: inputs.clone(), from_earlier: Vec::new() }));
    case.wants.push(want("weights", weights));
    case.wants.push(want("indices", &indices(file.need("indices")?)));
    if let Some(d_weights) = file.get("d_weights")? {
        let inputs = inputs.with("d_weights", d_weights.tensor(Dtype::F32)?);
        let op = ExpertChoiceBackward::new(op);
        case.jobs.push(Box::new(OpJob { op, inputs, from_earlier: vec!["indices"] }));
        case.wants.push(want("d_logits", file.need("d_logits")?));
    }
    Ok(case)
}
