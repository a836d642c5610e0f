//! The tables are long enough, and the plans link.

use gatefold_core::{Dtype, GroupedGemm};

use super::*;
use crate::link::link;
use crate::lint::{LintContext, lint};
use crate::{DeviceKind, Kernels, MatrixUnit};

fn adapters() -> Vec<Limits> {
    let browser = Limits::webgpu_default();
    let cpu = Limits { kind: DeviceKind::Cpu, f16: true, subgroup: Some(8), ..browser.clone() };
    let matrix = Limits { f16: true, matrix: Some(MatrixUnit { edge: 16, lanes: 64 }), ..browser.clone() };
    let slow = Limits { loop_trips: 5_000, mul_adds_per_second: 1e6, groups_per_dim: 16, f16: true, ..browser.clone() };
    vec![browser, cpu, matrix, slow]
}

fn look<O: Kernels>(op: &O) {
    for limits in adapters() {
        let plan = match op.plan(&limits) {
            Err(PlanError::Feature { .. }) => continue,
            other => other.unwrap(),
        };
        for step in &plan.steps {
            let module = link(step).unwrap_or_else(|e| panic!("{}: {e}", step.name));
            let found = lint(&module, &LintContext::new(&plan, &op.operands()));
            assert!(found.is_empty(), "{}: {}", step.name, found[0]);
            assert!(step.trips <= limits.loop_trips, "{}: {} trips", step.name, step.trips);
        }
    }
}

#[test]
fn every_step_links() {
    for dtype in [Dtype::F32, Dtype::F16] {
        for (n, k) in [(64, 32), (7, 5)] {
            for transpose_w in [false, true] {
                let op = GroupedGemm { dtype, transpose_w, bias: transpose_w, ..GroupedGemm::new(8, 3000, n, k) };
                look(&op);
                look(&op.gradient_w());
            }
        }
    }
}

/// Tiles of segments of these many rows.
fn tiles(segments: &[usize], tile_rows: usize) -> u64 {
    segments.iter().map(|n| n.div_ceil(tile_rows) as u64).sum()
}

#[test]
fn a_table_holds_the_most_tiles_there_may_be() {
    for (experts, tile_rows) in [(1, 4), (3, 4), (2, 5)] {
        for rows in 0..14 {
            // every way to share out the rows over the experts, those of none before and after included
            let count = experts + 2;
            let mut most = 0;
            let mut segments = vec![0; count];
            let mut go = |at: usize| {
                let mut rest = at;
                for s in &mut segments {
                    *s = rest % (rows + 1);
                    rest /= rows + 1;
                }
                if segments.iter().sum::<usize>() == rows {
                    most = tiles(&segments, tile_rows).max(most);
                }
            };
            (0..(rows + 1).pow(u32::try_from(count).unwrap())).for_each(&mut go);
            let table = Table { name: "", entries: Entries::Rows, experts, rows, tile_rows: tile_rows as u64 };
            assert_eq!(table.len(), most.max(1), "{experts} experts, {rows} rows, tiles of {tile_rows}");
        }
    }
}

#[test]
fn few_rows_of_an_expert_make_small_tiles() {
    let rows_of = |experts, rows| {
        let plan = GroupedGemm::new(experts, rows, 256, 256).plan(&Limits::webgpu_default()).unwrap();
        let name = plan.steps[1].name.clone();
        [128, 64, 32].into_iter().find(|n| name.ends_with(&format!("rows{n}.cols{}", 64.max(*n))))
    };
    assert_eq!(
        [rows_of(8, 4096), rows_of(16, 4096), rows_of(64, 4096), rows_of(256, 4096)],
        [Some(128), Some(128), Some(32), Some(32)]
    );
}

#[test]
fn the_gradients_need_no_more_dispatches_for_many_experts() {
    let slow = Limits { mul_adds_per_second: 1e9, ..Limits::webgpu_default() };
    let dispatches = |experts| {
        let op = GroupedGemm::new(experts, 100_000, 256, 256).gradient_w();
        op.plan(&slow).unwrap().steps[1].dispatches.len()
    };
    assert!(dispatches(64) <= 2 * dispatches(4), "{} {}", dispatches(64), dispatches(4));
}
