//! Time: a clock that exists in a browser too, and the watch over a run's deadline, cancel token and progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::RunError;

/// Host clock. `wasm32-unknown-unknown` has none in std: there every interval is 0 and deadlines never pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    #[cfg(not(target_arch = "wasm32"))]
    start: std::time::Instant,
}

impl Clock {
    /// Starts at 0.
    pub(crate) fn start() -> Self {
        Self {
            #[cfg(not(target_arch = "wasm32"))]
            start: std::time::Instant::now(),
        }
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        #[cfg(not(target_arch = "wasm32"))]
        return self.start.elapsed();
        #[cfg(target_arch = "wasm32")]
        Duration::ZERO
    }
}

/// Longest single wait for the device, so that the deadline and the cancel token are looked at in between, and a thread that comes
/// to wait as well has its turn soon.
const SLICE: Duration = Duration::from_millis(20);

/// Watches one run.
#[derive(Debug)]
pub(crate) struct Watch {
    clock: Clock,
    deadline: Option<Duration>,
    cancel: Option<Arc<AtomicBool>>,
    /// Time without progress after which the device counts as hung.
    pub(crate) patience: Duration,
}

impl Watch {
    pub(crate) fn new(deadline: Option<Duration>, cancel: Option<Arc<AtomicBool>>, patience: Duration) -> Self {
        Self { clock: Clock::start(), deadline, cancel, patience }
    }

    /// Refuses to go on after the deadline or a cancel. `what` comes next.
    pub(crate) fn check(&self, what: &str) -> Result<(), RunError> {
        if self.cancel.as_ref().is_some_and(|c| c.load(Ordering::Relaxed)) {
            return Err(RunError::Cancelled { what: what.into() });
        }
        match self.deadline {
            Some(limit) if self.clock.elapsed() >= limit => {
                Err(RunError::TimeOut { what: what.into(), seconds: limit.as_secs_f64() })
            }
            _ => Ok(()),
        }
    }

    /// How long the next wait may be.
    pub(crate) fn slice(&self) -> Duration {
        let left = self.deadline.map_or(SLICE, |limit| limit.saturating_sub(self.clock.elapsed()));
        left.min(self.patience / 2).clamp(Duration::from_millis(1), SLICE)
    }

    /// Seconds since the run began.
    pub(crate) fn seconds(&self) -> f64 {
        self.clock.elapsed().as_secs_f64()
    }
}
