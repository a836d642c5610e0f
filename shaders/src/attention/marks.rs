//! Steps that find values that are not finite and mark what depends on them (see `NanPolicy::Exact`).

use gatefold_core::attention::{ScoreBias, Storage};
use gatefold_core::{Attention, Op};

use super::backward::{by_bias_matrix, sharers};
use super::layout::{Layout, Members, key_count, operand_bytes, row_count};
use super::split::{Parted, Work};
use super::tiles::{Stage, Tile};
use super::{
    FLAT, QueryOperand, files, flat_step, heads_contiguous, local_linear, masks, query_work, relative, reweight,
    storage,
};
use crate::source::wgsl;
use crate::{Limits, PlanError, Source, Step};

/// Plans the scan and the marks of one op.
pub(super) struct Marks<'a, O: Op> {
    pub(super) a: &'a Attention,
    pub(super) op: &'a O,
    pub(super) limits: &'a Limits,
    pub(super) layout: &'a Layout,
}

/// Reserves the flags: a word for "any", one per query row and one per key row.
pub(super) fn reserve_flags(a: &Attention, layout: &mut Layout) {
    layout.reserve("any_flag_at", 1);
    layout.reserve("flags_at", row_count(a) + key_count(a) * a.dims.kv_heads as u64);
}

impl<O: Op> Marks<'_, O> {
    /// The steps before the first mark: flags of query rows, flags of key rows, and whether there is any.
    pub(super) fn scans(&self, gradient: bool) -> Result<Vec<Step>, PlanError> {
        let (a, d) = (self.a, &self.a.dims);
        let (queries, keys) = (row_count(a), key_count(a) * d.kv_heads as u64);
        let mut parted = vec![self.rows("q", "q_shift", d.head_dim)];
        let mut width = d.head_dim;
        let slot = if gradient {
            parted.push(self.rows("d_o", "o_shift", d.val_dim));
            width += d.val_dim;
            files::SCAN_QUERY_GRADIENT
        } else {
            files::SCAN_QUERY
        };
        if a.local_linear {
            parted.push(self.rows("r", "q_shift", d.head_dim));
            width += d.head_dim;
        }
        let slot = if a.local_linear { local_linear::scan(gradient) } else { slot };
        let part = if gradient { "query_gradient" } else { "query" };
        let mut steps = vec![self.scan(part, slot, queries, parted, width)?];
        if keys > 0 {
            let parted = vec![self.rows("k", "k_shift", d.head_dim), self.rows("v", "v_shift", d.val_dim)];
            steps.push(match a.storage {
                Storage::Float if a.local_linear => {
                    self.scan("key", local_linear::SCAN_KEY, keys, parted, d.head_dim + d.val_dim)?
                }
                Storage::Float => self.scan("key", files::SCAN_KEY, keys, parted, d.head_dim + d.val_dim)?,
                // int8 holds nothing but numbers: scales alone are looked at
                Storage::Int8 { .. } => {
                    self.scan("key", files::SCAN_KEY_INT8, keys, storage::scales(a, self.op, FLAT.into()), 1)?
                }
            });
        }
        let work = Work {
            stream_step: FLAT.into(),
            visited: u64::MAX,
            step_trips: 1,
            fixed_trips: 8,
            ..Work::flat("attention_any_flag", 1, queries + keys)
        };
        steps.push(self.step(&work, "", files::ANY_FLAG, vec![files::SHAPE], false)?);
        Ok(steps)
    }

    /// The step that marks rows of `o` (and of what is saved of them), or of `d_q`.
    pub(super) fn queries(&self, gradient: bool, saved: Option<&'static str>) -> Result<Step, PlanError> {
        let (a, d) = (self.a, &self.a.dims);
        let (tile, _) = Tile::choose(Stage::BackwardScoreBias, 1, d.seq_q, self.limits)?;
        let mut written = Vec::new();
        if gradient {
            written.push(QueryOperand { name: "d_q", shift: "q_shift", width: d.head_dim, dtype: a.dtype });
        } else {
            written.push(QueryOperand { name: "o", shift: "o_shift", width: d.val_dim, dtype: a.dtype });
        }
        if gradient && a.local_linear {
            written.push(QueryOperand { name: "d_r", shift: "q_shift", width: d.head_dim, dtype: a.dtype });
        }
        written.extend(reweight::outputs(a).filter(|_| saved.is_some()));
        written.extend(saved.map(|name| local_linear::saved(a, name)));
        let mut work = query_work(a, self.op, "attention_mark_query", &tile, self.limits, &written);
        work.groups_per_unit = ((d.group() * d.seq_q) as u64).div_ceil(FLAT.into());
        self.cost(&mut work, seen(a, d.seq_kv), 1);
        let (saving, lse_part) = local_linear::marked(a, saved);
        let mark = local_linear::mark(a, gradient);
        let part = if gradient { ".gradient" } else { "" };
        let (bias, bias_part) = files::bias(a);
        let (keys, keys_part) = files::keys(a);
        let (visible, mask_part) = files::mask(a);
        let (load, store, io) = files::io(a);
        let (mask_mod, mod_part) = masks::mask_mod(a);
        let mut slots = vec![files::SHAPE, bias, keys, visible, files::MARK_PAIR, mark];
        slots.extend([store, files::NARROW, files::FINISH]);
        slots.extend(load);
        slots.extend(mask_mod);
        slots.extend(local_linear::store(a));
        if !gradient {
            slots.push(saving);
        }
        self.step(
            &work,
            &format!("{part}{}{lse_part}{bias_part}{keys_part}{mask_part}{mod_part}.{io}", local_linear::label(a)),
            files::MARK_QUERY,
            slots,
            true,
        )
    }

    /// The step that marks rows of `d_k` and `d_v`.
    pub(super) fn keys(&self) -> Result<Step, PlanError> {
        let (a, d) = (self.a, &self.a.dims);
        let (tile, _) = Tile::choose(Stage::BackwardScoreBias, 1, d.seq_q, self.limits)?;
        let mut work = query_work(a, self.op, "attention_mark_key", &tile, self.limits, &[]);
        let parts = super::Parts { a, q_heads: d.group() as u64 };
        work.parted.push(parts.key("d_k", "k_shift", d.head_dim, operand_bytes(self.op, "d_k")));
        work.parted.push(parts.key("d_v", "v_shift", d.val_dim, operand_bytes(self.op, "d_v")));
        work.groups_per_unit = (d.seq_kv as u64).div_ceil(FLAT.into());
        self.cost(&mut work, seen(a, d.seq_q), d.group() as u64);
        let (bias, bias_part) = files::bias(a);
        let (visible, mask_part) = files::mask(a);
        let (load, store, io) = files::io(a);
        let (mask_mod, mod_part) = masks::mask_mod(a);
        let mut slots = vec![files::SHAPE, bias, files::KEYS_IN_ORDER, visible, files::MARK_PAIR];
        slots.extend([store, files::NARROW, files::FINISH]);
        slots.extend(load);
        slots.extend(mask_mod);
        let linear = local_linear::label(a);
        self.step(&work, &format!("{linear}{bias_part}{mask_part}{mod_part}.{io}"), files::MARK_KEY, slots, true)
    }

    /// The step that marks elements of `d_score_bias`.
    pub(super) fn score_bias(&self, shared: ScoreBias) -> Result<Step, PlanError> {
        let (a, d) = (self.a, &self.a.dims);
        let (tile, _) = Tile::choose(Stage::BackwardScoreBias, 1, d.seq_q, self.limits)?;
        let mut work = query_work(a, self.op, "attention_mark_score_bias", &tile, self.limits, &[]);
        by_bias_matrix(&mut work, self.op, a, shared, (d.seq_q as u64).div_ceil(FLAT.into()));
        self.cost(&mut work, d.seq_kv, sharers(a, shared));
        let (load, _, io) = files::io(a);
        let (visible, mask_part) = files::mask(a);
        let (mask_mod, mod_part) = masks::mask_mod(a);
        let mut slots = vec![files::SHAPE, files::bias(a).0, files::KEYS_IN_ORDER, visible, files::MARK_PAIR];
        slots.extend(load);
        slots.extend(mask_mod);
        self.step(&work, &format!("{mask_part}{mod_part}.{io}"), files::MARK_SCORE_BIAS, slots, true)
    }

    /// The step that marks sums by `j − i`.
    pub(super) fn diagonals(&self) -> Result<Step, PlanError> {
        let (a, d) = (self.a, &self.a.dims);
        let (tile, _) = Tile::choose(Stage::BackwardScoreBias, 1, d.seq_q, self.limits)?;
        let mut work = query_work(a, self.op, "attention_mark_diagonal", &tile, self.limits, &[]);
        work.parted.push(Parted::whole(relative::DIAGONALS, relative::diagonal_bytes(a)));
        work.groups_per_unit = d.group() as u64 * relative::diagonals(a).div_ceil(FLAT.into());
        work.visited = u64::MAX;
        self.cost(&mut work, d.seq_q, 1);
        let (load, _, io) = files::io(a);
        let (visible, mask_part) = files::mask(a);
        let (mask_mod, mod_part) = masks::mask_mod(a);
        let mut slots = vec![files::SHAPE, files::bias(a).0, files::KEYS_IN_ORDER, visible, files::MARK_PAIR];
        slots.extend(load);
        slots.extend(mask_mod);
        let kernel = wgsl!("attention/relative/mark.wgsl");
        self.step(&work, &format!("{mask_part}{mod_part}.{io}"), kernel, slots, true)
    }

    /// The slow path reads both rows of every pair.
    fn cost(&self, work: &mut Work, stream: usize, sharers: u64) {
        let width = (self.a.dims.head_dim + 1) as u64;
        work.stream = stream as u64;
        work.stream_step = 1;
        work.step_trips = sharers * width;
        work.step_work = 4.0;
        work.fixed_trips = 2 * self.a.dims.val_dim.max(self.a.dims.head_dim) as u64 + sharers;
    }

    fn rows(&self, operand: &'static str, shift: &'static str, width: usize) -> Parted {
        let element = self.a.dtype.size() as u64;
        Parted::rows(operand, shift, operand_bytes(self.op, operand), width as u64, element)
    }

    fn scan(&self, part: &str, slot: Source, rows: u64, parted: Vec<Parted>, width: usize) -> Result<Step, PlanError> {
        let mut work = Work::flat("attention_scan", rows.div_ceil(FLAT.into()), rows);
        work.divisible = heads_contiguous(self.a);
        work.parted = parted;
        work.stream_step = rows;
        work.step_trips = width.div_ceil(4) as u64 + 2;
        work.step_work = f64::from(FLAT) * width as f64;
        let (load, _, io) = files::io(self.a);
        let mut slots = vec![files::SHAPE, slot, files::KEYS_IN_ORDER];
        slots.extend(load);
        let linear = local_linear::label(self.a);
        self.step(&work, &format!(".{part}{linear}.{io}"), files::SCAN, slots, true)
    }

    fn step(&self, work: &Work, part: &str, kernel: Source, slots: Vec<Source>, elem: bool) -> Result<Step, PlanError> {
        let split = work.split(&Members::new(self.a, self.layout), self.limits)?;
        let coupled = self.a.couples_row();
        let [below, above] = self.a.weight.bounded();
        let word = |fact: bool, word: &'static str| if fact { word } else { "" };
        let words = [word(coupled, ".coupled"), word(!below, ".unbounded_below"), word(!above, ".unbounded_above")];
        let dtype = if elem { format!("{}.{}", words.concat(), self.a.dtype) } else { String::new() };
        let name = format!("{}{part}{dtype}", work.kernel);
        let mut step = flat_step(name, (kernel, slots), elem.then_some(self.a.dtype), split);
        if elem {
            let facts = [("ROW_COUPLED", coupled), ("BOUNDED_BELOW", below), ("BOUNDED_ABOVE", above)];
            step.consts.extend(facts.map(|(name, fact)| (name, u32::from(fact))));
        }
        Ok(step)
    }
}

/// Most of these stream positions that one row or key looks at: a window leaves it a few, wherever they lie.
fn seen(a: &Attention, stream: usize) -> usize {
    a.widest().and_then(|width| usize::try_from(width).ok()).map_or(stream, |width| width.min(stream))
}
