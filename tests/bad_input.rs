//! Bad input is refused before anything runs, by a named error; the call after it gives the same bits as before.
//!
//! Over the cap: a list of mistakes, by op and by what is wrong.

use gatefold_core::attention::{
    Bias, BlockMap, Causal, Dims, Dropout, Epilogue, FeatureMap, Normalizer, Prologue, RelativeBias, Reweight, RowNorm,
    ScoreBias, Sequences, Storage, Weight, Window,
};
use gatefold_core::{
    Attention, AttentionBackward, AttentionMerge, AttentionStatistics, Dtype, Gemm, Op, RowFunction, Rowwise,
    RowwiseBackward, SpecError, Tensor,
};
use gatefold_shaders::{Kernels, Limits, PlanError};
use gatefold_tests::bad_calls::{Trial, base, dims, legal, named, zeros};
use gatefold_tests::gpu;
use gatefold_wgpu::{Gpu, Options, RunError, RunOptions};

#[test]
fn attention_inputs() {
    let mut t = Trial::default();
    let base = base();
    for (name, wrong) in [("q", [2, 4, 5, 9]), ("k", [2, 4, 7, 8]), ("v", [2, 2, 8, 6])] {
        t.refuse_without(&base, name);
        t.refuse_with(&base, name, zeros(Dtype::F32, &wrong), "Shape", name);
        let right = legal(&base)[name].dims().to_vec();
        t.refuse_with(&base, name, zeros(Dtype::F16, &right), "Dtype", name);
        t.refuse_with(&base, name, zeros(Dtype::F32, &[right.iter().product()]), "Shape", name);
    }
    t.refuse_with(&base, "lens_q", zeros(Dtype::U32, &[2]), "Unexpected", "lens_q");
    t.refuse_with(&base, "dropout", zeros(Dtype::F32, &[1]), "Unexpected", "dropout");
    t.refuse_with(&base, "o", zeros(Dtype::F32, &[2, 4, 5, 6]), "Unexpected", "o");
    let all = Attention {
        head_bias: true,
        key_bias: true,
        score_bias: Some(ScoreBias { per_batch: true, per_head: false }),
        alibi: true,
        ..base
    };
    for (name, wrong) in [
        ("head_bias", vec![2]),
        ("key_bias", vec![2, 5]),
        ("score_bias", vec![2, 4, 5, 7]),
        ("alibi_slopes", vec![4, 1]),
        ("relative_bias", vec![4, 6]),
        ("sink", vec![1]),
        ("sink_key", vec![4, 8]),
    ] {
        let (sink, sink_key) = (name == "sink", name == "sink_key");
        // no kernel reads both a table and a score bias
        let table = (name == "relative_bias").then_some(RelativeBias { reach: 3 });
        let score_bias = all.score_bias.filter(|_| table.is_none());
        let all = Attention { sink, sink_key, relative_bias: table, score_bias, ..all.clone() };
        t.refuse_without(&all, name);
        t.refuse_with(&all, name, zeros(Dtype::F32, &wrong), "Shape", name);
        let right = legal(&all)[name].dims().to_vec();
        t.refuse_with(&all, name, zeros(Dtype::F16, &right), "Dtype", name);
    }
    assert!(t.refused >= 30, "{}", t.refused);
}

