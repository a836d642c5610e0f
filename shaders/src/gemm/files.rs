//! The WGSL files of matrix products.

use gatefold_core::Gemm;

use super::tiles::Schedule;
use crate::Source;
use crate::source::wgsl;

pub(super) const PRODUCT: Source = wgsl!("gemm/product.wgsl");

const ROWS_OF_EXPERTS: Source = wgsl!("gemm/grouped/rows.wgsl");
const WEIGHTS_OF_EXPERTS: Source = wgsl!("gemm/grouped/weights.wgsl");

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

    /// Elements of a unit of access to `a` and `b`.
    pub(super) fn unit(self) -> u64 {
        if self.loads_quads { 4 } else { 1 }
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

/// Which product: what the slot `shape`, and where a bias is, depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Batches of one size; their bias is in `side`.
    Dense,
    /// Rows of an expert by its weight; whether there is a bias.
    Grouped { bias: bool },
    /// The gradients of experts' weights.
    GroupedWeights,
}

/// How operands are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) transpose_a: bool,
    pub(super) transpose_b: bool,
    pub(super) access: Access,
}

impl Layout {
    pub(super) fn of(op: &Gemm) -> Self {
        Self { transpose_a: op.transpose_a, transpose_b: op.transpose_b, access: Access::of(op) }
    }
}

/// The slot files of a variant.
pub(super) fn slots(shape: Shape, layout: Layout, schedule: Schedule, passes: usize) -> Vec<Source> {
    let mut files = match shape {
        Shape::Dense => vec![wgsl!("gemm/shape.wgsl")],
        Shape::Grouped { bias: true } => vec![ROWS_OF_EXPERTS, wgsl!("gemm/grouped/bias.wgsl")],
        Shape::Grouped { bias: false } => vec![ROWS_OF_EXPERTS, wgsl!("gemm/grouped/no_bias.wgsl")],
        Shape::GroupedWeights => vec![WEIGHTS_OF_EXPERTS, wgsl!("gemm/grouped/no_bias.wgsl")],
    };
    files.push(wgsl!("gemm/tile.wgsl"));
    files.push(if passes > 1 { wgsl!("gemm/carry/side.wgsl") } else { wgsl!("gemm/carry/none.wgsl") });
    let Layout { transpose_a, transpose_b, access } = layout;
    match schedule {
        Schedule::MicroTile | Schedule::Matrix(_) => {
            files.push(match schedule {
                Schedule::Matrix(_) => wgsl!("gemm/schedule/matrix.wgsl"),
                _ => wgsl!("gemm/schedule/micro_tile.wgsl"),
            });
            files.push(if transpose_a { wgsl!("gemm/left/columns.wgsl") } else { wgsl!("gemm/left/rows.wgsl") });
        }
        Schedule::Lanes => {
            files.push(wgsl!("gemm/schedule/lanes.wgsl"));
            files.push(if transpose_a { wgsl!("gemm/deal/columns.wgsl") } else { wgsl!("gemm/deal/rows.wgsl") });
        }
    }
    files.push(if transpose_b { wgsl!("gemm/right/columns.wgsl") } else { wgsl!("gemm/right/rows.wgsl") });
    files.push(if access.loads_quads { wgsl!("gemm/load/vec4.wgsl") } else { wgsl!("gemm/load/scalar.wgsl") });
    files.push(if access.stores_quads { wgsl!("gemm/store/vec4.wgsl") } else { wgsl!("gemm/store/scalar.wgsl") });
    files
}
