// attention, injection: a vector per head mixed into rows of the output.
//
//   y_i ← (1 - σ(inject_logit_h)) · x_i + σ(inject_logit_h) · task_vector_h in the rows that it concerns, y_i ← x_i in all others
//
// Owns: its element of y, one an invocation; rows beyond a sequence get 0. Slots: rows, injected, place.
@group(0) @binding(3) var<storage, read> inject_logit: array<f32>;
@group(0) @binding(4) var<storage, read> task_vector: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Elem>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let own = (params.first_group + place) * INVOCATIONS + invocation;
    let row = row_taken(own / params.row_width);
    if !row.owned { return; }
    let d = own % params.row_width;
    let element = before(row.start + d);
    let share = shares_of(inject_logit[at.q_head]);
    let mixed = scaled(share.y, element) + share.x * task_vector[at.q_head * params.row_width + d];
    let value = select(element, saturated(mixed, element), is_injected(row));
    y[row.start + d] = Elem(select(0.0, value, row.counts));
}
