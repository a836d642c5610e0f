//! Plans of routing: op `dispatch` of the family format. −1 stands for a row that there is not.

use gatefold_core::routing::{DropPolicy, NO_ROW};
use gatefold_core::{Dtype, RoutingPlan, Tensors};
use serde_json::{Map, Value};

use super::archive::{Archive, Array};
use super::family::{unsupported, want};
use super::job::{Case, OpJob, Stop};

fn whole(name: &str, value: &Value) -> Result<usize, Stop> {
    let found = value.as_u64().and_then(|n| usize::try_from(n).ok());
    found.ok_or_else(|| Stop::Wrong(format!("{name}: expected a whole number, got {value}")))
}

/// Rows as ours are: none is [`NO_ROW`], and there may be more of them.
fn rows(array: &Array, dims: Vec<usize>) -> Array {
    let none = f64::from(NO_ROW);
    let count = dims.iter().product();
    let mut values: Vec<f64> = array.values.iter().map(|&x| if x < 0.0 { none } else { x }).collect();
    values.resize(count, none);
    Array { dims, values, ..array.clone() }
}

/// Reads the plan of a case.
pub(super) fn read(file: &Archive, attrs: &Map<String, Value>) -> Result<Case, Stop> {
    let indices = file.need("indices")?;
    let &[tokens, top_k] = &indices.dims[..] else {
        return Err(Stop::Wrong(format!("indices: expected 2 dimensions, got {:?}", indices.dims)));
    };
    let mut op = RoutingPlan::new(tokens, top_k, 0);
    for (name, value) in attrs {
        match (name.as_str(), value.as_str()) {
            ("experts", _) => op.experts = whole(name, value)?,
            ("capacity", _) => op.capacity = Some(whole(name, value)?),
            ("policy", Some("position")) => op.drop = DropPolicy::Position,
            ("policy", Some("weight")) => op.drop = DropPolicy::Weight,
            _ => return unsupported(format!("{name} {value}")),
        }
    }
    let mut inputs = Tensors::new().with("indices", indices.tensor(Dtype::U32)?);
    if op.by_weight() {
        inputs.insert("weights", file.need("weights")?.tensor(Dtype::F32)?);
    }
    let mut case = Case::default();
    case.wants.push(want("counts", file.need("counts")?));
    case.wants.push(want("offsets", file.need("offsets")?));
    case.wants.push(want("permutation", &rows(file.need("permutation")?, vec![op.rows()])));
    case.wants.push(want("inverse", &rows(file.need("inverse")?, vec![tokens, top_k])));
    if file.get("x")?.is_some() {
        case.notes.push("the plan only: y and d_x are another op's".into());
    }
    case.jobs.push(Box::new(OpJob { op, inputs, from_earlier: Vec::new() }));
    Ok(case)
}
