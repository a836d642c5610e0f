// Slot reweight: u^POWER of the weights of own row r, u = max(a - cut, 0)·|scale|. measure_rows.wgsl left the row's cut and scale in side.
var<private> row_measures: array<vec2<f32>, OWN>;

fn reweight_begin() {
    for (var r = 0u; r < OWN; r++) { // unroll
        row_measures[r] = kept_measures(own_position(r));
    }
}
fn reweighted4(r: u32, a: vec4<f32>) -> vec4<f32> { return raised4(a, row_measures[r]); }
