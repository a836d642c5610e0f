//! Specs that between them reach every kernel, slot and schedule.

mod profiles;
mod routing_choice;
mod routing_grouped;
mod routing_losses;
mod routing_moe;
mod routing_plan;
mod routing_rows;
mod routing_top_k_gate;

use std::sync::atomic::{AtomicUsize, Ordering};

use gatefold_core::attention::{
    Activation, Bias, BlockMap, CacheLayout, Causal, Dims, Epilogue, FeatureMap, Gate, Injection, MaskMod, NanPolicy,
    Normalizer, Prologue, QueryScale, RelativeBias, Reweight, RotaryPairs, RotaryPositions, RowLayout, RowNorm,
    ScoreBias, ScoreMod, Sequences, Storage, Weight, Window,
};
use gatefold_core::{
    Attention, AttentionBackward, AttentionMerge, AttentionStatistics, CacheAppend, Dtype, Gemm, Op, RotaryEmbedding,
    RowFunction, Rowwise, RowwiseBackward,
};

#[allow(unused_imports, reason = "not every crate that takes these specs plans them")]
pub(crate) use profiles::profiles;

/// An op with specs to try.
pub(crate) trait Specs: Op {
    /// The specs.
    fn specs() -> Vec<Self>;
}

/// What each of `visits` gathers, as many at a time as there are cores, joined.
#[allow(dead_code, reason = "not every crate that takes these specs plans them")]
pub(crate) fn in_parallel<T: Default + Send>(visits: &[fn(&mut T)], join: fn(T, T) -> T) -> T {
    let (next, cores) = (AtomicUsize::new(0), std::thread::available_parallelism().map_or(1, usize::from));
    let work = || {
        let mut gathered = T::default();
        while let Some(visit) = visits.get(next.fetch_add(1, Ordering::Relaxed)) {
            visit(&mut gathered);
        }
        gathered
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|w| w.join().unwrap()).reduce(join).unwrap_or_default()
    })
}

const SIZES: [(usize, usize); 13] = [
    (0, 5),
    (1, 1),
    (70, 3),
    (1000, 64),
    (9, 65),
    (1, 130),
    (300, 1000),
    (3, 4097),
    (1, 32_768),
    (2, 131_073),
    (300, 65_536),
    (1, 1 << 20),
    (100_000, 2048),
];

impl Specs for Rowwise {
    fn specs() -> Vec<Self> {
        let mut all = Vec::new();
        for function in [RowFunction::Softmax, RowFunction::LogSoftmax, RowFunction::LogSumExp] {
            for dtype in [Dtype::F32, Dtype::F16] {
                for lens in [false, true] {
                    all.extend(SIZES.map(|(rows, cols)| Self { dtype, lens, ..Self::new(function, rows, cols) }));
                }
            }
        }
        all
    }
}

impl Specs for RowwiseBackward {
    fn specs() -> Vec<Self> {
        Rowwise::specs().into_iter().map(|forward| Self { forward }).collect()
    }
}

/// Every option by itself, on top of `base`.
fn options(base: &Attention) -> Vec<Attention> {
    let with = |change: fn(&mut Attention)| {
        let mut a = base.clone();
        change(&mut a);
        a
    };
    let mut all = vec![
        base.clone(),
        with(|a| a.causal = Causal::TopLeft),
        with(|a| a.causal = Causal::BottomRight),
        with(|a| a.window = Window { left: Some(7), right: Some(3) }),
        with(|a| a.sequences = Sequences::Padded { q: true, kv: true }),
        with(|a| a.sequences = Sequences::Padded { q: false, kv: true }),
        with(|a| a.sequences = Sequences::Packed { total_q: 3 * a.dims.seq_q, total_kv: 3 * a.dims.seq_kv }),
        with(|a| a.sequences = Sequences::Paged { page: 16, pages: 99 }),
        with(|a| (a.causal, a.prefix, a.chunk) = (Causal::BottomRight, Some(20), Some(50))),
        with(|a| (a.window.left, a.sink_tokens) = (Some(9), Some(4))),
        with(|a| (a.causal, a.documents) = (Causal::BottomRight, true)),
        with(|a| a.block_map = Some(BlockMap { q: 64, kv: 16, per_batch: true, per_head: true })),
        with(|a| a.bias = Bias::NegLogKeys),
        with(|a| a.bias = Bias::NegLogLen),
        with(|a| a.head_bias = true),
        with(|a| a.key_bias = true),
        with(|a| (a.key_bias, a.key_bias_per_head) = (true, true)),
        with(|a| (a.key_bias, a.prologue.key_penalty) = (true, Some(1.0))),
        with(|a| (a.prologue.key_penalty, a.prologue.query_penalty) = (Some(1.0), Some(1.0))),
        with(|a| a.score_bias = Some(ScoreBias { per_batch: true, per_head: true })),
        with(|a| a.score_bias = Some(ScoreBias { per_batch: false, per_head: false })),
        with(|a| a.alibi = true),
        with(|a| a.relative_bias = Some(RelativeBias { reach: 30 })),
        with(|a| a.softcap = Some(20.0)),
        with(|a| a.nan_policy = NanPolicy::Trust),
        with(|a| {
            a.causal = Causal::BottomRight;
            a.sequences = Sequences::Padded { q: true, kv: true };
            a.head_bias = true;
            a.key_bias = true;
            a.score_bias = Some(ScoreBias { per_batch: true, per_head: false });
            a.alibi = true;
            a.softcap = Some(20.0);
        }),
    ];
    if base.weight == Weight::Softmax {
        all.push(with(|a| a.sink = true));
        all.push(with(|a| (a.sink_key, a.softcap) = (true, Some(20.0))));
        all.push(with(|a| a.lse = true));
    }
    all
}

