// What the rows of a head share, from two sums over its rows that reduce_rows.wgsl has left: of squares of weights, and of d_o·o.
const SQUARES: u32 = 0u;
const DELTA: u32 = 1u;
const HEAD_WORDS: u32 = 2u;

fn head_bits(which: u32) -> u32 { return side[params.heads_at + (at.batch * params.q_heads + at.q_head) * HEAD_WORDS + which]; }
fn head_norm() -> f32 { return root(bitcast<f32>(head_bits(SQUARES))); }
// rho / (norm + eps)
fn head_share(norm: f32) -> f32 { return side_f32(params.rho_at + at.q_head) / (norm + params.norm_eps); }
