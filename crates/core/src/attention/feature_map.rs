//! The map that makes features of the elements of queries and keys.

use serde::{Deserialize, Serialize};

use crate::SpecError;

/// `φ`, taken of every element of queries and keys, so that an [`Identity`](super::Weight::Identity) weight is `scale·φ(q_i)·φ(k_j)`: the weight of
/// linear attention, which is not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureMap {
    /// `max(x, 0)`, of slope 0 at 0 (arXiv 2507.23632; SANA, arXiv 2410.10629).
    Relu,
    /// `elu(x) + 1`: `x + 1` above 0, `exp x` below (*Transformers are RNNs*, arXiv 2006.16236).
    EluOne,
}

impl FeatureMap {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Relu, Self::EluOne];

    /// Name as in specs, labels and variant names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::EluOne => "elu_one",
        }
    }

    /// Refuses a map of keys that lie in a cache.
    pub(super) fn check_cache(this: Option<Self>, with: &'static str) -> Result<(), SpecError> {
        let reason = "keys of a cache are mapped before they are put there, and queries with them";
        let refusal = |_| Err(SpecError::Conflict { option: "prologue.feature_map", with, reason });
        this.map_or(Ok(()), refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::{Dims, Prologue, Sequences, Storage};
    use crate::{Attention, Op};

    #[test]
    fn names_are_those_of_specs() {
        for map in FeatureMap::ALL {
            assert_eq!(serde_json::to_string(&map).unwrap(), format!("\"{}\"", map.name()));
        }
    }

    #[test]
    fn keys_of_a_cache_have_none() {
        let prologue = Prologue { feature_map: Some(FeatureMap::Relu), ..Prologue::default() };
        let mapped = Attention { prologue, ..Attention::softmax(Dims::new(1, 2, 5, 8)) };
        assert!(mapped.validate().is_ok() && !mapped.is_core() && mapped.core().is_core());
        for cached in [
            Attention { sequences: Sequences::Paged { page: 4, pages: 9 }, ..mapped.clone() },
            Attention { storage: Storage::INT8_PER_TOKEN, ..mapped.clone() },
        ] {
            assert!(matches!(cached.validate(), Err(SpecError::Conflict { option: "prologue.feature_map", .. })));
        }
    }
}
