//! Dispatches of a product: cut by binding size, by workgroup count, by loop trips and by time.
//!
//! A region is a range of batch entries, or part of one, whose operands fit their bindings. Its workgroups run in chunks; all terms of a
//! chunk's sums are added, dispatch by dispatch, before the next chunk begins, so that few sums wait at a time.

use std::ops::Range;

use gatefold_core::Gemm;

use super::SIDE;
use super::files::Access;
use super::tiles::Tile;
use crate::plan::{check_dispatches, narrow};
use crate::{Dispatch, Limits, Param, PlanError, Window, fold_groups};

/// "There is none", as an offset in `side`.
const ABSENT: u32 = u32::MAX;

/// A product on an adapter.
pub(super) struct Job<'a> {
    pub(super) op: &'a Gemm,
    pub(super) tile: &'a Tile,
    pub(super) access: Access,
    pub(super) limits: &'a Limits,
}

/// What is run.
pub(super) struct Split {
    pub(super) dispatches: Vec<Dispatch>,
    /// Into how many dispatches the terms of a sum are cut.
    pub(super) passes: usize,
    /// Most loop trips of an invocation of one dispatch.
    pub(super) trips: u64,
    pub(super) side_bytes: u64,
}

/// Most rows, columns and terms of a region.
struct Cut {
    /// Batch entries; only if they are whole.
    batch: u64,
    m: u64,
    n: u64,
    k: u64,
}

/// Batch entries, rows and columns that share their bindings.
#[derive(Debug, Clone)]
struct Region {
    batch: Range<u64>,
    m: Range<u64>,
    n: Range<u64>,
}

/// An operand as it is stored.
struct Stored {
    name: &'static str,
    /// Elements of a matrix, and of one of its rows.
    matrix: u64,
    row: u64,
    shared: bool,
    matrices: u64,
}

/// Ranges of `step` that cover `0..end`; one empty range if `end` is 0.
fn ranges(end: u64, step: u64) -> Vec<Range<u64>> {
    (0..end.div_ceil(step).max(1)).map(|i| i * step..(i * step + step).min(end)).collect()
}

