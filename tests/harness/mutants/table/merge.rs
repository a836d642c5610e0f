//! Faults of the merge of an attention's parts.

use super::super::Row;

const KERNEL: &str = "attention/merge.wgsl";
const BY_LSE: &str = "attention/merge/by_lse.wgsl";

pub(super) const ALL: &[Row] = &[
    (
        "merge_reads_the_first_part",
        KERNEL,
        "every part is the first",
        "o_parts[part * params.rows * params.val_dim + element]",
        "o_parts[element]",
        "attention_merge",
        &[],
    ),
    (
        "merge_counts_the_empty",
        BY_LSE,
        "a part that saw no key counts",
        "!= 0xff800000u; }",
        "!= 0xff800001u; }",
        "attention_merge",
        &["softmax", "special"],
    ),
    (
        "merge_not_normalised",
        BY_LSE,
        "the parts' shares do not add up to 1",
        "joint.factor = 1.0 / joint.total;",
        "joint.factor = 1.0;",
        "attention_merge",
        &["softmax"],
    ),
    (
        "merge_lse_without_peak",
        BY_LSE,
        "lse lacks the largest part's",
        "bitcast<u32>(joint.peak + log(",
        "bitcast<u32>(log(",
        "attention_merge",
        &["softmax"],
    ),
    (
        "merge_nan_lost",
        KERNEL,
        "a NaN in a part is taken for 0",
        "broken = broken | !finite;",
        "broken = broken | false;",
        "attention_merge",
        &["degenerate"],
    ),
];