/// Prologues and epilogues on top of `base`: every slot of the row maps.
fn dressed(base: &Attention) -> Vec<Attention> {
    let norms = [RowNorm::L2, RowNorm::RMS, RowNorm::LAYER];
    let mut all = Vec::new();
    for (n, activation) in Activation::ALL.into_iter().enumerate() {
        let (norm, other) = (norms[n % 3], norms[(n + 1) % 3]);
        let prologue = Prologue {
            query_norm: Some(norm),
            key_norm: Some(other),
            gain: n % 2 == 0,
            query_scale: Some(if n % 2 == 0 { QueryScale::Given } else { QueryScale::LogKeys }),
            value_scale: Some(activation),
            key_penalty: (n == 1).then_some(0.5),
            query_penalty: None,
            feature_map: FeatureMap::ALL.get(n).copied(),
        };
        for per_head in [false, true] {
            let gate = Some(Gate { activation, per_head });
            let gated = Epilogue { gate, ..Epilogue::default() };
            all.push(Attention { epilogue: gated, ..base.clone() });
            let epilogue =
                Epilogue { gate, norm: Some(norm), gain: n % 2 == 1, gate_last: per_head, ..Epilogue::default() };
            all.push(Attention { prologue, epilogue, ..base.clone() }.saving(per_head));
        }
    }
    let affine = |gate, norm| Epilogue { affine: true, gate, norm, ..Epilogue::default() };
    let scaled = Prologue { value_scale: Some(Activation::Sigmoid), ..Prologue::default() };
    all.push(Attention { epilogue: affine(None, None), ..base.clone() });
    for injection in [Injection::LastRow, Injection::EveryRow] {
        let epilogue = Epilogue { injection: Some(injection), ..Epilogue::default() };
        all.push(Attention { epilogue, ..base.clone() });
    }
    all.push(Attention { epilogue: affine(Some(Gate::ELEMENT), Some(norms[1])), prologue: scaled, ..base.clone() });
    all
}

