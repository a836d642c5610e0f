// Slot candidate: assignments, each in the segment of its expert, by weight.
@group(0) @binding(3) var<storage, read> indices: array<u32>;
@group(0) @binding(4) var<storage, read> weights: array<u32>;

fn candidate_at(assignment: u32) -> Candidate {
    let index = indices[assignment];
    return Candidate(min(index, params.segments - 1u), key_of(weights[assignment]), index < params.segments);
}
