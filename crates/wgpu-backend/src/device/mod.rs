//! The one door to wgpu: no other file of this crate calls it (`cargo xtask check` looks). Every call that can fail passes
//! [`Handle::call`], where it is refused on a lost device, scoped for errors, and where a test can make it fail; [`Site`] names them all.
//! What cannot fail, and only asks (limits, features, sizes), is no call in this sense.

mod compile;
mod faults;
mod health;
mod mapping;
mod memory;
mod open;
mod record;
mod site;
mod wait;

use std::future::Future;
use std::ops::Deref;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

pub(crate) use compile::{Variant, cached};
use faults::injected;
pub use faults::{FaultKind, FaultPlan};
pub(crate) use health::Health;
pub(crate) use mapping::Mapping;
pub(crate) use open::{enumerate, experimental, request};
pub(crate) use record::Recorder;
pub use site::Site;

use crate::RunError;
use crate::pool::Pool;

/// What a call does and to what, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    site: Site,
    name: &'a str,
    bytes: u64,
}

impl<'a> Call<'a> {
    pub(crate) fn new(site: Site, name: &'a str) -> Self {
        Self { site, name, bytes: 0 }
    }

    pub(crate) fn sized(site: Site, name: &'a str, bytes: u64) -> Self {
        Self { site, name, bytes }
    }

    fn text(&self) -> String {
        format!("{} {}", self.site.doing(), self.name)
    }

    fn map_failed(&self, message: String) -> RunError {
        RunError::MapFailed { what: self.text(), message }
    }
}

/// A device with its queue, health and planned faults.
#[derive(Debug)]
pub(crate) struct Shared {
    device: wgpu::Device,
    queue: wgpu::Queue,
    pub(crate) health: Arc<Health>,
    /// Whether kernels' buffers are mapped by the host: worth it where both share one memory.
    pub(crate) mapped: bool,
    /// Cleared buffers, for any owner.
    cleared: Pool,
    faults: Option<Arc<FaultPlan>>,
    /// Held while wgpu polls: two polls at a time make it panic, where one times out on a submission that the other sees end (wgpu 30;
    /// a submit polls as well, see [`Health::survive`]).
    polling: Mutex<()>,
    /// Threads that wait for the device.
    waiting: AtomicUsize,
}

/// One owner's access to a device: the buffers that its runs leave serve its own runs only, until they are cleared.
#[derive(Debug)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
    own: Pool,
}

impl Deref for Handle {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

/// Runs `f` inside three error scopes. They are popped at once, so nothing thread-bound is held over an await.
fn scoped<T>(device: &wgpu::Device, f: impl FnOnce() -> T) -> (T, [impl Future<Output = Option<wgpu::Error>>; 3]) {
    let filters = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory];
    let [internal, validation, memory] = filters.map(|filter| device.push_error_scope(filter));
    let value = f();
    let (memory, validation) = (memory.pop(), validation.pop());
    (value, [memory, validation, internal.pop()])
}

impl Shared {
    /// The device and the queue themselves, for the caller.
    pub(crate) fn bare(&self) -> (&wgpu::Device, &wgpu::Queue) {
        (&self.device, &self.queue)
    }

    /// Limits of the device.
    pub(crate) fn limits(&self) -> wgpu::Limits {
        self.device.limits()
    }

    /// Features of the device.
    pub(crate) fn features(&self) -> wgpu::Features {
        self.device.features()
    }

    /// Refuses if the device is lost or an error came up outside of every call.
    pub(crate) fn check(&self, call: &Call<'_>) -> Result<(), RunError> {
        if let Some(reason) = self.health.lost_reason() {
            return Err(RunError::DeviceLost { when: call.text(), reason });
        }
        match self.health.noted() {
            Some(message) => Err(RunError::Internal { what: call.text(), message }),
            None => Ok(()),
        }
    }

