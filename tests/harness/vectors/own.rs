//! Files of our own form: metadata `case` is `{"op": …, "spec": {…}, "rtol": …, "atol": …}`, `spec` is the op's spec as JSON. Inputs are
//! tensors by operand name, expected outputs are `want.<output>` or just `<output>`.

use gatefold_core::{Op, Role, Tensors, for_each_op};
use gatefold_cpu_ref::Reference;
use gatefold_shaders::Kernels;
use serde_json::Value;

use super::archive::Archive;
use super::job::{Case, OpJob, Stop, Want};

fn read_op<O: Reference + Kernels>(file: &Archive, spec: &Value) -> Result<Case, Stop> {
    let op: O = serde_json::from_value(spec.clone()).map_err(|e| Stop::Wrong(format!("spec: {e}")))?;
    op.validate().map_err(|e| Stop::Wrong(format!("spec: {e}")))?;
    let tolerance = |name: &str, default: f64| match file.case.get(name) {
        None => Ok(default),
        Some(v) => {
            v.as_f64().filter(|x| *x >= 0.0).ok_or_else(|| Stop::Wrong(format!("{name}: expected a number, got {v}")))
        }
    };
    let (relative, absolute) = (tolerance("rtol", 1e-4)?, tolerance("atol", 1e-5)?);
    let mut inputs = Tensors::new();
    let mut case = Case::default();
    for operand in op.operands() {
        let name = operand.name;
        if operand.role.is_given() {
            let array = file.need(name)?;
            inputs.insert(name, array.tensor(operand.dtype).map_err(|e| format!("{name}: {e}"))?);
        }
        if !operand.role.is_made() {
            continue;
        }
        let wanted = match file.get(&format!("want.{name}"))? {
            Some(array) => Some(array),
            None if operand.role == Role::Output => file.get(name)?,
            None => None,
        };
        if let Some(array) = wanted {
            let (dims, values) = (array.dims.clone(), array.values.clone());
            case.wants.push(Want { output: name.into(), dims, values, absolute, relative });
        }
    }
    if case.wants.is_empty() {
        case.notes.push("the file expects no output: checked against the reference only".into());
    }
    case.jobs.push(Box::new(OpJob { op, inputs, from_earlier: Vec::new() }));
    Ok(case)
}

/// Reads a case of our own form.
pub(super) fn read(file: &Archive, spec: &Value) -> Result<Case, Stop> {
    let name = file.case.get("op").and_then(Value::as_str).unwrap_or_default();
    macro_rules! find {
        ($($op:ty),*) => {$(
            if name == <$op as Op>::NAME {
                return read_op::<$op>(file, spec);
            }
        )*};
    }
    for_each_op!(find);
    Err(Stop::NotSupported(format!("op {name}")))
}
