//! Bringing device memory back to the host: a buffer that the host can map is read where it lies, the others by way of one staging
//! buffer, or as few as the device's buffer size allows.

use wgpu::BufferUsages as Usage;

use crate::RunError;
use crate::device::{Handle, Mapping, Recorder};

/// A range of a device buffer that the host wants.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) buffer: wgpu::Buffer,
    /// First byte, a multiple of 4.
    pub(crate) offset: u64,
    /// Bytes, a multiple of 4, more than 0.
    pub(crate) bytes: u64,
}

/// A range to be mapped, and the pieces that lie in it with their first byte.
struct Mapped {
    buffer: wgpu::Buffer,
    offset: u64,
    bytes: u64,
    staging: bool,
    pieces: Vec<(usize, u64)>,
}

/// Pieces and where they are mapped. Staging that was not [released](Self::release), since the run failed, is zeroed and freed.
pub(crate) struct Readback<'a> {
    handle: &'a Handle,
    pieces: Vec<Piece>,
    mapped: Vec<Mapped>,
}

/// Which pieces share a staging buffer, and its size: `(bytes, pieces with their first byte)`.
fn staged(pieces: &[Piece], most: u64) -> Vec<(u64, Vec<(usize, u64)>)> {
    let mut all: Vec<(u64, Vec<(usize, u64)>)> = Vec::new();
    for (index, piece) in pieces.iter().enumerate().filter(|(_, p)| !p.is_mappable()) {
        match all.last_mut() {
            Some((bytes, here)) if *bytes + piece.bytes <= most => {
                here.push((index, *bytes));
                *bytes += piece.bytes;
            }
            _ => all.push((piece.bytes, vec![(index, 0)])),
        }
    }
    all
}

impl Piece {
    fn is_mappable(&self) -> bool {
        self.buffer.usage().contains(Usage::MAP_READ)
    }
}

impl<'a> Readback<'a> {
    /// Allocates staging for the pieces that need it.
    pub(crate) async fn new(handle: &'a Handle, pieces: Vec<Piece>) -> Result<Self, RunError> {
        let direct = pieces.iter().enumerate().filter(|(_, p)| p.is_mappable());
        let of_piece = |(index, p): (usize, &Piece)| {
            let (buffer, pieces) = (p.buffer.clone(), vec![(index, 0)]);
            Mapped { buffer, offset: p.offset, bytes: p.bytes, staging: false, pieces }
        };
        let mapped: Vec<_> = direct.map(of_piece).collect();
        let staged = staged(&pieces, handle.limits().max_buffer_size);
        let mut made = Self { handle, pieces, mapped };
        for (bytes, here) in staged {
            let buffer = handle.buffer("staging", bytes, Usage::MAP_READ | Usage::COPY_DST).await?;
            made.mapped.push(Mapped { buffer, offset: 0, bytes, staging: true, pieces: here });
        }
        Ok(made)
    }

    /// Records the copies into staging.
    pub(crate) fn record(&self, recorder: &mut Recorder<'_>) {
        for staging in self.mapped.iter().filter(|m| m.staging) {
            for &(index, at) in &staging.pieces {
                let Piece { buffer, offset, bytes } = &self.pieces[index];
                recorder.copy((buffer, *offset), (&staging.buffer, at), *bytes);
            }
        }
    }

    /// Asks for the mappings; to be called after the submission and before the wait.
    pub(crate) async fn map(&self) -> Result<Vec<Mapping>, RunError> {
        let mut mappings = Vec::with_capacity(self.mapped.len());
        for m in &self.mapped {
            mappings.push(self.handle.map(m.name(), &m.buffer, m.offset..m.offset + m.bytes).await?);
        }
        Ok(mappings)
    }

    /// Hands each piece's bytes to `each`, by index.
    pub(crate) async fn read(
        &self,
        mappings: Vec<Mapping>,
        mut each: impl FnMut(usize, &[u8]),
    ) -> Result<(), RunError> {
        for (m, mapping) in self.mapped.iter().zip(mappings) {
            let visit = |bytes: &[u8]| {
                for &(index, at) in &m.pieces {
                    let start = usize::try_from(at).unwrap_or(usize::MAX);
                    let length = usize::try_from(self.pieces[index].bytes).unwrap_or(usize::MAX);
                    each(index, &bytes[start..start + length]);
                }
            };
            self.handle.read(m.name(), mapping, visit).await?;
        }
        Ok(())
    }

    /// Gives the staging buffers to the next run. Everything has been read.
    pub(crate) fn release(mut self) {
        self.take_staging().into_iter().for_each(|buffer| self.handle.keep(buffer));
    }

    fn take_staging(&mut self) -> Vec<wgpu::Buffer> {
        std::mem::take(&mut self.mapped).into_iter().filter(|m| m.staging).map(|m| m.buffer).collect()
    }
}

impl Drop for Readback<'_> {
    fn drop(&mut self) {
        let staging = self.take_staging();
        self.handle.wipe(staging);
    }
}

impl Mapped {
    fn name(&self) -> &'static str {
        if self.staging { "staging" } else { "an output" }
    }
}
