//! Failures that are known and declared, by adapter. An expected failure must fail: what works again must be taken off the list.

use serde::{Deserialize, Serialize};

use crate::run_case::{CaseReport, Status};

/// One declared failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Part of the adapter's name, whatever the case.
    pub adapter: String,
    /// Op name.
    pub op: String,
    /// The case; without it every case with the label.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Part of the case's label; empty fits every label.
    #[serde(default)]
    pub label: String,
    /// Why, with a link to the driver's bug where there is one.
    pub reason: String,
}

/// The declared failures.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// Empty is the goal.
    pub failures: Vec<Expectation>,
}

impl Expectations {
    /// The list in the repository.
    ///
    /// # Panics
    /// If the file is not what it should be.
    pub fn of_repository() -> Self {
        Self::parse(include_str!("../expectations.json")).unwrap_or_else(|e| panic!("tests/expectations.json: {e}"))
    }

    /// Reads a list.
    ///
    /// # Errors
    /// What is wrong with the text, with line and column.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }

    /// The declared failure that speaks of a case.
    pub fn of_case(&self, adapter: &str, case: &CaseReport) -> Option<&Expectation> {
        let adapter = adapter.to_lowercase();
        self.failures.iter().find(|e| {
            adapter.contains(&e.adapter.to_lowercase())
                && e.op == case.op
                && e.seed.is_none_or(|s| s == case.seed)
                && case.label.contains(&e.label)
        })
    }

    /// The verdict on a case: `None` if it did what was expected of it, else what is wrong.
    pub fn judge(&self, adapter: &str, case: &CaseReport) -> Option<String> {
        match (&case.status, self.of_case(adapter, case)) {
            (Status::Failed, None) => Some(case.faults.join("; ")),
            (Status::Passed, Some(e)) => Some(format!("unexpected pass: declared to fail ({})", e.reason)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_in_the_repository_is_readable() {
        let _ = Expectations::of_repository();
    }

    #[test]
    fn a_typo_is_found() {
        let text = r#"{"failures": [{"adaptor": "x", "op": "attention", "reason": "y"}]}"#;
        assert!(Expectations::parse(text).unwrap_err().contains("adaptor"));
    }
}
