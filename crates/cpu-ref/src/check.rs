//! The conformance comparison for a spec of the user's own, on whatever runs it.

use std::fmt::{Debug, Display};

use gatefold_core::{Attention, AttentionBackward, Op, SpecError, Tensors};

use crate::attention::draw::{Draw, inputs};
use crate::data::{Family, Rng};
use crate::{Bounded, Comparison, Reference, bounded, compare};

const SALT: u64 = 0xc0de;
/// Least share of elements that must say something.
const LEAST_TELLING: f64 = 0.5;
/// An element says something if its bound is at most this share of the largest number of its output.
const TELLING: f64 = 0.01;

/// An op that random inputs can be drawn for, whatever its spec.
pub trait Drawn: Reference {
    /// The inputs that `seed` stands for: the same on every machine.
    fn draw(&self, seed: u64) -> Tensors;
}

/// What [`check`] found; nothing of it was beyond its bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Inputs tried.
    pub cases: u64,
    /// Elements compared.
    pub elements: usize,
    /// The worst of them: error ÷ bound is at most 1.
    pub worst: Comparison,
    /// Share of elements whose bound is at most a hundredth of the largest number of their output.
    pub telling: f64,
}

/// Why [`check`] did not pass.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError<E: Debug + Display> {
    /// The spec is not legal, or a custom slot has no Rust function ([`SpecError::NoReference`]).
    #[error("{0}")]
    Spec(#[from] SpecError),
    /// The run failed.
    #[error("case {case}: {error}")]
    Run {
        /// Number of the case, from 0.
        case: u64,
        /// What was said.
        error: E,
    },
    /// Kernel and reference do not agree.
    #[error("case {case}: {}", .worst.describe())]
    Wrong {
        /// Number of the case, from 0.
        case: u64,
        /// The worst element.
        worst: Box<Comparison>,
    },
    /// An output is missing, or has another shape or type.
    #[error("case {case}: {message}")]
    Output {
        /// Number of the case, from 0.
        case: u64,
        /// What is wrong with it.
        message: String,
    },
    /// Bounds are so wide that agreement says nothing: scores out of range, an unstable function, far too many `ulps`.
    #[error("only {} % of {elements} elements have a bound that says something", (100.0 * .telling).round())]
    SaysNothing {
        /// Share of elements whose bound is at most a hundredth of the largest number of their output.
        telling: f64,
        /// Elements compared.
        elements: usize,
    },
}

/// Runs `cases` random inputs of `op` and compares every element of every output with the definition in f64, by the bound that the definition
/// itself gives: the comparison of Gatefold's own conformance cases. `run` is how the op is run: `|op, inputs| gpu.run_tensors(op, inputs)`.
///
/// For specs that matrix units may run (no custom slot, f16) use [`bounded_as`](crate::bounded_as), which knows what they round.
///
/// ```
/// use gatefold_core::{Attention, SpecError, attention::{Dims, Weight}};
/// use gatefold_cpu_ref::{check, outputs};
///
/// let square = Weight::custom("square", "fn phi(z: f32) -> f32 { return z * z; }", |z| z * z);
/// let attention = Attention::softmax(Dims::new(1, 2, 9, 4)).with_weight(square);
/// // the reference in place of an adapter
/// let found = check(&attention, 3, |op, inputs| Ok::<_, SpecError>(outputs(op, inputs))).unwrap();
/// assert!(found.worst.ratio < 1.0 && found.elements == 3 * 2 * 9 * 4);
/// ```
///
/// # Errors
/// [`CheckError`]: the first case that is wrong, or what kept it from being run.
pub fn check<O: Drawn, E: Debug + Display>(
    op: &O,
    cases: u64,
    mut run: impl FnMut(&O, &Tensors) -> Result<Tensors, E>,
) -> Result<Checked, CheckError<E>> {
    op.validate()?;
    op.check_reference()?;
    let mut found = Checked { cases, elements: 0, worst: Comparison::default(), telling: 0.0 };
    for case in 0..cases {
        let inputs = op.draw(case);
        op.check_inputs(&inputs)?;
        let exact = bounded(op, &inputs);
        let got = run(op, &inputs).map_err(|error| CheckError::Run { case, error })?;
        let worst = compare(&exact, &got).map_err(|message| CheckError::Output { case, message })?;
        if worst.ratio > 1.0 {
            return Err(CheckError::Wrong { case, worst: Box::new(worst) });
        }
        found.elements += worst.elements;
        found.telling += telling(&exact);
        if worst.ratio > found.worst.ratio || case == 0 {
            found.worst = worst;
        }
    }
    let elements = found.elements;
    found.telling = if elements == 0 { 1.0 } else { found.telling / elements as f64 };
    let telling = found.telling;
    if telling < LEAST_TELLING { Err(CheckError::SaysNothing { telling, elements }) } else { Ok(found) }
}

