//! An owner of buffers: what its runs leave is cleared before another may have it.

use std::ops::Deref;

use crate::{Gpu, RunError};

/// A device for one owner, such as one user of a server. Has all that a [`Gpu`] has, and shares its pipelines, plans and choices; buffers
/// that its runs leave serve its own runs only. When it [ends](Self::end), or is dropped, they are cleared, and only then may runs of
/// others have them.
///
/// The [`Gpu`] itself is an owner too: no session sees what it left.
#[derive(Debug)]
pub struct Session(Gpu);

impl Deref for Session {
    type Target = Gpu;

    fn deref(&self) -> &Gpu {
        &self.0
    }
}

impl Session {
    /// Clears what the session's runs left, and leaves it to others. Dropping does the same, in silence; in a browser it frees the buffers
    /// instead.
    ///
    /// # Errors
    /// Any fault of the device; the buffers are freed then.
    pub fn end(self) -> Result<(), RunError> {
        pollster::block_on(self.end_async())
    }

    /// As [`end`](Self::end).
    ///
    /// # Errors
    /// As [`end`](Self::end).
    pub async fn end_async(self) -> Result<(), RunError> {
        self.0.handle().hand_over().await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !cfg!(target_arch = "wasm32") {
            // After an error the buffers are freed, which is all that a drop can promise.
            let _ = pollster::block_on(self.0.handle().hand_over());
        }
    }
}

impl Gpu {
    /// The same device for an owner of its own: see [`Session`].
    pub fn session(&self) -> Session {
        Session(self.for_another())
    }

    /// The buffers kept for later runs, for tests that look into them.
    #[doc(hidden)]
    pub fn kept_buffers(&self) -> Vec<wgpu::Buffer> {
        self.handle().kept()
    }
}
