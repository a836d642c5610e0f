//! ONNX backend node cases: metadata `case` with `op`, `attributes`, `node_inputs`, tensors `in.* out.* f64.*`.

use gatefold_core::{Dtype, RowFunction, Rowwise, Tensor, Tensors};
use safetensors::tensor::Dtype as FileDtype;
use serde_json::{Map, Value};

use super::archive::{Archive, Array};
use super::family::{as_rows, axis_last};
use super::job::{Case, OpJob, Stop, Want};
use super::{onnx_attention, onnx_flex, onnx_rotary, onnx_top_k};

/// An ONNX node with its tensors by the names of the operator's definition.
pub(super) struct Node<'a> {
    file: &'a Archive,
    pub(super) attributes: Map<String, Value>,
}

impl<'a> Node<'a> {
    /// The input of that name; `None` if it is omitted.
    pub(super) fn input(&self, name: &str) -> Result<Option<&'a Array>, Stop> {
        self.find("in", name)
    }

    /// The input of that name.
    pub(super) fn need(&self, name: &str) -> Result<&'a Array, Stop> {
        self.input(name)?.ok_or_else(|| Stop::Wrong(format!("{name}: expected an input, there is none")))
    }

    /// The f64 result for an output, or the published one where there is none; `None` if the node does not have it.
    pub(super) fn output(&self, name: &str) -> Result<Option<&'a Array>, Stop> {
        Ok(self.find("f64", name)?.or(self.find("out", name)?))
    }

    /// `kind.<position>.name`.
    fn find(&self, kind: &str, name: &str) -> Result<Option<&'a Array>, Stop> {
        let matches = |key: &str| {
            let mut parts = key.splitn(3, '.');
            parts.next() == Some(kind) && parts.nth(1) == Some(name)
        };
        let key = self.file.arrays.keys().find(|k| matches(k));
        Ok(key.map(|k| self.file.need(k)).transpose()?)
    }

    /// A whole-number attribute.
    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, Stop> {
        let whole =
            |v: &Value| v.as_i64().ok_or_else(|| Stop::Wrong(format!("{name}: expected a whole number, got {v}")));
        self.attributes.get(name).map(whole).transpose()
    }

    /// Refuses attributes that are not among `known`.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Stop> {
        match self.attributes.keys().find(|k| !known.contains(&k.as_str())) {
            Some(other) => Err(Stop::NotSupported(format!("attribute {other}"))),
            None => Ok(()),
        }
    }

    /// What an output must be, by the file's tolerances.
    pub(super) fn want(&self, output: &str, array: &Array) -> Result<Want, Stop> {
        let tolerance = |name: &str| {
            let found = self.file.case.get(name).and_then(Value::as_f64).filter(|x| *x >= 0.0);
            found.ok_or_else(|| Stop::Wrong(format!("{name}: expected a number in the metadata")))
        };
        Ok(Want {
            output: output.into(),
            dims: array.dims.clone(),
            values: array.values.clone(),
            absolute: tolerance("atol")?,
            relative: tolerance("rtol")?,
        })
    }

    /// The storage type that holds a float input; f64 is rounded to f32.
    pub(super) fn storage(name: &str, array: &Array) -> Result<Dtype, Stop> {
        match array.dtype {
            FileDtype::F16 => Ok(Dtype::F16),
            FileDtype::F32 | FileDtype::F64 => Ok(Dtype::F32),
            other => Err(Stop::NotSupported(format!("{name} of type {}", format!("{other:?}").to_lowercase()))),
        }
    }
}

/// Reads a node's case.
pub(super) fn read(file: &Archive) -> Result<Case, Stop> {
    let none = Map::new();
    let attributes = file.case.get("attributes").and_then(Value::as_object).unwrap_or(&none).clone();
    let node = Node { file, attributes };
    match file.case.get("op").and_then(Value::as_str).unwrap_or_default() {
        "Attention" => onnx_attention::read(&node),
        "FlexAttention" => onnx_flex::read(&node),
        "RotaryEmbedding" => onnx_rotary::read(&node),
        "TopK" => onnx_top_k::read(&node),
        "Softmax" => along_axis(&node, RowFunction::Softmax),
        "LogSoftmax" => along_axis(&node, RowFunction::LogSoftmax),
        "ReduceLogSumExp" => reduce(&node),
        other => Err(Stop::NotSupported(format!("op {other}"))),
    }
}

fn opset(file: &Archive) -> i64 {
    file.case.pointer("/opset/ai.onnx").and_then(Value::as_i64).unwrap_or(i64::MAX)
}

