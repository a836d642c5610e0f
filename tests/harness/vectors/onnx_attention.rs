//! ONNX `Attention` (opsets 23 to 25) in terms of ours.
//!
//! `offset` is what a query's row is moved by before masks look at it: the length of the past or, with `nonpad_kv_seqlen`, that length
//! minus the number of queries; 0 otherwise. Causal is `j ≤ i + offset`, a window is relative to `i + offset`. Where our alignments
//! give the same mask they are used; otherwise the mask is written out into `score_bias`.

use gatefold_core::attention::{Causal, Dims, ScoreBias, Sequences, Window};
use gatefold_core::{Attention, Dtype, Op, Tensor, Tensors};
use safetensors::tensor::Dtype as FileDtype;

use super::archive::Array;
use super::family::{dims_of, number, window_side};
use super::job::{Case, OpJob, Stop};
use super::onnx::Node;

/// Attributes that are understood.
const KNOWN: [&str; 9] = [
    "is_causal",
    "kv_num_heads",
    "q_num_heads",
    "qk_matmul_output_mode",
    "scale",
    "softcap",
    "softmax_precision",
    "left_window_size",
    "right_window_size",
];

/// Beyond every position.
const FAR: i64 = 1 << 40;

/// Largest `score_bias` that a file can make us write out.
const MAX_MASK: usize = 1 << 26;

/// Queries, keys and values as `[batch, heads, seq, dim]`, the past before the new.
struct Operands {
    q: Array,
    k: Array,
    v: Array,
    /// Whether the file has three dimensions.
    flat: bool,
    /// Keys of the past.
    past: usize,
}

/// `[B, T, H·D]` as `[B, H, T, D]`.
fn split_heads(name: &str, array: &Array, heads: i64) -> Result<Array, Stop> {
    let heads = usize::try_from(heads).ok().filter(|&h| h > 0);
    let ([batch, seq, width], Some(heads)) = (array.dims[..].try_into().unwrap_or([0; 3]), heads) else {
        return Err(Stop::Wrong(format!("{name}: expected at least one head")));
    };
    let split = array.reshaped(&[batch, seq, heads, width / heads]).map_err(|e| format!("{name}: {e}"))?;
    Ok(split.permuted(&[0, 2, 1, 3])?)
}

/// Two `[B, H, T, D]` one after another along `T`.
fn after_past(name: &str, past: &Array, new: &Array) -> Result<Array, Stop> {
    let joined = |p: [usize; 4], n: [usize; 4]| {
        if [p[0], p[1], p[3]] != [n[0], n[1], n[3]] {
            return Err(Stop::Wrong(format!("past_{name}: shape {p:?} does not continue in {n:?}")));
        }
        let (past_row, new_row) = (p[2] * p[3], n[2] * n[3]);
        let mut values = Vec::with_capacity(past.values.len() + new.values.len());
        for at in 0..p[0] * p[1] {
            values.extend_from_slice(&past.values[at * past_row..(at + 1) * past_row]);
            values.extend_from_slice(&new.values[at * new_row..(at + 1) * new_row]);
        }
        Ok(Array { dims: vec![p[0], p[1], p[2] + n[2], p[3]], dtype: new.dtype, values })
    };
    match (past.dims[..].try_into(), new.dims[..].try_into()) {
        (Ok(p), Ok(n)) => joined(p, n),
        _ => Err(Stop::Wrong(format!("past_{name}: expected four dimensions, got {:?}", past.dims))),
    }
}

impl Operands {
    fn read(node: &Node<'_>) -> Result<Self, Stop> {
        let (mut q, mut k, mut v) = (node.need("Q")?.clone(), node.need("K")?.clone(), node.need("V")?.clone());
        let flat = q.dims.len() == 3;
        if flat {
            let heads =
                |name| node.int(name)?.ok_or_else(|| Stop::Wrong(format!("{name}: expected with three dimensions")));
            let (q_heads, kv_heads) = (heads("q_num_heads")?, heads("kv_num_heads")?);
            q = split_heads("Q", &q, q_heads)?;
            (k, v) = (split_heads("K", &k, kv_heads)?, split_heads("V", &v, kv_heads)?);
        }
        let mut past = 0;
        if let (Some(past_k), Some(past_v)) = (node.input("past_key")?, node.input("past_value")?) {
            past = past_k.dims.get(2).copied().unwrap_or(0);
            (k, v) = (after_past("key", past_k, &k)?, after_past("value", past_v, &v)?);
        }
        Ok(Self { q, k, v, flat, past })
    }
}

