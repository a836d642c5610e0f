//! What must hold of dropout whatever the numbers.

use gatefold_core::attention::{Dims, Dropout, Normalizer, Sequences, Weight};
use gatefold_core::{Attention, AttentionMerge, AttentionStatistics};
use gatefold_cpu_ref::data::Rng;
use gatefold_cpu_ref::{Reference, Values};

type Numbers = Vec<f64>;

fn draw(seed: u64, n: usize) -> Numbers {
    let mut rng = Rng::new(seed, 78);
    (0..n).map(|_| f64::from(rng.normal())).collect()
}

fn values(floats: &[(&str, &[f64])]) -> Values<f64> {
    Values { floats: floats.iter().map(|(n, x)| (n.to_string(), x.to_vec())).collect(), ..Values::default() }
}

fn inputs(d: &Dims) -> Values<f64> {
    let (rows_q, rows_kv) = (d.batch * d.q_heads * d.seq_q, d.batch * d.kv_heads * d.seq_kv);
    let (q, k, v) = (draw(1, rows_q * d.head_dim), draw(2, rows_kv * d.head_dim), draw(3, rows_kv * d.val_dim));
    values(&[("q", &q), ("k", &k), ("v", &v)])
}

fn with(probability: f32, seed: u64, spec: &Attention) -> Attention {
    Attention { dropout: Some(Dropout::new(probability, seed)), ..spec.clone() }
}

/// Softmax, and a function whose rows are divided by their sum.
fn both(dims: Dims) -> [Attention; 2] {
    let softmax = Attention { lse: true, ..Attention::softmax(dims) };
    let (weight, normalizer) = (Weight::EluOne, Normalizer::RowSum);
    [softmax.clone(), Attention { weight, normalizer, lse: false, row_sum: true, ..softmax }]
}

#[track_caller]
fn near(a: &[f64], b: &[f64], within: f64) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= within * (1.0 + b.abs()), "element {i}: {a} and {b}");
    }
}

/// Values that pick one key each show the weights: dropped or 1/(1 − p) times what they were, and `lse` and `row_sum` as before.
#[test]
fn a_weight_is_dropped_or_grows() {
    let dims = Dims { val_dim: 16, seq_q: 40, ..Dims::new(2, 2, 16, 4) };
    let mut given = inputs(&dims);
    let unit = (0..2 * 2 * 16 * 16).map(|n| f64::from(u8::from(n / 16 % 16 == n % 16))).collect();
    given.floats.insert("v".into(), unit);
    for spec in both(dims) {
        let (plain, dropped) = (spec.eval(&given), with(0.375, 5, &spec).eval(&given));
        let mut zeros = 0;
        for (p, x) in plain.float("o").iter().zip(dropped.float("o")) {
            assert!(*x == 0.0 || (x - p / 0.625).abs() < 1e-6 * p, "{p} became {x}");
            zeros += usize::from(*x == 0.0);
        }
        let n = plain.float("o").len() as f64;
        assert!((zeros as f64 - 0.375 * n).abs() < 4.0 * (0.375 * 0.625 * n).sqrt(), "{zeros} of {n}");
        let saved = spec.saved().unwrap();
        assert_eq!(plain.float(saved), dropped.float(saved));
    }
}

#[test]
fn on_average_nothing_is_lost() {
    let dims = Dims { seq_q: 3, ..Dims::new(1, 2, 9, 4) };
    let given = inputs(&dims);
    for spec in both(dims) {
        let exact = spec.eval(&given).float("o").to_vec();
        let runs = 4000;
        let mut sums = vec![[0.0; 2]; exact.len()];
        for seed in 0..runs {
            for (sum, x) in sums.iter_mut().zip(with(0.3, seed, &spec).eval(&given).float("o")) {
                *sum = [sum[0] + x, sum[1] + x * x];
            }
        }
        for ([sum, squares], exact) in sums.into_iter().zip(exact) {
            let n = runs as f64;
            let (mean, deviation) = (sum / n, ((squares / n - (sum / n).powi(2)) / n).sqrt());
            assert!((mean - exact).abs() < 4.5 * deviation, "{mean} for {exact}, give or take {deviation}");
        }
    }
}

#[test]
fn nothing_to_drop_is_no_dropout() {
    let dims = Dims::new(1, 2, 7, 4);
    for spec in both(dims) {
        let plain = spec.eval(&inputs(&dims));
        assert_eq!(with(0.0, 3, &spec).eval(&inputs(&dims)).float("o"), plain.float("o"));
    }
}

