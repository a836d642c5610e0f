//! What must hold of the definitions whatever the numbers.

use gatefold_core::attention::{Bias, Causal, Dims, RelativeBias, Sequences, Window};
use gatefold_core::{Attention, AttentionBackward, RowFunction, Rowwise};
use gatefold_cpu_ref::data::Rng;
use gatefold_cpu_ref::{Reference, Values};

type Numbers = Vec<f64>;

fn draw(seed: u64, n: usize) -> Numbers {
    let mut rng = Rng::new(seed, 77);
    (0..n).map(|_| f64::from(rng.normal())).collect()
}

fn values(floats: &[(&str, &[f64])]) -> Values<f64> {
    Values { floats: floats.iter().map(|(n, x)| (n.to_string(), x.to_vec())).collect(), ..Values::default() }
}

/// Random `q k v` for a spec that is neither padded nor packed.
fn inputs(spec: &Attention) -> Values<f64> {
    let d = &spec.dims;
    let (rows_q, rows_kv) = (d.batch * d.q_heads * d.seq_q, d.batch * d.kv_heads * d.seq_kv);
    values(&[
        ("q", &draw(1, rows_q * d.head_dim)),
        ("k", &draw(2, rows_kv * d.head_dim)),
        ("v", &draw(3, rows_kv * d.val_dim)),
    ])
}

fn with(mut inputs: Values<f64>, name: &str, x: &[f64]) -> Values<f64> {
    inputs.floats.insert(name.into(), x.to_vec());
    inputs
}

fn with_ints(mut inputs: Values<f64>, name: &str, x: &[u32]) -> Values<f64> {
    inputs.ints.insert(name.into(), x.to_vec());
    inputs
}

fn output(spec: &Attention, inputs: &Values<f64>, name: &str) -> Numbers {
    spec.eval(inputs).float(name).to_vec()
}

fn softmax(dims: Dims) -> Attention {
    Attention { lse: true, ..Attention::softmax(dims) }
}

fn both(dims: Dims) -> [Attention; 2] {
    [softmax(dims), Attention::sigmoid(dims)]
}

#[track_caller]
fn near(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!(a == b || (a - b).abs() <= 1e-12 * (1.0 + b.abs()), "element {i}: {a} and {b}");
    }
}

#[test]
fn softmax_rows_sum_to_one() {
    let spec = softmax(Dims { val_dim: 1, ..Dims::new(2, 2, 19, 5) });
    let ones = vec![1.0; 2 * 2 * 19];
    near(&output(&spec, &with(inputs(&spec), "v", &ones), "o"), &ones);
}

#[test]
fn one_key_gives_its_value() {
    let spec = softmax(Dims { seq_q: 3, seq_kv: 1, ..Dims::new(1, 1, 1, 4) });
    let given = inputs(&spec);
    near(&output(&spec, &given, "o"), &given.float("v").repeat(3));
}

#[test]
fn equal_logits_give_the_mean_or_a_constant_weight() {
    let dims = Dims::new(1, 1, 7, 3);
    let [softmax, sigmoid] = both(dims);
    let given = with(inputs(&softmax), "q", &[0.0; 21]);
    let column = |d: usize| given.float("v").iter().skip(d).step_by(3).sum::<f64>();
    let sums: Numbers = (0..3).map(column).collect();
    let mean: Numbers = sums.iter().map(|x| x / 7.0).collect();
    near(&output(&softmax, &given, "o")[..3], &mean);
    // σ(−ln 7) = 1/8, but for the bias rounded to f32
    let eighth = output(&sigmoid, &given, "o");
    for (o, sum) in eighth.iter().zip(&sums) {
        assert!((o - sum / 8.0).abs() < 1e-7 * (1.0 + sum.abs()));
    }
}

#[test]
fn sigmoid_is_additive_over_keys() {
    let dims = Dims { seq_q: 5, ..Dims::new(1, 1, 12, 4) };
    let whole = Attention { bias: Bias::Const(-1.0), ..Attention::sigmoid(dims) };
    let given = inputs(&whole);
    let part = |keys: std::ops::Range<usize>| {
        let spec = Attention { dims: Dims { seq_kv: keys.len(), ..dims }, ..whole.clone() };
        let cut = |name: &str| given.float(name)[keys.start * 4..keys.end * 4].to_vec();
        output(&spec, &with(with(given.clone(), "k", &cut("k")), "v", &cut("v")), "o")
    };
    let sum: Numbers = part(0..5).iter().zip(part(5..12)).map(|(a, b)| a + b).collect();
    near(&output(&whole, &given, "o"), &sum);
}

