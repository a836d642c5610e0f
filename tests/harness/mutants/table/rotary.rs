//! Faults of the rotary embedding.

use super::super::Row;

const KERNEL: &str = "attention/rotary.wgsl";
const OP: &str = "rotary_embedding";

pub(super) const ALL: &[Row] = &[
    (
        "rotary_turns_the_other_way",
        KERNEL,
        "the sine has the wrong sign",
        "let turn = sine * params.direction;",
        "let turn = -sine * params.direction;",
        OP,
        &[],
    ),
    (
        "rotary_never_inverse",
        KERNEL,
        "the gradient turns forward",
        "let turn = sine * params.direction;",
        "let turn = sine * abs(params.direction);",
        OP,
        &["inverse"],
    ),
    (
        "rotary_position_of_the_entry",
        KERNEL,
        "every token has the position of the first",
        "token * params.positions_token];",
        "0u * params.positions_token];",
        OP,
        &["!counting"],
    ),
    (
        "rotary_tokens_do_not_count_on",
        KERNEL,
        "tokens after the first stay at its position",
        "+ token * params.token_step, params.last_position);",
        "+ 0u * params.token_step, params.last_position);",
        OP,
        &["counting"],
    ),
    (
        "rotary_heads_for_tokens",
        KERNEL,
        "the inner dimension is always the token",
        "params.tokens_first == 1u);",
        "params.tokens_first == 2u);",
        OP,
        &["tokens_first"],
    ),
    (
        "rotary_pairs_are_neighbours",
        KERNEL,
        "halves are paired as neighbours",
        "let b = a + params.pair_gap;",
        "let b = a + 1u;",
        OP,
        &["half"],
    ),
    (
        "rotary_rest_lost",
        KERNEL,
        "what is not turned is not passed through",
        "y[element] = x[element];",
        "y[element] = Elem(0.0);",
        OP,
        &["partial"],
    ),
    (
        "rotary_sine_not_looked_at",
        KERNEL,
        "a NaN in the first of a pair is taken as it comes",
        "is_not_finite(sine) | is_not_finite(x_a)",
        "false | false",
        OP,
        &["degenerate"],
    ),
];