    /// Lets wgpu deliver what it has to say, such as the loss of the device.
    fn look(&self, call: &Call<'_>) -> Result<(), RunError> {
        // While another thread polls, it is told.
        if let Ok(_turn) = self.polling.try_lock() {
            let _ = self.poll(wgpu::PollType::Poll);
        }
        self.check(call)
    }

    /// Begins with `name`: whether the device still lives.
    pub(crate) fn begin(&self, name: &str) -> Result<(), RunError> {
        let call = Call::new(Site::Look, name);
        self.enter(&call)?;
        self.look(&call)
    }

    /// The planned fault of this call, if it is its turn.
    fn inject(&self, call: &Call<'_>) -> Result<(), RunError> {
        match self.faults.as_ref().and_then(|f| f.next(call.site)) {
            None => Ok(()),
            Some(FaultKind::Lost) => {
                self.device.destroy();
                if let Ok(_turn) = self.polling.try_lock() {
                    // the loss is told once nothing is in flight
                    let _ = self.poll(wgpu::PollType::wait_indefinitely());
                }
                self.look(call)
            }
            Some(kind) => Err(injected(kind, &call.text(), call.bytes)),
        }
    }

    fn named(call: &Call<'_>, error: wgpu::Error) -> RunError {
        let what = call.text();
        match error {
            wgpu::Error::OutOfMemory { .. } => RunError::OutOfMemory { what, bytes: call.bytes },
            wgpu::Error::Validation { description, .. } => RunError::Validation { what, message: description },
            wgpu::Error::Internal { description, .. } => RunError::Internal { what, message: description },
        }
    }

    /// Whether the next call may be made: no planned fault, no lost device.
    fn enter(&self, call: &Call<'_>) -> Result<(), RunError> {
        self.inject(call)?;
        self.check(call)
    }

    /// One call to wgpu.
    async fn call<T>(&self, call: Call<'_>, f: impl FnOnce() -> T) -> Result<T, RunError> {
        self.enter(&call)?;
        self.entered(call, f).await
    }

    /// A call after [`Shared::enter`].
    async fn entered<T>(&self, call: Call<'_>, f: impl FnOnce() -> T) -> Result<T, RunError> {
        let (value, scopes) = scoped(&self.device, f);
        for scope in scopes {
            if let Some(error) = scope.await {
                self.look(&call)?;
                self.feel().await;
                self.check(&call)?;
                return Err(Self::named(&call, error));
            }
        }
        self.check(&call)?;
        Ok(value)
    }

    /// Finds out whether a device is lost that has no callback, or whose callback waits until what is in flight has ended: wgpu gives an invalid buffer
    /// then, in silence, and refuses to write to it.
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

    /// Polls; a panic in it is an error like any other.
    fn poll(&self, poll: wgpu::PollType) -> Result<wgpu::PollStatus, wgpu::PollError> {
        self.health.survive(|| self.device.poll(poll))
    }
}

impl Handle {
    /// `ours`: opened by this crate, which may then set the device's callbacks. A caller's own device keeps its own.
    pub(crate) fn new(
        (device, queue): (wgpu::Device, wgpu::Queue),
        ours: bool,
        mapped: bool,
        faults: Option<Arc<FaultPlan>>,
    ) -> Self {
        let health = Arc::new(Health::default());
        if ours {
            let noted = Arc::clone(&health);
            device.set_device_lost_callback(move |reason, message| {
                noted.lose(format!("{reason:?} {message}").trim().into())
            });
            let noted = Arc::clone(&health);
            device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| noted.note(error.to_string())));
        }
        let (polling, waiting, cleared) = (Mutex::new(()), AtomicUsize::new(0), Pool::default());
        let shared = Arc::new(Shared { device, queue, health, mapped, cleared, faults, polling, waiting });
        Self { shared, own: Pool::default() }
    }

    /// The same device for another owner.
    pub(crate) fn for_another(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), own: Pool::default() }
    }
}