/// A call's seed has the place of the spec's: low half first, xor.
#[test]
fn a_call_may_bring_its_seed() {
    let dims = Dims::new(1, 2, 9, 4);
    for spec in both(dims) {
        for (own, given, both) in
            [(0u64, [5u32, 0], 5u64), (0, [0, 5], 5 << 32), (0x3_0000_0006, [5, 1], 0x2_0000_0003)]
        {
            let seeded = Dropout { seed_input: true, ..Dropout::new(0.5, own) };
            let mut call = inputs(&dims);
            call.ints.insert("dropout_seed".into(), given.to_vec());
            let found = Attention { dropout: Some(seeded), ..spec.clone() }.eval(&call);
            assert_eq!(found.float("o"), with(0.5, both, &spec).eval(&inputs(&dims)).float("o"));
            assert_ne!(found.float("o"), with(0.5, own, &spec).eval(&inputs(&dims)).float("o"));
        }
    }
}

#[test]
fn statistics_are_those_of_all_pairs() {
    let dims = Dims::new(1, 2, 7, 4);
    let [spec, _] = both(dims);
    let mut given = inputs(&dims);
    given.floats.remove("v");
    let of = |spec: &Attention| AttentionStatistics::new(spec.clone()).eval(&given).floats;
    assert_eq!(of(&with(0.5, 3, &spec)), of(&spec));
}

/// The mask is that of places in a sequence, wherever it lies in memory.
#[test]
fn packed_and_padded_sequences_have_one_mask() {
    let (lens, width) = ([5usize, 3, 6], 3);
    for base in both(Dims::new(3, 2, 6, width)) {
        let padded = with(0.5, 11, &Attention { sequences: Sequences::Padded { q: true, kv: true }, ..base });
        let mut given = inputs(&padded.dims);
        for name in ["lens_q", "lens_kv"] {
            given.ints.insert(name.into(), lens.map(|n| u32::try_from(n).unwrap()).to_vec());
        }
        let packed = Attention { sequences: Sequences::Packed { total_q: 14, total_kv: 14 }, ..padded.clone() };
        // [batch, head, seq] → [total, head]
        let pack = |x: &[f64]| -> Numbers {
            let row = |b: usize, t: usize, h: usize| x[((b * 2 + h) * 6 + t) * width..][..width].to_vec();
            let of_sequence = |b: usize| (0..lens[b]).flat_map(move |t| (0..2).flat_map(move |h| row(b, t, h)));
            (0..3).flat_map(of_sequence).collect()
        };
        let rows: Vec<Numbers> = ["q", "k", "v"].iter().map(|n| pack(given.float(n))).collect();
        let mut moved = values(&[("q", &rows[0]), ("k", &rows[1]), ("v", &rows[2])]);
        for name in ["cu_seqlens_q", "cu_seqlens_kv"] {
            moved.ints.insert(name.into(), vec![0, 5, 8, 14]);
        }
        near(packed.eval(&moved).float("o"), &pack(padded.eval(&given).float("o")), 1e-12);
    }
}

/// Parts with masks of their own are joined as parts without: their sums are those of all pairs.
#[test]
fn parts_are_joined() {
    let dims = Dims { seq_q: 4, ..Dims::new(1, 1, 12, 3) };
    let [spec, _] = both(dims);
    let given = inputs(&dims);
    let part = |from: usize, seed: u64| {
        let cut = |name: &str| given.float(name)[from * 3..(from + 6) * 3].to_vec();
        let some = with(0.4, seed, &Attention { dims: Dims { seq_kv: 6, ..dims }, ..spec.clone() });
        some.eval(&values(&[("q", given.float("q")), ("k", &cut("k")), ("v", &cut("v"))]))
    };
    let parts = [part(0, 1), part(6, 2)];
    let both = |name: &str| -> Numbers { parts.iter().flat_map(|p| p.float(name).to_vec()).collect() };
    let merge = AttentionMerge::softmax(2, 4, 3);
    let joined = merge.eval(&values(&[("o_parts", &both("o")), ("lse_parts", &both("lse"))]));
    let whole = spec.eval(&given);
    near(joined.float("lse"), whole.float("lse"), 1e-12);
    // the first part alone, its weights as the whole has them
    let share = |i: usize| (parts[0].float("lse")[i] - whole.float("lse")[i]).exp();
    let o = |i: usize, d: usize| {
        share(i) * parts[0].float("o")[i * 3 + d] + (1.0 - share(i)) * parts[1].float("o")[i * 3 + d]
    };
    let expected: Numbers = (0..12).map(|n| o(n / 3, n % 3)).collect();
    near(joined.float("o"), &expected, 1e-12);
}
