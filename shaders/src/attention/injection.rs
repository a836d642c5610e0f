//! Injection: a vector per head mixed into rows of the output, which stands alone after the core.

use gatefold_core::Attention;
use gatefold_core::attention::Injection as Which;

use super::block_sums::{BLOCK, Segments, total};
use super::layout::{Members, map_rows};
use super::row_map::{largest, sized};
use super::split::{Parted, Work};
use super::{FLAT, files, flat_step};
use crate::plan::narrow;
use crate::source::wgsl;
use crate::{Limits, PlanError, Scratch, Source, Step};

/// Terms of the gradients of vector and logit, a row each, by head; then sums of them, in turns.
const TERMS: [&str; 2] = ["vector_terms", "logit_terms"];
const SUMS: [&str; 2] = ["injection_sums", "injection_sums_2"];

const APART: Source = wgsl!("attention/injected/apart.wgsl");
const IN_PLACE: Source = wgsl!("attention/injected/in_place.wgsl");

/// The injection of an attention.
pub(super) struct Injection<'a> {
    a: &'a Attention,
    limits: &'a Limits,
    which: Which,
}

impl<'a> Injection<'a> {
    /// The injection, if there is one.
    pub(super) fn of(a: &'a Attention, limits: &'a Limits) -> Option<Self> {
        a.epilogue.injection.map(|which| Self { a, limits, which })
    }

    /// Whether the core stores the output, of which single rows are then changed where they lie.
    pub(super) fn is_in_place(&self) -> bool {
        self.which == Which::LastRow && !self.a.o_core
    }

    fn width(&self) -> u64 {
        self.a.dims.val_dim as u64
    }

    /// Bytes of rows as they are stored.
    fn stored(&self) -> u64 {
        let rows: u64 = self.a.row_dims().iter().map(|&n| n as u64).product();
        rows * self.width() * self.a.dtype.size() as u64
    }

    /// The step that mixes, and the scratch that it needs.
    pub(super) fn forward(&self) -> Result<(Step, Vec<Scratch>), PlanError> {
        let kernel = wgsl!("attention/injection.wgsl");
        let output = ("y", "o", self.stored());
        if self.is_in_place() {
            let elements = (self.a.dims.batch * self.a.dims.q_heads) as u64 * self.width();
            let step = self.step("attention_injection", (kernel, Some(IN_PLACE)), &[output], (elements, 1))?;
            return Ok((step, Vec::new()));
        }
        let binds = [("x", "o_core", self.stored()), output];
        let elements = map_rows(self.a, true) * self.width();
        let step = self.step("attention_injection", (kernel, Some(APART)), &binds, (elements, 1))?;
        Ok((step, (!self.a.o_core).then(|| sized("o_core", self.stored())).into_iter().collect()))
    }

    /// The steps of a gradient before the core's: the gradients of its rows, of the vectors and of the logits.
    pub(super) fn backward(&self) -> Result<(Vec<Step>, Vec<Scratch>), PlanError> {
        let rows = map_rows(self.a, true);
        let terms = [rows * self.width() * 4, rows * 4];
        let stored = self.stored();
        let binds = [
            ("x", "o_core", stored),
            ("d_y", "d_o", stored),
            ("d_x", "d_o_core", stored),
            (TERMS[0], TERMS[0], terms[0]),
            (TERMS[1], TERMS[1], terms[1]),
        ];
        let kernel = (wgsl!("attention/injection_backward.wgsl"), None);
        let mut steps = vec![self.step("attention_injection_backward", kernel, &binds, (rows, self.width()))?];
        let mut scratch = vec![sized("d_o_core", stored), sized(TERMS[0], terms[0]), sized(TERMS[1], terms[1])];
        let first = self.rows().blocked(BLOCK);
        let levels = [first.length, first.blocks(BLOCK)].into_iter().take_while(|&blocks| blocks > 1);
        scratch.extend(levels.zip(SUMS).map(|(blocks, name)| sized(name, first.count * blocks * self.width() * 4)));
        for (terms, output, width) in [(TERMS[0], "d_task_vector", self.width()), (TERMS[1], "d_inject_logit", 1)] {
            steps.extend(total(self.rows(), width, (terms, SUMS), output, self.limits));
        }
        Ok((steps, scratch))
    }

    /// The rows of each head.
    fn rows(&self) -> Segments {
        let d = &self.a.dims;
        let length = (d.batch * d.seq_q) as u64;
        Segments { count: d.q_heads as u64, length, steps: [length, 1] }
    }

    /// A step that binds this beside logits and vectors, and takes so many invocations of so many loop trips.
    fn step(
        &self,
        name: &'static str,
        (kernel, place): (Source, Option<Source>),
        binds: &[(&'static str, &'static str, u64)],
        (invocations, trips): (u64, u64),
    ) -> Result<Step, PlanError> {
        let have = u64::from(u32::MAX - FLAT);
        if invocations > have {
            let limit = "elements that an index counts";
            return Err(PlanError::Limit { kernel: name.into(), limit, need: invocations, have });
        }
        let part = |&(operand, _, bytes)| Parted { operand, shift: "o_shift", bytes, unit_bytes: 0, element: 4 };
        let work = Work {
            parted: binds.iter().map(part).collect(),
            step_trips: trips,
            step_work: f64::from(FLAT) * (8 + trips) as f64,
            ..Work::flat(name, invocations.div_ceil(FLAT.into()), 1)
        };
        let mut members = Members::around_core(self.a);
        members.set("row_width", narrow(self.width()));
        let split = work.split(&members, self.limits)?;
        let (injected, part) = match self.which {
            Which::LastRow => (wgsl!("attention/injected/last_row.wgsl"), ".last_row"),
            Which::EveryRow => (wgsl!("attention/injected/every_row.wgsl"), ".every_row"),
        };
        let mut slots = vec![
            files::SHAPE,
            files::QUERY_ROWS,
            wgsl!("attention/row_map/scaled.wgsl"),
            wgsl!("attention/injected/shares.wgsl"),
            injected,
        ];
        slots.extend(place);
        let place = if place == Some(IN_PLACE) { ".in_place" } else { "" };
        let name = format!("{name}{part}{place}.{}", self.a.dtype);
        let mut step = flat_step(name, (kernel, slots), Some(self.a.dtype), split);
        step.consts.push(largest(self.a.dtype));
        step.binds = binds.iter().map(|&(global, operand, _)| (global, operand)).collect();
        Ok(step)
    }
}
