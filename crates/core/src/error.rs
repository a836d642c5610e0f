//! The one error a caller's mistake can produce.

use crate::tensor::Dtype;

/// A spec or an input that cannot be run. Names the operand or option, what was expected and what came.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A tensor has other dimensions than the spec says.
    #[error("{operand}: expected shape {expected:?}, got {given:?}")]
    Shape {
        /// Operand name.
        operand: String,
        /// Shape by the spec.
        expected: Vec<usize>,
        /// Shape given.
        given: Vec<usize>,
    },
    /// A tensor has another element type than the spec says.
    #[error("{operand}: expected elements of type {expected}, got {given}")]
    Dtype {
        /// Operand name.
        operand: String,
        /// Type by the spec.
        expected: Dtype,
        /// Type given.
        given: Dtype,
    },
    /// An input that the spec asks for was not given.
    #[error("{operand}: expected an input of shape {expected:?}, none was given")]
    Missing {
        /// Operand name.
        operand: String,
        /// Shape by the spec.
        expected: Vec<usize>,
    },
    /// An input was given that the spec does not ask for.
    #[error("{operand}: given, but the spec of {op} reads no such input (it reads {expected})")]
    Unexpected {
        /// Operand name.
        operand: String,
        /// Op name.
        op: &'static str,
        /// The inputs that the spec reads, comma-separated.
        expected: String,
    },
    /// A size of the spec is outside its range.
    #[error("{dim}: expected {expected}, got {given}")]
    Dim {
        /// Name of the size.
        dim: &'static str,
        /// Legal range in words.
        expected: String,
        /// The size given.
        given: usize,
    },
    /// Query heads cannot be shared out evenly over key/value heads.
    #[error("q_heads: expected a multiple of kv_heads = {kv_heads}, got {q_heads}")]
    Heads {
        /// Query heads.
        q_heads: usize,
        /// Key/value heads.
        kv_heads: usize,
    },
    /// An option of the spec has a value that it cannot take.
    #[error("{option}: expected {expected}, got {given}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// What would be legal, in words.
        expected: String,
        /// The value given.
        given: String,
    },
    /// Two options of the spec exclude each other.
    #[error("{option}: cannot be combined with {with}: {reason}")]
    Conflict {
        /// Name of the option.
        option: &'static str,
        /// The other option.
        with: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A custom slot has no Rust function, so that there is nothing to check its WGSL by: closures do not survive serialisation.
    #[error("{option} ({name}): has no Rust function, as after deserialising; the kernels run, the reference does not")]
    NoReference {
        /// Name of the option.
        option: &'static str,
        /// The slot's own name.
        name: String,
    },
    /// An element of an input is outside the range that gives it a meaning.
    #[error("{operand}[{index}]: expected {expected}, got {given}")]
    Value {
        /// Operand name.
        operand: String,
        /// Flat index of the first such element.
        index: usize,
        /// Legal range in words.
        expected: String,
        /// The value given.
        given: String,
    },
    /// Indices in a buffer that only the kernel could look at lie outside their range. Nothing was read or written by them; the outputs are withheld.
    #[error("{operand}[{first}]: expected {expected}; {count} such elements")]
    BadIndex {
        /// Operand name.
        operand: &'static str,
        /// Flat index of the first such element.
        first: usize,
        /// Legal range in words.
        expected: String,
        /// How many there are.
        count: usize,
    },
    /// A router's logit is NaN, so that its token has no ranking ([`NanLogits::Lowest`](crate::routing::NanLogits::Lowest) gives it the lowest rank).
    #[error("{operand}[{first}]: expected a number to rank by, got NaN; {count} such elements")]
    NonFiniteRouting {
        /// Operand name.
        operand: &'static str,
        /// Flat index of the first such element.
        first: usize,
        /// How many there are.
        count: usize,
    },
    /// A tensor would have more elements than can be addressed.
    #[error("{operand}: expected at most {limit} elements, shape {given:?} has more")]
    TooManyElements {
        /// Operand name.
        operand: String,
        /// Shape given.
        given: Vec<usize>,
        /// Largest count of elements.
        limit: u64,
    },
    /// A vector's length does not agree with its shape.
    #[error("tensor of shape {dims:?}: expected {expected} elements, got {given}")]
    ElementCount {
        /// Shape given.
        dims: Vec<usize>,
        /// Product of the shape.
        expected: usize,
        /// Length of the data.
        given: usize,
    },
}
