//! Faults of the maps that make features of queries and keys.

use super::super::Row;

pub(super) const ALL: &[Row] = &[
    (
        "relu_of_the_negative",
        "attention/row_map/feature/relu.wgsl",
        "what is below 0 is kept",
        "select(x, 0.0, is_negative(x))",
        "select(0.0, x, is_negative(x))",
        "attention",
        &["qk_relu", "features"],
    ),
    (
        "relu_slope_everywhere",
        "attention/row_map/feature/relu.wgsl",
        "the slope below 0 is that above it",
        "select(0.0, 1.0, (bits > 0u)",
        "select(1.0, 1.0, (bits > 0u)",
        "attention_backward",
        &["qk_relu", "features"],
    ),
    (
        "elu_without_its_one",
        "attention/row_map/feature/elu_one.wgsl",
        "the map jumps at 0",
        "select(x + 1.0, x,",
        "select(x, x,",
        "attention",
        &["qk_elu_one"],
    ),
    (
        "elu_slope_below_only",
        "attention/row_map/feature/elu_one.wgsl",
        "there is no slope above 0",
        "select(1.0, 0.0,",
        "select(0.0, 0.0,",
        "attention_backward",
        &["qk_elu_one", "features"],
    ),
    (
        "map_before_the_gain",
        "attention/row_map/featured.wgsl",
        "features are multiplied by the gain, which should come before them",
        "feature(scaled(gain, n))",
        "scaled(gain, feature(n))",
        "attention",
        &["features", "gain"],
    ),
    (
        "gain_gradient_unmapped",
        "attention/row_map_backward.wgsl",
        "the gradient of the gain does not see the map",
        "d_mapped(gain(d), n, upstream) * n",
        "upstream * n",
        "attention_backward",
        &["features", "gain"],
    ),
    (
        "scale_gradient_unmapped",
        "attention/row_map_backward.wgsl",
        "the gradient of the queries' scale does not see the map",
        "upstream * mapped(gain(d), n)",
        "upstream * gain(d) * n",
        "attention_backward",
        &["features", "query_scale"],
    ),
];
