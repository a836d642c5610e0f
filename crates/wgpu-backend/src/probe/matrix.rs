//! The self-test of matrix units: trusted only if every bit is right.

use std::fmt;

use gatefold_core::{Dtype, Operand, Tensor, Tensors};
use gatefold_shaders::{MatrixUnit, Param};
use half::f16;
use serde::{Deserialize, Serialize};

use super::Runner;
use super::measure::{plan, source};
use super::self_test::with_lies;
use crate::{RunError, RunOptions};

/// What is known of an adapter's matrix units.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatrixTest {
    /// There are none of a shape that kernels use, they were not asked for, or nothing was probed.
    #[default]
    None,
    /// Every bit of the test was right.
    Exact(MatrixUnit),
    /// They must not be used, and why.
    Failed(String),
}

impl fmt::Display for MatrixTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none in use"),
            Self::Exact(u) => write!(f, "{0} x {0} x {0} by {1} invocations, exact", u.edge, u.lanes),
            Self::Failed(why) => write!(f, "not used: {why}"),
        }
    }
}

/// Workgroups of the test, each with numbers of its own.
const GROUPS: usize = 32;
/// Matrices that each adds up.
const TRIPS: usize = 24;

/// Whole numbers from -8 to 8, the same in every run. Sums of 24·16 products stay far below 2^24.
fn small(seed: &mut u32) -> i16 {
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    i16::try_from((*seed >> 16) % 17).unwrap_or(0) - 8
}

/// `c + Σ a·bᵀ` and `c + Σ a·b` of every workgroup, [GROUPS, 2, edge, edge].
fn expected(edge: usize, a: &[i16], b: &[i16], c: &[i16]) -> Vec<f32> {
    let matrix = edge * edge;
    let mut y = Vec::with_capacity(GROUPS * 2 * matrix);
    for group in 0..GROUPS {
        for transposed in [true, false] {
            for (row, column) in (0..edge).flat_map(|r| (0..edge).map(move |c| (r, c))) {
                let mut sum = f32::from(c[group * matrix + row * edge + column]);
                for trip in 0..TRIPS {
                    let first = (group * TRIPS + trip) * matrix;
                    for k in 0..edge {
                        let of_b = if transposed { column * edge + k } else { k * edge + column };
                        sum += f32::from(a[first + row * edge + k]) * f32::from(b[first + of_b]);
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

/// Multiplies and compares. A driver that cannot compile the test, or gives one wrong bit, is not trusted with it.
///
/// # Errors
/// Any fault of the device itself.
pub(super) async fn test(on: &impl Runner, unit: MatrixUnit) -> Result<MatrixTest, RunError> {
    let edge = unit.edge as usize;
    let mut seed = 7;
    let mut draw = |n: usize| (0..n).map(|_| small(&mut seed)).collect::<Vec<_>>();
    let (ab, cs) = ([GROUPS, TRIPS, edge, edge], [GROUPS, edge, edge]);
    let (a, b, c) = (draw(ab.iter().product()), draw(ab.iter().product()), draw(cs.iter().product()));
    let half = |x: &[i16]| x.iter().map(|&n| f16::from_f32(f32::from(n))).collect::<Vec<_>>();
    let inputs = Tensors::new()
        .with("a", Tensor::f16(ab, half(&a))?)
        .with("b", Tensor::f16(ab, half(&b))?)
        .with("c", Tensor::f32(cs, c.iter().map(|&n| f32::from(n)).collect::<Vec<_>>())?);
    let operands = [
        Operand::input("a", ab, Dtype::F16),
        Operand::input("b", ab, Dtype::F16),
        Operand::input("c", cs, Dtype::F32),
        Operand::output("y", [GROUPS, 2, edge, edge], Dtype::F32),
    ];
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let consts = vec![("EDGE", unit.edge), ("LANES", unit.lanes)];
    let mut plan = plan(source!("matrix.wgsl"), consts, count(GROUPS), vec![("trips", Param::U32(count(TRIPS)))]);
    for step in &mut plan.steps {
        step.name = format!("{}.{}x{}", step.name, unit.edge, unit.lanes);
        step.aliases = unit.aliases().to_vec();
        (step.f16, step.matrix) = (true, true);
        *step = with_lies(on, step.clone());
    }
    let ran = match on.run(&plan, &operands, &inputs, &RunOptions::default()).await {
        Ok(ran) => ran,
        Err(e @ RunError::PipelineBuild { .. }) => return Ok(MatrixTest::Failed(e.to_string())),
        Err(e) => return Err(e),
    };
    let (got, want) = (ran.outputs["y"].to_f32(), expected(edge, &a, &b, &c));
    let wrong = got.iter().zip(&want).filter(|(x, y)| x.to_bits() != y.to_bits()).count();
    Ok(if wrong == 0 && got.len() == want.len() {
        MatrixTest::Exact(unit)
    } else {
        MatrixTest::Failed(format!("{wrong} of {} sums of the self-test are wrong", want.len()))
    })
}
