//! Recording and submitting commands.

use super::{Call, Handle, Site};
use crate::RunError;
use crate::bindings::Job;

/// An encoder, this crate's own or the caller's, with the commands that plans are made of. What is wrong with one of them wgpu reports
/// when the encoder is finished.
pub(crate) struct Recorder<'a>(&'a mut wgpu::CommandEncoder);

impl Recorder<'_> {
    /// Copies a range.
    pub(crate) fn copy(&mut self, from: (&wgpu::Buffer, u64), to: (&wgpu::Buffer, u64), bytes: u64) {
        self.0.copy_buffer_to_buffer(from.0, from.1, to.0, to.1, bytes);
    }

    /// Fills a range with zeros.
    pub(crate) fn clear(&mut self, buffer: &wgpu::Buffer, offset: u64, bytes: u64) {
        self.0.clear_buffer(buffer, offset, Some(bytes));
    }

    /// Writes timestamps into a buffer.
    pub(crate) fn times(&mut self, set: &wgpu::QuerySet, buffer: &wgpu::Buffer) {
        self.0.resolve_query_set(set, 0..set.count(), buffer, 0);
    }

    /// Dispatches in order, as one pass. A pipeline that is set stays set.
    pub(crate) fn pass(
        &mut self,
        label: &str,
        timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
        jobs: &[Job],
    ) {
        let descriptor = wgpu::ComputePassDescriptor { label: Some(label), timestamp_writes };
        let mut pass = self.0.begin_compute_pass(&descriptor);
        let mut set = None;
        for job in jobs {
            if set != Some(job.step) {
                pass.set_pipeline(&job.pipeline);
                set = Some(job.step);
            }
            pass.set_bind_group(0, &job.group, job.params.as_slice());
            pass.dispatch_workgroups(job.grid[0], job.grid[1], job.grid[2]);
        }
    }
}

impl Handle {
    /// Records commands.
    pub(crate) async fn record(
        &self,
        name: &str,
        f: impl FnOnce(&mut Recorder<'_>),
    ) -> Result<wgpu::CommandBuffer, RunError> {
        let recorded = self.call(Call::new(Site::Record, name), || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(name) });
            f(&mut Recorder(&mut encoder));
            encoder.finish()
        });
        recorded.await
    }

    /// Records commands into the caller's encoder. Allocates nothing.
    pub(crate) fn record_into<'a>(
        &self,
        name: &str,
        encoder: &'a mut wgpu::CommandEncoder,
    ) -> Result<Recorder<'a>, RunError> {
        self.enter(&Call::new(Site::Encode, name))?;
        Ok(Recorder(encoder))
    }

    /// Submits commands.
    pub(crate) async fn submit(
        &self,
        name: &str,
        commands: wgpu::CommandBuffer,
    ) -> Result<wgpu::SubmissionIndex, RunError> {
        self.call(Call::new(Site::Submit, name), || self.queue.submit([commands])).await
    }
}
