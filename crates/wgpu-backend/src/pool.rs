//! Buffers of finished runs, kept for the next one: new memory is zeroed and paged in, which costs more than filling it.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::signal::lock;

/// Most bytes kept.
const KEPT_BYTES: u64 = 256 << 20;

/// Most buffers kept. They are looked through one by one.
const KEPT: usize = 64;

/// Idle, unmapped buffers, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<VecDeque<wgpu::Buffer>>);

impl Pool {
    /// Takes a buffer of just this size and usage. Its contents are anything.
    pub(crate) fn take(&self, size: u64, usage: wgpu::BufferUsages) -> Option<wgpu::Buffer> {
        let mut kept = lock(&self.0);
        let found = kept.iter().rposition(|b| b.size() == size && b.usage() == usage)?;
        kept.remove(found)
    }

    /// Keeps a buffer that nothing uses any more. The oldest make room for it: they are returned.
    pub(crate) fn put(&self, buffer: wgpu::Buffer) -> Vec<wgpu::Buffer> {
        if buffer.size() > KEPT_BYTES {
            return vec![buffer];
        }
        let mut kept = lock(&self.0);
        kept.push_back(buffer);
        let mut gone = Vec::new();
        while kept.len() > KEPT || kept.iter().map(wgpu::Buffer::size).sum::<u64>() > KEPT_BYTES {
            gone.extend(kept.pop_front());
        }
        gone
    }

    /// Takes everything.
    pub(crate) fn take_all(&self) -> Vec<wgpu::Buffer> {
        std::mem::take(&mut *lock(&self.0)).into()
    }

    /// What is kept, and stays.
    pub(crate) fn buffers(&self) -> Vec<wgpu::Buffer> {
        lock(&self.0).iter().cloned().collect()
    }

    /// Bytes kept.
    pub(crate) fn bytes(&self) -> u64 {
        lock(&self.0).iter().map(wgpu::Buffer::size).sum()
    }
}
