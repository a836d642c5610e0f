//! Faults of routers with their projection, and of whole layers.

use super::super::Row;

const UP: &str = "routing/decode_up.wgsl";
const DOWN: &str = "routing/decode_down.wgsl";
const B_UP: &str = "routing/decode/b_up.wgsl";
const B_DOWN: &str = "routing/decode/b_down.wgsl";
const CAST: &str = "routing/cast.wgsl";
const ADD: &str = "routing/add.wgsl";

pub(super) const ALL: &[Row] = &[
    (
        "decode_up_first_expert",
        UP,
        "every assignment takes the first slot's expert",
        "expert = indices[assignment]; }",
        "expert = indices[assignment / params.top_k * params.top_k]; }",
        "moe",
        &["1 tokens, 8 experts"],
    ),
    (
        "decode_up_halves_swapped",
        UP,
        "gate and up columns are swapped",
        "made = curve(vec4(left)).value.x * factor(vec4(select(1.0, right, GATED == 1u))).value.x;",
        "made = curve(vec4(select(left, right, GATED == 1u))).value.x * factor(vec4(select(1.0, left, GATED == 1u))).value.x;",
        "moe",
        &["1 tokens, 8 experts"],
    ),
    (
        "decode_up_wrong_stride",
        UP,
        "an expert's matrix is taken to be as wide as its inside",
        "let at = (expert * params.hidden + term) * params.up + col;",
        "let at = (expert * params.hidden + term) * params.width + col;",
        "moe",
        &["1 tokens, 8 experts"],
    ),
    (
        "decode_up_bias_of_gate",
        UP,
        "the up half has the gate's bias",
        "right += bias(bias_row + params.width); }",
        "right += bias(bias_row); }",
        "moe",
        &["3 tokens, 8 experts"],
    ),
    (
        "decode_down_unweighted",
        DOWN,
        "experts are added up without their weights",
        "total += weights[assignment] * sum;",
        "total += sum;",
        "moe",
        &["1 tokens, 8 experts"],
    ),
    (
        "decode_down_last_slot",
        DOWN,
        "a token's last expert is left out",
        "slot < params.top_k; slot++",
        "slot + 1u < params.top_k; slot++",
        "moe",
        &["1 tokens, 8 experts"],
    ),
    (
        "decode_down_other_assignment",
        DOWN,
        "every expert reads the first slot's row",
        "sum += inner[assignment * params.width + term]",
        "sum += inner[token * params.top_k * params.width + term]",
        "moe",
        &["1 tokens, 8 experts"],
    ),
    (
        "decode_up_no_bias",
        B_UP,
        "the first bias is lost",
        "return b_up[at];",
        "return 0.0;",
        "moe",
        &["3 tokens, 8 experts"],
    ),
    (
        "decode_down_first_bias",
        B_DOWN,
        "every expert has the first column's bias",
        "return b_down[at];",
        "return b_down[0];",
        "moe",
        &["3 tokens, 8 experts"],
    ),
    (
        "router_cast_neighbour",
        CAST,
        "an element is its neighbour",
        "Elem(x[element])",
        "Elem(x[element ^ 1u])",
        "router",
        &["f16"],
    ),
    (
        "moe_gradient_of_experts_only",
        ADD,
        "the router's part of a gradient is lost",
        "f32(a[element]) + f32(b[element])",
        "f32(a[element])",
        "moe_backward",
        &[],
    ),
    (
        "router_losses_subtracted",
        ADD,
        "the losses' gradient has the wrong sign",
        "f32(a[element]) + f32(b[element])",
        "f32(a[element]) - f32(b[element])",
        "router_backward",
        &["more"],
    ),
];
