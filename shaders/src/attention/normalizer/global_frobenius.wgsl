// Slot normalizer: the norm of all weights of a head, to which a row brings the sum of its squares. A row is stored divided by its own norm,
// until that of the head is known (global/scale_rows.wgsl), so that it is of the size of a value.
const LEAST_SQUARE: f32 = 1.1754944e-38; // 2^-126

fn summand4(a: vec4<f32>, hidden: vec4<bool>) -> vec4<f32> { return a * a; }
// The root of a sum of squares: 0 where there is no reciprocal of it.
fn root(sum: f32) -> f32 { return select(0.0, sqrt(max(sum, LEAST_SQUARE)), sum >= LEAST_SQUARE); }
// What a row is divided by until then: its norm, or 2^-60.
fn row_norm(sum: f32) -> f32 { return max(root(sum), 8.673617e-19); }
fn row_share(sum: f32, i: u32) -> f32 { return 1.0 / row_norm(sum); }
