//! Buffers: made, kept for the next run, cleared before another owner has them, freed.

use super::{Call, Handle, Site, scoped};
use crate::RunError;

/// What a handle's own kept buffers are cleared for.
const CLEARED: &str = "kept buffers";

/// Whether the host can see what is in a buffer, or puts it there.
fn is_staging(buffer: &wgpu::Buffer) -> bool {
    buffer.usage().intersects(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::MAP_WRITE)
}

/// Whether a buffer can be cleared.
fn can_be_cleared(buffer: &wgpu::Buffer) -> bool {
    buffer.usage().contains(wgpu::BufferUsages::COPY_DST)
}

impl Handle {
    /// A buffer: one that a finished run of this owner left, else a cleared one, else a new one, zeroed.
    pub(crate) async fn buffer(
        &self,
        name: &str,
        size: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, RunError> {
        if let Some(kept) = self.own.take(size, usage).or_else(|| self.cleared.take(size, usage)) {
            return Ok(kept);
        }
        let have = self.device.limits().max_buffer_size;
        if size > have {
            return Err(RunError::TooLarge { what: name.into(), need: size, have });
        }
        let descriptor = wgpu::BufferDescriptor { label: Some(name), size, usage, mapped_at_creation: false };
        let call = Call::sized(Site::Allocate, name, size);
        self.enter(&call)?;
        let made = self.entered(call, || self.device.create_buffer(&descriptor)).await;
        // What is kept must not be in the way of what is needed.
        if matches!(made, Err(RunError::OutOfMemory { .. })) && self.free_kept() {
            self.look(&call)?;
            return self.entered(call, || self.device.create_buffer(&descriptor)).await;
        }
        made
    }

    /// Keeps a buffer that nothing uses any more for this owner's next run.
    pub(crate) fn keep(&self, buffer: wgpu::Buffer) {
        self.wipe(self.own.put(buffer));
    }

    /// Bytes kept, by this owner and for any.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.own.bytes() + self.cleared.bytes()
    }

    /// The buffers kept, by this owner and for any.
    pub(crate) fn kept(&self) -> Vec<wgpu::Buffer> {
        self.own.buffers().into_iter().chain(self.cleared.buffers()).collect()
    }

    /// Frees everything that is kept; whether there was anything.
    pub(crate) fn free_kept(&self) -> bool {
        let (own, cleared) = (self.own.take_all(), self.cleared.take_all());
        let any = !own.is_empty() || !cleared.is_empty();
        drop(cleared);
        self.wipe(own);
        any
    }

    /// Frees buffers. Those that the host sees are zeroed first: their memory may go to whoever asks the driver next. Never fails: what is
    /// of a lost device is gone with it.
    pub(crate) fn wipe(&self, buffers: Vec<wgpu::Buffer>) {
        let staging: Vec<_> = buffers.iter().filter(|b| is_staging(b) && can_be_cleared(b)).collect();
        if staging.is_empty() || self.health.lost_reason().is_some() {
            return;
        }
        // Popped and not awaited: an error of a buffer that goes away is nobody's.
        let _ = scoped(&self.device, || {
            let descriptor = wgpu::CommandEncoderDescriptor { label: Some("wipe") };
            let mut encoder = self.device.create_command_encoder(&descriptor);
            for buffer in staging {
                buffer.unmap();
                encoder.clear_buffer(buffer, 0, None);
            }
            self.queue.submit([encoder.finish()]);
        });
    }

    /// Clears this owner's kept buffers and leaves them to any other. After an error they are freed.
    pub(crate) async fn hand_over(&self) -> Result<(), RunError> {
        let (buffers, others): (Vec<_>, Vec<_>) = self.own.take_all().into_iter().partition(can_be_cleared);
        drop(others);
        if buffers.is_empty() {
            return Ok(());
        }
        self.begin(CLEARED)?;
        let recorded = self.record(CLEARED, |recorder| {
            buffers.iter().for_each(|buffer| recorder.clear(buffer, 0, buffer.size()));
        });
        let commands = recorded.await?;
        self.submit(CLEARED, commands).await?;
        // Whoever takes one of them comes after the submission, in the queue's order.
        buffers.into_iter().for_each(|buffer| drop(self.cleared.put(buffer)));
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.wipe(self.own.take_all());
    }
}
