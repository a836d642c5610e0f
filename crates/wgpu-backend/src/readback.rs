//! Bringing device memory back to the host: one staging buffer for all pieces, or as few as the device's buffer size allows.

use crate::RunError;
use crate::device::{Handle, Mapping};

/// A range of a device buffer that the host wants.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) buffer: wgpu::Buffer,
    /// First byte, a multiple of 4.
    pub(crate) offset: u64,
    /// Bytes, a multiple of 4, more than 0.
    pub(crate) bytes: u64,
}

/// Where a piece lies in staging.
struct Staged {
    staging: usize,
    at: u64,
}

/// Pieces and their staging buffers.
pub(crate) struct Readback {
    pieces: Vec<Piece>,
    staged: Vec<Staged>,
    buffers: Vec<wgpu::Buffer>,
}

impl Readback {
    /// Allocates staging for the pieces.
    pub(crate) async fn new(handle: &Handle, pieces: Vec<Piece>) -> Result<Self, RunError> {
        let most = handle.device.limits().max_buffer_size;
        let (mut staged, mut sizes) = (Vec::with_capacity(pieces.len()), Vec::<u64>::new());
        for piece in &pieces {
            if sizes.last().is_none_or(|size| size + piece.bytes > most) {
                sizes.push(0);
            }
            let staging = sizes.len() - 1;
            staged.push(Staged { staging, at: sizes[staging] });
            sizes[staging] += piece.bytes;
        }
        let mut buffers = Vec::with_capacity(sizes.len());
        for size in sizes {
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            buffers.push(handle.buffer("staging", size, usage).await?);
        }
        Ok(Self { pieces, staged, buffers })
    }

    /// Records the copies into staging.
    pub(crate) fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        for (piece, staged) in self.pieces.iter().zip(&self.staged) {
            let to = &self.buffers[staged.staging];
            encoder.copy_buffer_to_buffer(&piece.buffer, piece.offset, to, staged.at, piece.bytes);
        }
    }

    /// Asks for the staging buffers; to be called after the submission and before the wait.
    pub(crate) async fn map(&self, handle: &Handle) -> Result<Vec<Mapping>, RunError> {
        let mut mappings = Vec::with_capacity(self.buffers.len());
        for buffer in &self.buffers {
            mappings.push(handle.map("staging", buffer).await?);
        }
        Ok(mappings)
    }

    /// Hands each piece's bytes to `each`, by index.
    pub(crate) async fn read(
        &self,
        handle: &Handle,
        mappings: Vec<Mapping>,
        mut each: impl FnMut(usize, &[u8]),
    ) -> Result<(), RunError> {
        for (index, mapping) in mappings.into_iter().enumerate() {
            let here = self.staged.iter().enumerate().filter(|(_, s)| s.staging == index);
            let visit = |bytes: &[u8]| {
                for (piece, staged) in here {
                    let start = usize::try_from(staged.at).unwrap_or(usize::MAX);
                    let length = usize::try_from(self.pieces[piece].bytes).unwrap_or(usize::MAX);
                    each(piece, &bytes[start..start + length]);
                }
            };
            handle.read("staging", mapping, visit).await?;
        }
        Ok(())
    }
}
