//! Chosen tiles between processes: for one adapter, driver and version of this crate, in a file or shipped with a program.

use std::fmt;
use std::path::Path;

use gatefold_shaders::Choices;
use serde::{Deserialize, Serialize};

use crate::{AdapterSummary, Options, whole_file};

/// Choices of tiles and what they are good for. In JSON:
/// `{"adapter": "…", "driver": "…", "crate_version": "…", "choices": {"attention_forward.softmax.f32.width64.own1024": "…"}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    /// Adapter name by the driver.
    pub adapter: String,
    /// Driver, its version and the graphics interface.
    pub driver: String,
    /// Version of this crate: tiles may change from one to the next.
    pub crate_version: String,
    /// Tiles by shape class.
    pub choices: Choices,
}

impl Tuning {
    /// These choices on that adapter, by this version.
    pub fn new(adapter: &AdapterSummary, choices: Choices) -> Self {
        let AdapterSummary { name, driver, driver_info, backend, .. } = adapter;
        Self {
            adapter: name.clone(),
            driver: format!("{driver} {driver_info}, {backend}"),
            crate_version: env!("CARGO_PKG_VERSION").into(),
            choices,
        }
    }

    /// From [`to_json`](Self::to_json).
    ///
    /// # Errors
    /// What is wrong with the text, in words.
    pub fn from_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|e| format!("it is no tuning: {e}"))
    }

    /// As JSON, one class a line.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Why these choices say nothing about that adapter, if so.
    pub fn foreign(&self, adapter: &AdapterSummary) -> Option<String> {
        let here = Self::new(adapter, Choices::new());
        let differs = [
            ("adapter", &self.adapter, &here.adapter),
            ("driver", &self.driver, &here.driver),
            ("version", &self.crate_version, &here.crate_version),
        ];
        let (what, theirs, ours) = differs.into_iter().find(|(_, theirs, ours)| theirs != ours)?;
        Some(format!("it is for {what} [{theirs}], this is [{ours}]"))
    }
}

/// What became of a [`Tuning`] that a device was opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TuningState {
    /// None was given.
    Off,
    /// There is no file yet: the first [`Gpu::tune`](crate::Gpu::tune) writes it.
    New,
    /// Its choices are in force.
    Loaded {
        /// Count of shape classes.
        classes: usize,
    },
    /// It is passed over, and the defaults stay. A file is replaced when something is tuned.
    Ignored {
        /// Why, in words.
        reason: String,
    },
}

impl fmt::Display for TuningState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("none"),
            Self::New => f.write_str("no file yet"),
            Self::Loaded { classes } => write!(f, "{classes} shape classes"),
            Self::Ignored { reason } => write!(f, "ignored ({reason})"),
        }
    }
}

/// What became of [`Options::tuning`] and of [`Options::tuning_file`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TuningSources {
    /// The one in memory.
    pub given: TuningState,
    /// The one on disk; its choices go before those in memory.
    pub file: TuningState,
}

/// A tuning in a file; `None` if there is no file.
fn read(path: &Path, adapter: &AdapterSummary) -> Result<Option<Tuning>, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(format!("{}: {e}", path.display())),
    };
    let tuning = Tuning::from_json(&text)?;
    tuning.foreign(adapter).map_or(Ok(Some(tuning)), Err)
}

/// The choices that a device is opened with, and where they are from.
pub(crate) fn open(options: &Options, adapter: &AdapterSummary) -> (Choices, TuningSources) {
    let mut choices = Choices::new();
    let mut take = |tuning: &Tuning| {
        choices.extend(&tuning.choices);
        TuningState::Loaded { classes: tuning.choices.len() }
    };
    let given = match &options.tuning {
        None => TuningState::Off,
        Some(tuning) => match tuning.foreign(adapter) {
            Some(reason) => TuningState::Ignored { reason },
            None => take(tuning),
        },
    };
    let file = match options.tuning_file.as_deref().map(|path| read(path, adapter)) {
        None => TuningState::Off,
        Some(Ok(None)) => TuningState::New,
        Some(Ok(Some(tuning))) => take(&tuning),
        Some(Err(reason)) => TuningState::Ignored { reason },
    };
    (choices, TuningSources { given, file })
}

/// Adds choices to a file, which is never half written. What another process has added since stays.
pub(crate) fn save(path: &Path, adapter: &AdapterSummary, choices: &Choices) -> std::io::Result<()> {
    let mut all = read(path, adapter).ok().flatten().map_or_else(Choices::new, |there| there.choices);
    all.extend(choices);
    whole_file::replace(path, &Tuning::new(adapter, all).to_json())
}
