//! What the tuner found.

use std::fmt;

use gatefold_shaders::{Choices, ShapeClass};

/// What came of a tile.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Its outputs agreed with the default's.
    Timed {
        /// Median seconds of the kernels that differ.
        seconds: f64,
        /// The same of the default, measured in turn.
        default: f64,
    },
    /// It is not to be used.
    Rejected {
        /// Why, in words: what was wrong in the outputs, or why it did not run.
        reason: String,
    },
    /// The budget was spent.
    NotTried,
}

/// A tile that might have served.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// Name.
    pub tile: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Seconds spent on it, compilation included.
    pub seconds: f64,
}

/// A shape class after tuning.
#[derive(Debug, Clone, PartialEq)]
pub struct TunedClass {
    /// Name of the class.
    pub class: String,
    /// The table's tile.
    pub default: String,
    /// The others; empty if there are none, or if the class had a choice already.
    pub tried: Vec<Tried>,
    /// The tile that is used from now on.
    pub chosen: String,
}

impl TunedClass {
    pub(crate) fn new(class: &ShapeClass) -> Self {
        let default = class.tiles.first().cloned().unwrap_or_default();
        Self { class: class.name.clone(), chosen: default.clone(), default, tried: Vec::new() }
    }

    /// A class that is left as it is.
    pub(crate) fn known(class: &ShapeClass, choices: &Choices) -> Self {
        let mut known = Self::new(class);
        if let Some(tile) = choices.get(&class.name).filter(|&t| class.tiles.iter().any(|c| c == t)) {
            known.chosen = tile.into();
        }
        known
    }

    /// Chooses the tile that saves the largest share of the default's time, if that is more than `gain`.
    pub(crate) fn choose(&mut self, gain: f64) {
        let share = |tried: &Tried| match tried.verdict {
            Verdict::Timed { seconds, default } => seconds / default,
            _ => f64::INFINITY,
        };
        let best = self.tried.iter().min_by(|a, b| share(a).total_cmp(&share(b)));
        if let Some(best) = best.filter(|best| share(best) < 1.0 - gain) {
            self.chosen = best.tile.clone();
        }
    }

    /// Goes back to the default.
    pub(crate) fn give_up(&mut self, reason: &str) {
        for tried in self.tried.iter_mut().filter(|t| t.tile == self.chosen) {
            tried.verdict = Verdict::Rejected { reason: format!("together with the other classes' choices: {reason}") };
        }
        self.chosen = self.default.clone();
    }

    /// Whether every tile was tried.
    pub fn is_complete(&self) -> bool {
        self.tried.iter().all(|t| t.verdict != Verdict::NotTried)
    }
}

/// What a call of [`Gpu::tune`](crate::Gpu::tune) found. Printable: a line per tile.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TuneReport {
    /// The op's classes.
    pub classes: Vec<TunedClass>,
    /// Seconds in all.
    pub seconds: f64,
    /// Why [`Options::tuning_file`](crate::Options::tuning_file) was not written, if it should have been. The choices are in force all the
    /// same.
    pub not_saved: Option<String>,
}

impl fmt::Display for TuneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for class in &self.classes {
            writeln!(f, "{}: {}", class.class, class.chosen)?;
            if class.tried.is_empty() {
                continue;
            }
            let mark = |tile: &str| if tile == class.chosen { "*" } else { " " };
            writeln!(f, " {} {}: the default", mark(&class.default), class.default)?;
            for Tried { tile, verdict, seconds } in &class.tried {
                write!(f, " {} {tile}: ", mark(tile))?;
                match verdict {
                    Verdict::Timed { seconds: ours, default } => {
                        let (ms, gain) = (ours * 1e3, (1.0 - ours / default) * 100.0);
                        writeln!(
                            f,
                            "verified, {ms:.3} ms against {:.3} ms ({gain:+.1} %), {seconds:.2} s to try",
                            default * 1e3
                        )?;
                    }
                    Verdict::Rejected { reason } => writeln!(f, "rejected: {reason}")?,
                    Verdict::NotTried => writeln!(f, "not tried: the budget was spent")?,
                }
            }
        }
        if let Some(why) = &self.not_saved {
            writeln!(f, "not saved: {why}")?;
        }
        writeln!(f, "{:.2} s in all", self.seconds)
    }
}
