//! Time per step, by the device's own clock where it has one.

use crate::RunError;
use crate::device::{Handle, Recorder};
use crate::readback::Piece;

/// Which clock measured the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepClock {
    /// Timestamps of the device: the kernels alone.
    Gpu,
    /// The host's clock around submission and wait: about 0.1 ms too much per step.
    Host,
}

/// Most queries of one set in WebGPU.
const MOST_QUERIES: u32 = 4096;

/// Begin and end of every pass.
pub(crate) struct Timestamps {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    /// The step of each pass.
    passes: Vec<usize>,
    /// Nanoseconds per tick.
    period: f64,
}

impl Timestamps {
    /// For passes that each belong to one step; `None` if there are too many for one query set.
    pub(crate) async fn new(handle: &Handle, passes: Vec<usize>) -> Result<Option<Self>, RunError> {
        let count = u32::try_from(passes.len() * 2).unwrap_or(u32::MAX);
        if count == 0 || count > MOST_QUERIES {
            return Ok(None);
        }
        let (set, period) = handle.timestamps("a run", count).await?;
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = handle.buffer("timestamps", u64::from(count) * 8, usage).await?;
        Ok(Some(Self { set, resolved, passes, period: f64::from(period) }))
    }

    /// Where the `pass`-th pass writes its times.
    pub(crate) fn writes(&self, pass: usize) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        let begin = u32::try_from(pass * 2).ok()?;
        Some(wgpu::ComputePassTimestampWrites {
            query_set: &self.set,
            beginning_of_pass_write_index: Some(begin),
            end_of_pass_write_index: Some(begin + 1),
        })
    }

    /// Records that the times are to be written to a buffer.
    pub(crate) fn record(&self, recorder: &mut Recorder<'_>) {
        recorder.times(&self.set, &self.resolved);
    }

    /// The buffer with the times.
    pub(crate) fn piece(&self) -> Piece {
        Piece { buffer: self.resolved.clone(), offset: 0, bytes: self.resolved.size() }
    }

    /// Seconds per step from the times read back.
    pub(crate) fn seconds(&self, bytes: &[u8], steps: usize) -> Vec<f64> {
        let mut seconds = vec![0.0; steps];
        let ticks: Vec<u64> =
            bytes.chunks_exact(8).map(|c| u64::from_le_bytes(c.try_into().unwrap_or([0; 8]))).collect();
        for (&step, times) in self.passes.iter().zip(ticks.chunks_exact(2)) {
            seconds[step] += times[1].saturating_sub(times[0]) as f64 * self.period * 1e-9;
        }
        seconds
    }
}