#[test]
fn attention_sizes() {
    let mut t = Trial::default();
    let with = |change: fn(&mut Dims)| {
        let mut d = dims();
        change(&mut d);
        Attention::softmax(d)
    };
    t.refuse_spec(&with(|d| d.head_dim = 0), "Dim", "head_dim");
    t.refuse_spec(&with(|d| d.head_dim = 257), "Dim", "head_dim");
    t.refuse_spec(&with(|d| d.val_dim = 0), "Dim", "val_dim");
    t.refuse_spec(&with(|d| d.val_dim = 257), "Dim", "val_dim");
    t.refuse_spec(&with(|d| d.q_heads = 0), "Dim", "q_heads");
    t.refuse_spec(&with(|d| d.kv_heads = 0), "Dim", "kv_heads");
    t.refuse_spec(&with(|d| d.kv_heads = 3), "Heads", "q_heads");
    t.refuse_spec(&with(|d| d.kv_heads = 8), "Heads", "q_heads");
    t.refuse_spec(&with(|d| d.seq_q = 1 << 30), "Dim", "seq_q");
    t.refuse_spec(&with(|d| d.seq_kv = usize::MAX), "Dim", "seq_kv");
    t.refuse_spec(&with(|d| d.batch = 1 << 24), "Dim", "batch");
    t.refuse_spec(&with(|d| d.q_heads = 1 << 24), "Dim", "q_heads");
    t.refuse_spec(&with(|d| (d.batch, d.seq_q) = (1 << 20, 1 << 29)), "TooManyElements", "q");
    t.refuse_spec(&with(|d| (d.batch, d.seq_kv) = (1 << 20, 1 << 29)), "TooManyElements", "k");
    let spec = with(|d| (d.batch, d.seq_q, d.seq_kv) = (1, 1 << 20, 1 << 20));
    t.refuse_spec(&Attention { score_bias: Some(ScoreBias::default()), ..spec }, "TooManyElements", "score_bias");
}

#[test]
fn attention_options() {
    let mut t = Trial::default();
    let base = base();
    for scale in [f32::NAN, f32::INFINITY] {
        t.refuse_spec(&Attention { scale: Some(scale), ..base.clone() }, "Option", "scale");
    }
    for softcap in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        t.refuse_spec(&Attention { softcap: Some(softcap), ..base.clone() }, "Option", "softcap");
    }
    for probability in [-0.1, 1.0, 1.5, f32::NAN, f32::INFINITY] {
        let dropout = Some(Dropout::new(probability, 0));
        t.refuse_spec(&Attention { dropout, ..base.clone() }, "Option", "dropout.probability");
    }
    let dropout = Some(Dropout { seed_input: true, ..Dropout::new(0.5, 0) });
    let seeded = Attention { dropout, ..base.clone() };
    t.refuse_without(&seeded, "dropout_seed");
    t.refuse_with(&seeded, "dropout_seed", zeros(Dtype::U32, &[1]), "Shape", "dropout_seed");
    t.refuse_with(&seeded, "dropout_seed", zeros(Dtype::F32, &[2]), "Dtype", "dropout_seed");
    t.refuse_with(&base, "dropout_seed", zeros(Dtype::U32, &[2]), "Unexpected", "dropout_seed");
    for bias in [f32::NAN, f32::NEG_INFINITY] {
        t.refuse_spec(&Attention { bias: Bias::Const(bias), ..base.clone() }, "Option", "bias");
    }
    let window = |left, right| Attention { window: Window { left, right }, ..base.clone() };
    t.refuse_spec(&window(Some(1 << 30), None), "Option", "window.left");
    t.refuse_spec(&window(None, Some(u32::MAX)), "Option", "window.right");
    for chunk in [0, 1 << 30] {
        t.refuse_spec(&Attention { chunk: Some(chunk), ..base.clone() }, "Option", "chunk");
    }
    t.refuse_spec(&Attention { prefix: Some(3), ..base.clone() }, "Conflict", "prefix");
    let causal = Attention { causal: Causal::TopLeft, ..base.clone() };
    t.refuse_spec(&Attention { prefix: Some(1 << 30), ..causal }, "Option", "prefix");
    t.refuse_spec(&Attention { sink_tokens: Some(3), ..base.clone() }, "Conflict", "sink_tokens");
    t.refuse_spec(&Attention { sink_tokens: Some(1 << 30), ..window(Some(2), None) }, "Option", "sink_tokens");
    let map = BlockMap { q: 16, kv: 16, per_batch: true, per_head: false };
    for (option, map) in [("block_map.q", BlockMap { q: 15, ..map }), ("block_map.kv", BlockMap { kv: 0, ..map })] {
        t.refuse_spec(&Attention { block_map: Some(map), ..base.clone() }, "Option", option);
    }
    let listed = Attention { documents: true, block_map: Some(map), ..base.clone() };
    for (name, wrong) in [("document_q", vec![2, 7]), ("document_kv", vec![7]), ("block_map", vec![2, 4, 1, 1])] {
        t.refuse_without(&listed, name);
        t.refuse_with(&listed, name, zeros(Dtype::U32, &wrong), "Shape", name);
    }
    t.refuse_spec(&Attention { dtype: Dtype::U32, ..base.clone() }, "Option", "dtype");
    let sigmoid = Attention { weight: Weight::Sigmoid, lse: false, ..base.clone() };
    t.refuse_spec(&Attention { lse: true, ..sigmoid.clone() }, "Conflict", "lse");
    t.refuse_spec(&Attention { sink_key: true, ..sigmoid.clone() }, "Conflict", "sink_key");
    let table = Attention { relative_bias: Some(RelativeBias { reach: 1 << 20 }), ..base.clone() };
    t.refuse_spec(&table, "Option", "relative_bias.reach");
    let table = Attention { relative_bias: Some(RelativeBias { reach: 3 }), ..base.clone() };
    t.refuse_spec(&Attention { score_bias: Some(ScoreBias::default()), ..table.clone() }, "Conflict", "relative_bias");
    let prologue = Prologue { query_penalty: Some(1.0), ..Prologue::default() };
    t.refuse_spec(&Attention { prologue, ..table }, "Conflict", "relative_bias");
    t.refuse_spec(&Attention { sink_key: true, sink: true, ..base }, "Conflict", "sink_key");
    t.refuse_spec(&Attention { sink: true, ..sigmoid }, "Conflict", "sink");
}

