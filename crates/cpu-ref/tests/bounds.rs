//! The bounds are sound (a plain f32 evaluation stays within them) and sharp (a small fault does not).

use gatefold_core::attention::{Bias, Dims, Normalizer, Weight};
use gatefold_core::{Attention, AttentionBackward, Gemm, Op, Rowwise, RowwiseBackward, Tensor, Tensors};
use gatefold_cpu_ref::data::{Family, Rng};
use gatefold_cpu_ref::{Reference, Values, bounded};

/// Evaluates cases in f32, serially, and returns each case's median of bound ÷ |value|.
fn check<O: Reference>(seeds: impl Iterator<Item = u64>) -> Vec<f64> {
    let mut medians = Vec::new();
    let (mut unbounded, mut all) = (0, 0);
    for seed in seeds {
        let mut relative = Vec::new();
        let case = O::case(seed);
        let truth = bounded(&case.op, &case.inputs);
        let plain = case.op.eval(&Values::<f32>::of(&case.inputs));
        for (name, exact) in &truth.outputs {
            let got = plain.float(name);
            assert_eq!(exact.values.len(), got.len(), "{name} of seed {seed}");
            for (i, &got) in got.iter().enumerate() {
                let (value, bound) = (exact.values[i], exact.bounds[i]);
                let error = (f64::from(got) - value).abs();
                let same = f64::from(got) == value || (got.is_nan() && value.is_nan());
                assert!(
                    same || bound == f64::INFINITY || error <= bound,
                    "{} seed {seed}, {name}[{i}]: exact {value}, f32 {got}, error {error:e}, bound {bound:e}\n{}\n{:#?}",
                    O::NAME,
                    case.note,
                    case.op
                );
                unbounded += usize::from(bound == f64::INFINITY);
                if value.is_finite() && value != 0.0 {
                    relative.push(bound / value.abs());
                }
            }
        }
        all += relative.len();
        medians.extend((!relative.is_empty()).then(|| median(relative)));
    }
    assert!(unbounded * 20 <= all, "{unbounded} elements without a bound of {all}");
    medians
}

fn median(mut x: Vec<f64>) -> f64 {
    x.sort_by(f64::total_cmp);
    x[x.len() / 2]
}

#[test]
fn f32_attention_is_within_bounds() {
    assert!(median(check::<Attention>(0..500)) < 1e-3);
}

#[test]
fn f32_attention_backward_is_within_bounds() {
    assert!(median(check::<AttentionBackward>(0..500)) < 1e-3);
}

#[test]
fn f32_rowwise_is_within_bounds() {
    assert!(median(check::<Rowwise>((0..48).chain(57..400))) < 1e-3);
}

#[test]
fn f32_rowwise_backward_is_within_bounds() {
    assert!(median(check::<RowwiseBackward>((0..48).chain(57..400))) < 1e-3);
}

#[test]
fn f32_gemm_is_within_bounds() {
    assert!(median(check::<Gemm>(0..500)) < 1e-3);
}

/// A product that lacks one of 512 terms must be seen in most elements.
#[test]
fn a_term_left_out_breaks_the_bounds() {
    let mut rng = Rng::new(3, 4);
    let spec = Gemm { transpose_b: true, ..Gemm::new(16, 24, 512) };
    let mut draw = |rows: usize| Family::Normal(1.0).fill(&mut rng, rows, 512);
    let (a, b) = (draw(16), draw(24));
    let tensors = |a: Vec<f32>, b: Vec<f32>, k: usize| {
        Tensors::new().with("a", Tensor::f32([1, 16, k], a).unwrap()).with("b", Tensor::f32([1, 24, k], b).unwrap())
    };
    let cut = |x: &[f32]| x.chunks(512).flat_map(|row| row[..511].to_vec()).collect::<Vec<_>>();
    let fewer = Gemm { k: 511, ..spec.clone() };
    let got = fewer.eval(&Values::<f64>::of(&tensors(cut(&a), cut(&b), 511)));
    let truth = bounded(&spec, &tensors(a, b, 512)).outputs["c"].clone();
    let broken = got.float("c").iter().enumerate().filter(|&(i, &x)| truth.ratio(i, x) > 1.0).count();
    assert!(broken * 10 > 9 * 16 * 24, "{broken}");
}

/// A kernel that skips the last of 512 keys, or takes a scale that is off by 1 %, must be seen in most elements.
#[test]
fn small_faults_break_the_bounds() {
    let mut rng = Rng::new(1, 2);
    let dims = Dims { seq_q: 16, ..Dims::new(1, 2, 512, 64) };
    let mut draw = |rows: usize, width: usize| {
        let numbers = Family::Normal(1.0).fill(&mut rng, 2 * rows, width);
        Tensor::f32([1, 2, rows, width], numbers).unwrap()
    };
    let inputs = Tensors::new().with("q", draw(16, 64)).with("k", draw(512, 64)).with("v", draw(512, 64));
    let cut = |t: &Tensor| {
        let heads = t.to_f32();
        let kept: Vec<f32> = heads.chunks(512 * 64).flat_map(|h| h[..511 * 64].to_vec()).collect();
        Tensor::f32([1, 2, 511, 64], kept).unwrap()
    };
    let without_last =
        Tensors::new().with("q", inputs["q"].clone()).with("k", cut(&inputs["k"])).with("v", cut(&inputs["v"]));
    // smooth and positive: a relu leaves out half of the keys by itself, a row sum of powers takes any scale out again
    let smooth = [Weight::Sigmoid, Weight::Softplus, Weight::EluOne, Weight::Taylor(4), Weight::StableMax];
    let normalizers = [Normalizer::None, Normalizer::RowSum, Normalizer::RootCount];
    let functions = smooth.into_iter().flat_map(|w| normalizers.map(|n| (w, n)));
    let made = functions.map(|(weight, normalizer)| Attention { weight, normalizer, ..Attention::softmax(dims) });
    for spec in [Attention::softmax(dims), Attention::sigmoid(dims)].into_iter().chain(made) {
        let truth = bounded(&spec, &inputs).outputs["o"].clone();
        let share = |got: &[f64]| {
            let broken = got.iter().enumerate().filter(|&(i, &x)| truth.ratio(i, x) > 1.0).count();
            broken as f64 / got.len() as f64
        };
        let fewer = Attention { dims: Dims { seq_kv: 511, ..dims }, ..spec.clone() };
        let skipped = fewer.eval(&Values::<f64>::of(&without_last));
        let label = spec.label();
        assert!(share(skipped.float("o")) > 0.8, "{label}, last key skipped: {}", share(skipped.float("o")));
        let wrong_scale = Attention { scale: Some(spec.scale_value() * 1.01), ..spec.clone() };
        let scaled = wrong_scale.eval(&Values::<f64>::of(&inputs));
        // weights near their middle hardly feel a scale
        let least = if spec.weight == Weight::Softmax || spec.bias != Bias::default() { 0.8 } else { 0.7 };
        assert!(share(scaled.float("o")) > least, "{label}, scale off by 1 %: {}", share(scaled.float("o")));
    }
}

#[test]
fn cases_cover_many_combinations_of_options() {
    let labels: std::collections::BTreeSet<String> = (0..400).map(|s| Attention::case(s).op.label()).collect();
    // nine styles of kernel variant, times masks and layouts
    assert!(labels.len() > 100, "{}", labels.len());
}
