//! A failing and a passing example of every rule.

use super::*;
use crate::link::link;
use crate::{Source, Step};

const HEAD: &str = "
struct Params { group_count: u32, trips: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
var<workgroup> tile: array<f32, 64>;
var<workgroup> shared_count: u32;
";
const MAIN: &str = "@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let group = id.x + id.y * groups.x;
  tile[lane] = f32(x[lane] + params.trips);
";

/// The rules that the text breaks.
fn broken(text: &str) -> Vec<Rule> {
    let text: &'static str = Box::leak(text.to_string().into_boxed_str());
    let step = Step {
        slots: vec![],
        consts: vec![],
        aliases: vec![],
        f16: true,
        subgroups: true,
        matrix: true,
        proven: false,
        ..Step::plain("lint.example", Source { path: "lint/example.wgsl", text }, vec![])
    };
    let names = vec![("x".into(), false), ("y".into(), true)];
    let context = LintContext { names, workgroup_bytes: 16_384, invocations: 256, storage_buffers: 8 };
    lint(&link(&step).unwrap_or_else(|e| panic!("{e}")), &context).iter().map(|f| f.rule).collect()
}

/// Statements at the end of a kernel; `functions` come before it.
fn body(functions: &str, statements: &str) -> Vec<Rule> {
    broken(&format!("{HEAD}{functions}{MAIN}{statements}\n  y[lane] = tile[0];\n}}\n"))
}

#[test]
fn uniform_barriers_pass() {
    for statements in [
        "workgroupBarrier();",
        "if group >= params.group_count { return; } workgroupBarrier();",
        "if x[group] == 0u { return; } workgroupBarrier();",
        "for (var i = 0u; i < params.trips; i++) { workgroupBarrier(); }",
        "for (var i = x[group]; i < x[group + 1u]; i += 64u) { workgroupBarrier(); }",
        "if lane < 32u { tile[lane] = 1.0; } workgroupBarrier();",
        "for (var i = lane; i < params.trips; i += 64u) { if tile[lane] > 3.0 { break; } } workgroupBarrier();",
        "let n = workgroupUniformLoad(&shared_count); for (var i = 0u; i < n; i++) { workgroupBarrier(); }",
        "switch x[group] { case 0u: { workgroupBarrier(); } default: { } }",
        "for (var i = 0u; i < params.trips; i++) { if i == group { continue; } workgroupBarrier(); }",
        "loop { if x[group] > 2u { break; } workgroupBarrier(); continuing { break if params.trips > 1u; } }",
    ] {
        assert_eq!(body("", statements), [], "{statements}");
    }
}

#[test]
fn matrices_beside_subgroup_operations_are_found() {
    let matrices = "coopStore(coopLoad<coop_mat8x8<f32, C>>(&tile[0], 8u), &tile[0], 8u);";
    assert_eq!(body("", matrices), []);
    assert_eq!(body("", &format!("{matrices} y[1] = subgroupAdd(tile[lane]);")), [Rule::MixedUnits]);
}

#[test]
fn divergent_barriers_are_found() {
    for statements in [
        "if lane < 32u { workgroupBarrier(); }",
        "if lane > 3u { return; } workgroupBarrier();",
        "if x[lane] == 0u { workgroupBarrier(); }",
        "if tile[0] == 0.0 { workgroupBarrier(); }",
        "if y[0] == 0.0 { workgroupBarrier(); }",
        "for (var i = lane; i < params.trips; i += 64u) { workgroupBarrier(); }",
        "for (var i = 0u; i < params.trips; i++) { workgroupBarrier(); if tile[lane] > 3.0 { break; } }",
        "for (var i = 0u; i < params.trips; i++) { if i == lane { continue; } workgroupBarrier(); }",
        "for (var i = 0u; i < params.trips; i++) { if i == lane { return; } } workgroupBarrier();",
        "var n = params.trips; if lane == 0u { n = 0u; } for (var i = 0u; i < n; i++) { workgroupBarrier(); }",
        "switch lane { case 0u: { workgroupBarrier(); } default: { } }",
        "if lane == 1u { let n = workgroupUniformLoad(&shared_count); y[n] = 0.0; }",
        "if subgroupAdd(1u) == 8u { storageBarrier(); }",
        "var where_to = array(0u, 1u); where_to[lane % 2u] = 3u; if where_to[0] == 0u { workgroupBarrier(); }",
    ] {
        assert_eq!(body("", statements), [Rule::NonUniformBarrier], "{statements}");
    }
}

const FUNCTIONS: &str = "
fn wait_if(condition: bool) { if condition { workgroupBarrier(); } }
fn twice(n: u32) -> u32 { return 2u * n; }
fn put(at: ptr<function, u32>, n: u32) { *at = n; }
fn keep(at: ptr<function, u32>) { *at = *at + 1u; }
fn pick(n: u32) -> u32 { if n > 3u { return 1u; } return 0u; }
var<private> mine: u32;
fn meet() { workgroupBarrier(); }
";

#[test]
fn functions_are_followed() {
    for statements in [
        "wait_if(group == 0u);",
        "wait_if(twice(group) == 0u); y[twice(lane)] = 1.0;",
        "var n = lane; var m = 0u; put(&m, group); put(&n, lane); wait_if(m == 0u);",
        "var m = group; keep(&m); wait_if(m == 0u);",
        "wait_if(pick(group) == 1u); y[pick(lane)] = 1.0;",
    ] {
        assert_eq!(body(FUNCTIONS, statements), [], "{statements}");
    }
    for statements in [
        "wait_if(lane == 0u);",
        "wait_if(twice(lane) == 0u);",
        "var m = 0u; put(&m, lane); wait_if(m == 0u);",
        "var m = lane; keep(&m); wait_if(m == 0u);",
        "wait_if(pick(lane) == 1u);",
        "mine = group; wait_if(mine == 1u);",
        "if lane == 0u { meet(); }",
        "var m = 0u; if lane == 0u { put(&m, 1u); } wait_if(m == 0u);",
    ] {
        assert_eq!(body(FUNCTIONS, statements), [Rule::NonUniformBarrier], "{statements}");
    }
}

#[test]
fn subgroup_operations_stay_together() {
    for statements in [
        "y[group] = subgroupAdd(tile[lane]);",
        "if subgroupBroadcastFirst(lane) > 3u { y[1] = subgroupMax(tile[lane]); }",
        "if subgroupMax(lane) > 3u { y[1] = subgroupShuffle(tile[lane], 1u); }",
    ] {
        assert_eq!(body("", statements), [], "{statements}");
    }
    for statements in [
        "if lane > 3u { y[group] = subgroupAdd(tile[lane]); }",
        "if subgroupShuffle(tile[lane], lane ^ 1u) > 3.0 { y[1] = subgroupMax(tile[lane]); }",
    ] {
        assert_eq!(body("", statements), [Rule::NonUniformSubgroup], "{statements}");
    }
}

#[test]
fn sizes_are_limited() {
    let kernel = |size: u32, invocations: u32| {
        format!(
            "@group(0) @binding(2) var<storage, read_write> y: array<f32>;
             var<workgroup> tile: array<f32, {size}>;
             @compute @workgroup_size({invocations}, 2)
             fn main(@builtin(local_invocation_index) lane: u32) {{ tile[lane] = 1.0; y[lane] = tile[lane]; }}"
        )
    };
    assert_eq!(broken(&kernel(4096, 128)), []);
    assert_eq!(broken(&kernel(4097, 128)), [Rule::WorkgroupMemory]);
    assert_eq!(broken(&kernel(4096, 129)), [Rule::Invocations]);
}

#[test]
fn buffers_are_few_and_known() {
    let kernel = |count: usize, name: fn(usize) -> String, access: &str| {
        let globals: String = (0..count)
            .map(|i| format!("@group(0) @binding({i}) var<storage, {access}> {}: array<f32>;\n", name(i)))
            .collect();
        let sum: Vec<_> = (0..count).map(|i| format!("{}[0]", name(i))).collect();
        format!("{globals}@compute @workgroup_size(1) fn main() {{ var sum = {}; }}", sum.join(" + "))
    };
    assert_eq!(broken(&kernel(1, |_| "x".into(), "read")), []);
    assert_eq!(broken(&kernel(1, |_| "y".into(), "read_write")), []);
    assert_eq!(broken(&kernel(1, |_| "x".into(), "read_write")), [Rule::WrittenInput]);
    assert_eq!(broken(&kernel(1, |_| "elsewhere".into(), "read")), [Rule::UnknownGlobal]);
    let many = broken(&kernel(9, |i| format!("x{i}"), "read"));
    assert_eq!(many[0], Rule::StorageBuffers);
    assert_eq!(many[1..], [Rule::UnknownGlobal; 9]);
    assert!(!broken(&kernel(8, |i| format!("x{i}"), "read")).contains(&Rule::StorageBuffers));
}

#[test]
fn half_is_for_storage() {
    assert_eq!(body("", "let h = f16(tile[lane]); tile[lane] = f32(h);"), []);
    assert_eq!(body("", "let h = vec4<f16>(f16(tile[lane])); tile[lane] = vec4<f32>(h).x * 2.0;"), []);
    for statements in [
        "let h = f16(tile[lane]); tile[lane] = f32(h + h);",
        "let h = vec4<f16>(f16(tile[lane])); tile[lane] = f32(dot(h, h));",
        "let h = f16(tile[lane]); tile[lane] = f32(exp(h));",
        "let h = f16(tile[lane]); tile[lane] = f32(-h);",
    ] {
        assert_eq!(body("", statements), [Rule::HalfArithmetic], "{statements}");
    }
}

#[test]
fn tanh_is_clamped() {
    assert_eq!(body("", "tile[lane] = tanh(clamp(tile[lane], -15.0, 15.0));"), []);
    assert_eq!(body("", "tile[lane] = tanh(tile[lane]);"), [Rule::BareTanh]);
}

#[test]
fn there_are_no_infinities() {
    assert_eq!(body("", "tile[lane] = max(tile[lane], -3.0e38);"), []);
    assert_eq!(body("", "y[lane] = bitcast<f32>(0x7f7fffffu >> params.trips);"), []);
    assert_eq!(body("const MASKED: f32 = -3.0e38;", "tile[lane] = MASKED;"), []);
    assert_eq!(body("", "tile[lane] = max(tile[lane], -3.4e38);"), [Rule::Infinity]);
    assert!(body("const MASKED: f32 = -3.4e38;", "tile[lane] = MASKED;").contains(&Rule::Infinity));
}

#[test]
fn variables_in_loops_are_fresh() {
    for statements in [
        "for (var i = 0u; i < 3u; i++) { var sum: f32; sum += 1.0; tile[lane] = sum; }",
        "var i = 0u; while i < 3u { i++; if i > 1u { var sum: array<f32, 2>; sum[0] += 1.0; tile[lane] = sum[0]; } }",
        "var i = 0u; loop { if i > 3u { break; } // for all\n var sum: f32; sum += 1.0; tile[lane] = sum; i++; }",
    ] {
        assert_eq!(body("", statements), [Rule::Fresh], "{statements}");
    }
    let function = "fn one() -> f32 { var sum: f32; sum += 1.0; return sum; }\n";
    for statements in [
        "var sum: f32; for (var i = 0u; i < 3u; i++) { sum += one(); } tile[lane] = sum;",
        "for (var i = 0u; i < 3u; i++) { var sum = f32(); sum += 1.0; tile[lane] = sum; }",
        "for (var i = 0u; i < 3u; i++) { } // loop {\n var sum: f32; tile[lane] = sum;",
    ] {
        assert_eq!(body(function, statements), [], "{statements}");
    }
}

#[test]
fn a_finding_names_its_place() {
    let text = format!("{HEAD}{MAIN}  if lane < 32u {{\n    workgroupBarrier();\n  }}\n}}\n");
    let line = text.lines().position(|l| l.contains("workgroupBarrier")).unwrap() + 1;
    let text: &'static str = Box::leak(text.into_boxed_str());
    let step = Step {
        slots: vec![],
        consts: vec![],
        aliases: vec![],
        proven: false,
        ..Step::plain("lint.example", Source { path: "lint/example.wgsl", text }, vec![])
    };
    let context = LintContext {
        names: vec![("x".into(), false)],
        workgroup_bytes: 1 << 14,
        invocations: 256,
        storage_buffers: 8,
    };
    let findings = lint(&link(&step).unwrap(), &context);
    assert_eq!((findings[0].file.as_str(), findings[0].line), ("lint/example.wgsl", line));
    assert!(
        findings[0].message.contains(&format!("part at lint/example.wgsl:{}", line - 1)),
        "{}",
        findings[0].message
    );
}
