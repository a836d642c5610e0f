//! What is known about a device's state.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;

use crate::signal::lock;

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

    /// Notes an error that no scope caught. The first stays.
    pub(super) fn note(&self, message: String) {
        lock(&self.uncaptured).get_or_insert(message);
    }

    /// The error that no scope caught, once.
    pub(super) fn noted(&self) -> Option<String> {
        lock(&self.uncaptured).take()
    }

    /// wgpu's poll panics in two events. If the driver reports the loss of the device during a wait, the device is lost. If a wait timed
    /// out and another thread's submit saw the queue empty before this poll did (wgpu 30; gfx-rs/wgpu#9958), it is a time-out: the next
    /// poll sees what the other saw.
    pub(super) fn survive(
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

    /// Why the device was lost, if it was.
    pub(super) fn lost_reason(&self) -> Option<String> {
        lock(&self.lost).clone()
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