#[test]
fn attention_normalizers() {
    let mut t = Trial::default();
    let relu = |normalizer| Attention { weight: Weight::Relu, normalizer, lse: false, ..base() };
    let too_large = Tensor::f32([2, 4, 5], vec![81.0; 40]).unwrap();
    t.refuse_with(&relu(Normalizer::LearnedExp), "log_norm", too_large, "Value", "log_norm[0]");
    t.refuse_without(&AttentionBackward::new(relu(Normalizer::RowSum)), "row_sum");
    let mut long = Attention { score_bias: Some(ScoreBias::default()), ..base() };
    long.prologue.query_penalty = Some(1.0);
    t.refuse_spec(&long, "Conflict", "prologue.query_penalty");
    long.prologue.query_penalty = Some(f32::NAN);
    t.refuse_spec(&long, "Option", "prologue.query_penalty");
    t.refuse_spec(&relu(Normalizer::GlobalFrobenius(0.0)), "Option", "normalizer");
    let of_head = relu(Normalizer::GlobalFrobenius(1e-6));
    t.refuse_without(&of_head, "rho");
    t.refuse_with(&of_head, "rho", Tensor::f32([4], vec![1.0, 0.0, 1.0, 1.0]).unwrap(), "Value", "rho[1]");
    t.refuse_without(&AttentionBackward::new(of_head), "row_sum");
}

#[test]
fn attention_reweight() {
    let mut t = Trial::default();
    let base = Attention::lssar(dims());
    let with = |r: Reweight| Attention { reweight: Some(r), ..base.clone() };
    let l = Reweight::LSSAR;
    t.refuse_spec(&with(Reweight { power: 0, ..l }), "Option", "reweight.power");
    t.refuse_spec(&with(Reweight { offset: f32::INFINITY, ..l }), "Option", "reweight.offset");
    t.refuse_spec(&with(Reweight { offset_rows: u32::MAX, ..l }), "Option", "reweight.offset_rows");
    for (weight, normalizer) in [
        (Weight::Softmax, Normalizer::None),
        (Weight::Softplus, Normalizer::Count),
        (Weight::Identity, Normalizer::RowSum),
    ] {
        t.refuse_spec(&Attention { weight, normalizer, ..base.clone() }, "Conflict", "reweight");
    }
    let gradient = AttentionBackward::new(base);
    for name in ["row_sum", "row_mean", "row_max"] {
        t.refuse_without(&gradient, name);
        t.refuse_with(&gradient, name, zeros(Dtype::F32, &[2, 4, 7]), "Shape", name);
    }
}

