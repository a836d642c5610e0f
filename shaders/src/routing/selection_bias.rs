//! The plan of a bias update: one workgroup.

use gatefold_core::{Op, SelectionBiasUpdate};

use crate::plan::narrow;
use crate::source::wgsl;
use crate::spans::{INVOCATIONS, check_bindings};
use crate::{Dispatch, Kernels, Limits, Param, Plan, PlanError, Step};

impl Kernels for SelectionBiasUpdate {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        check_bindings(&self.operands(), limits)?;
        let params = vec![("experts", Param::U32(narrow(self.experts as u64))), ("rate", Param::F32(self.rate))];
        let step = Step {
            consts: vec![("INVOCATIONS", INVOCATIONS)],
            trips: 2 * (self.experts as u64).div_ceil(INVOCATIONS.into()) + u64::from(INVOCATIONS.ilog2()),
            ..Step::plain(
                "selection_bias_update",
                wgsl!("routing/selection_bias.wgsl"),
                vec![Dispatch { grid: [1, 1, 1], params, windows: Vec::new() }],
            )
        };
        Ok(Plan { op: Self::NAME, steps: vec![step], ..Plan::default() })
    }
}
