//! The function that turns a score into a weight.

use serde::{Deserialize, Serialize};

use crate::SpecError;

/// Weight of a key from its score `z`.
///
/// All but [`Softmax`](Self::Softmax) are functions of the key's own score; what a row of them is divided by is the
/// [`Normalizer`](super::Normalizer)'s business.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// `P = exp(z − lse)`, `lse = ln Σ exp z`: each row sums to one, so there is no other normaliser.
    #[default]
    Softmax,
    /// `σ(z) = 1 / (1 + exp(−z))`: without a normaliser FlashSigmoid (arXiv 2409.04431).
    Sigmoid,
    /// `ln(1 + exp z)`: with a row sum the LSSA of *Softplus Attention with Re-weighting* (arXiv 2501.13428).
    Softplus,
    /// `max(z, 0)`, of slope 0 at 0 (InfSA, arXiv 2603.00175; counted, Wortsman et al., arXiv 2309.08586).
    Relu,
    /// `max(z, 0)^p`, a whole power of 1 to 16.
    ReluPower(u32),
    /// `elu(z) + 1`: `z + 1` above 0, `exp z` below (*When Attention Sink Emerges*, arXiv 2410.10781).
    EluOne,
    /// `z` itself, which may be negative (*Understanding the differences in Foundation Models*, arXiv 2405.15731).
    Identity,
    /// `Σ_{n ≤ N} zⁿ/n!`, the series of the exponential to an even degree of 2 to 16, which keeps it positive (*On the Expressiveness of
    /// Softmax Attention*, arXiv 2507.23632).
    Taylor(u32),
    /// `exp(min(z, c))` with slope 0 above `c`, −64 to 64 (arXiv 2507.23632 takes 5). With a `c` that no score reaches, a plain exponential.
    ExpClamp(f32),
    /// `z + 1` from 0 on, `1 / (1 − z)` below (*Grokking at the Edge of Numerical Stability*, arXiv 2501.04697).
    StableMax,
    /// A function of the user's own, in `custom.weight`: [`Weight::custom`](Self::custom) makes one.
    Custom,
}

/// Calls a macro with the weights that are functions of their own score, `name => Weight` each: the name is that of the spec and of the
/// kernels' file, the weight has its usual parameter.
#[macro_export]
macro_rules! for_each_weight_function {
    ($each:ident) => {
        $each! {
            sigmoid => Sigmoid,
            softplus => Softplus,
            relu => Relu,
            relu_power => ReluPower(3),
            elu_one => EluOne,
            identity => Identity,
            taylor => Taylor(4),
            exp_clamp => ExpClamp(5.0),
            stable_max => StableMax
        }
    };
}

macro_rules! functions {
    ($($name:ident => $variant:ident $(($parameter:expr))?),*) => {
        /// Every built-in weight that is a function of its own score, with its usual parameter.
        pub const FUNCTIONS: &'static [Self] = &[$(Self::$variant $(($parameter))?),*];

        /// Name as in specs and of the kernels' file, without a parameter.
        pub const fn name(self) -> &'static str {
            match self {
                Self::Softmax => "softmax",
                Self::Custom => "custom",
                $(Self::$variant { .. } => stringify!($name)),*
            }
        }
    };
}

impl Weight {
    for_each_weight_function!(functions);

    /// Whether a score of `−∞` and one of `+∞` have a weight that is a number. If not, the row that sees one is NaN.
    pub const fn bounded(self) -> [bool; 2] {
        match self {
            Self::Sigmoid | Self::ExpClamp(_) => [true, true],
            Self::Softmax | Self::Softplus | Self::Relu | Self::ReluPower(_) | Self::EluOne | Self::StableMax => {
                [true, false]
            }
            Self::Identity | Self::Taylor(_) | Self::Custom => [false, false],
        }
    }

    /// The whole number that is part of a kernel's text: a power or a degree.
    pub const fn degree(self) -> Option<u32> {
        match self {
            Self::ReluPower(n) | Self::Taylor(n) => Some(n),
            _ => None,
        }
    }

    /// The number that kernels are told at run time: where an exponential is clamped.
    pub const fn number(self) -> Option<f32> {
        match self {
            Self::ExpClamp(most) => Some(most),
            _ => None,
        }
    }

    /// Name as in variant names: with the degree, of which a kernel's text depends.
    pub fn label(self) -> String {
        self.degree().map_or_else(|| self.name().into(), |n| format!("{}{n}", self.name()))
    }

    pub(super) fn validate(self) -> Result<(), SpecError> {
        let expected = match self {
            Self::ReluPower(p) if !(1..=16).contains(&p) => "a power of 1 to 16",
            Self::Taylor(n) if !(2..=16).contains(&n) || n % 2 == 1 => "an even degree of 2 to 16",
            Self::ExpClamp(c) if !(-64.0..=64.0).contains(&c) => "a largest exponent of -64 to 64",
            _ => return Ok(()),
        };
        Err(SpecError::Option { option: "weight", expected: expected.into(), given: format!("{self:?}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_specs_and_files() {
        macro_rules! listed {
            ($($name:ident => $variant:ident $(($parameter:expr))?),*) => { [$(stringify!($name)),*] };
        }
        let listed = for_each_weight_function!(listed);
        for (weight, name) in Weight::FUNCTIONS.iter().zip(listed) {
            assert_eq!(weight.name(), name);
            let text = serde_json::to_string(weight).unwrap();
            assert!(text.starts_with(&format!("\"{name}\"")) || text.starts_with(&format!("{{\"{name}\":")), "{text}");
            assert_eq!(serde_json::from_str::<Weight>(&text).unwrap(), *weight);
            assert!(weight.validate().is_ok());
        }
    }

    #[test]
    fn parameters_have_a_range() {
        for bad in [
            Weight::ReluPower(0),
            Weight::ReluPower(17),
            Weight::Taylor(0),
            Weight::Taylor(3),
            Weight::Taylor(18),
            Weight::ExpClamp(f32::NAN),
            Weight::ExpClamp(65.0),
        ] {
            assert!(matches!(bad.validate(), Err(SpecError::Option { option: "weight", .. })), "{bad:?}");
        }
    }
}
