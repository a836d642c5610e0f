//! A user's own slots: a weight, a modifier of scores and a mask, each written twice.
//!
//! Every function comes as WGSL for the kernels and as Rust over f64 for the reference, so that the one checks the other
//! (`gatefold_cpu_ref::check`). Of the two only the WGSL is part of a spec's text: a spec that was read back from JSON runs on a GPU, and its
//! reference is refused.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Attention, Weight};
use crate::SpecError;

/// `φ(z)` of a custom weight, or its derivative.
pub type WeightFn = dyn Fn(f64) -> f64 + Send + Sync;
/// `(score, batch, head, i, j)` to a score, or the derivative with respect to `score`.
pub type ScoreFn = dyn Fn(f64, u32, u32, u32, u32) -> f64 + Send + Sync;
/// `(batch, head, i, j)` to whether query `i` sees key `j`.
pub type MaskFn = dyn Fn(u32, u32, u32, u32) -> bool + Send + Sync;

/// ULPs that a function in WGSL may be off if nothing else is said.
const ULPS: f32 = 8.0;
/// Longest name of a slot.
const MAX_NAME: usize = 40;

/// A function written twice. Two are equal if their WGSL is: closures cannot be compared.
#[derive(Serialize, Deserialize)]
#[serde(bound = "", deny_unknown_fields)]
pub struct Twin<F: ?Sized> {
    wgsl: String,
    #[serde(skip)]
    rust: Option<Arc<F>>,
}

impl<F: ?Sized> Twin<F> {
    /// The WGSL text.
    pub fn wgsl(&self) -> &str {
        &self.wgsl
    }

    /// The function over f64; `None` in a spec that was deserialised.
    pub fn rust(&self) -> Option<&F> {
        self.rust.as_deref()
    }
}

impl<F: ?Sized> Clone for Twin<F> {
    fn clone(&self) -> Self {
        Self { wgsl: self.wgsl.clone(), rust: self.rust.clone() }
    }
}

impl<F: ?Sized> PartialEq for Twin<F> {
    fn eq(&self, other: &Self) -> bool {
        self.wgsl == other.wgsl
    }
}

impl<F: ?Sized> fmt::Debug for Twin<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Twin").field("wgsl", &self.wgsl).field("rust", &self.rust.is_some()).finish()
    }
}

fn twin<F: ?Sized>(wgsl: impl Into<String>, rust: Arc<F>) -> Twin<F> {
    Twin { wgsl: wgsl.into(), rust: Some(rust) }
}

/// A weight of the user's own, made by [`Weight::custom`]: goes with every normaliser, as the built-in functions of a score do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomWeight {
    /// Name in labels: lower-case letters, digits and underscores.
    pub name: String,
    /// `fn phi(z: f32) -> f32`.
    pub function: Twin<WeightFn>,
    /// `fn phi_slope(z: f32) -> f32`, the derivative, which may call what the text of `function` declares.
    pub slope: Option<Twin<WeightFn>>,
    /// ULPs that the WGSL may be off, of its argument and of its result: docs/numerics.md.
    pub ulps: f32,
}

/// A modifier of scores, FlexAttention's `score_mod`: applied to the scaled and capped score, before every bias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreMod {
    /// Name in labels: lower-case letters, digits and underscores.
    pub name: String,
    /// `fn score_mod(score: f32, batch: u32, head: u32, i: u32, j: u32) -> f32`.
    pub function: Twin<ScoreFn>,
    /// `fn score_mod_slope` of the same arguments: the derivative with respect to `score`. May call what the text of `function` declares.
    pub slope: Option<Twin<ScoreFn>>,
    /// ULPs that the WGSL may be off, of its argument and of its result: docs/numerics.md.
    pub ulps: f32,
}

/// A mask, FlexAttention's `mask_mod`: hides further pairs among those that the built-in masks leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskMod {
    /// Name in labels: lower-case letters, digits and underscores.
    pub name: String,
    /// `fn mask_mod(batch: u32, head: u32, i: u32, j: u32) -> bool`: whether query `i` sees key `j`.
    pub function: Twin<MaskFn>,
}

/// The user's own slots of an attention.
///
/// `head` is the query head; `i` and `j` count the queries and keys of their own sequence from 0, wherever they lie in memory.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Custom {
    /// The weight, if and only if `weight` is [`Weight::Custom`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<CustomWeight>,
    /// The modifier of scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_mod: Option<ScoreMod>,
    /// The mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask_mod: Option<MaskMod>,
}

