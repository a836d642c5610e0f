//! What a process writes down as it goes, so that a case which ends it is known, and the next process goes on after it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use gatefold_tests::conformance::{Moment, crashed};
use gatefold_tests::run_case::CaseReport;
use serde::{Deserialize, Serialize};

/// A line.
#[derive(Serialize, Deserialize)]
enum Entry {
    Begun(String, u64),
    Done(Box<CaseReport>),
}

/// A journal to be written.
pub(super) struct Journal(File);

impl Journal {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        Ok(Self(file.with_context(|| format!("opening {}", path.display()))?))
    }

    /// Writes a line, at once.
    pub(super) fn note(&mut self, moment: Moment) -> Result<()> {
        let entry = match moment {
            Moment::Begun(op, seed) => Entry::Begun(op.into(), seed),
            Moment::Done(case) => Entry::Done(Box::new(case.clone())),
        };
        let line = serde_json::to_string(&entry)? + "\n";
        self.0.write_all(line.as_bytes()).context("writing a journal")
    }
}

/// A case by its op and seed.
type Name = (String, u64);

/// The cases that a journal has, and the one that was begun and has no end. A last line that was cut off counts as not written.
pub(super) fn read(path: &Path) -> Result<(Vec<CaseReport>, Option<Name>)> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), None)),
        Err(e) => return Err(e).with_context(|| format!("reading {}", path.display())),
    };
    let (mut done, mut open) = (Vec::new(), None);
    for entry in text.lines().map_while(|line| serde_json::from_str(line).ok()) {
        match entry {
            Entry::Begun(op, seed) => open = Some((op, seed)),
            Entry::Done(case) => {
                open = None;
                done.push(*case);
            }
        }
    }
    Ok((done, open))
}

/// Notes that the case which a journal leaves open has ended its process, and how. The case, if there is one.
pub(super) fn blame(path: &Path, how: &str) -> Result<Option<Name>> {
    let Some((op, seed)) = read(path)?.1 else { return Ok(None) };
    let case = crashed(&op, seed, how).map_err(anyhow::Error::msg)?;
    Journal::open(path)?.note(Moment::Done(&case))?;
    Ok(Some((op, seed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_that_ends_its_process_is_blamed_once() {
        let path = std::env::temp_dir().join(format!("gatefold_journal_{}", std::process::id()));
        let mut journal = Journal::open(&path).unwrap();
        let fine = CaseReport { lost: false, faults: Vec::new(), ..crashed("gemm", 3, "").unwrap() };
        journal.note(Moment::Begun("gemm", 3)).unwrap();
        journal.note(Moment::Done(&fine)).unwrap();
        assert_eq!(blame(&path, "signal").unwrap(), None);
        journal.note(Moment::Begun("gemm", 4)).unwrap();
        assert_eq!(blame(&path, "signal: 11").unwrap(), Some(("gemm".into(), 4)));
        assert_eq!(blame(&path, "signal: 11").unwrap(), None);
        let (done, open) = read(&path).unwrap();
        assert_eq!((done.len(), open, done[1].seed, done[1].lost), (2, None, 4, true));
        assert_eq!(done[1].faults, ["signal: 11"]);
        std::fs::remove_file(&path).unwrap();
    }
}