#[test]
fn packed_is_a_loop_over_sequences() {
    let (lens_q, lens_kv, heads, width) = ([3, 0, 5], [4, 2, 6], 2, 3);
    for base in both(Dims { seq_q: 5, seq_kv: 6, ..Dims::new(3, heads, 1, width) }) {
        let packed = Attention {
            sequences: Sequences::Packed { total_q: 8, total_kv: 12 },
            causal: Causal::BottomRight,
            bias: Bias::NegLogLen,
            ..base
        };
        let given = values(&[
            ("q", &draw(1, 8 * heads * width)),
            ("k", &draw(2, 12 * heads * width)),
            ("v", &draw(3, 12 * heads * width)),
        ]);
        let given = with_ints(with_ints(given, "cu_seqlens_q", &[0, 3, 3, 8]), "cu_seqlens_kv", &[0, 4, 6, 12]);
        let o = output(&packed, &given, "o");
        let (mut at_q, mut at_kv) = (0, 0);
        for (len_q, len_kv) in lens_q.into_iter().zip(lens_kv) {
            for h in 0..heads {
                let dims = Dims { seq_q: len_q, seq_kv: len_kv, ..Dims::new(1, 1, 1, width) };
                let one = Attention { dims, sequences: Sequences::Dense, ..packed.clone() };
                let rows = |x: &[f64], at: usize, len: usize| -> Numbers {
                    (at..at + len).flat_map(|t| x[(t * heads + h) * width..][..width].to_vec()).collect()
                };
                let q = rows(given.float("q"), at_q, len_q);
                let (k, v) = (rows(given.float("k"), at_kv, len_kv), rows(given.float("v"), at_kv, len_kv));
                near(&output(&one, &values(&[("q", &q), ("k", &k), ("v", &v)]), "o"), &rows(&o, at_q, len_q));
            }
            (at_q, at_kv) = (at_q + len_q, at_kv + len_kv);
        }
    }
}

#[test]
fn a_causal_row_sees_only_the_keys_before_it() {
    for base in both(Dims::new(1, 1, 9, 4)) {
        let whole = Attention { causal: Causal::TopLeft, bias: Bias::Const(0.5), ..base };
        let given = inputs(&whole);
        let first = Attention { dims: Dims::new(1, 1, 4, 4), ..whole.clone() };
        let cut = |name: &str| given.float(name)[..16].to_vec();
        let start = values(&[("q", &cut("q")), ("k", &cut("k")), ("v", &cut("v"))]);
        near(&output(&whole, &given, "o")[..16], &output(&first, &start, "o"));
        // with as many keys as queries a causal mask is a window without a right side
        let window = Attention { causal: Causal::None, window: Window { left: None, right: Some(0) }, ..whole.clone() };
        near(&output(&whole, &given, "o"), &output(&window, &given, "o"));
    }
}

#[test]
fn bottom_right_is_top_left_moved() {
    for base in both(Dims { seq_q: 3, ..Dims::new(1, 1, 8, 2) }) {
        let last = Attention { causal: Causal::BottomRight, bias: Bias::Const(0.0), ..base };
        let given = inputs(&last);
        let all = Attention { dims: Dims { seq_q: 8, ..last.dims }, causal: Causal::TopLeft, ..last.clone() };
        let mut q = draw(8, 16);
        q[10..].copy_from_slice(given.float("q"));
        near(&output(&last, &given, "o"), &output(&all, &with(given.clone(), "q", &q), "o")[10..]);
    }
}

