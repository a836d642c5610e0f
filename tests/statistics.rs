//! Statistics of attention's weights: bad input, memory, and what must hold of any of them.

use gatefold_core::attention::{Bias, Causal, Dims, SINK_THRESHOLD, Sequences, StatisticsInputs, StatisticsOutputs};
use gatefold_core::{Attention, AttentionStatistics, Dtype, Tensor, Tensors};
use gatefold_cpu_ref::data::{Family, Rng};
use gatefold_shaders::Kernels;
use gatefold_tests::bad_calls::{Trial, base, legal, zeros};
use gatefold_tests::gpu;

#[test]
fn bad_input() {
    let mut t = Trial::default();
    let op = AttentionStatistics::new(base());
    assert!(gpu().run_tensors(&op, &legal(&op)).is_ok());
    t.refuse_without(&op, "k");
    t.refuse_with(&op, "v", zeros(Dtype::F32, &[2, 2, 7, 6]), "Unexpected", "v");
    t.refuse_with(&op, "k", zeros(Dtype::F32, &[2, 2, 8, 7]), "Shape", "k");
    t.refuse_with(&op, "q", zeros(Dtype::F16, &[2, 4, 5, 8]), "Dtype", "q");
    let padded = Attention { sequences: Sequences::Padded { q: false, kv: true }, ..base() };
    let long = Tensor::u32([2], vec![7, 8]).unwrap();
    t.refuse_with(&AttentionStatistics::new(padded), "lens_kv", long, "Value", "lens_kv[1]");
    let capped = Attention { softcap: Some(0.0), ..base() };
    t.refuse_spec(&AttentionStatistics::new(capped), "Option", "softcap");
}

#[test]
fn memory_is_linear_in_the_sequence() {
    let bytes = |seq| {
        let op = AttentionStatistics::new(Attention::softmax(Dims::new(1, 2, seq, 16)));
        op.plan(gpu().limits()).unwrap().extra_bytes()
    };
    // 9 words a position and head, and one that belongs to nothing: the matrix of weights would be seq words a position
    for seq in [1024, 4096] {
        assert_eq!(bytes(seq), (seq as u64 * 2 * 9 + 1) * 4);
    }
}

fn draw(dims: Dims, seed: u64) -> Tensors {
    let mut rng = Rng::new(seed, 1);
    let shape = |heads, seq| [dims.batch, heads, seq, dims.head_dim];
    let mut tensor =
        |shape: [usize; 4]| Tensor::f32(shape, Family::Normal(1.0).fill(&mut rng, shape.iter().product(), 1)).unwrap();
    Tensors::new()
        .with("q", tensor(shape(dims.q_heads, dims.seq_q)))
        .with("k", tensor(shape(dims.kv_heads, dims.seq_kv)))
}

/// Every row of weights adds up to 1, so `Σ_j n_j·importance_j` is the number of rows; and with a sink that takes half of a row, half.
#[test]
fn weights_add_up_to_rows() {
    let dims = Dims { q_heads: 4, kv_heads: 2, ..Dims::new(2, 1, 50, 12) };
    for forward in [Attention::softmax(dims), Attention { bias: Bias::Const(0.5), ..Attention::sigmoid(dims) }] {
        let op = AttentionStatistics::new(Attention { causal: Causal::TopLeft, ..forward });
        let found = gpu().run_tensors(&op, &draw(dims, 3)).unwrap();
        let importance = found["importance"].to_f64();
        for head in importance.chunks(dims.seq_kv) {
            let sum: f64 = head.iter().enumerate().map(|(j, c)| (dims.seq_kv - j) as f64 * c).sum();
            assert!((sum - 50.0).abs() < 1e-3, "{sum}");
        }
        // one key: all weight on it
        assert!((found["top_mass"].to_f64()[0] - 1.0).abs() < 1e-6 && found["entropy"].to_f64()[0] < 1e-6);
        let support = found["entropy"].to_f64().into_iter().map(f64::exp).fold(0.0, f64::max);
        assert!(support > 5.0 && support < 50.01, "{support}");
    }
}

/// Queries that share a direction and a first key that points there: softmax has a sink, sigmoid without a bias has none.
#[test]
fn softmax_has_the_sink_and_sigmoid_has_not() {
    let dims = Dims::new(1, 2, 64, 16);
    let given = draw(dims, 8);
    let mut parts = ["q", "k"].map(|name| given[name].to_f32());
    parts[0].iter_mut().step_by(16).for_each(|x| *x += 4.0);
    parts[1].iter_mut().step_by(64 * 16).for_each(|x| *x = 8.0);
    let [q, k] = parts.map(|numbers| Tensor::f32([1, 2, 64, 16], numbers).unwrap());
    let forward = gatefold_core::attention::Inputs { q, k: k.clone(), v: k.clone(), ..Default::default() };
    let sinks = |attention: Attention| {
        let attention = Attention { causal: Causal::TopLeft, ..attention };
        let op = AttentionStatistics::new(attention.clone());
        let o = gpu().run(&attention, forward.clone()).unwrap().o;
        let found: StatisticsOutputs = gpu().run(&op, StatisticsInputs { forward: forward.clone() }).unwrap();
        op.diagnose(&found, &k, &o, SINK_THRESHOLD).unwrap()
    };
    let (softmax, sigmoid) =
        (sinks(Attention::softmax(dims)), sinks(Attention { bias: Bias::Const(0.0), ..Attention::sigmoid(dims) }));
    assert_eq!((softmax.sinks_by_position[0], sigmoid.sinks_by_position[0]), (1.0, 0.0));
    assert!(softmax.heads.iter().zip(&sigmoid.heads).all(|(a, b)| a.support < b.support && a.rank < b.rank));
    assert!(softmax.heads.iter().all(|h| h.cosine > 0.5 && h.norm_peak > 1.5 && h.norm_correlation > 0.1));
}
