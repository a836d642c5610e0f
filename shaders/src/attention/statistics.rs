//! The first step of the attention's gradient: numbers per row that all later ones need.

use gatefold_core::Dtype;
use gatefold_core::attention::{Normalizer, Weight};

use super::backward::Planner;
use super::layout::{Members, operand_bytes};
use super::split::{Parted, Work};
use super::{FLAT, files, heads_contiguous};
use crate::{PlanError, Step};

impl Planner<'_> {
    /// Softmax's `lse` and `delta`, or a normaliser's `1/n` and what it takes from `d_o·v`.
    pub(super) fn row_statistics(&mut self) -> Result<(), PlanError> {
        let a = &self.op.forward;
        if !a.has_row_statistics() {
            self.reasons
                .push(format!("no row preprocess: {} without a normaliser keeps no row statistics", a.weight.name()));
            return Ok(());
        }
        let softmax = a.weight == Weight::Softmax;
        let d = &a.dims;
        let rows = (d.batch * d.q_heads * d.seq_q) as u64;
        let kernel = if softmax { "attention_delta" } else { "attention_normalize" };
        let work = Work {
            kernel,
            units: rows.div_ceil(FLAT.into()),
            groups_per_unit: 1,
            divisible: heads_contiguous(a),
            parted: self.row_operands(),
            stream: 1,
            stream_step: 1,
            visited: u64::MAX,
            step_trips: d.val_dim as u64,
            step_work: f64::from(FLAT) * d.val_dim as f64,
            fixed_trips: 0,
        };
        let split = work.split(&Members::new(a, &self.layout), self.limits)?;
        let mut slots = vec![files::SHAPE];
        let (file, part) = if softmax {
            let (d_lse, part) = files::d_lse(self.op.d_lse);
            slots.push(d_lse);
            (files::DELTA, part.to_string())
        } else {
            let (normalizer, name) = files::normalizer(a);
            let (correction, part) = files::correction(a);
            slots.push(normalizer);
            slots.extend(correction);
            (files::NORMALIZE, format!("{name}{part}"))
        };
        self.steps.push(Step {
            name: format!("{kernel}{part}.{}", a.dtype),
            kernel: file,
            slots,
            consts: vec![("INVOCATIONS", FLAT)],
            aliases: vec![files::elem(a.dtype)],
            f16: a.dtype == Dtype::F16,
            subgroups: false,
            matrix: false,
            dispatches: split.dispatches,
            trips: split.trips,
            proven: false,
            loops: Vec::new(),
        });
        Ok(())
    }

    /// What the step reads and writes by row. A unit is a workgroup's `FLAT` rows.
    fn row_operands(&self) -> Vec<Parted> {
        let a = &self.op.forward;
        let part = |operand, shift, width: usize, dtype: Dtype| {
            let element = dtype.size() as u64;
            let unit_bytes = u64::from(FLAT) * width as u64 * element;
            Parted { operand, shift, bytes: operand_bytes(self.op, operand), unit_bytes, element }
        };
        let mut all = Vec::new();
        if a.needs_delta() {
            all.extend(["d_o", "o"].map(|name| part(name, "o_shift", a.dims.val_dim, a.dtype)));
        }
        let d_lse = self.op.d_lse.then_some("d_lse");
        let learned = (a.normalizer == Normalizer::LearnedExp).then_some("d_log_norm");
        let numbers = a.saved().into_iter().chain(d_lse).chain(learned);
        all.extend(numbers.map(|name| part(name, "lse_shift", 1, Dtype::F32)));
        all
    }
}
