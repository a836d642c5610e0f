//! Waiting for the device: in slices, with an eye on deadline, cancel token, loss and progress.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Call, Handle, Site};
use crate::RunError;
use crate::signal::{Signal, lock};
use crate::watch::{Clock, Watch};

/// A thread that waits, counted while it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Longest wait in one turn while other threads wait as well.
const SHARED_SLICE: Duration = Duration::from_millis(2);

/// Time without progress after which an empty submission is sent: a killed context may report its loss only then.
const NUDGE: Duration = Duration::from_secs(2);

impl Handle {
    /// One wait, in this thread's turn; short if others wait too, who may be served sooner.
    fn poll_for(&self, index: &wgpu::SubmissionIndex, watch: &Watch) -> Result<wgpu::PollStatus, wgpu::PollError> {
        let _turn = lock(&self.polling);
        let slice = if self.waiting.load(Ordering::Relaxed) > 1 { SHARED_SLICE } else { watch.slice() };
        self.poll(wgpu::PollType::Wait { submission_index: Some(index.clone()), timeout: Some(slice) })
    }

    /// Waits for a submission, looking at deadline, cancel token and loss many times a second. In a browser it awaits the queue instead.
    pub(crate) async fn wait(&self, name: &str, index: &wgpu::SubmissionIndex, watch: &Watch) -> Result<(), RunError> {
        let _waiting = Waiting::begin(&self.waiting);
        let call = Call::new(Site::Wait, name);
        self.enter(&call)?;
        if cfg!(target_arch = "wasm32") {
            let done = Signal::new();
            let set = done.clone();
            self.queue.on_submitted_work_done(move || set.set(()));
            done.await;
            return self.check(&call);
        }
        let clock = Clock::start();
        let mut nudged = false;
        loop {
            match self.poll_for(index, watch) {
                Ok(_) => return self.check(&call),
                Err(wgpu::PollError::WrongSubmissionIndex(..)) => {
                    // The queue never took it: what wgpu does once a device is gone.
                    self.look(&call)?;
                    self.health.lose("the submission was not taken".into());
                }
                Err(wgpu::PollError::Timeout) => {}
            }
            // Whoever waits as well may be first now.
            std::thread::yield_now();
            self.check(&call)?;
            watch.check(&call.text())?;
            if clock.elapsed() >= NUDGE.min(watch.patience / 2) && !nudged {
                nudged = true;
                self.queue.submit([]);
            }
            if clock.elapsed() >= watch.patience {
                return Err(RunError::DeviceHung { what: call.text(), seconds: clock.elapsed().as_secs_f64() });
            }
        }
    }
}
