//! Dispatch files: JSON that says how anyone's shader is to be dispatched.
//!
//! ```json
//! {
//!   "grid": [2, 1, 1],
//!   "buffers": {
//!     "x": { "random_f32": [-1.0, 1.0], "elements": 64 },
//!     "y": { "uninitialised": true, "elements": 64 },
//!     "params": { "values": [64, 0, 0, 0] }
//!   }
//! }
//! ```

use std::collections::BTreeMap;

use half::f16;
use serde::Deserialize;

use crate::adversary::Draw;
use crate::{Adversary, Binding, Buffer, Element, Error, Launch, Options, Program, Style, Undefined};

/// A dispatch file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispatch {
    /// Entry point; the only one if not given.
    pub entry: Option<String>,
    /// Workgroups along x, y and z.
    #[serde(default = "one_group")]
    pub grid: [u32; 3],
    /// Buffers by WGSL name.
    #[serde(default)]
    pub buffers: BTreeMap<String, Contents>,
    /// Values of overrides, by name or id.
    #[serde(default)]
    pub overrides: BTreeMap<String, f64>,
    /// Seed of what is drawn, and of the order of turns.
    #[serde(default = "one")]
    pub seed: u64,
    /// Lanes of a subgroup.
    #[serde(default = "subgroup")]
    pub subgroup_size: u32,
    /// Loop trips that an invocation may make.
    #[serde(default = "trips")]
    pub trip_cap: u64,
    /// Whether variables without an initialiser must be written before they are read.
    #[serde(default)]
    pub strict_variables: bool,
    /// Whether a read of what nobody has written is a fault even if nothing depends on it.
    #[serde(default)]
    pub strict_reads: bool,
    /// Whose arithmetic: `up`, `down` or `random`; round to nearest if not given.
    pub adversary: Option<Worst>,
}

/// An adversary's style, as a file says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worst {
    /// The largest number that is allowed.
    Up,
    /// The smallest.
    Down,
    /// Any.
    Random,
}

fn one_group() -> [u32; 3] {
    [1; 3]
}

fn one() -> u64 {
    1
}

fn subgroup() -> u32 {
    Options::default().subgroup_size
}

fn trips() -> u64 {
    Options::default().trip_cap
}

/// What a buffer holds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// Scalars; as many as `values` has, or as the binding needs at least, if not given.
    pub elements: Option<usize>,
    /// Type of the scalars, `f32`, `f16`, `i32` or `u32`; that of the binding's first one if not given.
    pub scalar: Option<Scalar>,
    /// How they are filled.
    #[serde(flatten)]
    pub fill: Fill,
}

/// Type of scalars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scalar {
    /// `f32`.
    F32,
    /// `f16`.
    F16,
    /// `i32`.
    I32,
    /// `u32`.
    U32,
}

/// How a buffer is filled: one of these.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// `"zeros": true`.
    Zeros(bool),
    /// `"iota": true`: 0, 1, 2, …
    Iota(bool),
    /// `"uninitialised": true`: nobody has written it.
    Uninitialised(bool),
    /// `"random_f32": [least, largest]`.
    RandomF32([f64; 2]),
    /// `"random_u32": n`: below n.
    RandomU32(u32),
    /// `"values": [...]`: these.
    Values(Vec<f64>),
}

fn bytes_of(scalar: Element, x: f64) -> Vec<u8> {
    match scalar {
        #[allow(clippy::cast_possible_truncation, reason = "rounding is meant")]
        Element::F32 => (x as f32).to_le_bytes().to_vec(),
        Element::F16 => f16::from_f64(x).to_le_bytes().to_vec(),
        #[allow(clippy::cast_possible_truncation, reason = "numbers beyond the type become its ends")]
        Element::I32 => (x as i32).to_le_bytes().to_vec(),
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "numbers beyond the type become its ends"
        )]
        Element::U32 => (x as u32).to_le_bytes().to_vec(),
    }
}

impl Contents {
    fn scalar(&self, binding: &Binding) -> Element {
        match self.scalar {
            None => binding.element,
            Some(Scalar::F32) => Element::F32,
            Some(Scalar::F16) => Element::F16,
            Some(Scalar::I32) => Element::I32,
            Some(Scalar::U32) => Element::U32,
        }
    }

    /// The buffer for a binding.
    fn buffer(&self, binding: &Binding, seed: u64) -> Buffer {
        let scalar = self.scalar(binding);
        let size = if scalar == Element::F16 { 2 } else { 4 };
        let least = (binding.least_bytes as usize).div_ceil(size);
        let given = if let Fill::Values(values) = &self.fill { values.len() } else { least };
        let elements = self.elements.unwrap_or(given);
        let mut draw = Draw(seed ^ u64::from(binding.group) << 32 ^ u64::from(binding.binding) << 40);
        let mut number = |at: usize| match &self.fill {
            Fill::Zeros(_) | Fill::Uninitialised(_) => 0.0,
            Fill::Iota(_) => at as f64,
            Fill::RandomF32([least, largest]) => least + draw.unit() * (largest - least),
            Fill::RandomU32(n) => draw.below(u64::from(*n).max(1)) as f64,
            Fill::Values(values) => values.get(at).copied().unwrap_or(0.0),
        };
        let bytes: Vec<u8> = (0..elements).flat_map(|at| bytes_of(scalar, number(at))).collect();
        if self.fill == Fill::Uninitialised(true) { Buffer::uninitialised(bytes.len()) } else { Buffer::new(bytes) }
    }
}

impl Dispatch {
    /// Reads a file's text.
    ///
    /// # Errors
    /// [`Error::Launch`] with line, column and what was expected.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|e| Error::Launch(format!("the dispatch file: {e}")))
    }

    /// The program that a text is, by this file's entry point and overrides.
    ///
    /// # Errors
    /// As [`Program::of_entry`].
    pub fn program(&self, text: &str) -> Result<Program, Error> {
        let overrides: Vec<_> = self.overrides.iter().map(|(name, value)| (name.clone(), *value)).collect();
        Program::of_entry(text, self.entry.as_deref(), &overrides)
    }

    /// The buffers and the grid.
    ///
    /// # Errors
    /// [`Error::Binding`] for a buffer that the kernel does not bind, or one that it binds and the file does not fill.
    pub fn launch(&self, program: &Program) -> Result<Launch, Error> {
        let bindings = program.bindings();
        let fault = |name: &String, message: String| Error::Binding { name: name.clone(), message };
        let known: Vec<_> = bindings.iter().map(|b| b.name.as_str()).collect();
        if let Some(name) = self.buffers.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(fault(name, format!("the kernel binds no buffer of this name; it binds {}", known.join(", "))));
        }
        let mut launch = Launch::new(self.grid);
        for binding in &bindings {
            let Some(contents) = self.buffers.get(&binding.name) else {
                let message = "bound by the kernel, but the dispatch file does not say what it holds".into();
                return Err(fault(&binding.name, message));
            };
            launch = launch.with(binding.name.clone(), contents.buffer(binding, self.seed));
        }
        Ok(launch)
    }

    /// How it is interpreted.
    pub fn options(&self) -> Options {
        let style = |worst| match worst {
            Worst::Up => Style::Up,
            Worst::Down => Style::Down,
            Worst::Random => Style::Random,
        };
        Options {
            seed: self.seed,
            subgroup_size: self.subgroup_size,
            adversary: self.adversary.map(|worst| Adversary { seed: self.seed, style: style(worst) }),
            trip_cap: self.trip_cap,
            strict_variables: self.strict_variables,
            undefined: if self.strict_reads { Undefined::Reads } else { Undefined::Uses },
        }
    }
}
