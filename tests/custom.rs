//! A user's own slots, from the outside: checked by `check`, refused where they are wrong, and never mixed up.

use std::sync::Arc;

use gatefold_core::attention::{Causal, CustomWeight, Dims, MaskMod, Normalizer, ScoreMod, Sequences, Weight, Window};
use gatefold_core::{Attention, AttentionBackward, Dtype, Op, SpecError};
use gatefold_cpu_ref::{CheckError, Drawn, check, outputs};
use gatefold_shaders::PlanError;
use gatefold_tests::gpu;
use gatefold_wgpu::RunError;

fn plain() -> Attention {
    Attention::softmax(Dims { seq_q: 20, ..Dims::new(2, 2, 40, 8) })
}

/// ALiBi with the user's own function; `steep` is what the closure takes for the slope.
fn near(steep: f64) -> ScoreMod {
    let text = "fn score_mod(score: f32, batch: u32, head: u32, i: u32, j: u32) -> f32 {
    return score - 0.125 * abs(f32(i) - f32(j));
}";
    let one = "fn score_mod_slope(score: f32, batch: u32, head: u32, i: u32, j: u32) -> f32 { return 1.0; }";
    ScoreMod::custom("near", text, move |s, _, _, i, j| s - steep * f64::from(i.abs_diff(j)))
        .with_slope(one, |_, _, _, _, _| 1.0)
}

fn mask(wgsl: &str, rust: fn(u32, u32) -> bool) -> MaskMod {
    let text = format!("fn mask_mod(batch: u32, head: u32, i: u32, j: u32) -> bool {{\n    return {wgsl};\n}}");
    MaskMod::custom("mask", text, move |_, _, i, j| rust(i, j))
}

fn square(slope: f64) -> CustomWeight {
    Weight::custom("square", "fn phi(z: f32) -> f32 { return z * z; }", |z| z * z)
        .with_slope("fn phi_slope(z: f32) -> f32 { return 2.0 * z; }", move |z| slope * z)
}

fn passes<O: Drawn + gatefold_shaders::Kernels>(op: &O) {
    let found = check(op, 4, |op, inputs| gpu().run_tensors(op, inputs)).unwrap_or_else(|e| panic!("{op:?}: {e}"));
    assert!(found.worst.ratio <= 1.0 && found.telling > 0.8, "{found:?}");
}

fn rejected<O: Drawn + gatefold_shaders::Kernels>(op: &O) {
    let error = check(op, 4, |op, inputs| gpu().run_tensors(op, inputs)).unwrap_err();
    assert!(matches!(error, CheckError::Wrong { .. }), "{error}");
}

#[test]
fn a_wrong_closure_is_rejected() {
    let sound = plain().with_score_mod(near(0.125)).with_mask_mod(mask("i <= j + 5u", |i, j| i <= j + 5));
    passes(&sound);
    passes(&AttentionBackward::new(Attention { lse: true, ..sound.clone() }));
    rejected(&sound.clone().with_score_mod(near(0.1251)));
    rejected(&sound.clone().with_mask_mod(mask("i <= j + 5u", |i, j| i <= j + 4)));
    let counted = Attention { normalizer: Normalizer::Count, ..plain() };
    rejected(&AttentionBackward::new(counted.clone().with_weight(square(2.001))));
    passes(&counted.with_weight(square(2.0)));
    let packed = Sequences::Packed { total_q: 31, total_kv: 70 };
    passes(&Attention { sequences: packed, ..sound });
}

#[test]
fn long_keys_are_shared_out() {
    let dims = Dims { q_heads: 4, seq_q: 1, ..Dims::new(1, 2, 3000, 16) };
    let dtype = if gpu().limits().f16 { Dtype::F16 } else { Dtype::F32 };
    let decode = Attention { dims, dtype, causal: Causal::BottomRight, ..plain() };
    let decode = decode.with_score_mod(near(0.125)).with_mask_mod(mask("j % 3u != 1u", |_, j| j % 3 != 1));
    let plan = gpu().plan(&decode).unwrap();
    assert!(plan.steps.iter().any(|s| s.name.starts_with("attention_forward_combine")), "{plan}");
    passes(&decode);
    let window = Window { left: Some(700), right: Some(0) };
    passes(&Attention { dims: Dims { seq_q: 20, ..decode.dims }, window, causal: Causal::None, ..decode });
}

#[test]
fn texts_of_one_name_are_two_kernels() {
    let inputs = plain().draw(0);
    let run = |a: &Attention| gpu().run_tensors(a, &inputs).unwrap()["o"].to_f32();
    let (even, odd) = (mask("j % 2u == 0u", |_, j| j % 2 == 0), mask("j % 2u == 1u", |_, j| j % 2 == 1));
    let (even, odd) = (plain().with_mask_mod(even), plain().with_mask_mod(odd));
    for a in [&even, &odd, &even] {
        let want = outputs(a, &inputs)["o"].to_f32();
        assert!(run(a).iter().zip(&want).all(|(x, y)| (x - y).abs() < 1e-5));
    }
    assert_ne!(run(&even), run(&odd));
}

#[test]
fn a_spec_that_was_read_runs_and_has_no_reference() {
    let a = plain().with_score_mod(near(0.125));
    let read: Attention = serde_json::from_str(&serde_json::to_string(&a).unwrap()).unwrap();
    let inputs = a.draw(1);
    assert_eq!(gpu().run_tensors(&read, &inputs).unwrap(), gpu().run_tensors(&a, &inputs).unwrap());
    let error = check(&read, 1, |op, inputs| gpu().run_tensors(op, inputs)).unwrap_err();
    let no_reference = matches!(&error, CheckError::Spec(SpecError::NoReference { option: "custom.score_mod", .. }));
    assert!(no_reference && error.to_string().contains("near"), "{error}");
}

#[test]
fn wrong_wgsl_is_refused_with_function_and_line() {
    let inputs = Arc::new(plain().draw(0));
    let refused = |a: &Attention| match gpu().run_tensors(a, &inputs).unwrap_err() {
        RunError::Plan(PlanError::Wgsl { function, line, .. }) => (function, line),
        other => panic!("{other}"),
    };
    let masked = |wgsl: &str| plain().with_mask_mod(mask(wgsl, |_, _| true));
    assert_eq!(refused(&masked("i =< j")), ("mask_mod", 2));
    assert_eq!(refused(&masked("f32(i) < j")), ("mask_mod", 2));
    assert_eq!(refused(&masked("i < at.len_q")), ("mask_mod", 2));
    let score_mod = ScoreMod::custom("near", "fn score_mod(score: f32) -> f32 { return score; }", |s, _, _, _, _| s);
    assert_eq!(refused(&plain().with_score_mod(score_mod)), ("score_mod", 1));
    let weight = Weight::custom(
        "w",
        "\n\nfn row_total(z: f32) -> f32 { return z; }\nfn phi(z: f32) -> f32 { return z; }",
        |z| z,
    );
    assert_eq!(refused(&plain().with_weight(weight)), ("phi", 3));
    let backward = AttentionBackward::new(plain().with_weight(CustomWeight { slope: None, ..square(2.0) }));
    let error = gpu().run_tensors(&backward, &inputs).unwrap_err();
    assert!(matches!(error, RunError::Spec(SpecError::Conflict { option: "custom.weight", .. })), "{error}");
    assert!(backward.validate().unwrap_err().to_string().contains("with_slope"));
    passes(&masked("i <= j + 20u"));
}
