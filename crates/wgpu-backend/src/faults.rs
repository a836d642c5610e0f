//! Faults on demand: lets a test make the n-th call to the device fail.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::RunError;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The device is out of memory.
    OutOfMemory,
    /// wgpu refuses the call.
    Validation,
    /// The driver fails inside.
    Internal,
    /// The device is destroyed for real, just before the call.
    Lost,
    /// The wait takes too long.
    TimeOut,
    /// A buffer cannot be mapped.
    MapFailed,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::OutOfMemory, Self::Validation, Self::Internal, Self::Lost, Self::TimeOut, Self::MapFailed];
}

/// One planned fault. Counts calls from when it was made or [armed](Self::arm).
#[derive(Debug, Default)]
pub struct FaultPlan {
    calls: AtomicU64,
    /// Call to fail, from 1; 0 for none.
    at: AtomicU64,
    /// Index into [`FaultKind::ALL`].
    kind: AtomicU64,
}

impl FaultPlan {
    /// No fault; only counts.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on the `n`-th call, from 0, fails. Once.
    pub fn arm(&self, kind: FaultKind, n: u64) {
        let index = FaultKind::ALL.iter().position(|&k| k == kind).unwrap_or(0);
        self.kind.store(index as u64, Ordering::SeqCst);
        self.calls.store(0, Ordering::SeqCst);
        self.at.store(n + 1, Ordering::SeqCst);
    }

    /// No fault from now on; counts from 0.
    pub fn disarm(&self) {
        self.at.store(0, Ordering::SeqCst);
        self.calls.store(0, Ordering::SeqCst);
    }

    /// Calls since the last [`arm`](Self::arm) or [`disarm`](Self::disarm).
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Counts a call; the fault, if it is this call's turn.
    pub(crate) fn next(&self) -> Option<FaultKind> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if call != self.at.load(Ordering::SeqCst) {
            return None;
        }
        let index = usize::try_from(self.kind.load(Ordering::SeqCst)).unwrap_or(0);
        FaultKind::ALL.get(index).copied()
    }
}

/// The error that a fault of this kind shows as; `Lost` is not made up but happens.
pub(crate) fn injected(kind: FaultKind, what: &str, bytes: u64) -> RunError {
    let (what, message) = (what.to_owned(), "injected by a test".to_owned());
    match kind {
        FaultKind::OutOfMemory => RunError::OutOfMemory { what, bytes },
        FaultKind::Validation => RunError::Validation { what, message },
        FaultKind::Internal => RunError::Internal { what, message },
        FaultKind::Lost => RunError::DeviceLost { when: what, reason: message },
        FaultKind::TimeOut => RunError::TimeOut { what, seconds: 0.0 },
        FaultKind::MapFailed => RunError::MapFailed { what, message },
    }
}