impl Specs for Attention {
    fn specs() -> Vec<Self> {
        let dims = Dims { batch: 3, q_heads: 4, kv_heads: 2, seq_q: 130, seq_kv: 97, head_dim: 64, val_dim: 64 };
        let mut all = Vec::new();
        for base in [Self::softmax(dims), Self::sigmoid(dims)] {
            all.extend(options(&base));
            all.extend(options(&Self { dtype: Dtype::F16, ..base.clone() }));
            for (head_dim, val_dim) in [(16, 16), (32, 48), (80, 112), (128, 128)] {
                all.push(Self { dtype: Dtype::F16, dims: Dims { head_dim, val_dim, ..dims }, ..base.clone() });
            }
            for (head_dim, val_dim) in
                [(1, 1), (3, 5), (32, 32), (40, 64), (80, 80), (96, 96), (128, 128), (256, 256), (256, 1), (17, 203)]
            {
                all.push(Self { dims: Dims { head_dim, val_dim, ..dims }, ..base.clone() });
            }
            all.extend(dressed(&base));
            all.extend(dressed(&Self { dtype: Dtype::F16, causal: Causal::TopLeft, chunk: Some(9), ..base.clone() }));
            let packed = Sequences::Packed { total_q: 3 * dims.seq_q, total_kv: 3 * dims.seq_kv };
            all.extend(dressed(&Self { sequences: packed, ..base.clone() }).into_iter().skip(1).step_by(4));
            for (seq_q, seq_kv) in [(1, 1), (1, 5000), (0, 7), (7, 0), (4096, 4096), (100_000, 16)] {
                let sized = Self { dims: Dims { batch: 1, seq_q, seq_kv, ..dims }, ..base.clone() };
                all.extend(dressed(&sized).into_iter().skip(3).step_by(5));
                all.push(sized);
            }
        }
        for (n, &weight) in Weight::FUNCTIONS.iter().enumerate() {
            let with = |normalizer| Self { weight, normalizer, ..Self::softmax(dims) }.saving(true);
            all.extend(Normalizer::ALL.map(with));
            all.push(with(Normalizer::GlobalFrobenius(1e-6)));
            // a few options each: all of them with every weight would be many texts that differ in one function
            let some = with(Normalizer::ALL[n % Normalizer::ALL.len()]);
            all.extend(options(&some).into_iter().skip(n % 4).step_by(4));
            all.push(Self { dtype: Dtype::F16, dims: Dims { head_dim: 3 + n, ..dims }, ..some });
        }
        let by_sum = Self { weight: Weight::Softplus, normalizer: Normalizer::RowSum, ..Self::softmax(dims) };
        let measured = Self { reweight: Some(Reweight::LSSAR), ..by_sum };
        all.extend(options(&measured.clone().saving(true)).into_iter().skip(1).step_by(2));
        all.push(Self {
            reweight: Some(Reweight { power: 16, ..Reweight::LSSAR }),
            dtype: Dtype::F16,
            ..measured.clone()
        });
        all.push(Self { storage: Storage::INT8_PER_TOKEN, ..measured.clone() }.saving(true));
        all.push(Self { dims: Dims { q_heads: 8, seq_q: 1, seq_kv: 5000, ..dims }, ..measured });
        all.extend(custom(&Self { lse: true, ..Self::softmax(dims) }));
        all.extend(local_linear(dims));
        all
    }
}

/// Local-linear rows, with the options that they go with, in every width and with few queries.
fn local_linear(dims: Dims) -> Vec<Attention> {
    let base = Attention { local_linear: true, ..Attention::softmax(dims) };
    let saving = options(&base.clone().saving(true)).into_iter().skip(1).step_by(2);
    let mut all: Vec<_> = saving.filter(|a| a.validate().is_ok()).collect();
    all.extend(dressed(&base).into_iter().skip(2).step_by(5));
    for (head_dim, val_dim) in [(1, 1), (3, 5), (40, 64), (128, 128), (256, 256)] {
        let dtype = if head_dim == 40 { Dtype::F16 } else { Dtype::F32 };
        all.push(Attention { dims: Dims { head_dim, val_dim, ..dims }, dtype, ..base.clone() }.saving(true));
    }
    for (q_heads, seq_q, seq_kv) in [(8, 1, 5000), (4, 4096, 4096), (4, 0, 7), (4, 7, 0)] {
        all.push(Attention { dims: Dims { q_heads, seq_q, seq_kv, ..dims }, ..base.clone() }.saving(seq_q > 1));
    }
    all
}

/// Custom slots, alone and together, with every third option.
fn custom(base: &Attention) -> Vec<Attention> {
    let same = "fn score_mod(score: f32, batch: u32, head: u32, i: u32, j: u32) -> f32 { return score; }";
    let one = "fn score_mod_slope(score: f32, batch: u32, head: u32, i: u32, j: u32) -> f32 { return 1.0; }";
    let score_mod = ScoreMod::custom("same", same, |s, _, _, _, _| s).with_slope(one, |_, _, _, _, _| 1.0);
    let all = "fn mask_mod(batch: u32, head: u32, i: u32, j: u32) -> bool { return true; }";
    let mask_mod = MaskMod::custom("all", all, |_, _, _, _| true);
    let square = Weight::custom("square", "fn phi(z: f32) -> f32 { return z * z; }", |z| z * z)
        .with_slope("fn phi_slope(z: f32) -> f32 { return 2.0 * z; }", |z| 2.0 * z);
    let both = base.clone().with_score_mod(score_mod.clone()).with_mask_mod(mask_mod.clone());
    let counted = Attention { normalizer: Normalizer::Count, lse: false, ..both.clone() };
    let mut found = vec![base.clone().with_score_mod(score_mod), base.clone().with_mask_mod(mask_mod)];
    found.extend(options(&both).into_iter().step_by(3));
    found.extend(
        options(&Attention { dtype: Dtype::F16, ..counted.with_weight(square) }).into_iter().skip(1).step_by(3),
    );
    found
}