#[test]
fn attention_local_linear() {
    let mut t = Trial::default();
    let base = Attention::parallax(dims());
    t.refuse_without(&base, "r");
    t.refuse_with(&base, "r", zeros(Dtype::F32, &[2, 4, 5, 7]), "Shape", "r");
    t.refuse_with(&base, "r", zeros(Dtype::F16, &[2, 4, 5, 8]), "Dtype", "r");
    let dropout = Some(Dropout { probability: 0.5, seed: 1, seed_input: false });
    for odd in [
        Attention { weight: Weight::Sigmoid, ..base.clone() },
        Attention { sink: true, ..base.clone() },
        Attention { dropout, ..base.clone() },
        Attention { storage: Storage::INT8_PER_TOKEN, ..base.clone() },
    ] {
        t.refuse_spec(&odd, "Conflict", "local_linear");
    }
    t.refuse_spec(&AttentionStatistics::new(base.clone()), "Conflict", "local_linear");
    let biased = Attention { score_bias: Some(ScoreBias::default()), ..base.clone() };
    t.refuse_spec(&AttentionBackward::new(biased), "Conflict", "local_linear");
    let gradient = AttentionBackward::new(base);
    for name in ["r", "lse", "v_mean", "rk_mean"] {
        t.refuse_without(&gradient, name);
    }
    t.refuse_with(&gradient, "rk_mean", zeros(Dtype::F32, &[2, 4, 7]), "Shape", "rk_mean");
}

#[test]
fn attention_lengths() {
    let mut t = Trial::default();
    let padded = Attention { sequences: Sequences::Padded { q: true, kv: true }, ..base() };
    let u32s = |x: &[u32]| Tensor::u32([x.len()], x).unwrap();
    t.refuse_without(&padded, "lens_q");
    t.refuse_without(&padded, "lens_kv");
    t.refuse_with(&padded, "lens_q", u32s(&[5, 6]), "Value", "lens_q[1]");
    t.refuse_with(&padded, "lens_kv", u32s(&[8, 0]), "Value", "lens_kv[0]");
    t.refuse_with(&padded, "lens_kv", u32s(&[u32::MAX, 0]), "Value", "lens_kv[0]");
    t.refuse_with(&padded, "lens_q", u32s(&[5, 5, 5]), "Shape", "lens_q");
    t.refuse_with(&padded, "lens_q", zeros(Dtype::F32, &[2]), "Dtype", "lens_q");
    let packed = Attention { sequences: Sequences::Packed { total_q: 8, total_kv: 9 }, ..base() };
    let good = legal(&packed).with("cu_seqlens_q", u32s(&[0, 5, 8])).with("cu_seqlens_kv", u32s(&[0, 2, 9]));
    assert!(gpu().run_tensors(&packed, &good).is_ok());
    for (name, bad, at) in [
        ("cu_seqlens_q", [1, 5, 8], 0),
        ("cu_seqlens_q", [0, 6, 8], 1),
        ("cu_seqlens_q", [0, 5, 4], 2),
        ("cu_seqlens_q", [0, 5, 7], 2),
        ("cu_seqlens_kv", [0, 8, 9], 1),
        ("cu_seqlens_kv", [0, 3, u32::MAX], 2),
    ] {
        t.refuse(&packed, &good.clone().with(name, u32s(&bad)), "Value", &format!("{name}[{at}]"));
    }
    let mut without = good.clone();
    without.take("cu_seqlens_kv");
    t.refuse(&packed, &without, "Missing", "cu_seqlens_kv");
    t.refuse(&packed, &good.with("cu_seqlens_q", u32s(&[0, 8])), "Shape", "cu_seqlens_q");
    let short = |total_q, total_kv| Attention { sequences: Sequences::Packed { total_q, total_kv }, ..base() };
    t.refuse_spec(&short(4, 9), "Dim", "seq_q");
    t.refuse_spec(&short(8, 6), "Dim", "seq_kv");
}

