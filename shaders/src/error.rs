//! What can go wrong between a valid spec and a linked module.

/// The adapter cannot run a valid op. Names the limit, what is needed and what there is.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// One binding of an operand, after every split, would still be larger than the adapter allows.
    #[error("{operand}: needs a binding of {need} bytes, the adapter allows {have}")]
    TooLarge {
        /// Operand or scratch name.
        operand: String,
        /// Bytes needed.
        need: u64,
        /// Bytes allowed.
        have: u64,
    },
    /// No tile row of the table fits the adapter.
    #[error("{kernel}: needs {need} of {limit}, the adapter has {have}")]
    Limit {
        /// Kernel name.
        kernel: String,
        /// Name of the limit.
        limit: &'static str,
        /// What the smallest variant needs.
        need: u64,
        /// What the adapter has.
        have: u64,
    },
    /// The work is finite but absurd for the adapter: so many dispatches that holding them, let alone running them, would take too long.
    #[error(
        "needs {need} dispatches or more to stay within the time, loop trips and bindings of the adapter, at most {have} are planned"
    )]
    TooManyDispatches {
        /// Dispatches of one step, or so many that no more were counted.
        need: u64,
        /// Most that a step may have.
        have: u64,
    },
    /// The smallest piece of work that one dispatch can do takes too long on this adapter by the estimate.
    #[error(
        "{kernel}: its smallest dispatch takes {seconds:.2} s on this adapter by the estimate, {have} s are allowed"
    )]
    TooLong {
        /// Kernel name.
        kernel: String,
        /// Seconds estimated.
        seconds: f64,
        /// Seconds allowed.
        have: f64,
    },
    /// The op needs an optional feature that the adapter lacks.
    #[error("{operand}: needs the feature {feature}, which the adapter does not have")]
    Feature {
        /// What needs it.
        operand: String,
        /// Name of the feature.
        feature: &'static str,
    },
    /// A WGSL function of the user's own is not what its slot needs. Found before anything runs.
    #[error("{function}: {message} (line {line} of {file})")]
    Wgsl {
        /// The function that the slot is to have: `score_mod`.
        function: &'static str,
        /// Which of the user's texts: `custom/score_mod.wgsl`.
        file: &'static str,
        /// Line in that text, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

/// A fault in a kernel file or a plan: ours, never the user's. Carries file and line.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The linked text does not parse or validate.
    #[error("{file}:{line}: {message} (in {variant})")]
    Invalid {
        /// Variant name.
        variant: String,
        /// WGSL file in which the fault lies.
        file: String,
        /// Line in that file, from 1.
        line: usize,
        /// What the compiler says.
        message: String,
    },
    /// A name that the plan uses is not in the linked text, or the other way round.
    #[error("{variant}: {message}")]
    Contract {
        /// Variant name.
        variant: String,
        /// What does not agree.
        message: String,
    },
}
