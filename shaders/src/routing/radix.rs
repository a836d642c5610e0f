//! Radix selection: of each segment's candidates those with the largest keys, and of equal ones the first. Four digits of eight bits, each a count of
//! all candidates and a choice per segment. What is left is a threshold: whoever places the candidates decides by it, in their order.

use crate::plan::narrow;
use crate::source::wgsl;
use crate::spans::{INVOCATIONS, dispatches};
use crate::{Limits, Param, PlanError, Scratch, Source, Step};

/// Digits that a key may have.
const DIGITS: u64 = 256;
/// Words of a segment in the scratch [`SELECTION`]: threshold, how many of the keys at it are selected, candidates.
const SELECTION_WORDS: u64 = 3;
/// Scratch that holds what is known of each segment.
pub(crate) const SELECTION: &str = "selection";
const COUNTS: &str = "digits";

/// Multiply-adds that an invocation of each kernel costs: a store, an atomic addition to memory, a choice among a segment's digits.
const START_WORK: f64 = 16.0;
const COUNT_WORK: f64 = 64.0;
const PICK_WORK: f64 = 400.0;

/// A selection: `capacity` of the candidates of each of `segments`.
pub(crate) struct RadixSelect {
    /// First part of the steps' names.
    pub(crate) name: &'static str,
    /// Candidates in all.
    pub(crate) candidates: u64,
    /// Segments.
    pub(crate) segments: u64,
    /// Most that are selected of a segment.
    pub(crate) capacity: u32,
    /// Slot file with `fn candidate_at(number: u32) -> Candidate`; it may use `params.segments` and bindings from 3 on.
    pub(crate) candidate: Source,
}

/// File that says what keys are and where a segment's threshold lies in [`SELECTION`].
pub(crate) fn key_file() -> Source {
    wgsl!("routing/radix/key.wgsl")
}

impl RadixSelect {
    /// The scratch it needs.
    pub(crate) fn scratch(&self) -> [Scratch; 2] {
        let of = |name, words: u64| Scratch { name, bytes: self.segments * words * 4 };
        [of(COUNTS, DIGITS), of(SELECTION, SELECTION_WORDS)]
    }

    fn step(&self, stem: &str, kernel: Source, slots: Vec<Source>, trips: u64) -> Step {
        Step {
            slots: std::iter::once(key_file()).chain(slots).collect(),
            consts: vec![("INVOCATIONS", INVOCATIONS)],
            trips,
            ..Step::plain(format!("{}_{stem}", self.name), kernel, Vec::new())
        }
    }

    /// Its steps, after which [`SELECTION`] holds each segment's threshold.
    ///
    /// # Errors
    /// [`PlanError::TooLarge`] if the counts do not fit a binding.
    pub(crate) fn steps(&self, limits: &Limits) -> Result<Vec<Step>, PlanError> {
        super::check_scratch(&self.scratch(), limits)?;
        let start = Step {
            dispatches: dispatches(
                self.segments * DIGITS,
                START_WORK,
                limits,
                &[("capacity", Param::U32(self.capacity))],
            ),
            ..self.step("radix_start", wgsl!("routing/radix/start.wgsl"), Vec::new(), 0)
        };
        let mut steps = vec![start];
        if self.candidates == 0 {
            return Ok(steps);
        }
        let segments = Param::U32(narrow(self.segments));
        let lanes = u64::from(INVOCATIONS);
        for shift in [24, 16, 8, 0] {
            let decided = u32::MAX.checked_shl(shift + 8).unwrap_or(0);
            let of_count = [("segments", segments), ("shift", Param::U32(shift)), ("decided", Param::U32(decided))];
            steps.push(Step {
                dispatches: dispatches(self.candidates, COUNT_WORK, limits, &of_count),
                ..self.step("radix_count", wgsl!("routing/radix/count.wgsl"), vec![self.candidate], 0)
            });
            let of_pick = [("shift", Param::U32(shift))];
            steps.push(Step {
                dispatches: dispatches(self.segments * lanes, PICK_WORK, limits, &of_pick),
                ..self.step("radix_pick", wgsl!("routing/radix/pick.wgsl"), Vec::new(), 2 * DIGITS / lanes + lanes)
            });
        }
        Ok(steps)
    }
}