#[test]
fn merges() {
    let mut t = Trial::default();
    let op = AttentionMerge::softmax(2, 5, 8);
    assert!(gpu().run_tensors(&op, &legal(&op)).is_ok());
    t.refuse_without(&op, "lse_parts");
    t.refuse_with(&op, "o_parts", zeros(Dtype::F32, &[2, 8, 5]), "Shape", "o_parts");
    t.refuse_with(&op, "lse_parts", zeros(Dtype::F16, &[2, 5]), "Dtype", "lse_parts");
    let sum = AttentionMerge::sigmoid(2, 5, 8);
    t.refuse_with(&sum, "lse_parts", zeros(Dtype::F32, &[2, 5]), "Unexpected", "lse_parts");
    for (dim, bad) in [
        ("parts", AttentionMerge { parts: 0, ..op.clone() }),
        ("parts", AttentionMerge { parts: 4097, ..op.clone() }),
        ("val_dim", AttentionMerge { val_dim: 257, ..op.clone() }),
    ] {
        t.refuse_spec(&bad, "Dim", dim);
    }
    t.refuse_spec(&AttentionMerge { dtype: Dtype::U32, ..op }, "Option", "dtype");
}

#[test]
fn paged() {
    let mut t = Trial::default();
    let with = |page, pages| Attention { sequences: Sequences::Paged { page, pages }, ..base() };
    let paged = with(3, 6);
    let u32s = |n: &[u32]| Tensor::u32([n.len()], n.to_vec()).unwrap();
    let table = |pages: [u32; 6]| Tensor::u32([2, 3], pages.to_vec()).unwrap();
    let good = legal(&paged).with("lens_kv", u32s(&[7, 4])).with("block_table", table([5, 0, 3, 1, 2, u32::MAX]));
    assert!(gpu().run_tensors(&paged, &good).is_ok(), "an entry beyond the length is not looked at");
    for (bad, at) in [([6, 0, 3, 1, 2, 0], 0), ([5, 0, 3, 1, u32::MAX, 0], 4)] {
        t.refuse(&paged, &good.clone().with("block_table", table(bad)), "Value", &format!("block_table[{at}]"));
    }
    t.refuse(&paged, &good.clone().with("lens_kv", u32s(&[8, 4])), "Value", "lens_kv[0]");
    t.refuse(&paged, &good.clone().with("block_table", u32s(&[1, 2])), "Shape", "block_table");
    t.refuse_without(&paged, "block_table");
    t.refuse_without(&paged, "lens_kv");
    t.refuse_spec(&with(0, 6), "Dim", "page");
    t.refuse_spec(&with(3, 0), "Dim", "pages");
    t.refuse_spec(&AttentionBackward::new(paged), "Conflict", "attention_backward");
}

