//! Faults of attention's statistics.

use super::super::Row;

const PAIR: &str = "attention/diagnostics/pair.wgsl";
const ROW: &str = "attention/diagnostics/row.wgsl";
const LEVEL: &str = "attention/diagnostics/level.wgsl";
const KEY: &str = "attention/diagnostics/key.wgsl";
const SOFTMAX: &str = "attention/diagnostics/softmax.wgsl";
const ELEMENTWISE: &str = "attention/diagnostics/elementwise.wgsl";
const OP: &str = "attention_statistics";

pub(super) const ALL: &[Row] = &[
    (
        "statistics_scale_lost",
        PAIR,
        "scores are not scaled",
        "(sums.x + sums.y + sums.z + sums.w) * params.scale",
        "(sums.x + sums.y + sums.z + sums.w)",
        OP,
        &[],
    ),
    (
        "statistics_mean_over_all_queries",
        KEY,
        "importance is a mean over all queries, not those that see the key",
        "sum / f32(max(count, 1u))",
        "sum / f32(at.len_q)",
        OP,
        &["causal"],
    ),
    ("statistics_not_normalised", KEY, "masses are summed, not weights", "m * side_f32(of_row + 5u)", "m", OP, &[]),
    (
        "statistics_entropy_of_masses",
        ROW,
        "the entropy lacks the logarithm of the sum",
        "sum * log(max(whole, 1.0)) + spread",
        "spread",
        OP,
        &[],
    ),
    (
        "statistics_top_not_normalised",
        ROW,
        "the largest mass is not divided by the sum",
        "select(largest * share, nan, broken)",
        "select(largest, nan, broken)",
        OP,
        &[],
    ),
    (
        "statistics_sink_takes_nothing",
        SOFTMAX,
        "a sink has no share of the row",
        "return select(mass(sink, relative_to), 0.0, is_hidden(sink));",
        "return 0.0;",
        OP,
        &["softmax", "sink"],
    ),
    (
        "statistics_sign_kept",
        ELEMENTWISE,
        "weights are summed with their sign",
        "return abs(phi4(vec4(z)).x);",
        "return phi4(vec4(z)).x;",
        OP,
        &["identity"],
    ),
    (
        "statistics_nan_lost",
        LEVEL,
        "a row with a NaN is taken for a good one",
        "broken = broken | pair.broken;",
        "broken = broken | false;",
        OP,
        &["Nan"],
    ),
    (
        "statistics_starts_again",
        ROW,
        "the second dispatch over a row's keys forgets the first",
        "var sum = select(0.0, side_f32(words + 1u), goes_on);",
        "var sum = 0.0;",
        OP,
        &["split"],
    ),
];
