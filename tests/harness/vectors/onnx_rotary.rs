//! ONNX `RotaryEmbedding` (opset 23) in terms of ours.

use gatefold_core::attention::{RotaryPairs, RowLayout};
use gatefold_core::{Dtype, RotaryEmbedding, Tensor, Tensors};

use super::job::{Case, OpJob, Stop};
use super::onnx::Node;

fn whole(name: &str, n: i64) -> Result<usize, Stop> {
    usize::try_from(n).map_err(|_| Stop::Wrong(format!("{name}: expected 0 or more, got {n}")))
}

/// Reads a node's case. Without `position_ids` the caches hold a row for every token: token `t` of entry `b` is at `b·seq + t`.
pub(super) fn read(node: &Node<'_>) -> Result<Case, Stop> {
    node.only(&["interleaved", "num_heads", "rotary_embedding_dim"])?;
    let x = node.need("input")?;
    let (cos, sin) = (node.need("cos_cache")?, node.need("sin_cache")?);
    let heads = whole("num_heads", node.int("num_heads")?.unwrap_or(0))?;
    let (layout, [batch, heads, seq, head_dim]) = match x.dims[..] {
        [batch, heads, seq, width] => (RowLayout::HeadsFirst, [batch, heads, seq, width]),
        [batch, seq, width] if heads > 0 => (RowLayout::TokensFirst, [batch, heads, seq, width / heads]),
        _ => return Err(Stop::Wrong(format!("input: expected 4 dimensions, or 3 and num_heads, got {:?}", x.dims))),
    };
    let rotary_dim = match whole("rotary_embedding_dim", node.int("rotary_embedding_dim")?.unwrap_or(0))? {
        0 => head_dim,
        some => some,
    };
    let pairs = (rotary_dim / 2).max(1);
    let dtype = Node::storage("input", x)?;
    let op = RotaryEmbedding {
        rotary_dim,
        layout,
        dtype,
        pairs: if node.int("interleaved")?.unwrap_or(0) == 0 { RotaryPairs::Half } else { RotaryPairs::Interleaved },
        ..RotaryEmbedding::new(batch, heads, seq, head_dim, cos.values.len() / pairs)
    };
    let dims = match layout {
        RowLayout::HeadsFirst => [batch, heads, seq, head_dim],
        RowLayout::TokensFirst => [batch, seq, heads, head_dim],
    };
    let positions = match node.input("position_ids")? {
        Some(ids) => ids.tensor(Dtype::U32).map_err(|e| format!("position_ids: {e}"))?,
        None => {
            let all: Vec<u32> = (0..batch * seq).map_while(|n| u32::try_from(n).ok()).collect();
            Tensor::u32([batch, seq], all).map_err(|e| e.to_string())?
        }
    };
    let cache = [op.max_position, pairs];
    let inputs = Tensors::new()
        .with("x", x.reshaped(&dims)?.tensor(dtype)?)
        .with("cos_cache", cos.reshaped(&cache)?.tensor(Dtype::F32)?)
        .with("sin_cache", sin.reshaped(&cache)?.tensor(Dtype::F32)?)
        .with("positions", positions);
    let y = node.output("output")?.ok_or_else(|| Stop::Wrong("output: expected in the file".into()))?;
    let wants = vec![node.want("y", &y.reshaped(&dims)?)?];
    Ok(Case { jobs: vec![Box::new(OpJob { op, inputs, from_earlier: Vec::new() })], wants, ..Case::default() })
}