#[test]
fn int8() {
    let mut t = Trial::default();
    let op = Attention { storage: Storage::INT8_PER_TOKEN, ..base() };
    for (name, right, wrong) in [("k", [2, 2, 7, 2], [2, 2, 7, 8]), ("v", [2, 2, 7, 2], [2, 2, 7, 6])] {
        t.refuse_with(&op, name, zeros(Dtype::U32, &wrong), "Shape", name);
        t.refuse_with(&op, name, zeros(Dtype::F32, &right), "Dtype", name);
    }
    for name in ["k_scale", "v_scale"] {
        t.refuse_without(&op, name);
        t.refuse_with(&op, name, zeros(Dtype::F32, &[2]), "Shape", name);
        t.refuse_with(&op, name, zeros(Dtype::F16, &[2, 2, 7]), "Dtype", name);
        t.refuse_with(&base(), name, zeros(Dtype::F32, &[2, 2, 7]), "Unexpected", name);
        let heads = Attention { storage: Storage::INT8_PER_HEAD, ..base() };
        t.refuse_with(&heads, name, zeros(Dtype::F32, &[2, 2, 7]), "Shape", name);
    }
    t.refuse_spec(&AttentionBackward::new(op.clone()), "Conflict", "attention_backward");
    t.refuse_spec(&AttentionStatistics::new(op.clone()), "Conflict", "attention_statistics");
    let norm = Prologue { key_norm: Some(RowNorm::RMS), ..Prologue::default() };
    let option = "prologue.key_norm, value_scale or key_penalty";
    t.refuse_spec(&Attention { prologue: norm, ..op.clone() }, "Conflict", option);
    let features = Prologue { feature_map: Some(FeatureMap::Relu), ..Prologue::default() };
    t.refuse_spec(&Attention { prologue: features, ..op.clone() }, "Conflict", "prologue.feature_map");
    let sequences = Sequences::Paged { page: 4, pages: 4 };
    t.refuse_spec(&Attention { prologue: features, sequences, ..base() }, "Conflict", "prologue.feature_map");
    let epilogue = Epilogue { affine: true, ..Epilogue::default() };
    t.refuse_spec(&Attention { epilogue, ..op }, "Conflict", "epilogue.affine");
}

#[test]
fn attention_backward() {
    let mut t = Trial::default();
    let softmax = AttentionBackward { d_lse: true, ..AttentionBackward::new(base()) };
    for name in ["q", "o", "lse", "d_o", "d_lse"] {
        t.refuse_without(&softmax, name);
    }
    t.refuse_with(&softmax, "d_o", zeros(Dtype::F32, &[2, 4, 5, 8]), "Shape", "d_o");
    t.refuse_with(&softmax, "o", zeros(Dtype::F16, &[2, 4, 5, 6]), "Dtype", "o");
    t.refuse_with(&softmax, "lse", zeros(Dtype::F32, &[2, 4, 5, 1]), "Shape", "lse");
    t.refuse_with(&softmax, "d_q", zeros(Dtype::F32, &[2, 4, 5, 8]), "Unexpected", "d_q");
    let sigmoid = AttentionBackward::new(Attention::sigmoid(dims()));
    t.refuse_with(&sigmoid, "o", zeros(Dtype::F32, &[2, 4, 5, 6]), "Unexpected", "o");
    t.refuse_with(&sigmoid, "lse", zeros(Dtype::F32, &[2, 4, 5]), "Unexpected", "lse");
    t.refuse_spec(&AttentionBackward { d_lse: true, ..sigmoid.clone() }, "Conflict", "d_lse");
    t.refuse_spec(&AttentionBackward { d_bias: true, ..sigmoid.clone() }, "Option", "d_bias");
    let bad = Attention { dims: Dims { head_dim: 300, ..dims() }, ..base() };
    t.refuse_spec(&AttentionBackward::new(bad), "Dim", "head_dim");
}

