//! Prologue and epilogue: maps of rows before and after the plan of the core, which then binds what they write in place of the operands.

use gatefold_core::attention::{Activation, FeatureMap, QueryScale, RowNorm, Sequences};
use gatefold_core::{Attention, Dtype};

use super::block_sums::{BLOCK, Segments, total};
use super::layout::{Members, map_rows};
use super::split::{Parted, Split, Work};
use super::{FLAT, flat_step, heads_contiguous};
use crate::plan::narrow;
use crate::source::wgsl;
use crate::{Limits, PlanError, Scratch, Source, Step};

/// What gains' gradients are summed from, and what the sums of blocks are written to, in turn.
const GAIN_SUMS: [&str; 2] = ["gain_terms", "gain_sums"];

/// Whose rows are mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Key,
    Value,
    Output,
}

/// Operands of a kind: what is mapped and what comes of it, their gradients, and what the map reads beside.
struct Names {
    x: &'static str,
    y: &'static str,
    d_y: &'static str,
    d_x: &'static str,
    factor: &'static str,
    d_factor: &'static str,
    gain: &'static str,
    d_gain: &'static str,
}

impl Kind {
    const fn names(self) -> Names {
        match self {
            Self::Query => Names {
                x: "q",
                y: "q_ready",
                d_y: "d_q_ready",
                d_x: "d_q",
                factor: "query_scale",
                d_factor: "d_query_scale",
                gain: "q_gain",
                d_gain: "d_q_gain",
            },
            Self::Key => Names {
                x: "k",
                y: "k_ready",
                d_y: "d_k_ready",
                d_x: "d_k",
                factor: "",
                d_factor: "",
                gain: "k_gain",
                d_gain: "d_k_gain",
            },
            Self::Value => Names {
                x: "v",
                y: "v_ready",
                d_y: "d_v_ready",
                d_x: "d_v",
                factor: "value_scale",
                d_factor: "d_value_scale",
                gain: "",
                d_gain: "",
            },
            Self::Output => Names {
                x: "o_core",
                y: "o",
                d_y: "d_o",
                d_x: "d_o_core",
                factor: "gate",
                d_factor: "d_gate",
                gain: "o_gain",
                d_gain: "d_o_gain",
            },
        }
    }
}

/// The factor of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Factor {
    None,
    Row(Activation),
    Element(Activation),
    LogKeys,
}

/// A map of the rows of one kind.
pub(super) struct RowMap<'a> {
    pub(super) a: &'a Attention,
    pub(super) limits: &'a Limits,
    pub(super) kind: Kind,
}

impl<'a> RowMap<'a> {
    /// The maps of the prologue.
    pub(super) fn prologue(a: &'a Attention, limits: &'a Limits) -> Vec<Self> {
        let p = &a.prologue;
        let kinds =
            [(p.maps_queries(), Kind::Query), (p.maps_keys(), Kind::Key), (p.value_scale.is_some(), Kind::Value)];
        kinds.into_iter().filter_map(|(on, kind)| on.then_some(Self { a, limits, kind })).collect()
    }

    /// The map of the epilogue.
    pub(super) fn epilogue(a: &'a Attention, limits: &'a Limits) -> Option<Self> {
        a.epilogue.maps_rows().then_some(Self { a, limits, kind: Kind::Output })
    }

    /// The operands; an output that an affine epilogue has moved is not the core's.
    fn names(&self) -> Names {
        let names = self.kind.names();
        match self.kind {
            Kind::Output if self.a.epilogue.affine => Names { x: "o_affine", d_x: "d_o_affine", ..names },
            _ => names,
        }
    }

    pub(super) fn of_queries(&self) -> bool {
        matches!(self.kind, Kind::Query | Kind::Output)
    }

    fn width(&self) -> usize {
        let d = &self.a.dims;
        if matches!(self.kind, Kind::Query | Kind::Key) { d.head_dim } else { d.val_dim }
    }

    pub(super) fn norm(&self) -> Option<RowNorm> {
        match self.kind {
            Kind::Query => self.a.prologue.query_norm,
            Kind::Key => self.a.prologue.key_norm,
            Kind::Value => None,
            Kind::Output => self.a.epilogue.norm,
        }
    }

    pub(super) fn feature_map(&self) -> Option<FeatureMap> {
        self.a.prologue.feature_map.filter(|_| matches!(self.kind, Kind::Query | Kind::Key))
    }

    pub(super) fn has_gain(&self) -> bool {
        let gain = if self.kind == Kind::Output { self.a.epilogue.gain } else { self.a.prologue.gain };
        gain && self.norm().is_some()
    }

