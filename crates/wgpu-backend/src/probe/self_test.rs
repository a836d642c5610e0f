//! How self-tests run: all in one plan, so that an opening pays for few submissions.

use gatefold_core::{Operand, Tensors};
use gatefold_shaders::{Plan, Source, Step};

use super::Runner;
use crate::{RunError, RunOptions};

/// Judges the outputs, among those of all tests.
pub(super) type Judge = Box<dyn Fn(&Tensors) -> Result<(), String> + Send + Sync>;

/// Steps of one test, what they read and what must come out. Its operands bear names of their own.
pub(super) struct SelfTest {
    pub(super) steps: Vec<Step>,
    pub(super) operands: Vec<Operand>,
    pub(super) inputs: Tensors,
    pub(super) judge: Judge,
}

/// Word that outputs are filled with before: a signalling NaN as f32, and no result of a test.
const POISON: u32 = 0x7FA0_DEAD;

/// A kernel that stands in for that of a step of the probe, as a driver would that lies: for tests.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lie {
    /// Name of the step: `probe.f16`.
    pub step: &'static str,
    /// The kernel's text instead.
    pub text: &'static str,
}

/// A step with the lies that the options tell.
pub(super) fn with_lies(on: &impl Runner, mut step: Step) -> Step {
    // Some steps are named by their shape as well: `probe.matrix.16x32`.
    let lied =
        |lie: &&Lie| step.name.strip_prefix(lie.step).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if let Some(lie) = on.lies().iter().find(lied) {
        step.kernel = Source { path: step.kernel.path, text: lie.text };
    }
    step
}

/// Whether an error speaks of a kernel, not of the device.
pub(super) fn is_of_the_kernel(error: &RunError) -> bool {
    use RunError::{Internal, Link, PipelineBuild, Validation};
    matches!(error, PipelineBuild { .. } | Link(_) | Validation { .. } | Internal { .. })
}

/// What came of a test.
pub(super) struct Judged {
    /// Whether all was right, or the first thing that was not.
    pub(super) result: Result<(), String>,
    /// The outputs, those of other tests among them; `None` if the kernel did not run.
    pub(super) outputs: Option<Tensors>,
}

async fn together(on: &impl Runner, tests: &[SelfTest]) -> Result<Vec<Judged>, RunError> {
    let steps = tests.iter().flat_map(|t| &t.steps).map(|s| with_lies(on, s.clone())).collect();
    let plan = Plan { op: "probe", steps, ..Plan::default() }.claimed();
    let operands: Vec<_> = tests.iter().flat_map(|t| t.operands.clone()).collect();
    let mut inputs = Tensors::new();
    for (name, tensor) in tests.iter().flat_map(|t| t.inputs.iter()) {
        inputs.insert(name, tensor.clone());
    }
    let options = RunOptions { poison: Some(POISON), guard: true, ..RunOptions::default() };
    let ran = on.run(&plan, &operands, &inputs, &options).await?;
    let judged = tests.iter().map(|test| {
        let own = |fault: &&String| test.operands.iter().any(|o| fault.starts_with(&format!("{}:", o.name)));
        let result = match ran.faults.iter().find(own) {
            Some(fault) => Err(fault.clone()),
            None => (test.judge)(&ran.outputs),
        };
        Judged { result, outputs: Some(ran.outputs.clone()) }
    });
    Ok(judged.collect())
}

/// Runs tests; what came of each. If some kernel cannot be compiled or run, each runs by itself, so that the others are judged all the same.
///
/// # Errors
/// Any fault of the device itself.
pub(super) async fn run(on: &impl Runner, tests: &[SelfTest]) -> Result<Vec<Judged>, RunError> {
    match together(on, tests).await {
        Err(error) if is_of_the_kernel(&error) => {}
        other => return other,
    }
    let mut results = Vec::with_capacity(tests.len());
    for test in tests.chunks(1) {
        match together(on, test).await {
            Ok(one) => results.extend(one),
            Err(error) if is_of_the_kernel(&error) => {
                results.push(Judged { result: Err(error.to_string()), outputs: None });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(results)
}

/// The first word that is not what it should be, in words.
pub(super) fn first_wrong(name: &str, got: &[u32], want: &[u32]) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{name}: {} words, expected {}", got.len(), want.len()));
    }
    match got.iter().zip(want).position(|(g, w)| g != w) {
        None => Ok(()),
        Some(at) => Err(format!("{name}: word {at} is {:#010x}, expected {:#010x}", got[at], want[at])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wrong_word_is_named() {
        assert_eq!(first_wrong("y", &[1, 2], &[1, 2]), Ok(()));
        assert_eq!(first_wrong("y", &[1, 2], &[1, 3]), Err("y: word 1 is 0x00000002, expected 0x00000003".into()));
        assert!(first_wrong("y", &[], &[1]).is_err());
    }
}