impl Specs for AttentionBackward {
    fn specs() -> Vec<Self> {
        let has_gradient = |a: &Attention| Self::new(a.clone()).validate().is_ok();
        let mut all: Vec<_> = Attention::specs().into_iter().filter(has_gradient).map(Self::new).collect();
        let dims = Dims::new(2, 3, 65, 48);
        all.push(Self { d_lse: true, ..Self::new(Attention::softmax(dims)) });
        for base in [Attention::softmax(dims), Attention::sigmoid(dims)] {
            all.push(Self { d_bias: true, ..Self::new(Attention { bias: Bias::Const(-1.0), ..base }) });
        }
        all
    }
}

impl Specs for AttentionMerge {
    fn specs() -> Vec<Self> {
        let all = [Self::softmax(3, 70, 64), Self::sigmoid(3, 70, 64), Self::softmax(1, 0, 1)];
        let half = |op: &Self| Self { dtype: Dtype::F16, ..op.clone() };
        all.iter().map(half).chain(all.clone()).collect()
    }
}

impl Specs for RotaryEmbedding {
    fn specs() -> Vec<Self> {
        let base = Self::new(2, 3, 70, 64, 4096);
        let empty = Self { seq: 0, ..base.clone() };
        let partial = Self { rotary_dim: 20, pairs: RotaryPairs::Interleaved, inverse: true, ..base.clone() };
        let packed = Self { layout: RowLayout::TokensFirst, positions: RotaryPositions::First, ..base.clone() };
        let half = Self { dtype: Dtype::F16, ..packed.clone() };
        vec![base, empty, partial, packed, half, Self::new(1, 64, 100_000, 4, 100_000)]
    }
}

impl Specs for CacheAppend {
    fn specs() -> Vec<Self> {
        let base = Self::new(3, 2, 5, 64, 100);
        let paged = Self { cache: CacheLayout::Paged { page: 16, pages: 30 }, ragged: true, ..base.clone() };
        let half = Self { dtype: Dtype::F16, layout: RowLayout::TokensFirst, ..paged.clone() };
        let empty = Self { seq: 0, ..base.clone() };
        vec![Self { ragged: true, ..base.clone() }, Self { ragged: false, ..paged.clone() }, base, paged, half, empty]
    }
}

impl Specs for AttentionStatistics {
    fn specs() -> Vec<Self> {
        let dims = Dims { q_heads: 4, kv_heads: 2, seq_q: 130, seq_kv: 97, ..Dims::new(3, 4, 1, 20) };
        let bases = [Attention::softmax(dims), Attention::sigmoid(dims)];
        let mut all: Vec<_> = bases.iter().flat_map(options).map(Self::new).collect();
        all.extend(Weight::FUNCTIONS.iter().map(|&weight| Self::new(Attention { weight, ..Attention::softmax(dims) })));
        all.push(Self::new(Attention { dtype: Dtype::F16, ..Attention::softmax(Dims::new(1, 1, 5000, 64)) }));
        all
    }
}

impl Specs for Gemm {
    fn specs() -> Vec<Self> {
        let sizes = [
            (1, 1, 1, 1),
            (3, 0, 4, 4),
            (1, 5, 7, 0),
            (2, 128, 128, 64),
            (1, 1024, 1024, 1024),
            (1, 100, 50_257, 768),
            (70, 33, 37, 41),
            (1, 4, 4, 1 << 20),
            (1, 8192, 8192, 64),
            (100_000, 3, 3, 3),
            (2, 100_000, 260, 64),
        ];
        let mut all = vec![Self::linear(8, 300, 768, 3072)];
        for (batch, m, n, k) in sizes {
            for layout in 0..4 {
                for dtype in [Dtype::F32, Dtype::F16] {
                    let (transpose_a, transpose_b) = (layout & 2 != 0, layout & 1 != 0);
                    let base = Self { batch, transpose_a, transpose_b, dtype, ..Self::new(m, n, k) };
                    all.push(Self { bias: true, alpha: 0.5, ..base.clone() });
                    all.push(Self { shared_a: true, ..base.clone() });
                    all.push(Self { shared_b: true, ..base });
                }
            }
        }
        all
    }
}