    pub(super) fn factor(&self) -> Factor {
        match self.kind {
            Kind::Query => match self.a.prologue.query_scale {
                None => Factor::None,
                Some(QueryScale::Given) => Factor::Row(Activation::Identity),
                Some(QueryScale::LogKeys) => Factor::LogKeys,
            },
            Kind::Key => Factor::None,
            Kind::Value => self.a.prologue.value_scale.map_or(Factor::None, Factor::Row),
            Kind::Output => self.a.epilogue.gate.map_or(Factor::None, |gate| {
                if gate.per_head { Factor::Row(gate.activation) } else { Factor::Element(gate.activation) }
            }),
        }
    }

    fn rows(&self) -> u64 {
        map_rows(self.a, self.of_queries())
    }

    /// Elements of what is mapped.
    fn elements(&self) -> u64 {
        let dims = if self.of_queries() { self.a.row_dims() } else { self.a.key_row_dims() };
        dims.iter().map(|&n| n as u64).product::<u64>() * self.width() as u64
    }

    fn scratch(&self, name: &'static str, dtype: Dtype) -> Scratch {
        sized(name, self.elements() * dtype.size() as u64)
    }

    /// Where the core's result, or what it reads, waits, if that is not an operand.
    fn y_scratch(&self) -> Option<Scratch> {
        match self.kind {
            Kind::Output => (!self.a.o_core && !self.a.epilogue.affine).then(|| self.scratch("o_core", self.a.dtype)),
            _ => Some(self.scratch(self.names().y, self.a.dtype)),
        }
    }

    fn is_wide(&self) -> bool {
        matches!(self.factor(), Factor::Element(_))
    }

    fn members(&self) -> Members {
        let mut members = Members::around_core(self.a);
        let eps = self.norm().map_or(0.0, RowNorm::eps);
        let eps = if matches!(self.norm(), Some(RowNorm::L2 { .. })) { squared(eps) } else { eps };
        members.set("row_width", narrow(self.width() as u64));
        members.set_f32("eps", eps);
        members
    }

