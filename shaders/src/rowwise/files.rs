//! Which files a row kernel is linked from.

use gatefold_core::RowFunction;

use super::Job;
use crate::Source;
use crate::source::wgsl;

/// A kernel file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    RowPerInvocation,
    RowPerWorkgroup,
    SplitReduce,
    SplitWrite,
}

impl Kernel {
    pub(super) fn source(self) -> Source {
        match self {
            Self::RowPerInvocation => wgsl!("rowwise/row_per_invocation.wgsl"),
            Self::RowPerWorkgroup => wgsl!("rowwise/row_per_workgroup.wgsl"),
            Self::SplitReduce => wgsl!("rowwise/split_reduce.wgsl"),
            Self::SplitWrite => wgsl!("rowwise/split_write.wgsl"),
        }
    }

    /// As in variant names.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RowPerInvocation => "row_per_invocation",
            Self::RowPerWorkgroup => "row_per_workgroup",
            Self::SplitReduce => "split_reduce",
            Self::SplitWrite => "split_write",
        }
    }

    /// Whether the invocations of a workgroup merge what they found.
    pub(super) fn reduces(self) -> bool {
        self != Self::RowPerInvocation
    }
}

/// The slot files of a kernel for a job.
pub(super) fn slots(job: &Job<'_>, kernel: Kernel) -> Vec<Source> {
    let mut files = vec![wgsl!("rowwise/shape.wgsl"), statistic(job)];
    if kernel.reduces() {
        files.push(wgsl!("common/reduce.wgsl"));
    }
    files.push(if job.forward.lens { wgsl!("rowwise/len/lens.wgsl") } else { wgsl!("rowwise/len/all.wgsl") });
    files.push(load(job));
    files.extend(function(job, kernel));
    if kernel != Kernel::SplitReduce {
        files.push(store(job));
    }
    files
}

fn statistic(job: &Job<'_>) -> Source {
    if job.reads_logits() { wgsl!("common/maximum_sum.wgsl") } else { wgsl!("common/sum.wgsl") }
}

fn load(job: &Job<'_>) -> Source {
    match (job.reads_logits(), job.is_vec4()) {
        (true, true) => wgsl!("rowwise/load/x_vec4.wgsl"),
        (true, false) => wgsl!("rowwise/load/x_scalar.wgsl"),
        (false, true) => wgsl!("rowwise/load/y_vec4.wgsl"),
        (false, false) => wgsl!("rowwise/load/y_scalar.wgsl"),
    }
}

fn store(job: &Job<'_>) -> Source {
    match (job.is_backward, job.is_vec4()) {
        (false, _) if job.forward.function == RowFunction::LogSumExp => wgsl!("rowwise/store/y_row.wgsl"),
        (false, true) => wgsl!("rowwise/store/y_vec4.wgsl"),
        (false, false) => wgsl!("rowwise/store/y_scalar.wgsl"),
        (true, true) => wgsl!("rowwise/store/d_x_vec4.wgsl"),
        (true, false) => wgsl!("rowwise/store/d_x_scalar.wgsl"),
    }
}

fn function(job: &Job<'_>, kernel: Kernel) -> Vec<Source> {
    if !job.reads_logits() {
        let term = match job.forward.function {
            RowFunction::Softmax => wgsl!("rowwise/function/softmax_backward.wgsl"),
            _ => wgsl!("rowwise/function/log_softmax_backward.wgsl"),
        };
        return vec![wgsl!("rowwise/function/gradient.wgsl"), term];
    }
    let mut files = vec![wgsl!("rowwise/function/logits.wgsl")];
    if kernel != Kernel::SplitReduce {
        files.push(match job.forward.function {
            RowFunction::Softmax => wgsl!("rowwise/function/softmax.wgsl"),
            RowFunction::LogSoftmax => wgsl!("rowwise/function/log_softmax.wgsl"),
            RowFunction::LogSumExp if job.is_backward => wgsl!("rowwise/function/log_sum_exp_backward.wgsl"),
            RowFunction::LogSumExp => wgsl!("rowwise/function/log_sum_exp.wgsl"),
        });
    }
    files
}
