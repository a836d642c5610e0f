//! The first step of the attention's gradient: numbers per row that all later ones need.

use gatefold_core::Dtype;
use gatefold_core::attention::{Normalizer, Weight};

use super::backward::Planner;
use super::layout::{Members, operand_bytes};
use super::split::{Parted, Work};
use super::{FLAT, files, flat_step, heads_contiguous, local_linear};
use crate::{PlanError, Source};

impl Planner<'_> {
    /// Softmax's `lse` and `delta`, or a normaliser's `1/n` and what it takes from `d_o·v`.
    pub(super) fn row_statistics(&mut self) -> Result<(), PlanError> {
        let a = &self.op.forward;
        if !a.has_row_statistics() {
            self.reasons
                .push(format!("no row preprocess: {} without a normaliser keeps no row statistics", a.weight.name()));
            return Ok(());
        }
        if a.normalizer.of_head().is_some() {
            return self.head_statistics();
        }
        let softmax = a.weight == Weight::Softmax;
        let mut slots = vec![files::SHAPE];
        let part = if softmax {
            let (d_lse, part) = files::d_lse(self.op.d_lse);
            slots.extend([local_linear::numbers(a), d_lse]);
            format!(".softmax{}{part}", local_linear::label(a))
        } else {
            let (normalizer, name) = files::normalizer(a);
            let (correction, part) = files::correction(a);
            slots.extend([files::NUMBERS_NORMALIZED, normalizer]);
            slots.extend(correction);
            format!("{name}{part}")
        };
        self.row_numbers(&part, slots)
    }

    /// The step that leaves two numbers of every row.
    pub(super) fn row_numbers(&mut self, part: &str, slots: Vec<Source>) -> Result<(), PlanError> {
        let a = &self.op.forward;
        let d = &a.dims;
        let rows = (d.batch * d.q_heads * d.seq_q) as u64;
        let kernel = "attention_row_numbers";
        let work = Work {
            divisible: heads_contiguous(a),
            parted: self.row_operands(),
            step_trips: d.val_dim as u64,
            step_work: f64::from(FLAT) * d.val_dim as f64,
            ..Work::flat(kernel, rows.div_ceil(FLAT.into()), 1)
        };
        let split = work.split(&Members::new(a, &self.layout), self.limits)?;
        self.steps.push(flat_step(
            format!("{kernel}{part}.{}", a.dtype),
            (files::ROW_NUMBERS, slots),
            Some(a.dtype),
            split,
        ));
        Ok(())
    }

    /// What the step reads and writes by row. A unit is a workgroup's `FLAT` rows.
    fn row_operands(&self) -> Vec<Parted> {
        let a = &self.op.forward;
        let part = |operand, shift, width: usize, dtype: Dtype| {
            let element = dtype.size() as u64;
            Parted::rows(operand, shift, operand_bytes(self.op, operand), width as u64, element)
        };
        let mut all = Vec::new();
        if a.needs_delta() {
            all.extend(["d_o", "o"].map(|name| part(name, "o_shift", a.dims.val_dim, a.dtype)));
        }
        if a.local_linear {
            all.push(part("v_mean", "o_shift", a.dims.val_dim, a.dtype));
            all.push(part("rk_mean", "lse_shift", 1, Dtype::F32));
        }
        let d_lse = self.op.d_lse.then_some("d_lse");
        let learned = (a.normalizer == Normalizer::LearnedExp).then_some("d_log_norm");
        let numbers = a.saved().into_iter().chain(a.measures().iter().copied()).chain(d_lse).chain(learned);
        all.extend(numbers.map(|name| part(name, "lse_shift", 1, Dtype::F32)));
        all
    }
}
