//! The one door to wgpu: every call that can fail passes [`Handle::call`], where it is refused on a lost device, scoped for errors, and
//! where a test can make it fail.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::RunError;
use crate::faults::{FaultKind, FaultPlan, injected};
use crate::pool::Pool;
use crate::signal::{Signal, lock};
use crate::watch::{Clock, Watch};

/// What is known about a device's state, shared with its callbacks.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Why the device was lost.
    lost: Mutex<Option<String>>,
    /// First error that no scope caught.
    uncaptured: Mutex<Option<String>>,
}

impl Health {
    /// Marks the device as lost. The first reason stays.
    pub(crate) fn lose(&self, reason: String) {
        lock(&self.lost).get_or_insert(reason);
    }

    /// wgpu's poll panics in two events. If the driver reports the loss of the device during a wait, the device is lost. If a wait timed
    /// out and another thread's submit saw the queue empty before this poll did (wgpu 30; gfx-rs/wgpu#9958), it is a time-out: the next
    /// poll sees what the other saw.
    fn survive(
        &self,
        poll: impl FnOnce() -> Result<wgpu::PollStatus, wgpu::PollError>,
    ) -> Result<wgpu::PollStatus, wgpu::PollError> {
        std::panic::catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|panic| {
            let message = panic.downcast_ref::<String>().map_or("", String::as_str);
            if message.starts_with("If the queue is empty") {
                return Err(wgpu::PollError::Timeout);
            }
            self.lose("the driver failed during a wait".into());
            Ok(wgpu::PollStatus::Poll)
        })
    }

    fn lost_reason(&self) -> Option<String> {
        lock(&self.lost).clone()
    }
}

/// What a call does and to what, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    doing: &'static str,
    name: &'a str,
    bytes: u64,
}

impl<'a> Call<'a> {
    pub(crate) fn new(doing: &'static str, name: &'a str) -> Self {
        Self { doing, name, bytes: 0 }
    }

    pub(crate) fn sized(doing: &'static str, name: &'a str, bytes: u64) -> Self {
        Self { doing, name, bytes }
    }

    fn text(&self) -> String {
        format!("{} {}", self.doing, self.name)
    }

    pub(crate) fn map_failed(&self, message: String) -> RunError {
        RunError::MapFailed { what: self.text(), message }
    }
}

/// A device with its queue, health and planned faults.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) health: Arc<Health>,
    /// Whether kernels' buffers are mapped by the host: worth it where both share one memory.
    pub(crate) mapped: bool,
    pub(crate) pool: Pool,
    faults: Option<Arc<FaultPlan>>,
    /// Held while wgpu polls: two polls at a time make it panic, where one times out on a submission that the other sees end (wgpu 30;
    /// a submit polls as well, see [`Health::survive`]).
    polling: Mutex<()>,
    /// Threads that wait for the device.
    waiting: AtomicUsize,
    /// Opened by this crate, so its loss is reported by callback.
    own: bool,
}

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
const SHARED_SLICE: std::time::Duration = std::time::Duration::from_millis(2);

/// Time without progress after which an empty submission is sent: a killed context may report its loss only then.
const NUDGE: std::time::Duration = std::time::Duration::from_secs(2);

/// Runs `f` inside three error scopes. They are popped at once, so nothing thread-bound is held over an await.
fn scoped<T>(device: &wgpu::Device, f: impl FnOnce() -> T) -> (T, [impl Future<Output = Option<wgpu::Error>>; 3]) {
    let filters = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory];
    let [internal, validation, memory] = filters.map(|filter| device.push_error_scope(filter));
    let value = f();
    let (memory, validation) = (memory.pop(), validation.pop());
    (value, [memory, validation, internal.pop()])
}

