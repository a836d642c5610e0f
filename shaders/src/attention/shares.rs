//! Decode: how the forward pass packs the rows of few queries, and shares out their keys.

use gatefold_core::Attention;
use gatefold_core::attention::Sequences;

use super::layout::Members;
use super::split::Work;
use crate::Limits;
use crate::plan::narrow;

/// Most queries a head whose rows are packed with those of the heads that share their keys: more fill a tile by themselves.
const FEW_QUERIES: usize = 16;
/// Most rows of a key/value head whose keys are shared out: with more there are tiles enough.
const FEW_ROWS: usize = 64;

/// Whether a tile's own rows are the queries of all heads of a group, so that a key is read once for the group.
pub(super) fn are_grouped(a: &Attention) -> bool {
    let d = &a.dims;
    d.group() > 1 && d.seq_q <= FEW_QUERIES && !matches!(a.sequences, Sequences::Packed { .. })
}

/// Own rows of the forward pass that follow each other.
pub(super) fn own_rows(a: &Attention) -> usize {
    a.dims.seq_q * if are_grouped(a) { a.dims.group() } else { 1 }
}

/// Workgroups that share the keys of a tile, and how many keys each takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) count: u64,
    pub(super) keys: u64,
}

impl Shares {
    /// Shares for the work of a forward pass: as many as keep the adapter busy, none shorter than is worth a merge; 1 where a workgroup is to
    /// see all keys.
    pub(super) fn of(a: &Attention, work: &Work, in_matrices: bool, limits: &Limits) -> Self {
        let keys = work.stream;
        let one = Self { count: 1, keys };
        if in_matrices || own_rows(a) > FEW_ROWS || work.visited < keys {
            return one;
        }
        let wanted = limits.busy_groups / (work.units * work.groups_per_unit).max(1);
        let count = wanted.min(keys / limits.least_share.max(1));
        if count < 2 {
            return one;
        }
        let share = keys.div_ceil(count).next_multiple_of(work.stream_step);
        // A share must not need to be cut again.
        if share > work.most_stream(limits) || share >= keys {
            return one;
        }
        Self { count: keys.div_ceil(share), keys: share }
    }

    pub(super) fn are_several(&self) -> bool {
        self.count > 1
    }

    /// The members of `params` that say so.
    pub(super) fn set(&self, members: &mut Members) {
        members.set("splits", narrow(self.count));
        members.set("split_keys", narrow(self.keys));
    }
}

#[cfg(test)]
mod tests {
    use gatefold_core::Op;
    use gatefold_core::attention::{Causal, Dims, NanPolicy, Window};

    use super::*;
    use crate::{Kernels, Plan};

    fn decode(seq_q: usize, seq_kv: usize) -> Attention {
        let dims = Dims { q_heads: 32, seq_q, ..Dims::new(1, 8, seq_kv, 128) };
        Attention { nan_policy: NanPolicy::Trust, ..Attention::softmax(dims) }
    }

    fn plan(a: &Attention) -> Plan {
        a.plan(&Limits::webgpu_default()).unwrap()
    }

    /// Workgroups of the forward kernel, and the names of all steps.
    fn groups(plan: &Plan) -> (u32, Vec<&str>) {
        let grid = plan.steps[0].dispatches.iter().map(|d| d.grid.iter().product::<u32>()).sum();
        (grid, plan.steps.iter().map(|s| s.name.split('.').next().unwrap_or_default()).collect())
    }

    #[test]
    fn decode_keeps_the_adapter_busy() {
        let a = decode(1, 131_072);
        let plan = plan(&a);
        assert_eq!(groups(&plan), (512, vec!["attention_forward", "attention_forward_combine"]));
        assert!(plan.reasons.iter().any(|r| r.starts_with("split: 64 ")), "{:?}", plan.reasons);
        // Parts are few against the keys and values: a share of 2,048 keys leaves 8 rows, of which 4 are used.
        let read = a.cost().bytes;
        assert!((plan.extra_bytes() as f64) < 0.05 * read, "{} beside {read}", plan.extra_bytes());
    }

    #[test]
    fn a_group_reads_its_keys_once() {
        let (few, many) = (decode(2, 300), decode(17, 300));
        assert_eq!((own_rows(&few), own_rows(&many)), (8, 17));
        assert_eq!(groups(&plan(&few)).0, 8);
        let packed = Attention { sequences: Sequences::Packed { total_q: 2, total_kv: 300 }, ..few };
        assert!(!are_grouped(&packed));
    }

    #[test]
    fn what_sees_few_keys_is_not_shared_out() {
        let window = Window { left: Some(1023), right: None };
        let near = Attention { window, causal: Causal::BottomRight, ..decode(1, 131_072) };
        for a in [near, decode(1, 500), decode(65, 131_072)] {
            assert!(!plan(&a).steps.iter().any(|s| s.name.contains("combine")), "{a:?}");
        }
    }
}
