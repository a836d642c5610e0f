//! Faults of each kind are found, and their sound twins proven.

use super::{Proof, prove};
use crate::link::link;
use crate::{Dispatch, Param, Source, Step};

/// Proves a kernel over `data` (64 words), `out` (64 words) and `tile` (32 words), with n = 60, two workgroups of 32.
fn proof_of(body: &str) -> Proof {
    let text = format!(
        "struct Params {{ n: u32, shift: u32 }}
        @group(0) @binding(0) var<uniform> params: Params;
        @group(0) @binding(1) var<storage, read> data: array<u32>;
        @group(0) @binding(2) var<storage, read_write> out: array<u32>;
        var<workgroup> tile: array<u32, 32>;
        fn last(m: u32) -> u32 {{ return max(m, 1u) - 1u; }}
        @compute @workgroup_size(32)
        fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {{
            let row = id.x * 32u + lane + params.n * 0u;
            {body}
        }}"
    );
    let kernel = Source { path: "planted.wgsl", text: text.leak() };
    let params = vec![("n", Param::U32(60)), ("shift", Param::U32(0_u32.wrapping_sub(60)))];
    let dispatch = Dispatch { grid: [2, 1, 1], params, windows: Vec::new() };
    let step = Step::plain("planted", kernel, vec![dispatch]);
    prove(&link(&step).unwrap(), &step, &|_, _| 256)
}

/// Each pair: a fault, and what it should be.
const PAIRS: [(&str, &str, &str); 16] = [
    ("index off by one", "out[row + 1u] = data[row];", "out[row] = data[row];"),
    ("guard off by one", "if row <= 64u - 4u { out[row + 4u] = 1u; }", "if row < 64u - 4u { out[row + 4u] = 1u; }"),
    ("guard missing", "out[row + 32u] = 1u;", "if row + 32u < 64u { out[row + 32u] = 1u; }"),
    (
        "guard after",
        "out[row + 4u] = 1u; if row >= params.n { return; }",
        "if row >= params.n { return; } out[row + 4u] = 1u;",
    ),
    (
        "loop without progress",
        "for (var i = row; i < params.n; i += params.n - 60u) { out[row] = i; }",
        "for (var i = row; i < params.n; i += params.n - 59u) { out[row] = i; }",
    ),
    (
        "loop past the end",
        "for (var i = 0u; i <= 64u; i++) { out[i] = 1u; }",
        "for (var i = 0u; i < 64u; i++) { out[i] = 1u; }",
    ),
    (
        "loop to a loaded end",
        "for (var i = 0u; i < data[row]; i++) { out[i] = 1u; }",
        "for (var i = 0u; i < min(data[row], 64u); i++) { out[i] = 1u; }",
    ),
    (
        "loop that may wrap",
        "for (var i = 0u; i <= data[row]; i += 2u) { out[0] = i; }",
        "for (var i = 0u; i < data[row] / 2u; i += 2u) { out[0] = i; }",
    ),
    ("u32 wraps", "out[lane - 1u] = 1u;", "if lane > 0u { out[lane - 1u] = 1u; }"),
    ("wraps back", "out[row + params.shift] = 1u;", "out[row + params.shift + 60u] = 1u;"),
    ("loaded index", "out[data[row]] = 1u;", "out[min(data[row], 63u)] = 1u;"),
    (
        "guard of another",
        "let a = data[row]; let b = data[lane]; if a < 64u { out[b] = 1u; }",
        "let a = data[row]; let b = data[lane]; if (a < 64u) & (b <= a) { out[b] = 1u; }",
    ),
    (
        "empty rows at the end",
        "let begin = min(data[0], 64u); let len = min(clamp(data[1], begin, 64u) - begin, 60u);
         out[begin + min(lane, max(len, 1u) - 1u)] = 1u;",
        "let begin = min(data[0], 64u); let len = min(clamp(data[1], begin, 64u) - begin, 60u);
         out[min(begin, 63u) + min(lane, max(len, 1u) - 1u)] = 1u;",
    ),
    (
        "guard of a choice",
        "let at = select(0u, row + data[0] % 8u + 40u, row <= 17u); out[at] = 1u;",
        "let at = select(0u, row + data[0] % 8u + 40u, row < 17u); out[at] = 1u;",
    ),
    ("workgroup array", "tile[lane ^ 32u] = 1u;", "tile[lane ^ 31u] = 1u;"),
    (
        "halving tree",
        "for (var w = 16u; w > 0u; w /= 2u) { if lane <= w { tile[lane] = tile[lane + w]; } }",
        "for (var w = 16u; w > 0u; w /= 2u) { if lane < w { tile[lane] = tile[lane + w]; } }",
    ),
];

#[test]
fn faults_are_unproven_and_their_twins_proven() {
    for (name, fault, sound) in PAIRS {
        let proof = proof_of(fault);
        assert!(!proof.holds(), "{name}: proven");
        assert!(proof.unproven.iter().all(|f| f.file == "planted.wgsl"), "{name}");
        let proof = proof_of(sound);
        assert!(proof.holds(), "{name}, as it should be: {}", proof.unproven[0]);
    }
}

#[test]
fn what_is_found_is_named() {
    let proof = proof_of("out[row + 1u] = data[row];");
    assert_eq!(proof.indices, (1, 2));
    assert_eq!(proof.unproven[0].to_string(), "an index below 64 (planted.wgsl:10, found 1 ..= 64)");
}

#[test]
fn memory_that_others_write_holds_anything() {
    assert!(!proof_of("tile[lane] = lane; out[tile[lane]] = 1u;").holds());
    assert!(!proof_of("out[row] = row; out[out[row]] = 1u;").holds());
    let i32s = "let d = i32(data[row]); if d < 64 { out[d] = 1u; }";
    assert!(!proof_of(i32s).holds(), "a negative index");
    assert!(proof_of("let d = i32(data[row]); if (d < 64) & (d >= 0) { out[d] = 1u; }").holds());
}
