//! Fuzz targets of the readers, whose code lies beside the device's, and of a device. Written as those of `gatefold-fuzz` are.

#![forbid(unsafe_code)]

mod archives;
mod calls;
mod differential;
mod readers;

pub use calls::calls;
pub use differential::differential;
pub use readers::readers;

/// Makes what several inputs share: seconds, which are no input's.
pub fn prepare() {
    gatefold_fuzz::specs::prepare();
    archives::prepare();
}
