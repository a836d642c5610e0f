//! One dispatch.

use serde::Serialize;

use crate::adversary::{Adversary, Worst};
use crate::arith::{Arith, Nearest};
use crate::machine::Machine;
use crate::{Buffer, Error, Finding, Program};

/// What is dispatched: a grid, and a buffer for every binding.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    /// Workgroups along x, y and z.
    pub grid: [u32; 3],
    /// Buffers by the WGSL name of their variable.
    pub buffers: Vec<(String, Buffer)>,
}

impl Launch {
    /// A dispatch that binds nothing yet.
    pub fn new(grid: [u32; 3]) -> Self {
        Self { grid, buffers: Vec::new() }
    }

    /// Binds a buffer.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, buffer: Buffer) -> Self {
        self.buffers.push((name.into(), buffer));
        self
    }
}

/// Which uses of what nobody has written are faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undefined {
    /// Every read, also of what is thrown away afterwards.
    Reads,
    /// What decides a branch or an index, is given to an atomic operation, or is written to a buffer.
    Uses,
    /// The same without writes to buffers, whose contents count as not written then: who reads the buffers decides.
    Decisions,
}

/// How a dispatch is interpreted.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Seed of the order in which workgroups, and the invocations of each, take turns.
    pub seed: u64,
    /// Lanes of a subgroup.
    pub subgroup_size: u32,
    /// Whose arithmetic; round to nearest without.
    pub adversary: Option<Adversary>,
    /// Loop trips that an invocation may make.
    pub trip_cap: u64,
    /// Whether a private or function variable without an initialiser must be written before it is read. WGSL makes it zero.
    pub strict_variables: bool,
    /// Which uses of what nobody has written are faults.
    pub undefined: Undefined,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            subgroup_size: 32,
            adversary: None,
            trip_cap: 1 << 20,
            strict_variables: false,
            undefined: Undefined::Uses,
        }
    }
}

/// What came of a dispatch.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Buffers as they are afterwards.
    #[serde(skip)]
    pub buffers: Vec<(String, Buffer)>,
    /// What is wrong, in the order in which it was first seen.
    pub findings: Vec<Finding>,
    /// Most loop trips of one invocation.
    pub trips: u64,
    /// Loop trips of all invocations.
    pub all_trips: u64,
    /// Operations interpreted.
    pub operations: u64,
}

impl Outcome {
    /// The buffer of that name.
    pub fn buffer(&self, name: &str) -> Option<&Buffer> {
        self.buffers.iter().find(|(n, _)| n == name).map(|(_, b)| b)
    }
}

/// Interprets a dispatch.
///
/// # Errors
/// [`Error::Binding`] for a buffer that is missing, unknown or too small, [`Error::Launch`] for a workgroup or a subgroup that cannot be.
pub fn run(program: &Program, launch: Launch, options: &Options) -> Result<Outcome, Error> {
    check(program, &launch, options)?;
    match options.adversary {
        None => Ok(interpret(program, launch, options, Nearest)),
        Some(adversary) => Ok(interpret(program, launch, options, Worst::new(adversary))),
    }
}

fn interpret<A: Arith>(program: &Program, launch: Launch, options: &Options, arith: A) -> Outcome {
    let mut machine = Machine::new(program, &launch, options, arith);
    machine.dispatch(launch.grid);
    machine.outcome(launch)
}

/// Most invocations of a workgroup that are interpreted.
const MOST_INVOCATIONS: u64 = 1 << 14;

fn check(program: &Program, launch: &Launch, options: &Options) -> Result<(), Error> {
    let fault = |name: &str, message: String| Err(Error::Binding { name: name.into(), message });
    for decl in &program.code.buffers {
        let name = &decl.name;
        let mut given = launch.buffers.iter().filter(|(n, _)| n == name);
        let Some((_, buffer)) = given.next() else {
            return fault(name, "bound by the kernel, but the dispatch has no buffer of this name".into());
        };
        if given.next().is_some() {
            return fault(name, "expected one buffer of this name, got two".into());
        }
        if buffer.len() < decl.least as usize {
            return fault(name, format!("expected at least {} bytes, got {}", decl.least, buffer.len()));
        }
        if buffer.len() >= 1 << 27 {
            return fault(name, format!("expected less than 128 MiB, got {} bytes", buffer.len()));
        }
    }
    for (name, _) in &launch.buffers {
        if !program.code.buffers.iter().any(|b| b.name == *name) {
            let known: Vec<_> = program.code.buffers.iter().map(|b| b.name.as_str()).collect();
            return fault(name, format!("not bound by the kernel, which binds {}", known.join(", ")));
        }
    }
    let size: u64 = program.code.workgroup_size.iter().map(|&n| u64::from(n)).product();
    if !(1..=MOST_INVOCATIONS).contains(&size) {
        return Err(Error::Launch(format!("expected 1 to {MOST_INVOCATIONS} invocations in a workgroup, got {size}")));
    }
    if !options.subgroup_size.is_power_of_two() || options.subgroup_size > 128 {
        let size = options.subgroup_size;
        return Err(Error::Launch(format!("expected subgroups of a power of two up to 128 lanes, got {size}")));
    }
    Ok(())
}
