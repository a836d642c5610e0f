//! What is wrong with a kernel, and where.

use std::fmt;

use serde::Serialize;

/// Kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// Two invocations use one place, one of them writes, and no barrier lies between.
    DataRace,
    /// An index beyond the end, before anything clamps it.
    OutOfBounds,
    /// A read of what nobody has written.
    Uninitialised,
    /// Some invocations of a workgroup wait at a barrier that others do not reach.
    DivergentBarrier,
    /// Some lanes of a subgroup exchange values while others are elsewhere.
    DivergentSubgroup,
    /// More loop trips of one invocation than allowed.
    TooManyTrips,
    /// An integer divided by zero, or the least one by −1.
    DivisionByZero,
    /// A shift by as many bits as a word has, or more.
    Shift,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DataRace => "data race",
            Self::OutOfBounds => "index out of bounds",
            Self::Uninitialised => "read of what nobody has written",
            Self::DivergentBarrier => "barrier that not all invocations reach",
            Self::DivergentSubgroup => "subgroup operation that not all lanes reach",
            Self::TooManyTrips => "too many loop trips",
            Self::DivisionByZero => "integer division by zero",
            Self::Shift => "shift beyond the word",
        })
    }
}

/// An invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Site {
    /// `workgroup_id`.
    pub workgroup: [u32; 3],
    /// `local_invocation_id`.
    pub local: [u32; 3],
    /// `local_invocation_index`.
    pub invocation: u32,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workgroup: [gx, gy, gz], local: [x, y, z], .. } = self;
        write!(f, "invocation ({x}, {y}, {z}) of workgroup ({gx}, {gy}, {gz})")
    }
}

/// The other side of a race or of a divergence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// What it did.
    pub what: String,
    /// Who.
    pub site: Site,
    /// Line of the text, from 1; 0 if there is none (it has ended).
    pub line: u32,
}

/// One fault, at the place where it was first seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// Line of the text, from 1.
    pub line: u32,
    /// Column, from 1, in bytes.
    pub column: u32,
    /// Who.
    pub site: Site,
    /// The variable, if it is about one.
    pub variable: Option<String>,
    /// Which scalar of the variable, or which index into it.
    pub element: Option<i64>,
    /// In words, without place.
    pub message: String,
    /// The other invocation.
    pub conflict: Option<Conflict>,
    /// How often it was seen.
    pub count: u64,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.line, self.column, self.kind, self.message)?;
        write!(f, "; {}", self.site)?;
        if let Some(Conflict { what, site, line }) = &self.conflict {
            write!(f, "; {what} by {site}")?;
            if *line > 0 {
                write!(f, " at line {line}")?;
            }
        }
        if self.count > 1 {
            write!(f, "; seen {} times", self.count)?;
        }
        Ok(())
    }
}
