// What a row adds to the gradient of the gain, by dim. Rows are counted without regard to where they lie.
@group(0) @binding(8) var<storage, read_write> gain_terms: array<f32>;
fn store_gain_term(row: Row, d: u32, term: f32) { gain_terms[row.start - params.o_shift + d] = term; }
