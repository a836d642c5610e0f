//! Bytes between host and device: through the queue's staging, or straight into a buffer that the host can map.

use super::{Call, Handle, Site};
use crate::RunError;
use crate::signal::Signal;
use crate::watch::Clock;

/// How long a mapping of an idle buffer may stay unanswered: another thread may be about to deliver the answer.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(10);

/// From this size on, mapping a buffer costs less than the queue's detour over a staging buffer of its own.
const WORTH_MAPPING: u64 = 16 << 10;

/// A mapping that was asked for.
pub(crate) struct Mapping {
    buffer: wgpu::Buffer,
    range: std::ops::Range<u64>,
    done: Signal<Result<(), String>>,
}

/// Where wgpu's answer goes. A poll that panicked (see `Health::survive`) has mapped the buffer and drops the callback unheard; whether
/// it is mapped, the view of its range tells then.
struct Answer(Option<Signal<Result<(), String>>>);

impl Answer {
    fn give(mut self, mapped: Result<(), String>) {
        if let Some(signal) = self.0.take() {
            signal.set(mapped);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(signal) = self.0.take() {
            signal.set(Ok(()));
        }
    }
}

impl Handle {
    /// What inputs of this size are allocated with beside what kernels need.
    pub(crate) fn upload_usage(&self, bytes: u64) -> wgpu::BufferUsages {
        let mapped = self.mapped && bytes >= WORTH_MAPPING;
        if mapped { wgpu::BufferUsages::MAP_WRITE } else { wgpu::BufferUsages::empty() }
    }

    /// What outputs are allocated with beside what kernels need.
    pub(crate) fn download_usage(&self) -> wgpu::BufferUsages {
        if self.mapped { wgpu::BufferUsages::MAP_READ } else { wgpu::BufferUsages::empty() }
    }

    /// Writes into a buffer that nothing uses at the moment. Offset and length are multiples of 4, of 8 for the offset in a mappable one.
    pub(crate) async fn write(
        &self,
        name: &str,
        buffer: &wgpu::Buffer,
        offset: u64,
        data: &[u8],
    ) -> Result<(), RunError> {
        let bytes = data.len() as u64;
        if !buffer.usage().contains(wgpu::BufferUsages::MAP_WRITE) {
            let call = Call::sized(Site::Write, name, bytes);
            return self.call(call, || self.queue.write_buffer(buffer, offset, data)).await;
        }
        let range = offset..offset + bytes;
        let call = Call::sized(Site::MapWrite, name, bytes);
        let mapping = self.ask(call, buffer, range.clone(), wgpu::MapMode::Write).await?;
        self.answered(&call, mapping.done).await?;
        let call = Call::sized(Site::WriteMapped, name, bytes);
        self.enter(&call)?;
        let mut view = buffer.get_mapped_range_mut(range).map_err(|e| call.map_failed(e.to_string()))?;
        view.copy_from_slice(data);
        drop(view);
        buffer.unmap();
        Ok(())
    }

    async fn ask(
        &self,
        call: Call<'_>,
        buffer: &wgpu::Buffer,
        range: std::ops::Range<u64>,
        mode: wgpu::MapMode,
    ) -> Result<Mapping, RunError> {
        let done = Signal::new();
        let answer = Answer(Some(done.clone()));
        let asked = self.call(call, || {
            buffer.map_async(mode, range.clone(), move |result| answer.give(result.map_err(|e| e.to_string())));
        });
        asked.await?;
        Ok(Mapping { buffer: buffer.clone(), range, done })
    }

    /// Waits until an idle buffer is mapped.
    async fn answered(&self, call: &Call<'_>, done: Signal<Result<(), String>>) -> Result<(), RunError> {
        let mapped = if cfg!(target_arch = "wasm32") {
            done.await
        } else {
            let clock = Clock::start();
            loop {
                self.look(call)?;
                match done.take() {
                    Some(mapped) => break mapped,
                    None if clock.elapsed() > ANSWER => break Err("the driver did not answer".into()),
                    None => std::thread::yield_now(),
                }
            }
        };
        mapped.map_err(|message| call.map_failed(message))
    }

    /// Asks for a range of a buffer to be mapped for reading once its last use has finished.
    pub(crate) async fn map(
        &self,
        name: &str,
        buffer: &wgpu::Buffer,
        range: std::ops::Range<u64>,
    ) -> Result<Mapping, RunError> {
        self.ask(Call::sized(Site::MapRead, name, buffer.size()), buffer, range, wgpu::MapMode::Read).await
    }

    /// The bytes of a mapped range. Its submission has finished.
    pub(crate) async fn read<T>(
        &self,
        name: &str,
        mapping: Mapping,
        f: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, RunError> {
        let Mapping { buffer, range, done } = mapping;
        let call = Call::sized(Site::ReadMapped, name, range.end - range.start);
        self.enter(&call)?;
        self.answered(&call, done).await?;
        let view = buffer.get_mapped_range(range).map_err(|e| call.map_failed(e.to_string()))?;
        let value = f(&view);
        drop(view);
        buffer.unmap();
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_that_is_dropped_unheard_does_not_keep_its_waiter() {
        let done = Signal::new();
        drop(Answer(Some(done.clone())));
        assert_eq!(done.take(), Some(Ok(())));
    }

    #[test]
    fn an_answer_is_given_once() {
        let done = Signal::new();
        Answer(Some(done.clone())).give(Err("not mapped".into()));
        assert_eq!(done.take(), Some(Err("not mapped".into())));
        assert_eq!(done.take(), None);
    }
}