#[test]
fn rows() {
    let mut t = Trial::default();
    let base = Rowwise::new(RowFunction::Softmax, 3, 11);
    t.refuse_without(&base, "x");
    t.refuse_with(&base, "x", zeros(Dtype::F32, &[11, 3]), "Shape", "x");
    t.refuse_with(&base, "x", zeros(Dtype::U32, &[3, 11]), "Dtype", "x");
    t.refuse_with(&base, "lens", zeros(Dtype::U32, &[3]), "Unexpected", "lens");
    t.refuse_spec(&Rowwise { cols: 0, ..base.clone() }, "Dim", "cols");
    t.refuse_spec(&Rowwise { cols: (1 << 20) + 1, ..base.clone() }, "Dim", "cols");
    t.refuse_spec(&Rowwise { rows: usize::MAX, ..base.clone() }, "TooManyElements", "x");
    t.refuse_spec(&Rowwise { scale: f32::NAN, ..base.clone() }, "Option", "scale");
    t.refuse_spec(&Rowwise { dtype: Dtype::U32, ..base.clone() }, "Option", "dtype");
    let lens = Rowwise { lens: true, ..base.clone() };
    t.refuse_without(&lens, "lens");
    t.refuse_with(&lens, "lens", Tensor::u32([3], vec![11, 12, 0]).unwrap(), "Value", "lens[1]");
    t.refuse_with(&lens, "lens", zeros(Dtype::U32, &[4]), "Shape", "lens");
    let backward = RowwiseBackward { forward: base.clone() };
    t.refuse_without(&backward, "y");
    t.refuse_without(&backward, "d_y");
    t.refuse_with(&backward, "d_y", zeros(Dtype::F32, &[3]), "Shape", "d_y");
    t.refuse_with(&backward, "x", zeros(Dtype::F32, &[3, 11]), "Unexpected", "x");
    let log_sum_exp = RowwiseBackward { forward: Rowwise { function: RowFunction::LogSumExp, ..base } };
    t.refuse_without(&log_sum_exp, "x");
    t.refuse_with(&log_sum_exp, "y", zeros(Dtype::F32, &[3, 11]), "Unexpected", "y");
}

#[test]
fn products() {
    let mut t = Trial::default();
    let base = Gemm { batch: 2, bias: true, ..Gemm::new(3, 4, 5) };
    for (name, wrong) in [("a", vec![2, 5, 3]), ("b", vec![1, 5, 4]), ("bias", vec![1, 4])] {
        t.refuse_without(&base, name);
        t.refuse_with(&base, name, zeros(Dtype::F32, &wrong), "Shape", name);
        let right = legal(&base)[name].dims().to_vec();
        t.refuse_with(&base, name, zeros(Dtype::F16, &right), "Dtype", name);
    }
    t.refuse_with(&base, "c", zeros(Dtype::F32, &[2, 3, 4]), "Unexpected", "c");
    t.refuse_spec(&Gemm { alpha: f32::INFINITY, ..base.clone() }, "Option", "alpha");
    t.refuse_spec(&Gemm { dtype: Dtype::U32, ..base.clone() }, "Option", "dtype");
    t.refuse_spec(&Gemm { k: usize::MAX, ..base.clone() }, "Dim", "k");
    t.refuse_spec(&Gemm { m: 1 << 20, n: 1 << 20, ..base.clone() }, "TooManyElements", "c");
    t.refuse_with(&Gemm { bias: false, ..base.clone() }, "bias", zeros(Dtype::F32, &[4]), "Unexpected", "bias");
}

#[test]
fn bias_values() {
    let mut t = Trial::default();
    let spec =
        Attention { head_bias: true, key_bias: true, score_bias: Some(ScoreBias::default()), alibi: true, ..base() };
    for name in ["head_bias", "alibi_slopes", "relative_bias", "sink", "sink_key", "key_bias", "score_bias"] {
        let table = (name == "relative_bias").then_some(RelativeBias { reach: 3 });
        let score_bias = spec.score_bias.filter(|_| table.is_none());
        let sink_key = name == "sink_key";
        let spec = Attention { sink: !sink_key, sink_key, relative_bias: table, score_bias, ..spec.clone() };
        let dims = legal(&spec)[name].dims().to_vec();
        let mut bad = vec![f32::NAN, f32::INFINITY];
        // Where it masks, -inf is legal.
        bad.extend((!matches!(name, "key_bias" | "score_bias")).then_some(f32::NEG_INFINITY));
        for value in bad {
            let mut values = vec![0.5; dims.iter().product()];
            values[3] = value;
            t.refuse_with(&spec, name, Tensor::f32(dims.clone(), values).unwrap(), "Value", &format!("{name}[3]"));
        }
    }
}