/// The forward op on rows.
pub(super) fn rows_case(spec: Rowwise, inputs: Tensors, note: Option<String>) -> Case {
    let mut case = Case::default();
    case.jobs.push(Box::new(OpJob { op: spec, inputs, from_earlier: Vec::new() }));
    case.notes.extend(note);
    case
}

fn rounding_note(array: &Array) -> Option<String> {
    (array.dtype == FileDtype::F64).then(|| "f64 input rounded to f32".into())
}

fn along_axis(node: &Node<'_>, function: RowFunction) -> Result<Case, Stop> {
    node.only(&["axis"])?;
    if opset(node.file) < 13 {
        return Err(Stop::NotSupported("opset before 13: flattens to two dimensions".into()));
    }
    let x = node.need("x")?;
    let order = axis_last(x.dims.len(), node.int("axis")?.unwrap_or(-1))?;
    let rows = as_rows(x, &order)?;
    let dtype = Node::storage("x", x)?;
    let spec = Rowwise { dtype, ..Rowwise::new(function, rows.dims[0], rows.dims[1]) };
    let mut case = rows_case(spec, Tensors::new().with("x", rows.tensor(dtype)?), rounding_note(x));
    let y = node.output("y")?.ok_or_else(|| Stop::Wrong("y: expected an output in the file".into()))?;
    case.wants.push(node.want("y", &as_rows(y, &order)?)?);
    Ok(case)
}

/// The axes to reduce, sorted; all of them if none are named.
fn reduced_axes(node: &Node<'_>, rank: usize) -> Result<Vec<usize>, Stop> {
    let named: Vec<i64> = match node.input("axes")? {
        #[allow(clippy::cast_possible_truncation, reason = "axes are small, and out of range is refused below")]
        Some(axes) => axes.values.iter().map(|&a| a as i64).collect(),
        None => node
            .attributes
            .get("axes")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_i64)
            .collect(),
    };
    if named.is_empty() && node.int("noop_with_empty_axes")?.unwrap_or(0) != 0 {
        return Err(Stop::NotSupported("noop_with_empty_axes".into()));
    }
    let mut axes = Vec::new();
    for axis in named {
        axes.extend(axis_last(rank, axis)?.last());
    }
    axes.sort_unstable();
    axes.dedup();
    Ok(if axes.is_empty() { (0..rank).collect() } else { axes })
}

fn reduce(node: &Node<'_>) -> Result<Case, Stop> {
    node.only(&["axes", "keepdims", "noop_with_empty_axes"])?;
    let data = node.need("data")?;
    let (spec, inputs) = log_sum_exp_over(data, &reduced_axes(node, data.dims.len())?, Node::storage("data", data)?)?;
    let rows = spec.rows;
    let mut case = rows_case(spec, inputs, rounding_note(data));
    let reduced =
        node.output("reduced")?.ok_or_else(|| Stop::Wrong("reduced: expected an output in the file".into()))?;
    case.wants.push(node.want("y", &reduced.reshaped(&[rows])?)?);
    Ok(case)
}

/// Log-sum-exp over some axes as an op on rows, with its inputs.
pub(super) fn log_sum_exp_over(data: &Array, axes: &[usize], dtype: Dtype) -> Result<(Rowwise, Tensors), Stop> {
    let rank = data.dims.len();
    if let Some((n, axis)) = axes.iter().enumerate().find(|(n, axis)| **axis >= rank || axes[..*n].contains(axis)) {
        return Err(Stop::Wrong(format!("axes[{n}]: expected one of {rank} dimensions, each once, got {axis}")));
    }
    let kept: Vec<usize> = (0..rank).filter(|d| !axes.contains(d)).collect();
    let size = |dims: &[usize]| dims.iter().map(|&d| data.dims[d]).product::<usize>();
    let (rows, cols) = (size(&kept), size(axes));
    let order: Vec<usize> = kept.iter().chain(axes).copied().collect();
    let mut inputs = Tensors::new();
    let mut spec = Rowwise { dtype, ..Rowwise::new(RowFunction::LogSumExp, rows, cols.max(1)) };
    if cols == 0 {
        // An empty set: rows of one entry of which none counts.
        spec.lens = true;
        let zeros = |e| Stop::Wrong(format!("lens: {e}"));
        inputs.insert("x", Tensor::float(dtype, [rows, 1], vec![0.0; rows]).map_err(zeros)?);
        inputs.insert("lens", Tensor::u32([rows], vec![0; rows]).map_err(zeros)?);
    } else {
        inputs.insert("x", data.permuted(&order)?.reshaped(&[rows, cols])?.tensor(dtype)?);
    }
    Ok((spec, inputs))
}