impl Handle {
    /// `own`: opened by this crate, which may then set the device's callbacks. A caller's own device keeps its own.
    pub(crate) fn new(
        (device, queue): (wgpu::Device, wgpu::Queue),
        own: bool,
        mapped: bool,
        faults: Option<Arc<FaultPlan>>,
    ) -> Self {
        let health = Arc::new(Health::default());
        if own {
            let noted = Arc::clone(&health);
            device.set_device_lost_callback(move |reason, message| {
                noted.lose(format!("{reason:?} {message}").trim().into())
            });
            let noted = Arc::clone(&health);
            device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
                lock(&noted.uncaptured).get_or_insert(error.to_string());
            }));
        }
        let (polling, waiting) = (Mutex::new(()), AtomicUsize::new(0));
        Self { device, queue, health, mapped, pool: Pool::default(), faults, polling, waiting, own }
    }

    /// Refuses if the device is lost or an error came up outside of every call.
    pub(crate) fn check(&self, call: &Call<'_>) -> Result<(), RunError> {
        if let Some(reason) = self.health.lost_reason() {
            return Err(RunError::DeviceLost { when: call.text(), reason });
        }
        match lock(&self.health.uncaptured).take() {
            Some(message) => Err(RunError::Internal { what: call.text(), message }),
            None => Ok(()),
        }
    }

    /// Lets wgpu deliver what it has to say, such as the loss of the device.
    pub(crate) fn look(&self, call: &Call<'_>) -> Result<(), RunError> {
        // While another thread polls, it is told.
        if let Ok(_turn) = self.polling.try_lock() {
            let _ = self.poll(wgpu::PollType::Poll);
        }
        self.check(call)
    }

    /// The planned fault of this call, if it is its turn.
    fn inject(&self, call: &Call<'_>) -> Result<(), RunError> {
        match self.faults.as_ref().and_then(|f| f.next()) {
            None => Ok(()),
            Some(FaultKind::Lost) => {
                self.device.destroy();
                self.look(call)
            }
            Some(kind) => Err(injected(kind, &call.text(), call.bytes)),
        }
    }

    fn named(&self, call: &Call<'_>, error: wgpu::Error) -> RunError {
        let what = call.text();
        match error {
            wgpu::Error::OutOfMemory { .. } => RunError::OutOfMemory { what, bytes: call.bytes },
            wgpu::Error::Validation { description, .. } => RunError::Validation { what, message: description },
            wgpu::Error::Internal { description, .. } => RunError::Internal { what, message: description },
        }
    }

    /// Whether the next call may be made: no planned fault, no lost device.
    pub(crate) fn enter(&self, call: &Call<'_>) -> Result<(), RunError> {
        self.inject(call)?;
        self.check(call)
    }

    /// One call to wgpu.
    pub(crate) async fn call<T>(&self, call: Call<'_>, f: impl FnOnce() -> T) -> Result<T, RunError> {
        self.enter(&call)?;
        self.entered(call, f).await
    }

    /// A call after [`Handle::enter`].
    pub(crate) async fn entered<T>(&self, call: Call<'_>, f: impl FnOnce() -> T) -> Result<T, RunError> {
        let (value, scopes) = scoped(&self.device, f);
        for scope in scopes {
            if let Some(error) = scope.await {
                if !self.own {
                    self.feel().await;
                }
                self.look(&call)?;
                return Err(self.named(&call, error));
            }
        }
        self.check(&call)?;
        Ok(value)
    }

    /// Finds out whether a device without callback is lost: wgpu gives an invalid buffer then, in silence, and refuses to write to it.
    async fn feel(&self) {
        let usage = wgpu::BufferUsages::COPY_DST;
        let descriptor = wgpu::BufferDescriptor { label: Some("pulse"), size: 4, usage, mapped_at_creation: false };
        let (_, scopes) = scoped(&self.device, || {
            let buffer = self.device.create_buffer(&descriptor);
            self.queue.write_buffer(&buffer, 0, &[0; 4]);
        });
        for scope in scopes {
            if scope.await.is_some_and(|e| matches!(e, wgpu::Error::Validation { .. })) {
                self.health.lose("the device takes no calls any more".into());
            }
        }
    }

    /// One wait, in this thread's turn; short if others wait too, who may be served sooner.
    fn poll_for(&self, index: &wgpu::SubmissionIndex, watch: &Watch) -> Result<wgpu::PollStatus, wgpu::PollError> {
        let _turn = lock(&self.polling);
        let slice = if self.waiting.load(Ordering::Relaxed) > 1 { SHARED_SLICE } else { watch.slice() };
        self.poll(wgpu::PollType::Wait { submission_index: Some(index.clone()), timeout: Some(slice) })
    }

    /// Polls; a panic in it is an error like any other.
    fn poll(&self, poll: wgpu::PollType) -> Result<wgpu::PollStatus, wgpu::PollError> {
        self.health.survive(|| self.device.poll(poll))
    }

    /// A buffer: one that a finished run left, else a new one, zeroed.
    pub(crate) async fn buffer(
        &self,
        name: &str,
        size: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, RunError> {
        if let Some(kept) = self.pool.take(size, usage) {
            return Ok(kept);
        }
        let have = self.device.limits().max_buffer_size;
        if size > have {
            return Err(RunError::TooLarge { what: name.into(), need: size, have });
        }
        let descriptor = wgpu::BufferDescriptor { label: Some(name), size, usage, mapped_at_creation: false };
        let call = Call::sized("allocating", name, size);
        self.enter(&call)?;
        let made = self.entered(call, || self.device.create_buffer(&descriptor)).await;
        // What is kept must not be in the way of what is needed.
        if matches!(made, Err(RunError::OutOfMemory { .. })) && self.pool.clear() {
            self.look(&call)?;
            return self.entered(call, || self.device.create_buffer(&descriptor)).await;
        }
        made
    }

    /// Records commands.
    pub(crate) async fn record(
        &self,
        name: &str,
        f: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<wgpu::CommandBuffer, RunError> {
        let recorded = self.call(Call::new("recording", name), || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(name) });
            f(&mut encoder);
            encoder.finish()
        });
        recorded.await
    }

    /// Submits commands.
    pub(crate) async fn submit(
        &self,
        name: &str,
        commands: wgpu::CommandBuffer,
    ) -> Result<wgpu::SubmissionIndex, RunError> {
        self.call(Call::new("submitting", name), || self.queue.submit([commands])).await
    }

    /// Waits for a submission, looking at deadline, cancel token and loss many times a second. In a browser it awaits the queue instead.
    pub(crate) async fn wait(&self, name: &str, index: &wgpu::SubmissionIndex, watch: &Watch) -> Result<(), RunError> {
        let _waiting = Waiting::begin(&self.waiting);
        let call = Call::new("waiting for", name);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_queue_seen_by_another_thread_is_a_timeout() {
        let health = Health::default();
        let (current, wait) = (21, 23);
        let polled =
            health.survive(|| panic!("If the queue is empty, the current submission index ({current}) is not {wait}"));
        assert!(matches!(polled, Err(wgpu::PollError::Timeout)));
        assert_eq!(health.lost_reason(), None);
    }

    #[test]
    fn any_other_panic_of_a_poll_is_the_loss_of_the_device() {
        for message in ["Parent device is lost".to_string(), String::new()] {
            let health = Health::default();
            assert!(health.survive(|| panic!("{message}")).is_ok());
            assert_eq!(health.lost_reason().as_deref(), Some("the driver failed during a wait"));
        }
        let health = Health::default();
        assert!(health.survive(|| panic!("text without arguments")).is_ok());
        assert!(health.lost_reason().is_some());
    }
}