/// Which keys a row sees by causal mask and window, once its `offset` is known.
struct Visibility {
    causal: bool,
    window: Window,
    /// Per batch entry.
    offsets: Vec<i64>,
    /// Keys per batch entry that count.
    lens: Vec<i64>,
}

impl Visibility {
    fn read(node: &Node<'_>, d: &Dims, past: usize) -> Result<Self, Stop> {
        let causal = node.int("is_causal")?.unwrap_or(0) != 0;
        let side = |name| match node.attributes.get(name) {
            None => Ok(None),
            some => window_side(name, some),
        };
        let window = Window { left: side("left_window_size")?, right: side("right_window_size")? };
        let nonpad = node.input("nonpad_kv_seqlen")?;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "lengths beyond seq_kv are refused when the lengths are bound"
        )]
        let lens = match nonpad {
            Some(n) if n.values.len() == d.batch => n.values.iter().map(|&x| (x as i64).clamp(-FAR, FAR)).collect(),
            Some(n) => return Err(Stop::Wrong(format!("nonpad_kv_seqlen: expected [{}], got {:?}", d.batch, n.dims))),
            None => vec![d.seq_kv as i64; d.batch],
        };
        let offset = |&len: &i64| if nonpad.is_some() { len - d.seq_q as i64 } else { past as i64 };
        Ok(Self { causal, window, offsets: lens.iter().map(offset).collect(), lens })
    }

    /// Sets the spec's own masks if they mean the same. Otherwise they must be written out: `false`.
    fn express(&self, spec: &mut Attention) -> bool {
        // Ours are aligned to the last key that counts.
        let own = self.lens.iter().zip(&self.offsets).all(|(len, offset)| len - spec.dims.seq_q as i64 == *offset);
        let top_left = self.offsets.iter().all(|&o| o == 0);
        if self.window != Window::default() && !own {
            return false;
        }
        match (self.causal, own, top_left) {
            (false, ..) => {}
            (true, true, _) => spec.causal = Causal::BottomRight,
            (true, _, true) => spec.causal = Causal::TopLeft,
            (true, false, false) => return false,
        }
        spec.window = self.window;
        true
    }

    fn sees(&self, b: usize, i: usize, j: usize) -> bool {
        let (at, j) = (i as i64 + self.offsets[b], j as i64);
        let left = self.window.left.is_none_or(|w| j >= at - i64::from(w));
        let right = self.window.right.is_none_or(|w| j <= at + i64::from(w));
        (!self.causal || j <= at) && left && right
    }
}

/// Element `(b, h, i, j)` of `attn_mask`, which is broadcast from the right. Keys beyond its end are masked.
fn mask_value(mask: &Array, at: [usize; 4]) -> f64 {
    let rank = mask.dims.len();
    let mut flat = 0;
    for (d, &size) in mask.dims.iter().enumerate() {
        let index = at[4 - rank + d];
        if index >= size && size != 1 {
            return f64::NEG_INFINITY;
        }
        flat = flat * size + index.min(size - 1);
    }
    let value = mask.values[flat];
    match mask.dtype {
        FileDtype::BOOL if value != 0.0 => 0.0,
        FileDtype::BOOL => f64::NEG_INFINITY,
        _ => value,
    }
}

/// Whether `attn_mask` can be broadcast to the scores.
fn check_mask(mask: &Array, d: &Dims) -> Result<(), Stop> {
    let rank = mask.dims.len();
    let full = [d.batch, d.q_heads, d.seq_q, d.seq_kv];
    let fits = (1..=4).contains(&rank) && !mask.dims.contains(&0) && {
        let pairs = mask.dims.iter().zip(&full[4 - rank..]).enumerate();
        pairs.into_iter().all(|(at, (&m, &n))| m == n || m == 1 || (at == rank - 1 && m < n))
    };
    let wrong = || Stop::Wrong(format!("attn_mask: shape {:?} cannot be broadcast to {full:?}", mask.dims));
    if fits { Ok(()) } else { Err(wrong()) }
}

