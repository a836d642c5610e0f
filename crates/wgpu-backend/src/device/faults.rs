//! Faults on demand: lets a test make the n-th call to the device fail, and says which calls there were.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::Site;
use crate::RunError;
use crate::signal::lock;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

#[derive(Debug, Default)]
struct State {
    /// Where the calls since the last arm or disarm were made.
    sites: Vec<Site>,
    /// Call to fail, from 0, and how.
    armed: Option<(usize, FaultKind)>,
    injected: BTreeSet<(Site, FaultKind)>,
}

/// One planned fault. Counts calls from when it was made or [armed](Self::arm).
#[derive(Debug, Default)]
pub struct FaultPlan(Mutex<State>);

impl FaultPlan {
    /// No fault; only counts.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on the `n`-th call, from 0, fails. Once.
    pub fn arm(&self, kind: FaultKind, n: usize) {
        let mut state = lock(&self.0);
        state.sites.clear();
        state.armed = Some((n, kind));
    }

    /// No fault from now on; counts from 0.
    pub fn disarm(&self) {
        let mut state = lock(&self.0);
        state.sites.clear();
        state.armed = None;
    }

    /// Where the calls since the last [`arm`](Self::arm) or [`disarm`](Self::disarm) were made, in order.
    pub fn sites(&self) -> Vec<Site> {
        lock(&self.0).sites.clone()
    }

    /// Every fault that has happened, and where, since this was made.
    pub fn injected(&self) -> BTreeSet<(Site, FaultKind)> {
        lock(&self.0).injected.clone()
    }

    /// Counts a call; the fault, if it is this call's turn.
    pub(super) fn next(&self, site: Site) -> Option<FaultKind> {
        let mut state = lock(&self.0);
        let call = state.sites.len();
        state.sites.push(site);
        let (_, kind) = state.armed.filter(|(at, _)| *at == call)?;
        state.injected.insert((site, kind));
        Some(kind)
    }
}

/// The error that a fault of this kind shows as; `Lost` is not made up but happens.
pub(super) fn injected(kind: FaultKind, what: &str, bytes: u64) -> RunError {
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