    /// The dispatches of a kernel that takes a row an invocation. `wide` and `by_row` are globals with a row, and with a number, per row.
    pub(super) fn split(
        &self,
        kernel: &'static str,
        wide: &[&'static str],
        by_row: &[&'static str],
    ) -> Result<Split, PlanError> {
        let element = self.a.dtype.size() as u64;
        let rows = self.elements() / self.width() as u64;
        let part = |operand, shift, width: u64, element: u64| {
            Parted::rows(operand, shift, rows * width * element, width, element)
        };
        let width = self.width() as u64;
        let mut parted: Vec<_> = wide.iter().map(|&name| part(name, "o_shift", width, element)).collect();
        parted.extend(by_row.iter().map(|&name| part(name, "lse_shift", 1, 4)));
        let work = Work {
            divisible: heads_contiguous(self.a) || matches!(self.a.sequences, Sequences::Paged { .. }),
            parted,
            step_trips: 4 * width,
            step_work: f64::from(FLAT) * 8.0 * width as f64,
            ..Work::flat(kernel, self.rows().div_ceil(FLAT.into()), 1)
        };
        work.split(&self.members(), self.limits)
    }

    /// The step that writes `y`, and the scratch that it needs; none without rows.
    pub(super) fn forward(&self) -> Result<(Option<Step>, Option<Scratch>), PlanError> {
        if self.rows() == 0 {
            return Ok((None, self.y_scratch()));
        }
        let names = self.names();
        let (slots, part) = self.slots();
        let (wide, by_row) = self.globals(&["x", "y"], "element_factor", "row_factor");
        let split = self.split("attention_row_map", &wide, &by_row)?;
        let name = format!("attention_row_map{part}.{}", self.a.dtype);
        let binds = vec![("x", names.x), ("y", names.y)].into_iter().chain(self.beside()).collect();
        let step = self.step(name, (wgsl!("attention/row_map.wgsl"), slots), binds, split);
        Ok((Some(step), self.y_scratch()))
    }

    /// The steps that write `d_x` and the gradients of factor and gain, and the scratch that they need.
    pub(super) fn backward(&self) -> Result<(Vec<Step>, Vec<Scratch>), PlanError> {
        let names = self.names();
        let waits = if self.kind == Kind::Output { names.d_x } else { names.d_y };
        let mut scratch = vec![self.scratch(waits, self.a.dtype)];
        let mut steps = Vec::new();
        if self.rows() > 0 {
            let (mut slots, mut part) = self.slots();
            let has_gradient = !matches!(self.factor(), Factor::None | Factor::LogKeys);
            slots.extend(self.has_gain().then_some(wgsl!("attention/row_map/gain/terms.wgsl")));
            slots.push(match self.factor() {
                Factor::Row(_) => wgsl!("attention/row_map/gradient/row.wgsl"),
                Factor::Element(_) => wgsl!("attention/row_map/gradient/element.wgsl"),
                _ => wgsl!("attention/row_map/gradient/none.wgsl"),
            });
            part.push_str(&format!(".{}", self.a.dtype));
            let (mut wide, mut by_row) = self.globals(&["x", "d_y", "d_x"], "element_factor", "row_factor");
            let d_factor = if self.is_wide() { "d_element_factor" } else { "d_row_factor" };
            if has_gradient {
                (if self.is_wide() { &mut wide } else { &mut by_row }).push(d_factor);
            }
            let split = self.split("attention_row_map_backward", &wide, &by_row)?;
            let kernel = (wgsl!("attention/row_map_backward.wgsl"), slots);
            let mut binds = vec![("x", names.x), ("d_y", names.d_y), ("d_x", names.d_x)];
            binds.extend(self.beside());
            binds.extend(has_gradient.then_some((d_factor, names.d_factor)));
            steps.push(self.step(format!("attention_row_map_backward{part}"), kernel, binds, split));
        }
        if self.has_gain() {
            scratch.push(self.scratch(GAIN_SUMS[0], Dtype::F32));
            steps.extend(self.sum_gains(names.d_gain, &mut scratch)?);
        }
        Ok((steps, scratch))
    }

    fn step(
        &self,
        name: String,
        kernel: (Source, Vec<Source>),
        binds: Vec<(&'static str, &'static str)>,
        split: Split,
    ) -> Step {
        let mut step = flat_step(name, kernel, Some(self.a.dtype), split);
        step.consts.push(largest(self.a.dtype));
        Step { binds, ..step }
    }

    /// Globals with a row, and with a number, per row.
    fn globals(
        &self,
        rows: &[&'static str],
        element: &'static str,
        row: &'static str,
    ) -> (Vec<&'static str>, Vec<&'static str>) {
        let mut wide = rows.to_vec();
        wide.extend(self.is_wide().then_some(element));
        (wide, matches!(self.factor(), Factor::Row(_)).then_some(row).into_iter().collect())
    }

    /// What the map reads beside the rows.
    fn beside(&self) -> Vec<(&'static str, &'static str)> {
        let names = self.names();
        let mut all = Vec::new();
        all.extend(match self.factor() {
            Factor::Row(_) => Some(("row_factor", names.factor)),
            Factor::Element(_) => Some(("element_factor", names.factor)),
            _ => None,
        });
        all.extend(self.has_gain().then_some(("dim_gain", names.gain)));
        all
    }

    /// Sums the terms of all rows, a block at a time, until one is left.
    fn sum_gains(&self, output: &'static str, scratch: &mut Vec<Scratch>) -> Result<Vec<Step>, PlanError> {
        let width = self.width() as u64;
        let rows = Segments::one(self.elements() / width);
        let sums = sized(GAIN_SUMS[1], rows.blocks(BLOCK) * width * 4);
        if sums.bytes > self.limits.binding_bytes || scratch.iter().any(|s| s.bytes > self.limits.binding_bytes) {
            let need = scratch.iter().map(|s| s.bytes).max().unwrap_or(sums.bytes);
            return Err(PlanError::TooLarge { operand: GAIN_SUMS[0].into(), need, have: self.limits.binding_bytes });
        }
        let [terms, between] = GAIN_SUMS;
        let steps = total(rows, width, (terms, [between, terms]), output, self.limits);
        scratch.extend((steps.len() > 1).then_some(sums));
        Ok(steps)
    }
}

#[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
fn squared(eps: f32) -> f32 {
    (f64::from(eps) * f64::from(eps)) as f32
}

/// A scratch of so many bytes, of which a kernel may read a vec4.
pub(super) fn sized(name: &'static str, bytes: u64) -> Scratch {
    Scratch { name, bytes: bytes.next_multiple_of(16).max(16) }
}

/// The constant that results saturate at.
pub(super) fn largest(dtype: Dtype) -> (&'static str, u32) {
    let largest = if dtype == Dtype::F16 { 65504.0 } else { f32::MAX };
    ("LARGEST_BITS", largest.to_bits())
}
