// attention, injection: the gradient of y ← rest · x + share · task_vector, where share = σ(inject_logit) and rest = 1 - share.
//
//   d_x ← rest · d_y;   vector_terms ← share · d_y;   logit_terms ← share · rest · d_y·(task_vector - x)
//
// Owns: its row of d_x and of the terms, which lie by head, one row an invocation; rows that are not injected into have terms 0.
// Slots: rows, injected.
@group(0) @binding(2) var<storage, read> x: array<Elem>;
@group(0) @binding(3) var<storage, read> d_y: array<Elem>;
@group(0) @binding(4) var<storage, read> inject_logit: array<f32>;
@group(0) @binding(5) var<storage, read> task_vector: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_x: array<Elem>;
@group(0) @binding(7) var<storage, read_write> vector_terms: array<f32>;
@group(0) @binding(8) var<storage, read_write> logit_terms: array<f32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let own = (params.first_group + place) * INVOCATIONS + invocation;
    if own >= params.batch * params.q_heads * params.seq_q { return; }
    let row = row_at(own);
    // rows of a head lie together, whatever their batch entry
    let head = own / params.seq_q;
    let term = (head % params.q_heads * params.batch + head / params.q_heads) * params.seq_q + own % params.seq_q;
    let share = shares_of(inject_logit[at.q_head]);
    let injected = is_injected(row);
    var sum = 0.0;
    var broken = false;
    for (var d = 0u; d < params.row_width; d++) {
        var upstream = 0.0;
        if row.owned {
            let e = row.start + d;
            upstream = select(0.0, f32(d_y[e]), row.counts);
            let element = f32(x[e]);
            broken = broken | is_not_finite(bitcast<u32>(upstream)) | is_not_finite(bitcast<u32>(element));
            sum += upstream * (task_vector[at.q_head * params.row_width + d] - element);
            d_x[e] = Elem(select(upstream, saturated(scaled(share.y, upstream), upstream), injected));
        }
        vector_terms[term * params.row_width + d] = select(0.0, scaled(share.x, upstream), injected);
    }
    let value = bitcast<f32>(select(bitcast<u32>(share.x * share.y * sum), NAN_BITS, broken));
    logit_terms[term] = select(0.0, value, injected);
}