impl Job<'_> {
    fn sizes(&self) -> [u64; 4] {
        [self.op.batch, self.op.m, self.op.n, self.op.k].map(|n| n as u64)
    }

    fn element(&self) -> u64 {
        self.op.dtype.size() as u64
    }

    /// Elements of a unit of access to `a` and `b`.
    fn unit(&self) -> u64 {
        self.access.unit()
    }

    fn stored(&self) -> [Stored; 3] {
        let of = |name, dims: [usize; 3], shared| {
            let [matrices, rows, row] = dims.map(|n| n as u64);
            Stored { name, matrix: rows * row, row, shared, matrices }
        };
        let op = self.op;
        [of("a", op.a_dims(), op.shared_a), of("b", op.b_dims(), op.shared_b), of("c", [op.batch, op.m, op.n], false)]
    }

    fn is_cut(&self, o: &Stored) -> bool {
        (o.matrices * o.matrix * self.element()).next_multiple_of(4) > self.limits.binding_bytes
    }

    /// Elements that a window can hold, wherever it starts.
    fn room(&self) -> u64 {
        // A window starts at an aligned byte, up to one alignment before the range, and ends at a multiple of 4.
        self.limits.binding_bytes.saturating_sub(self.limits.offset_alignment + 4) / self.element()
    }

    fn too_large(&self, o: &Stored, elements: u64) -> PlanError {
        let need = elements * self.element() + self.limits.offset_alignment + 4;
        PlanError::TooLarge { operand: o.name.into(), need, have: self.limits.binding_bytes }
    }

    /// How much of the product one region holds.
    fn cut(&self) -> Result<Cut, PlanError> {
        let [batch, m, n, k] = self.sizes();
        let mut cut = Cut { batch, m, n, k };
        for o in self.stored().iter().filter(|o| self.is_cut(o)) {
            if !o.shared && o.matrix <= self.room() {
                cut.batch = cut.batch.min(self.room() / o.matrix);
                continue;
            }
            // Part of a matrix: a range of its stored rows. Starts are multiples of 4, for quads that lie across.
            let rows = self.room() / o.row / 4 * 4;
            if rows == 0 {
                return Err(self.too_large(o, 4 * o.row));
            }
            cut.batch = 1;
            match o.name {
                "a" if self.op.transpose_a => cut.k = cut.k.min(rows),
                "b" if !self.op.transpose_b => cut.k = cut.k.min(rows),
                "b" => cut.n = cut.n.min(rows),
                _ => cut.m = cut.m.min(rows),
            }
        }
        // Whole tiles, where a region has room for one.
        let whole =
            |size: u64, tile: u32| if size > u64::from(tile) { size / u64::from(tile) * u64::from(tile) } else { size };
        if cut.m < m {
            cut.m = whole(cut.m, self.tile.tile_rows());
        }
        if cut.n < n {
            cut.n = whole(cut.n, self.tile.tile_cols());
        }
        Ok(cut)
    }

    /// Refuses a product of more regions, or of more terms' ranges, than a plan may hold dispatches.
    fn check_count(&self, cut: &Cut) -> Result<(), PlanError> {
        let [batch, m, n, k] = self.sizes();
        let regions = [(batch, cut.batch), (m, cut.m), (n, cut.n)].map(|(all, cut)| all.div_ceil(cut.max(1)).max(1));
        check_dispatches(regions.iter().fold(1, |count: u64, n| count.saturating_mul(*n)))?;
        check_dispatches(k.div_ceil(self.span(cut)))
    }

    fn regions(&self, cut: &Cut) -> Vec<Region> {
        let [batch, m, n, _] = self.sizes();
        let mut all = Vec::new();
        for batch in ranges(batch, cut.batch.max(1)) {
            for m in ranges(m, cut.m) {
                all.extend(ranges(n, cut.n).into_iter().map(|n| Region { batch: batch.clone(), m: m.clone(), n }));
            }
        }
        all
    }

    /// Ranges of terms, one per pass.
    fn spans(&self, cut: &Cut) -> Vec<Range<u64>> {
        ranges(self.sizes()[3], self.span(cut))
    }

    /// Terms of a pass: within a binding, the loop trips and the time of a dispatch.
    fn span(&self, cut: &Cut) -> u64 {
        let depth = u64::from(self.tile.depth);
        let step_work = self.group_terms() * depth as f64;
        let steps = self.limits.units_in_time(step_work).min(self.limits.loop_trips).max(1);
        let k = self.sizes()[3];
        // A term's number is a multiple of 4 where a pass begins.
        (steps * depth).min(if cut.k < k { cut.k } else { u64::MAX })
    }

    /// Multiply-adds of a workgroup for one term.
    fn group_terms(&self) -> f64 {
        f64::from(self.tile.tile_rows()) * f64::from(self.tile.tile_cols())
    }

    /// Workgroups of one dispatch: by time, by their count in two dimensions, and by the sums that wait.
    fn most_groups(&self, spans: &[Range<u64>], side_words: u64) -> Result<u64, PlanError> {
        let limits = self.limits;
        let terms = spans.first().map_or(0, |s| s.end - s.start).max(1);
        let work = self.group_terms() * terms as f64;
        limits.check_time("product", work)?;
        let most = limits.units_in_time(work).min(u64::from(limits.groups_per_dim).pow(2));
        if spans.len() < 2 {
            return Ok(most);
        }
        let words = limits.binding_bytes / 4;
        let waiting = words.saturating_sub(side_words) / self.group_words();
        if waiting == 0 {
            let need = 4 * (side_words + self.group_words());
            return Err(PlanError::TooLarge { operand: SIDE.into(), need, have: limits.binding_bytes });
        }
        Ok(most.min(waiting))
    }

    /// Words of the bias in `side`, whole quads.
    fn bias_words(&self) -> u64 {
        if self.op.bias { (self.op.n as u64).next_multiple_of(4) } else { 0 }
    }

    /// Words of the sums of a workgroup.
    fn group_words(&self) -> u64 {
        u64::from(self.tile.invocations()) * u64::from(self.tile.state_words())
    }

    /// Tiles of a region by rows and columns, and workgroups.
    fn groups(&self, region: &Region) -> ([u64; 2], u64) {
        let tiles = |range: &Range<u64>, tile: u32| (range.end - range.start).div_ceil(u64::from(tile));
        let tiles = [tiles(&region.m, self.tile.tile_rows()), tiles(&region.n, self.tile.tile_cols())];
        (tiles, (region.batch.end - region.batch.start) * tiles[0] * tiles[1])
    }

    /// Cuts the product.
    ///
    /// # Errors
    /// [`PlanError::TooLarge`] if four stored rows of an operand, the bias or the waiting sums of one workgroup exceed a binding.
    pub(super) fn split(&self) -> Result<Split, PlanError> {
        let cut = self.cut()?;
        self.check_count(&cut)?;
        let spans = self.spans(&cut);
        let bias_words = self.bias_words();
        let most_groups = self.most_groups(&spans, bias_words)?;
        let regions = self.regions(&cut);
        let chunks = regions.iter().map(|r| self.groups(r).1.div_ceil(most_groups));
        check_dispatches(chunks.sum::<u64>().saturating_mul(spans.len() as u64))?;
        let mut dispatches = Vec::new();
        let mut waiting = 0;
        for region in regions {
            let (tiles, groups) = self.groups(&region);
            for chunk in ranges(groups, most_groups) {
                waiting = waiting.max(chunk.end - chunk.start);
                dispatches.extend(spans.iter().map(|span| self.dispatch(&region, tiles, &chunk, span)));
            }
        }
        let longest = spans.first().map_or(0, |s| s.end - s.start);
        let side_words = bias_words + if spans.len() > 1 { waiting * self.group_words() } else { 0 };
        let side_bytes = 4 * side_words.max(4);
        if side_bytes > self.limits.binding_bytes {
            return Err(PlanError::TooLarge {
                operand: SIDE.into(),
                need: side_bytes,
                have: self.limits.binding_bytes,
            });
        }
        Ok(Split { dispatches, passes: spans.len(), trips: longest.div_ceil(self.tile.depth.into()), side_bytes })
    }

    /// The elements of an operand that a region and a range of terms read or write.
    fn elements(&self, o: &Stored, region: &Region, span: &Range<u64>) -> Range<u64> {
        let rows = match o.name {
            "a" if self.op.transpose_a => span,
            "b" if !self.op.transpose_b => span,
            "b" => &region.n,
            _ => &region.m,
        };
        let batch = if o.shared { 0..1 } else { region.batch.clone() };
        batch.start * o.matrix + rows.start * o.row..(batch.end - 1) * o.matrix + rows.end * o.row
    }

    fn dispatch(&self, region: &Region, tiles: [u64; 2], chunk: &Range<u64>, span: &Range<u64>) -> Dispatch {
        let (op, element) = (self.op, self.element());
        let stored = self.stored();
        let mut windows = Vec::new();
        // Shift and last unit of each operand, in its units.
        let places = [self.unit(), self.unit(), 1].into_iter().zip(&stored).map(|(unit, o)| {
            let (mut offset, mut end) = (0, o.matrices * o.matrix);
            if self.is_cut(o) {
                let used = self.elements(o, region, span);
                offset = used.start * element / self.limits.offset_alignment * self.limits.offset_alignment;
                end = used.end;
                let bytes = (end * element).next_multiple_of(4) - offset;
                windows.push(Window { operand: o.name, offset, bytes });
            }
            let first = offset / element / unit;
            (narrow(first).wrapping_neg(), narrow((end / unit).saturating_sub(first + 1)))
        });
        let [(a_shift, a_last), (b_shift, b_last), (c_shift, _)] =
            <[_; 3]>::try_from(places.collect::<Vec<_>>()).unwrap_or_default();
        let count = |n: u64| Param::U32(narrow(n));
        let strides =
            |o: &Stored| (count(o.row / self.unit()), count(if o.shared { 0 } else { o.matrix / self.unit() }));
        let ((a_row, a_matrix), (b_row, b_matrix)) = (strides(&stored[0]), strides(&stored[1]));
        let params = vec![
            ("first_group", count(chunk.start)),
            ("group_count", count(chunk.end - chunk.start)),
            ("first_batch", count(region.batch.start)),
            ("m_from", count(region.m.start)),
            ("m_to", count(region.m.end)),
            ("n_from", count(region.n.start)),
            ("n_to", count(region.n.end)),
            ("tiles_m", count(tiles[0])),
            ("tiles_n", count(tiles[1])),
            ("k_from", count(span.start)),
            ("k_to", count(span.end)),
            ("k", count(op.k as u64)),
            ("n", count(op.n as u64)),
            ("a_row", a_row),
            ("b_row", b_row),
            ("a_matrix", a_matrix),
            ("b_matrix", b_matrix),
            ("c_matrix", count(stored[2].matrix)),
            ("a_shift", Param::U32(a_shift)),
            ("b_shift", Param::U32(b_shift)),
            ("c_shift", Param::U32(c_shift)),
            ("a_last", Param::U32(a_last)),
            ("b_last", Param::U32(b_last)),
            ("alpha", Param::F32(op.alpha)),
            ("bias_at", Param::U32(if op.bias { 0 } else { ABSENT })),
            ("state_at", count(self.bias_words() / 4)),
        ];
        Dispatch { grid: fold_groups(chunk.end - chunk.start, self.limits.groups_per_dim), params, windows }
    }
}
