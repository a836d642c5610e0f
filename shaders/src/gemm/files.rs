//! The WGSL files of matrix products.

use gatefold_core::Gemm;

use super::tiles::Schedule;
use crate::Source;
use crate::source::wgsl;

pub(super) const PRODUCT: Source = wgsl!("gemm/product.wgsl");

/// How operands are accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    /// Whether stored rows of `a` and `b` are read as quads.
    pub(super) loads_quads: bool,
    /// Whether rows of `c` are written as quads.
    stores_quads: bool,
}

impl Access {
    pub(super) fn of(op: &Gemm) -> Self {
        let ([_, _, a_row], [_, _, b_row]) = (op.a_dims(), op.b_dims());
        let loads_quads = a_row.is_multiple_of(4) && b_row.is_multiple_of(4);
        Self { loads_quads, stores_quads: loads_quads && op.n.is_multiple_of(4) }
    }

    /// Part of a variant name.
    pub(super) fn name(self) -> &'static str {
        match (self.loads_quads, self.stores_quads) {
            (true, true) => "vec4",
            (true, false) => "vec4.store_scalar",
            (false, _) => "scalar",
        }
    }
}

/// The slot files of a variant.
pub(super) fn slots(op: &Gemm, schedule: Schedule, access: Access, passes: usize) -> Vec<Source> {
    let mut files = vec![wgsl!("gemm/shape.wgsl")];
    files.push(if passes > 1 { wgsl!("gemm/carry/side.wgsl") } else { wgsl!("gemm/carry/none.wgsl") });
    match schedule {
        Schedule::MicroTile | Schedule::Matrix(_) => {
            files.push(match schedule {
                Schedule::Matrix(_) => wgsl!("gemm/schedule/matrix.wgsl"),
                _ => wgsl!("gemm/schedule/micro_tile.wgsl"),
            });
            files.push(if op.transpose_a { wgsl!("gemm/left/columns.wgsl") } else { wgsl!("gemm/left/rows.wgsl") });
        }
        Schedule::Lanes => {
            files.push(wgsl!("gemm/schedule/lanes.wgsl"));
            files.push(if op.transpose_a { wgsl!("gemm/deal/columns.wgsl") } else { wgsl!("gemm/deal/rows.wgsl") });
        }
    }
    files.push(if op.transpose_b { wgsl!("gemm/right/columns.wgsl") } else { wgsl!("gemm/right/rows.wgsl") });
    files.push(if access.loads_quads { wgsl!("gemm/load/vec4.wgsl") } else { wgsl!("gemm/load/scalar.wgsl") });
    files.push(if access.stores_quads { wgsl!("gemm/store/vec4.wgsl") } else { wgsl!("gemm/store/scalar.wgsl") });
    files
}