#[test]
fn tensors() {
    let wrong = [
        Tensor::f32([2, 3], vec![0.0; 5]).unwrap_err(),
        Tensor::f16([2], vec![half::f16::ZERO; 3]).unwrap_err(),
        Tensor::u32([usize::MAX, 2], vec![0]).unwrap_err(),
        Tensor::from_bytes(Dtype::F32, [2], &[0; 7]).unwrap_err(),
        Tensor::from_bytes(Dtype::F16, [usize::MAX, usize::MAX], &[0; 8]).unwrap_err(),
    ];
    for error in wrong {
        assert_eq!(named(&error).0, "ElementCount", "{error}");
    }
    let error = Tensor::float(Dtype::U32, [1], vec![0.0]).unwrap_err();
    assert_eq!(named(&error).0, "Dtype", "{error}");
}

#[test]
fn specs_as_json() {
    for text in [
        r#"{"dims": {}}"#,
        r#"{"dims": {"batch": -1, "q_heads": 1, "kv_heads": 1, "seq_q": 1, "seq_kv": 1, "head_dim": 1, "val_dim": 1}}"#,
        r#"{"dims": {"batch": 1, "q_heads": 1, "kv_heads": 1, "seq_q": 1, "seq_kv": 1, "head_dim": 1, "val_dim": 1}, "dropout": 0.1}"#,
    ] {
        assert!(serde_json::from_str::<Attention>(text).is_err(), "{text}");
    }
}

#[test]
fn adapters_and_plans() {
    let mut t = Trial::default();
    let error = Gpu::open(&Options { adapter: Some("no such adapter".into()), ..Options::default() }).unwrap_err();
    assert!(matches!(&error, RunError::NoAdapter { .. }), "{error}");
    assert!(error.to_string().contains("no such adapter"), "{error}");
    t.good_call();
    let tight = Limits { binding_bytes: 512, ..Limits::webgpu_default() };
    let error = Attention::softmax(Dims::new(1, 1, 999, 64)).plan(&tight).unwrap_err();
    assert!(matches!(error, PlanError::TooLarge { have: 512, .. }), "{error}");
    let error = Attention { dtype: Dtype::F16, ..base() }.plan(&Limits::webgpu_default()).unwrap_err();
    assert!(matches!(error, PlanError::Feature { .. }), "{error}");
    let error = Rowwise { dtype: Dtype::F16, ..Rowwise::new(RowFunction::Softmax, 1, 1) }
        .plan(&Limits::webgpu_default())
        .unwrap_err();
    assert!(matches!(error, PlanError::Feature { .. }), "{error}");
    t.good_call();
}

#[test]
fn deadlines_and_cancelling() {
    let mut t = Trial::default();
    let plan = gpu().plan(&base()).unwrap();
    let run = |options: &RunOptions| gpu().run_plan(&plan, &base().operands(), &legal(&base()), options).unwrap_err();
    let error = run(&RunOptions { deadline: Some(std::time::Duration::ZERO), ..RunOptions::default() });
    assert!(matches!(error, RunError::TimeOut { .. }), "{error}");
    t.good_call();
    let cancel = Some(std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true)));
    let error = run(&RunOptions { cancel, ..RunOptions::default() });
    assert!(matches!(error, RunError::Cancelled { .. }), "{error}");
    t.good_call();
    let mut inputs = legal(&base());
    inputs.take("k");
    let error = gpu().run_plan(&plan, &base().operands(), &inputs, &RunOptions::default()).unwrap_err();
    assert!(matches!(error, RunError::Spec(SpecError::Missing { .. })), "{error}");
    t.good_call();
}
