//! A test case: what is computed, and from which numbers.

use gatefold_core::{Op, Tensors};

use crate::data::Rng;

/// Seeds of attention's forward pass and of products from here on stand for the cases from 0 on in f16, attention's with widths that matrix
/// units can multiply.
pub const HALVES: u64 = 1 << 32;

/// Seeds from here on stand for planned cases once more, `seed % VARIED`, with other contents and, where the op is one of sequences, rows or
/// products, with other sizes near theirs: many cases for few kernels.
pub const VARIED: u64 = 1 << 40;

/// Which planned case a seed stands for, if any.
pub(crate) fn edge(seed: u64, planned: u64) -> Option<usize> {
    let at = seed % VARIED;
    usize::try_from(at).ok().filter(|_| at < planned)
}

/// A size near `n`; 0, 1 and 2 stay what they are.
pub(crate) fn near(rng: &mut Rng, n: usize) -> usize {
    if n < 3 { n } else { n - n / 4 + rng.below(n / 2 + 2) }
}

/// A case of op `O`, replayable from its seed.
#[derive(Debug, Clone)]
pub struct Case<O> {
    /// The seed that it was drawn from.
    pub seed: u64,
    /// The spec.
    pub op: O,
    /// Every input of the spec.
    pub inputs: Tensors,
    /// What is special about it, in words. Contains "degenerate" where many outputs are zero, NaN or tiny by design, so that a check
    /// that most outputs say something would be out of place.
    pub note: String,
}

impl<O: Op> Case<O> {
    /// The case of `seed` for an op whose planned specs have notes: of those with "special" in it, and of `percent` of the random ones, the inputs
    /// hold special values.
    pub(crate) fn drawn(
        (seed, salt): (u64, u64),
        planned: Option<(O, String)>,
        random: impl FnOnce(&mut Rng) -> O,
        percent: usize,
        inputs: impl FnOnce(&mut Rng, &O, bool) -> Tensors,
    ) -> Self {
        let mut rng = Rng::new(seed, salt);
        let (op, note) = planned.unwrap_or_else(|| (random(&mut rng), String::new()));
        let special = if note.is_empty() { rng.chance(percent) } else { note.contains("special") };
        let inputs = inputs(&mut rng, &op, special);
        let case = Self { seed, op, inputs, note };
        if special { case.degenerate() } else { case }
    }

    /// The same case, noted as one that may say little.
    #[must_use]
    pub(crate) fn degenerate(self) -> Self {
        Self { note: format!("{} may be degenerate", self.note).trim().into(), ..self }
    }

    /// Whether many outputs may be zero, NaN or tiny by design.
    pub fn is_degenerate(&self) -> bool {
        self.note.contains("degenerate")
    }
}