#[test]
fn shared_heads_are_repeated_heads() {
    for grouped in both(Dims { kv_heads: 2, ..Dims::new(1, 6, 5, 3) }) {
        let given = inputs(&grouped);
        let repeat = |name: &str| -> Numbers { given.float(name).chunks(15).flat_map(|h| h.repeat(3)).collect() };
        let expanded = Attention { dims: Dims { kv_heads: 6, ..grouped.dims }, ..grouped.clone() };
        let repeated = with(with(given.clone(), "k", &repeat("k")), "v", &repeat("v"));
        near(&output(&grouped, &given, "o"), &output(&expanded, &repeated, "o"));
    }
}

#[test]
fn a_duplicated_key_is_a_key_with_ln_2_more() {
    let dims = Dims { seq_q: 3, ..Dims::new(1, 1, 6, 2) };
    let spec = Attention { key_bias: true, ..softmax(dims) };
    let mut given = with(inputs(&spec), "key_bias", &[0.0; 6]);
    for name in ["k", "v"] {
        let x = given.floats.get_mut(name).unwrap();
        x.copy_within(0..2, 10);
    }
    let mut bias = vec![2f64.ln(), 0.0, 0.0, 0.0, 0.0, f64::NEG_INFINITY];
    let merged = spec.eval(&with(given.clone(), "key_bias", &bias));
    let twice = spec.eval(&given);
    near(merged.float("o"), twice.float("o"));
    near(merged.float("lse"), twice.float("lse"));
    // a masked key has no effect, whatever it holds
    given.floats.get_mut("k").unwrap()[10] = f64::NAN;
    given.floats.get_mut("v").unwrap()[11] = f64::INFINITY;
    near(spec.eval(&with(given.clone(), "key_bias", &bias)).float("o"), twice.float("o"));
    bias[5] = 0.0;
    assert!(spec.eval(&with(given, "key_bias", &bias)).float("o").iter().all(|x| x.is_nan()));
}

#[test]
fn softmax_ignores_a_shift_and_lse_takes_it() {
    let spec = softmax(Dims::new(1, 2, 11, 4));
    let given = inputs(&spec);
    let shifted = Attention { bias: Bias::Const(3.5), ..spec.clone() };
    near(&output(&spec, &given, "o"), &output(&shifted, &given, "o"));
    let lse: Numbers = output(&spec, &given, "lse").iter().map(|x| x + 3.5).collect();
    near(&output(&shifted, &given, "lse"), &lse);
}

#[test]
fn padding_has_no_effect_and_gives_zero() {
    for base in both(Dims { seq_q: 4, seq_kv: 6, ..Dims::new(2, 1, 1, 3) }) {
        let spec = Attention { sequences: Sequences::Padded { q: true, kv: true }, ..base };
        let given = with_ints(with_ints(inputs(&spec), "lens_q", &[2, 4]), "lens_kv", &[5, 0]);
        let mut poisoned = given.clone();
        poisoned.floats.get_mut("q").unwrap()[6..12].fill(f64::NAN);
        poisoned.floats.get_mut("k").unwrap()[15..].fill(f64::INFINITY);
        poisoned.floats.get_mut("v").unwrap()[15..].fill(f64::NAN);
        let (o, other) = (output(&spec, &given, "o"), output(&spec, &poisoned, "o"));
        assert_eq!(o, other);
        assert!(o[..6].iter().all(|&x| x != 0.0) && o[6..].iter().all(|&x| x == 0.0));
        if spec.lse {
            let lse = output(&spec, &poisoned, "lse");
            assert!(lse[..2].iter().all(|x| x.is_finite()) && lse[2..].iter().all(|&x| x == f64::NEG_INFINITY));
        }
    }
}

#[test]
fn a_row_without_keys_gives_zero_and_no_gradient() {
    // three queries, one key: bottom-right alignment hides it from the first two
    for base in both(Dims { seq_q: 3, seq_kv: 1, ..Dims::new(1, 1, 1, 2) }) {
        let spec = Attention { causal: Causal::BottomRight, ..base };
        let given = inputs(&spec);
        let forward = spec.eval(&given);
        assert_eq!(forward.float("o")[..4], [0.0; 4]);
        let mut whole = with(given, "d_o", &draw(4, 6));
        whole.floats.extend(forward.floats.clone());
        if spec.lse {
            assert_eq!(forward.float("lse")[..2], [f64::NEG_INFINITY; 2]);
        }
        assert_eq!(AttentionBackward::new(spec).eval(&whole).float("d_q")[..4], [0.0; 4]);
    }
}