impl Weight {
    /// A weight from `fn phi(z: f32) -> f32` in WGSL and the same over f64. Give it to [`Attention::with_weight`].
    ///
    /// ```
    /// use gatefold_core::{Attention, Op, attention::{Dims, Weight}};
    ///
    /// let bump = Weight::custom("bump", "fn phi(z: f32) -> f32 { return 1.0 / (1.0 + z * z); }", |z| 1.0 / (1.0 + z * z));
    /// assert!(Attention::softmax(Dims::new(1, 2, 64, 16)).with_weight(bump).validate().is_ok());
    /// ```
    pub fn custom(
        name: impl Into<String>,
        wgsl: impl Into<String>,
        rust: impl Fn(f64) -> f64 + Send + Sync + 'static,
    ) -> CustomWeight {
        CustomWeight { name: name.into(), function: twin(wgsl, Arc::new(rust)), slope: None, ulps: ULPS }
    }
}

impl CustomWeight {
    /// The same with its derivative, `fn phi_slope(z: f32) -> f32`: what the backward pass needs.
    #[must_use]
    pub fn with_slope(
        self,
        wgsl: impl Into<String>,
        rust: impl Fn(f64) -> f64 + Send + Sync + 'static,
    ) -> CustomWeight {
        Self { slope: Some(twin(wgsl, Arc::new(rust))), ..self }
    }

    /// The same with other [`ulps`](Self::ulps).
    #[must_use]
    pub fn with_ulps(self, ulps: f32) -> Self {
        Self { ulps, ..self }
    }
}

impl ScoreMod {
    /// A modifier from `fn score_mod(score: f32, batch: u32, head: u32, i: u32, j: u32) -> f32` in WGSL and the same over f64.
    pub fn custom(
        name: impl Into<String>,
        wgsl: impl Into<String>,
        rust: impl Fn(f64, u32, u32, u32, u32) -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), function: twin(wgsl, Arc::new(rust)), slope: None, ulps: ULPS }
    }

    /// The same with its derivative with respect to the score, `fn score_mod_slope` of the same arguments: what the backward pass needs.
    #[must_use]
    pub fn with_slope(
        self,
        wgsl: impl Into<String>,
        rust: impl Fn(f64, u32, u32, u32, u32) -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self { slope: Some(twin(wgsl, Arc::new(rust))), ..self }
    }

    /// The same with other [`ulps`](Self::ulps).
    #[must_use]
    pub fn with_ulps(self, ulps: f32) -> Self {
        Self { ulps, ..self }
    }
}

impl MaskMod {
    /// A mask from `fn mask_mod(batch: u32, head: u32, i: u32, j: u32) -> bool` in WGSL and the same in Rust.
    pub fn custom(
        name: impl Into<String>,
        wgsl: impl Into<String>,
        rust: impl Fn(u32, u32, u32, u32) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), function: twin(wgsl, Arc::new(rust)) }
    }
}

fn check_slot(option: &'static str, name: &str, ulps: f32) -> Result<(), SpecError> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(letter) {
        let expected = format!("a name of 1 to {MAX_NAME} lower-case letters, digits and underscores");
        return Err(SpecError::Option { option, expected, given: format!("{name:?}") });
    }
    if !(0.0..=1e6).contains(&ulps) {
        let expected = "ulps of 0 to 1e6".into();
        return Err(SpecError::Option { option, expected, given: ulps.to_string() });
    }
    Ok(())
}

impl Custom {
    /// Whether there is no slot of the user's own.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn validate(&self, weight: Weight) -> Result<(), SpecError> {
        match (&self.weight, weight) {
            (None, Weight::Custom) => {
                let expected = "a function in custom.weight, made by Weight::custom".into();
                return Err(SpecError::Option { option: "weight", expected, given: "custom without one".into() });
            }
            (Some(_), other) if other != Weight::Custom => {
                let reason = "the function would not be used";
                return Err(SpecError::Conflict { option: "custom.weight", with: "a built-in weight", reason });
            }
            _ => {}
        }
        self.weight.as_ref().map_or(Ok(()), |w| check_slot("custom.weight", &w.name, w.ulps))?;
        self.score_mod.as_ref().map_or(Ok(()), |s| check_slot("custom.score_mod", &s.name, s.ulps))?;
        self.mask_mod.as_ref().map_or(Ok(()), |m| check_slot("custom.mask_mod", &m.name, 0.0))
    }

    /// The gradient goes through every slot that has one.
    pub(super) fn check_slopes(&self) -> Result<(), SpecError> {
        let lacking = |option| {
            let reason = "its derivative was not given: with_slope adds it";
            Err(SpecError::Conflict { option, with: "attention_backward", reason })
        };
        match self {
            Self { weight: Some(CustomWeight { slope: None, .. }), .. } => lacking("custom.weight"),
            Self { score_mod: Some(ScoreMod { slope: None, .. }), .. } => lacking("custom.score_mod"),
            _ => Ok(()),
        }
    }

    /// Words of the label: the weight's stands in for it.
    pub(super) fn labels(&self) -> impl Iterator<Item = String> {
        let score_mod = self.score_mod.as_ref().map(|s| format!("score_mod_{}", s.name));
        score_mod.into_iter().chain(self.mask_mod.as_ref().map(|m| format!("mask_mod_{}", m.name)))
    }
}

