//! Which values of attention's slots meet in the generated cases.

use std::collections::{BTreeMap, BTreeSet};

use gatefold_core::Attention;
use gatefold_core::attention::{Bias, ScoreBias, Sequences};

/// A slot or option, and the value that a spec has for it.
pub type Value = (&'static str, String);

fn name(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(serde_json::Value::Object(fields)) => fields.keys().next().cloned().unwrap_or_default(),
        Ok(other) => other.to_string(),
        Err(e) => e.to_string(),
    }
}

/// What is done to scores, rows and weights.
fn functions(a: &Attention) -> Vec<Value> {
    let (p, e) = (&a.prologue, &a.epilogue);
    let bias = match a.bias {
        Bias::Const(0.0) => "none".into(),
        ref other => name(other),
    };
    let score_bias = match a.score_bias {
        None => "none",
        Some(ScoreBias { per_batch: true, .. }) => "per batch",
        Some(ScoreBias { per_head: true, .. }) => "per head",
        Some(_) => "shared",
    };
    let key_bias = if a.key_bias_per_head {
        "per head"
    } else if a.key_bias {
        "shared"
    } else {
        "none"
    };
    let is = |x: bool| x.to_string();
    vec![
        ("weight", name(&a.weight)),
        ("normalizer", name(&a.normalizer)),
        ("reweight", is(a.reweight.is_some())),
        ("scale", is(a.scale.is_some())),
        ("softcap", is(a.softcap.is_some())),
        ("bias", bias),
        ("head_bias", is(a.head_bias)),
        ("key_bias", key_bias.into()),
        ("score_bias", score_bias.into()),
        ("alibi", is(a.alibi)),
        ("sink", is(a.sink)),
        ("sink_key", is(a.sink_key)),
        ("relative_bias", is(a.relative_bias.is_some())),
        ("local_linear", is(a.local_linear)),
        ("score_mod", is(a.custom.score_mod.is_some())),
        ("dropout", is(a.dropout.is_some())),
        ("query_norm", name(&p.query_norm)),
        ("key_norm", name(&p.key_norm)),
        ("gain", is(p.gain)),
        ("query_scale", name(&p.query_scale)),
        ("value_scale", name(&p.value_scale)),
        ("key_penalty", is(p.key_penalty.is_some())),
        ("query_penalty", is(p.query_penalty.is_some())),
        ("feature_map", name(&p.feature_map)),
        ("gate", e.gate.map_or("none".into(), |g| format!("{} per_head {}", name(&g.activation), g.per_head))),
        ("o_norm", name(&e.norm)),
        ("o_gain", is(e.gain)),
        ("affine", is(e.affine)),
        ("injection", name(&e.injection)),
    ]
}

/// What a query sees, where it lies, how it is stored.
fn layouts(a: &Attention) -> Vec<Value> {
    let d = &a.dims;
    let sequences = match a.sequences {
        Sequences::Padded { q, kv } => format!("padded q {q} kv {kv}"),
        ref other => name(other),
    };
    let window = match (a.window.left, a.window.right) {
        (None, None) => "none",
        (Some(_), None) => "left",
        (None, Some(_)) => "right",
        (Some(_), Some(_)) => "both",
    };
    let lengths = match d.seq_q {
        0 | 1 => "at most one query",
        q if q < d.seq_kv => "fewer queries",
        q if q == d.seq_kv => "as many",
        _ => "more queries",
    };
    let heads = if d.q_heads == d.kv_heads { "own" } else { "shared" };
    let is = |x: bool| x.to_string();
    vec![
        ("causal", name(&a.causal)),
        ("window", window.into()),
        ("chunk", is(a.chunk.is_some())),
        ("prefix", is(a.prefix.is_some())),
        ("sink_tokens", is(a.sink_tokens.is_some())),
        ("documents", is(a.documents)),
        ("block_map", is(a.block_map.is_some())),
        ("mask_mod", is(a.custom.mask_mod.is_some())),
        ("sequences", sequences),
        ("storage", name(&a.storage)),
        ("saves", is(a.lse || a.row_sum)),
        ("o_core", is(a.o_core)),
        ("nan_policy", name(&a.nan_policy)),
        ("dtype", a.dtype.to_string()),
        ("lengths", lengths.into()),
        ("heads", heads.into()),
        ("widths", if d.head_dim.is_multiple_of(4) & d.val_dim.is_multiple_of(4) { "aligned" } else { "odd" }.into()),
    ]
}

/// The slots of a spec.
pub fn values(a: &Attention) -> Vec<Value> {
    [functions(a), layouts(a)].concat()
}

/// Pairs of values that met.
#[derive(Debug, Clone, Default)]
pub struct Met {
    values: BTreeMap<&'static str, BTreeSet<String>>,
    pairs: BTreeSet<[Value; 2]>,
}

impl Met {
    /// Adds a spec with its values.
    pub fn add(&mut self, values: &[Value]) {
        for (n, a) in values.iter().enumerate() {
            self.values.entry(a.0).or_default().insert(a.1.clone());
            self.pairs.extend(values[..n].iter().map(|b| [a.clone(), b.clone()]));
        }
    }

    /// How many pairs met.
    pub fn met(&self) -> usize {
        self.pairs.len()
    }

    /// The pairs of values of two slots that did not, where each value is in some spec. No spec may have both, or none was drawn.
    pub fn missing(&self) -> Vec<[Value; 2]> {
        let all: Vec<Value> =
            self.values.iter().flat_map(|(slot, all)| all.iter().map(|v| (*slot, v.clone()))).collect();
        let mut missing = Vec::new();
        for a in &all {
            for b in all.iter().filter(|b| b.0 < a.0) {
                let (one, other) = ([a.clone(), b.clone()], [b.clone(), a.clone()]);
                if !self.pairs.contains(&one) && !self.pairs.contains(&other) {
                    missing.push(one);
                }
            }
        }
        missing
    }
}