/// `score_bias` from `attn_mask` and, if they must be written out, causal mask and window.
fn score_bias(
    spec: &mut Attention,
    mask: Option<&Array>,
    written_out: Option<&Visibility>,
) -> Result<Option<Tensor>, Stop> {
    if mask.is_none() && written_out.is_none() {
        return Ok(None);
    }
    let d = spec.dims;
    let own = |at: usize| mask.is_some_and(|m| m.dims.len() >= 4 - at && m.dims[m.dims.len() - (4 - at)] > 1);
    let shape = ScoreBias { per_batch: own(0) || (written_out.is_some() && d.batch > 1), per_head: own(1) };
    spec.score_bias = Some(shape);
    let dims =
        [if shape.per_batch { d.batch } else { 1 }, if shape.per_head { d.q_heads } else { 1 }, d.seq_q, d.seq_kv];
    if dims.iter().try_fold(1usize, |n, &x| n.checked_mul(x)).is_none_or(|n| n > MAX_MASK) {
        return Err(Stop::NotSupported(format!("attn_mask written out to {dims:?}")));
    }
    let mut values = Vec::with_capacity(dims.iter().product());
    for b in 0..dims[0] {
        for h in 0..dims[1] {
            for (i, j) in (0..dims[2]).flat_map(|i| (0..dims[3]).map(move |j| (i, j))) {
                let hidden = written_out.is_some_and(|w| !w.sees(b, i, j));
                let value = mask.map_or(0.0, |m| mask_value(m, [b, h, i, j]));
                #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
                values.push(if hidden { f32::NEG_INFINITY } else { value as f32 });
            }
        }
    }
    Tensor::f32(dims, values).map(Some).map_err(|e| Stop::Wrong(format!("attn_mask: {e}")))
}

/// What the node asks for beyond `Y`: present keys and values are the host's copies, scores are never stored.
fn other_outputs(node: &Node<'_>, operands: &Operands, case: &mut Case) -> Result<(), Stop> {
    for (name, ours) in [("present_key", &operands.k), ("present_value", &operands.v)] {
        if let Some(wanted) = node.output(name)? {
            if wanted.dims != ours.dims || wanted.values != ours.values {
                return Err(Stop::Wrong(format!("{name}: is not the past followed by the new")));
            }
            case.notes.push(format!("{name} checked on the host"));
        }
    }
    if node.output("qk_matmul_output")?.is_some() {
        case.notes.push("Y checked, qk_matmul_output not supported".into());
    }
    Ok(())
}

/// Reads a node's case.
pub(super) fn read(node: &Node<'_>) -> Result<Case, Stop> {
    node.only(&KNOWN)?;
    let dtype = Node::storage("Q", node.need("Q")?)?;
    for name in ["K", "V"] {
        if Node::storage(name, node.need(name)?)? != dtype {
            return Err(Stop::NotSupported(format!("{name} of another type than Q")));
        }
    }
    let operands = Operands::read(node)?;
    let mut spec = Attention { dtype, ..Attention::softmax(dims_of(&operands.q, &operands.k, &operands.v)?) };
    spec.scale = node.attributes.get("scale").map(|v| number("scale", v)).transpose()?;
    spec.softcap = node.attributes.get("softcap").map(|v| number("softcap", v)).transpose()?.filter(|&c| c != 0.0);
    // Sizes first: nothing is written out for sizes that are refused.
    spec.validate().map_err(|e| Stop::Wrong(e.to_string()))?;
    let visibility = Visibility::read(node, &spec.dims, operands.past)?;
    let expressed = visibility.express(&mut spec);
    let mut inputs = Tensors::new();
    if let Some(lens) = node.input("nonpad_kv_seqlen")? {
        spec.sequences = Sequences::Padded { q: false, kv: true };
        inputs.insert("lens_kv", lens.tensor(Dtype::U32).map_err(|e| format!("nonpad_kv_seqlen: {e}"))?);
    }
    let mask = node.input("attn_mask")?;
    if let Some(mask) = mask {
        check_mask(mask, &spec.dims)?;
    }
    if let Some(bias) = score_bias(&mut spec, mask, (!expressed).then_some(&visibility))? {
        inputs.insert("score_bias", bias);
    }
    for (name, array) in [("q", &operands.q), ("k", &operands.k), ("v", &operands.v)] {
        inputs.insert(name, array.tensor(dtype)?);
    }
    let mut case = Case::default();
    other_outputs(node, &operands, &mut case)?;
    if !expressed {
        case.notes.push("causal mask and window written out as score_bias".into());
    }
    let y = node.output("Y")?.ok_or_else(|| Stop::Wrong("Y: expected an output in the file".into()))?;
    let y = if operands.flat { split_heads("Y", y, spec.dims.q_heads as i64)? } else { y.clone() };
    case.wants.push(node.want("o", &y)?);
    case.jobs.push(Box::new(OpJob { op: spec, inputs, from_earlier: Vec::new() }));
    Ok(case)
}
