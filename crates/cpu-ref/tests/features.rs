//! What must hold of feature maps and of the forms of arXiv 2507.23632, by other definitions of the same.

use gatefold_core::attention::{Dims, RowNorm, cumulative_log_norm};
use gatefold_core::{Attention, AttentionBackward, Op, Role};
use gatefold_cpu_ref::data::Rng;
use gatefold_cpu_ref::{Reference, Values};

const DIMS: Dims = Dims { batch: 1, q_heads: 1, kv_heads: 1, seq_q: 9, seq_kv: 9, head_dim: 4, val_dim: 3 };

/// Random inputs of a spec.
fn inputs(op: &impl Op) -> Values<f64> {
    let mut rng = Rng::new(5, 55);
    let given = op.operands().into_iter().filter(|o| o.role == Role::Input);
    let floats = given.map(|o| (o.name.to_string(), (0..o.len()).map(|_| f64::from(rng.normal())).collect())).collect();
    Values { floats, ..Values::default() }
}

#[track_caller]
fn near(a: &[f64], b: &[f64], digits: f64) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= digits * (1.0 + b.abs()), "element {i}: {a} and {b}");
    }
}

/// Rows of `x`, mapped.
fn mapped(x: &[f64], map: impl Fn(f64) -> f64) -> Vec<Vec<f64>> {
    x.chunks(DIMS.head_dim).map(|row| row.iter().map(|&x| map(x)).collect()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Linear attention as a recurrence: a state of `Σ φ(k) vᵀ` and one of `Σ φ(k)`.
fn recurrence(inputs: &Values<f64>, map: impl Fn(f64) -> f64) -> Vec<f64> {
    let (width, val) = (DIMS.head_dim, DIMS.val_dim);
    let (mut state, mut sum) = (vec![vec![0.0; width]; val], vec![0.0; width]);
    let (queries, keys) = (mapped(inputs.float("q"), &map), mapped(inputs.float("k"), &map));
    let mut o = Vec::new();
    for ((q, k), v) in queries.iter().zip(&keys).zip(inputs.float("v").chunks(val)) {
        for d in 0..width {
            sum[d] += k[d];
            (0..val).for_each(|e| state[e][d] += k[d] * v[e]);
        }
        let n = dot(q, &sum);
        o.extend(state.iter().map(|row| if n == 0.0 { 0.0 } else { dot(q, row) / n }));
    }
    o
}

#[test]
fn linear_attention_is_a_recurrence() {
    let relu = Attention::linear_relu(DIMS);
    let given = inputs(&relu);
    near(relu.eval(&given).float("o"), &recurrence(&given, |x| x.max(0.0)), 1e-13);
    let elu = Attention::linear_elu(DIMS);
    near(elu.eval(&given).float("o"), &recurrence(&given, |x| if x > 0.0 { x + 1.0 } else { x.exp() }), 1e-13);
}

#[test]
fn the_gradient_at_0_is_0() {
    let op = AttentionBackward::new(Attention::linear_relu(DIMS));
    let mut given = inputs(&op.forward);
    given.floats.insert("d_o".into(), vec![0.5; DIMS.seq_q * DIMS.val_dim]);
    for name in ["q", "k"] {
        let mut all = given.float(name).to_vec();
        all.iter_mut().step_by(3).for_each(|x| *x = 0.0);
        given.floats.insert(name.into(), all);
    }
    let forward = op.forward.clone().saving(true).eval(&given);
    given.floats.extend(forward.floats);
    let gradient = op.eval(&given);
    for name in ["d_q", "d_k"] {
        let found = gradient.float(name);
        assert!(found.iter().step_by(3).all(|&x| x == 0.0), "{name}: {found:?}");
        assert!(found.iter().any(|&x| x != 0.0), "{name}");
    }
}

/// A sum that a row is divided by cancels behind an L2 norm, and so does a gate before it.
#[test]
fn a_norm_takes_the_place_of_a_denominator() {
    let op = Attention::softmax_l2_noclamp(DIMS);
    let given = inputs(&op);
    let (queries, keys) = (mapped(given.float("q"), |x| x), mapped(given.float("k"), |x| x));
    let mut expected = Vec::new();
    for (i, q) in queries.iter().enumerate() {
        let mut sum = vec![0.0; DIMS.val_dim];
        for (k, v) in keys.iter().zip(given.float("v").chunks(DIMS.val_dim)).take(i + 1) {
            let weight = (0.5 * dot(q, k)).exp();
            sum.iter_mut().zip(v).for_each(|(sum, v)| *sum += weight * v);
        }
        let length = dot(&sum, &sum).sqrt();
        expected.extend(sum.iter().map(|x| x / length));
    }
    near(op.eval(&given).float("o"), &expected, 1e-7);
    let width = f64::from(u8::try_from(DIMS.val_dim).unwrap());
    let mut scaled = given.clone();
    scaled.floats.insert("o_gain".into(), vec![width; DIMS.val_dim]);
    let (long, unit) = (Attention::softmax_custom_norm(DIMS), Attention::softmax_l2(DIMS));
    let unit: Vec<f64> = unit.eval(&given).float("o").iter().map(|x| x * width).collect();
    near(long.eval(&scaled).float("o"), &unit, 1e-12);
    assert_eq!(unit.len(), DIMS.seq_q * DIMS.val_dim);
    assert_eq!(long.epilogue.norm, Some(RowNorm::L2));
}

#[test]
fn a_running_sum_of_gates_divides() {
    let op = Attention::softmax_cumgate(DIMS);
    let gate = [0.3, -2.0, 0.0, 1.0, -5.0, 0.25, 2.0, -1.0, 0.5f32];
    let mut given = inputs(&op);
    let log_norm = cumulative_log_norm(&gate, DIMS.seq_q);
    given.floats.insert("log_norm".into(), log_norm.iter().map(|&x| f64::from(x)).collect());
    let summed = op.eval(&given);
    let bare = Attention { normalizer: gatefold_core::attention::Normalizer::None, ..op };
    let mut total = 0.0;
    let mut expected = bare.eval(&given).float("o").to_vec();
    for (row, gate) in expected.chunks_mut(DIMS.val_dim).zip(gate) {
        total += f64::from(gate).exp();
        row.iter_mut().for_each(|x| *x /= f64::max(total, 1.0));
    }
    near(summed.float("o"), &expected, 1e-6);
}