#[test]
fn a_sink_is_a_key_without_a_value() {
    let dims = Dims { seq_q: 4, ..Dims::new(1, 1, 5, 3) };
    let with_sink = Attention { sink: true, ..softmax(dims) };
    let given = inputs(&with_sink);
    let sink = with_sink.eval(&with(given.clone(), "sink", &[0.75]));
    let extra = Attention { key_bias: true, dims: Dims { seq_kv: 6, ..dims }, ..softmax(dims) };
    let grow = |name: &str| [given.float(name), &[0.0; 3]].concat();
    let bias = [0.0, 0.0, 0.0, 0.0, 0.0, 0.75];
    let grown = with(with(with(given.clone(), "k", &grow("k")), "v", &grow("v")), "key_bias", &bias);
    let column = extra.eval(&grown);
    near(sink.float("o"), column.float("o"));
    near(sink.float("lse"), column.float("lse"));
    let empty = Attention { dims: Dims { seq_kv: 0, ..dims }, ..with_sink };
    let none = empty.eval(&with(with(with(given, "k", &[]), "v", &[]), "sink", &[0.75]));
    assert_eq!((none.float("lse"), none.float("o")), ([0.75; 4].as_slice(), [0.0; 12].as_slice()));
}

/// In both passes: the key stands first, its value is 0, every query sees it.
#[test]
fn a_sink_key_is_a_key_without_a_value() {
    let dims = Dims { q_heads: 4, kv_heads: 2, seq_q: 4, seq_kv: 5, ..Dims::new(1, 1, 1, 3) };
    let spec = Attention { sink_key: true, softcap: Some(2.0), lse: true, ..softmax(dims) };
    let given = with(inputs(&spec), "sink_key", &draw(7, 6));
    let grown = Attention { sink_key: false, dims: Dims { seq_kv: 6, ..dims }, ..spec.clone() };
    let before = |name: &str, first: &[f64]| -> Vec<f64> {
        let heads = first.chunks(3).zip(given.float(name).chunks(15));
        heads.flat_map(|(first, rows)| [first, rows].concat()).collect()
    };
    let key = given.float("sink_key").to_vec();
    let with_key = with(with(given.clone(), "k", &before("k", &key)), "v", &before("v", &[0.0; 6]));
    let (sink, column) = (spec.eval(&given), grown.eval(&with_key));
    near(sink.float("o"), column.float("o"));
    near(sink.float("lse"), column.float("lse"));
    let gradient = |op: Attention, mut given: Values<f64>, forward: &Values<f64>| {
        given.floats.extend(forward.floats.clone());
        AttentionBackward { d_lse: true, ..AttentionBackward::new(op) }.eval(&with(
            with(given, "d_o", &draw(5, 48)),
            "d_lse",
            &draw(6, 16),
        ))
    };
    let (of_sink, of_column) = (gradient(spec, given, &sink), gradient(grown, with_key, &column));
    near(of_sink.float("d_q"), of_column.float("d_q"));
    let d_k = of_column.float("d_k");
    near(of_sink.float("d_sink_key"), &[&d_k[..3], &d_k[18..21]].concat());
    near(of_sink.float("d_k"), &[&d_k[3..18], &d_k[21..]].concat());
}

#[test]
fn alibi_is_a_table_of_distances() {
    for base in both(Dims { q_heads: 2, kv_heads: 2, seq_q: 4, seq_kv: 6, ..Dims::new(1, 1, 1, 3) }) {
        let alibi = Attention { alibi: true, ..base.clone() };
        let given = with(inputs(&alibi), "alibi_slopes", &[0.5, 0.25]);
        let by_table = |reach: i32| {
            let spec = Attention { relative_bias: Some(RelativeBias { reach: reach.unsigned_abs() }), ..base.clone() };
            let table: Numbers =
                [0.5, 0.25].iter().flat_map(|s| (-reach..=reach).map(move |d| -s * f64::from(d.abs()))).collect();
            let given = with(given.clone(), "relative_bias", &table);
            output(&spec, &given, "o")
        };
        let o = output(&alibi, &given, "o");
        near(&by_table(5), &o);
        near(&by_table(9), &o);
        assert!(by_table(4).iter().zip(&o).any(|(a, b)| (a - b).abs() > 1e-6), "the farthest pairs are 5 apart");
    }
}

