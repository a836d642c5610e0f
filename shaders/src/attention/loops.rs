//! Loops of the tile kernels, in program order, with their trips and the multiply-adds that the algorithm needs of a lane: what the
//! machine code of a variant is measured against. A function per kernel, built from a function per schedule function.

use gatefold_core::Attention;
use gatefold_core::attention::{Causal, Weight};

use super::tiles::{Schedule, Tile};
use crate::Loop;

/// The constants that a schedule file is written in, by name: loops are described as the file has them.
struct Consts(Vec<(&'static str, u32)>);

impl Consts {
    fn of(tile: &Tile) -> Self {
        Self(tile.consts())
    }

    /// 0 for a constant that the schedule does not have; then no loop would match.
    fn get(&self, name: &str) -> f64 {
        self.0.iter().find(|c| c.0 == name).map_or(0.0, |c| c.1.into())
    }

    /// The product of constants, as a count of multiply-adds.
    fn count(&self, factor: u64, names: &[&str]) -> u64 {
        let all = self.0.iter().filter(|c| names.contains(&c.0)).map(|c| u64::from(c.1));
        factor * all.product::<u64>()
    }
}

/// `product` of the schedule over `dim` dims.
fn product(tile: &Tile, dim: usize) -> Loop {
    let c = Consts::of(tile);
    let depth4 = dim.div_ceil(4) as f64;
    let mul_adds = c.count(16, &["OWN", "STREAM4"]);
    match tile.schedule {
        Schedule::Lanes => Loop { mul_adds, ..Loop::new("product/d4", depth4).with_buffers() },
        Schedule::Matrix(_) => Loop::default(),
        Schedule::MicroTile | Schedule::SmallMicroTile => {
            let mul_adds = c.count(16, &["OWN", "STREAM4", "DEPTH4"]);
            Loop { mul_adds, ..Loop::new("product/first", (depth4 / c.get("DEPTH4")).ceil()).with_buffers() }
        }
    }
}

/// `accumulate` of the schedule.
fn accumulate(tile: &Tile) -> Vec<Loop> {
    let c = Consts::of(tile);
    match tile.schedule {
        Schedule::Lanes => {
            let mul_adds = c.count(16, &["OWN", "STREAM4", "WIDTH4"]);
            vec![Loop { mul_adds, ..Loop::fixed("accumulate/source", c.get("LANES")).with_buffers() }]
        }
        Schedule::Matrix(_) => Vec::new(),
        Schedule::MicroTile | Schedule::SmallMicroTile => {
            // Values that are not finite are looked for only where the scan has found some.
            let inner = vec![Loop::fixed("stage_values/n", 0.0)];
            let mul_adds = c.count(16, &["OWN", "WIDTH4", "BLOCK_COLS"]);
            let block = Loop::fixed("accumulate/b", c.get("COLS") / c.get("BLOCK_COLS")).with_buffers();
            (0..tile.stream4).map(|_| Loop { mul_adds, inner: inner.clone(), ..block.clone() }).collect()
        }
    }
}

/// Tiles of the stream that a tile of own positions runs over on average, and the share of them that some pair of is hidden.
fn tiles(a: &Attention, tile: &Tile, own_is_query: bool) -> (f64, f64) {
    let d = &a.dims;
    let (own, stream) = if own_is_query { (d.seq_q, d.seq_kv) } else { (d.seq_kv, d.seq_q) };
    let tile_own = if own_is_query { tile.tile_queries() } else { tile.tile_own() };
    let (tile_own, tile_stream) = (i64::from(tile_own), i64::from(tile.tile_stream()));
    let off = if a.causal == Causal::TopLeft { 0 } else { d.seq_kv as i64 - d.seq_q as i64 };
    let left = a.window.left.map_or(i64::MAX / 4, i64::from);
    let right = a.window.right.map_or(i64::MAX / 4, i64::from);
    let right = if a.causal == Causal::None { right } else { right.min(0) };
    // Stream positions from .. to that own position n sees.
    let (back, ahead, off) = if own_is_query { (left, right, off) } else { (right, left, -off) };
    let (own, stream) = (own as i64, stream as i64);
    let from = |n: i64| (n + off - back).clamp(0, stream);
    let to = |n: i64| (n + off + ahead + 1).clamp(0, stream);
    let (mut all, mut cut) = (0, 0);
    let groups = (own + tile_own - 1) / tile_own;
    for first in (0..own).step_by(usize::try_from(tile_own).unwrap_or(1)) {
        let last = (first + tile_own).min(own) - 1;
        let begin = from(first) / tile_stream * tile_stream;
        for at in (begin..to(last)).step_by(usize::try_from(tile_stream).unwrap_or(1)) {
            all += 1;
            let whole = from(last) <= at && at + tile_stream <= to(first) && first + tile_own <= own;
            cut += i64::from(!whole);
        }
    }
    (all as f64 / groups.max(1) as f64, cut as f64 / all.max(1) as f64)
}

/// Loops of `forward_matrix.wgsl`, both products in its one loop. Loops inside are for keys beyond the sequence and for values that are not
/// finite, but for the softmax's over the parts of a row.
fn forward_matrix(a: &Attention, tile: &Tile, parts: f64) -> Vec<Loop> {
    let c = Consts::of(tile);
    let count = |name: &str| c.0.iter().find(|c| c.0 == name).map_or(0, |c| c.1);
    let seldom = |name, times| (0..times).map(move |_| Loop::fixed(name, 0.0).with_buffers());
    let by_part = |name| (a.weight == Weight::Softmax).then(|| Loop::fixed(name, c.get("COLS") - 1.0));
    let (trips, edge) = tiles(a, tile, true);
    let mut inner: Vec<_> = seldom("stage_keys/c", count("STREAM_STEPS")).collect();
    inner.extend(seldom("stage_values/c", count("QUAD_STEPS")));
    inner.extend(by_part("row_max/s"));
    inner.push(Loop::new("clean_values/n", 0.0));
    let pairs = c.count(1, &["TILE_OWN", "TILE_STREAM"]) / c.count(1, &["INVOCATIONS"]);
    let mul_adds = pairs * (a.dims.head_dim + a.dims.val_dim) as u64;
    let stream = Loop { mul_adds, edge, inner, ..Loop::new("main/tile", trips / parts).with_buffers() };
    std::iter::once(stream).chain(by_part("row_total/s")).collect()
}

/// Loops of `forward.wgsl` or `forward_matrix.wgsl`, whose stream is cut into this many parts: dispatches, and shares of
/// workgroups.
pub(super) fn forward(a: &Attention, tile: &Tile, parts: f64) -> Vec<Loop> {
    if matches!(tile.schedule, Schedule::Matrix(_)) {
        return forward_matrix(a, tile, parts);
    }
    let (trips, edge) = tiles(a, tile, true);
    let mut inner = vec![product(tile, a.dims.head_dim)];
    inner.extend(accumulate(tile));
    vec![Loop { edge, inner, ..Loop::new("main/tile", trips / parts) }]
}

/// Loops of `measure_rows.wgsl`.
pub(super) fn measure_rows(a: &Attention, tile: &Tile, passes: usize) -> Vec<Loop> {
    let (trips, edge) = tiles(a, tile, true);
    let inner = vec![product(tile, a.dims.head_dim)];
    vec![Loop { edge, inner, ..Loop::new("main/tile", trips / passes as f64) }]
}

/// Loops of `backward_levels.wgsl`.
pub(super) fn backward_levels(a: &Attention, tile: &Tile, passes: usize) -> Vec<Loop> {
    let (trips, edge) = tiles(a, tile, true);
    let inner = vec![product(tile, a.dims.head_dim), product(tile, a.dims.val_dim)];
    vec![Loop { edge, inner, ..Loop::new("main/tile", trips / passes as f64) }]
}

/// The products of the gradients' kernels: with queries, with slopes if there are any, and of values.
fn products(a: &Attention, tile: &Tile) -> Vec<Loop> {
    let with_keys = if a.local_linear { 2 } else { 1 };
    let mut all = vec![product(tile, a.dims.head_dim); with_keys];
    all.push(product(tile, a.dims.val_dim));
    all
}

/// Loops of `backward_query.wgsl`, or of its like for local-linear rows.
pub(super) fn backward_query(a: &Attention, tile: &Tile, passes: usize) -> Vec<Loop> {
    let (trips, edge) = tiles(a, tile, true);
    let mut inner = products(a, tile);
    inner.extend(accumulate(tile));
    inner.extend(if a.local_linear { accumulate(tile) } else { Vec::new() });
    vec![Loop { edge, inner, ..Loop::new("main/tile", trips / passes as f64) }]
}

/// Loops of `backward_key_value.wgsl`, or of its like for local-linear rows.
pub(super) fn backward_key_value(a: &Attention, tile: &Tile, passes: usize) -> Vec<Loop> {
    let (trips, edge) = tiles(a, tile, false);
    let mut inner = products(a, tile);
    inner.extend(accumulate(tile));
    inner.extend(accumulate(tile));
    inner.extend(if a.local_linear { accumulate(tile) } else { Vec::new() });
    let stream = Loop { edge, inner, ..Loop::new("main/tile", trips / passes as f64) };
    vec![Loop { inner: vec![stream], ..Loop::new("main/h", a.dims.group() as f64) }]
}

/// Loops of `backward_score_bias.wgsl`, whose matrix has this many sharers.
pub(super) fn backward_score_bias(a: &Attention, tile: &Tile, sharers: u64) -> Vec<Loop> {
    let inner = vec![product(tile, a.dims.head_dim), product(tile, a.dims.val_dim)];
    vec![Loop { inner, ..Loop::new("main/n", sharers as f64) }]
}

#[cfg(test)]
mod tests {
    use gatefold_core::Dtype;
    use gatefold_core::attention::{Dims, Window};

    use super::*;
    use crate::attention::matrix::MatrixTile;
    use crate::attention::tiles::Stage;
    use crate::{Limits, MatrixUnit};

    fn tile() -> Tile {
        Tile::choose(Stage::Forward, 64, 1024, &Limits::webgpu_default()).unwrap().0
    }

    /// Multiply-adds of an invocation over all loops.
    fn mul_adds(loops: &[Loop]) -> f64 {
        loops.iter().map(|l| l.trips * (l.mul_adds as f64 + mul_adds(&l.inner))).sum()
    }

    #[test]
    fn the_loops_make_all_products() {
        let a = Attention::softmax(Dims::new(1, 1, 1024, 64));
        let tile = tile();
        let lanes = f64::from(tile.invocations()) * 1024.0 / f64::from(tile.tile_own());
        let all = 1024.0 * 1024.0 * 128.0;
        assert_eq!(mul_adds(&forward(&a, &tile, 1.0)) * lanes, all);
        assert_eq!(mul_adds(&backward_query(&a, &tile, 1)) * lanes, 1.5 * all);
        assert_eq!(mul_adds(&backward_key_value(&a, &tile, 1)) * lanes, 2.0 * all);
    }

    #[test]
    fn matrix_units_make_all_products() {
        let a = Attention { dtype: Dtype::F16, ..Attention::sigmoid(Dims::new(1, 1, 1024, 64)) };
        for (edge, lanes) in [(8, 8), (16, 32), (16, 64)] {
            let matrix = Some(MatrixUnit { edge, lanes });
            let limits = Limits { matrix, workgroup_memory: 32 << 10, ..Limits::webgpu_default() };
            let tile = MatrixTile::choose(&a, &limits).unwrap();
            let all_lanes = f64::from(lanes) * 1024.0 / f64::from(tile.tile_own());
            assert_eq!(mul_adds(&forward(&a, &tile, 1.0)) * all_lanes, 1024.0 * 1024.0 * 128.0);
        }
    }

    #[test]
    fn tiles_are_counted_as_the_kernel_visits_them() {
        let plain = Attention::softmax(Dims::new(1, 1, 1024, 64));
        let tile = tile();
        let (own, stream) = (f64::from(tile.tile_own()), f64::from(tile.tile_stream()));
        assert_eq!(tiles(&plain, &tile, true), (1024.0 / stream, 0.0));
        let causal = Attention { causal: Causal::TopLeft, ..plain.clone() };
        let (n, diagonal) = (1024.0 / own, (own / stream).max(1.0));
        let all = (1024.0 + own) / 2.0 / stream;
        for own_is_query in [true, false] {
            let (trips, edge) = tiles(&causal, &tile, own_is_query);
            assert_eq!(trips, all);
            assert_eq!((edge * trips * n).round(), n * diagonal);
        }
        // A window of one tile to the left: two or three tiles, none of them wholly visible.
        let window = Window { left: Some(tile.tile_stream() - 1), right: Some(0) };
        let (trips, edge) = tiles(&Attention { window, ..plain }, &tile, true);
        assert!(trips < 3.0 && edge == 1.0, "{trips} {edge}");
    }
}
