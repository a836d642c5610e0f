//! ONNX `FlexAttention` (preview): its `score_mod` graphs in terms of custom slots.
//!
//! A graph is a function of all scores at once. Those that are a function of one score and its place are known here by name, written again
//! as a slot; any other graph, and any `prob_mod` (a function of normalised weights, for which there is no slot), is not supported.

use gatefold_core::attention::{MaskMod, ScoreMod};
use gatefold_core::{Attention, Tensors};

use super::family::{dims_of, number};
use super::job::{Case, OpJob, Stop};
use super::onnx::Node;

/// The arguments of a WGSL modifier.
const ARGUMENTS: &str = "score: f32, batch: u32, head: u32, i: u32, j: u32";

/// The number that a graph's initialiser is: `float bias =  {0.5}`.
fn initialiser(graph: &str, name: &str) -> Option<f32> {
    let (_, rest) = graph.split_once(&format!("float {name} ="))?;
    rest.trim_start().strip_prefix('{')?.split_once('}')?.0.trim().parse().ok()
}

/// The attention with the graph as a slot.
fn modified(spec: Attention, graph: &str) -> Result<Attention, Stop> {
    let name = graph.split([' ', '(']).next().unwrap_or_default();
    match name {
        "score_mod_bias" => {
            let bias =
                initialiser(graph, "bias").ok_or_else(|| Stop::Wrong("score_mod: expected a float bias".into()))?;
            let text = format!("fn score_mod({ARGUMENTS}) -> f32 {{ return score + f32({bias:?}); }}");
            Ok(spec.with_score_mod(ScoreMod::custom("bias", text, move |s, _, _, _, _| s + f64::from(bias))))
        }
        "score_mod_relative_positional" => {
            let text = format!("fn score_mod({ARGUMENTS}) -> f32 {{ return score + f32(i) - f32(j); }}");
            let relative = |s: f64, _: u32, _: u32, i: u32, j: u32| s + f64::from(i) - f64::from(j);
            Ok(spec.with_score_mod(ScoreMod::custom("relative", text, relative)))
        }
        "score_mod_causal_mask" => {
            let text = "fn mask_mod(batch: u32, head: u32, i: u32, j: u32) -> bool { return i >= j; }";
            Ok(spec.with_mask_mod(MaskMod::custom("causal", text, |_, _, i, j| i >= j)))
        }
        other => Err(Stop::NotSupported(format!("score_mod graph {other}"))),
    }
}

/// Reads a node's case.
pub(super) fn read(node: &Node<'_>) -> Result<Case, Stop> {
    node.only(&["scale", "score_mod"])?;
    let (q, k, v) = (node.need("Q")?, node.need("K")?, node.need("V")?);
    let dtype = Node::storage("Q", q)?;
    let mut spec = Attention { dtype, ..Attention::softmax(dims_of(q, k, v)?) };
    spec.scale = node.attributes.get("scale").map(|v| number("scale", v)).transpose()?;
    if let Some(score_mod) = node.attributes.get("score_mod") {
        let graph = score_mod.get("graph").and_then(|g| g.as_str());
        spec = modified(spec, graph.ok_or_else(|| Stop::Wrong("score_mod: expected a graph".into()))?)?;
    }
    let mut inputs = Tensors::new();
    for (name, array) in [("q", q), ("k", k), ("v", v)] {
        inputs.insert(name, array.tensor(dtype)?);
    }
    let mut case = Case::default();
    let y = node.output("Y")?.ok_or_else(|| Stop::Wrong("Y: expected an output in the file".into()))?;
    case.wants.push(node.want("o", y)?);
    case.jobs.push(Box::new(OpJob { op: spec, inputs, from_earlier: Vec::new() }));
    Ok(case)
}