#[test]
fn scores_saturate() {
    let dims = Dims { seq_q: 1, seq_kv: 2, ..Dims::new(1, 1, 1, 1) };
    let given = values(&[("q", &[3e38]), ("k", &[2.0, -2.0]), ("v", &[5.0, 7.0])]);
    let forward = softmax(dims).eval(&given);
    assert_eq!((forward.float("o"), forward.float("lse")), ([5.0].as_slice(), [3.0e38].as_slice()));
    near(&output(&Attention::sigmoid(dims), &given, "o"), &[5.0]);
}

#[test]
fn values_that_are_not_numbers_follow_the_policy() {
    let dims = Dims { seq_q: 2, seq_kv: 3, ..Dims::new(1, 1, 1, 2) };
    let nan_rows = |spec: &Attention, given: &Values<f64>| -> Vec<bool> {
        output(spec, given, "o").chunks(2).map(|row| row.iter().all(|x| x.is_nan())).collect()
    };
    for spec in both(dims) {
        let causal = Attention { causal: Causal::TopLeft, ..spec.clone() };
        let mut given = inputs(&spec);
        given.floats.get_mut("v").unwrap()[2] = f64::INFINITY;
        assert_eq!(nan_rows(&causal, &given), [false, true], "an infinity in the value of key 1");
        let mut given = inputs(&spec);
        given.floats.get_mut("q").unwrap()[0] = f64::NAN;
        assert_eq!(nan_rows(&spec, &given), [true, false], "a NaN in query 0");
        let given = with(inputs(&spec), "q", &[1.0, 1.0, -1.0, 1.0]);
        let mut given = with(given, "k", &[f64::INFINITY, 0.5, 1.0, 1.0, 1.0, 1.0]);
        given.floats.get_mut("v").unwrap()[..2].fill(100.0);
        // query 0 sees +∞, query 1 sees −∞
        assert_eq!(nan_rows(&spec, &given), [spec.lse, false]);
        let o = output(&spec, &given, "o");
        assert!(o[2].abs() < 50.0, "weight 0");
        assert!(spec.lse || (o[0] - 100.0).abs() < 10.0, "weight 1");
    }
}

fn rows(function: RowFunction, x: &[f64]) -> Numbers {
    Rowwise::new(function, 1, x.len()).eval(&values(&[("x", x)])).float("y").to_vec()
}

#[test]
fn row_functions_agree_with_each_other() {
    let x = draw(6, 57);
    let y = rows(RowFunction::Softmax, &x);
    let logarithms: Numbers = y.iter().map(|y| y.ln()).collect();
    near(&rows(RowFunction::LogSoftmax, &x), &logarithms);
    let lse = rows(RowFunction::LogSumExp, &x)[0];
    near(&x.iter().map(|x| x - lse).collect::<Numbers>(), &logarithms);
    near(&[y.iter().sum::<f64>()], &[1.0]);
}

#[test]
fn row_functions_of_special_rows() {
    let low = f64::NEG_INFINITY;
    assert_eq!(rows(RowFunction::Softmax, &[low, 0.0, low]), [0.0, 1.0, 0.0]);
    assert_eq!(rows(RowFunction::LogSoftmax, &[low, 0.0]), [low, 0.0]);
    assert_eq!(rows(RowFunction::Softmax, &[low, low]), [0.0, 0.0]);
    assert_eq!(rows(RowFunction::LogSumExp, &[low, low]), [low]);
    assert!(rows(RowFunction::Softmax, &[f64::INFINITY, 0.0, low]).iter().all(|x| x.is_nan()));
    let spec = Rowwise { lens: true, ..Rowwise::new(RowFunction::Softmax, 2, 2) };
    let given = with_ints(values(&[("x", &[1.0, f64::NAN, f64::NAN, 2.0])]), "lens", &[1, 0]);
    assert_eq!(spec.eval(&given).float("y"), [1.0, 0.0, 0.0, 0.0]);
}