/// How many elements say something.
fn telling(exact: &Bounded) -> f64 {
    let of = |values: &[f64], bounds: &[f64]| {
        let largest = values.iter().filter(|x| x.is_finite()).fold(0.0f64, |m, x| m.max(x.abs()));
        bounds.iter().filter(|&&b| b <= TELLING * largest || b == 0.0).count()
    };
    exact.outputs.values().map(|t| of(&t.values, &t.bounds)).sum::<usize>() as f64
}

/// How the inputs of a case are drawn: every third case alike.
fn drawn(op: &Attention, seed: u64) -> Draw {
    let normal = Family::Normal(1.0);
    let families = match seed % 3 {
        0 => [normal; 3],
        1 => [Family::Normal(3.0), normal, Family::Uniform],
        _ => [Family::Uniform, normal, normal],
    };
    Draw { families, masked: if seed % 2 == 1 { 15 } else { 0 }, ..Draw::ordinary(op.clone(), "drawn") }
}

impl Drawn for Attention {
    fn draw(&self, seed: u64) -> Tensors {
        inputs(&mut Rng::new(seed, SALT), &drawn(self, seed), &self.operands())
    }
}

impl Drawn for AttentionBackward {
    fn draw(&self, seed: u64) -> Tensors {
        self.complete(inputs(&mut Rng::new(seed, SALT), &drawn(&self.forward, seed), &self.operands()))
    }
}

#[cfg(test)]
mod tests {
    use gatefold_core::attention::{Dims, ScoreMod};

    use super::*;
    use crate::outputs;

    fn near(by: f64) -> Attention {
        let text = "fn score_mod(score: f32, batch: u32, head: u32, i: u32, j: u32) -> f32 { return 0.0; }";
        let near = move |s: f64, _: u32, _: u32, i: u32, j: u32| s - by * f64::from(i.abs_diff(j));
        let slope = ScoreMod::custom("near", text, near).with_slope("", |_, _, _, _, _| 1.0);
        Attention::softmax(Dims::new(1, 2, 12, 4)).with_score_mod(slope)
    }

    #[test]
    fn what_differs_is_rejected() {
        let run = |by: f64| move |_: &Attention, inputs: &Tensors| Ok::<_, String>(outputs(&near(by), inputs));
        assert!(check(&near(0.5), 4, run(0.5)).is_ok());
        let error = check(&near(0.5), 4, run(0.501)).unwrap_err();
        assert!(matches!(error, CheckError::Wrong { case: 0, .. }), "{error}");
        let backward = |by: f64| AttentionBackward::new(near(by));
        let found = check(&backward(0.5), 2, |_, inputs| Ok::<_, String>(outputs(&backward(0.5), inputs))).unwrap();
        assert!(found.telling > 0.9, "{found:?}");
        let error = check(&backward(0.5), 2, |_, inputs| Ok::<_, String>(outputs(&backward(0.501), inputs)));
        assert!(matches!(error, Err(CheckError::Wrong { .. })));
    }

    #[test]
    fn what_says_nothing_is_rejected() {
        let mut wide = near(0.5);
        wide.custom.score_mod = wide.custom.score_mod.map(|s| s.with_ulps(1e6));
        let error = check(&wide, 2, |op, inputs| Ok::<_, String>(outputs(op, inputs))).unwrap_err();
        assert!(matches!(error, CheckError::SaysNothing { .. }), "{error}");
    }
}