impl Attention {
    /// The same with this weight.
    #[must_use]
    pub fn with_weight(mut self, weight: CustomWeight) -> Self {
        self.weight = Weight::Custom;
        self.custom.weight = Some(weight);
        self
    }

    /// The same with this modifier of scores.
    #[must_use]
    pub fn with_score_mod(mut self, score_mod: ScoreMod) -> Self {
        self.custom.score_mod = Some(score_mod);
        self
    }

    /// The same with this mask.
    #[must_use]
    pub fn with_mask_mod(mut self, mask_mod: MaskMod) -> Self {
        self.custom.mask_mod = Some(mask_mod);
        self
    }

    /// Name of the weight in labels.
    pub(super) fn weight_label(&self) -> String {
        self.custom.weight.as_ref().map_or_else(|| self.weight.label(), |w| format!("custom_{}", w.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::Dims;
    use crate::{AttentionBackward, Op};

    fn plain() -> Attention {
        Attention::softmax(Dims::new(1, 2, 5, 4))
    }

    fn bump() -> CustomWeight {
        Weight::custom("bump", "fn phi(z: f32) -> f32 { return z * z; }", |z| z * z)
    }

    fn about(error: SpecError) -> &'static str {
        match error {
            SpecError::Option { option, .. } | SpecError::Conflict { option, .. } => option,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn text_survives_json_and_closures_do_not() {
        let distance = |s: f64, _: u32, _: u32, i: u32, j: u32| s - (f64::from(i) - f64::from(j)).abs();
        let a = plain()
            .with_weight(bump())
            .with_score_mod(ScoreMod::custom("near", "fn score_mod() {}", distance))
            .with_mask_mod(MaskMod::custom("even", "fn mask_mod() {}", |_, _, _, j| j % 2 == 0));
        let read: Attention = serde_json::from_str(&serde_json::to_string(&a).unwrap()).unwrap();
        assert_eq!(read, a);
        assert_eq!(read.label(), "custom_bump.score_mod_near.mask_mod_even.f32");
        let rust = |a: &Attention| a.custom.score_mod.as_ref().unwrap().function.rust().map(|f| f(1.0, 0, 0, 2, 5));
        assert_eq!((rust(&a), rust(&read)), (Some(-2.0), None));
        assert!(!serde_json::to_string(&plain()).unwrap().contains("custom"));
    }

    #[test]
    fn a_custom_weight_needs_its_function() {
        assert_eq!(about(Attention { weight: Weight::Custom, ..plain() }.validate().unwrap_err()), "weight");
        let odd = Attention { weight: Weight::Relu, ..plain().with_weight(bump()) };
        assert_eq!(about(odd.validate().unwrap_err()), "custom.weight");
        for bad in [CustomWeight { name: "no dots.".into(), ..bump() }, bump().with_ulps(-1.0)] {
            assert_eq!(about(plain().with_weight(bad).validate().unwrap_err()), "custom.weight");
        }
    }

    #[test]
    fn the_gradient_needs_slopes() {
        let score_mod = ScoreMod::custom("same", "", |s, _, _, _, _| s);
        let refused = |a: Attention| about(AttentionBackward::new(a).validate().unwrap_err());
        assert_eq!(refused(plain().with_weight(bump())), "custom.weight");
        assert_eq!(refused(plain().with_score_mod(score_mod.clone())), "custom.score_mod");
        let both = plain()
            .with_weight(bump().with_slope("", |z| 2.0 * z))
            .with_score_mod(score_mod.with_slope("", |_, _, _, _, _| 1.0));
        assert!(AttentionBackward::new(both).validate().is_ok());
    }
}
