//! What WGSL means, construct by construct: small kernels whose results are known.

use gatefold_sanitizer::{
    Adversary, Buffer, Error, FindingKind, Launch, Options, Outcome, Program, Style, Undefined, run,
};

fn outcome(text: &str, launch: Launch, options: &Options) -> Outcome {
    let program = Program::from_wgsl(text).unwrap_or_else(|e| panic!("{e}"));
    run(&program, launch, options).unwrap_or_else(|e| panic!("{e}"))
}

/// The words of `y`, of which the kernel writes `n`, without any finding.
fn words(text: &str, n: usize, options: &Options) -> Vec<u32> {
    let launch = Launch::new([1, 1, 1]).with("y", Buffer::uninitialised(4 * n));
    let outcome = outcome(text, launch, options);
    assert!(outcome.findings.is_empty(), "{}", outcome.findings[0]);
    let y = outcome.buffer("y").unwrap();
    assert_eq!(y.first_unwritten(0..4 * n), None);
    y.words()
}

fn floats(text: &str, n: usize) -> Vec<f32> {
    words(text, n, &Options::default()).into_iter().map(f32::from_bits).collect()
}

const Y: &str = "@group(0) @binding(0) var<storage, read_write> y: array<u32>;\n";
const Y_F32: &str = "@group(0) @binding(0) var<storage, read_write> y: array<f32>;\n";

#[test]
fn control_flow() {
    let text = format!(
        "{Y}fn step(at: ptr<function, array<u32, 4>>, i: u32) -> u32 {{ (*at)[i] += i; return (*at)[i]; }}
        var<private> calls: u32 = 5u;
        @compute @workgroup_size(1) fn main() {{
            var all = array<u32, 4>(1u, 1u, 1u, 1u);
            for (var i = 0u; i < 6u; i++) {{
                if i == 4u {{ continue; }}
                if i > 4u {{ break; }}
                calls += step(&all, i);
            }}
            switch all[3] {{
                case 4u, 5u: {{ y[0] = 40u; }}
                default: {{ y[0] = 1u; }}
            }}
            var n = 0u;
            loop {{
                n += 2u;
                continuing {{ n += 1u; break if n >= 9u; }}
            }}
            y[1] = n;
            y[2] = calls;
            y[3] = all[2];
        }}"
    );
    assert_eq!(words(&text, 4, &Options::default()), [40, 9, 15, 3]);
}

#[test]
fn structs_lie_as_wgsl_says() {
    let text = "struct Inner { a: vec3<f32>, b: f32 }
        struct All { n: u32, inner: Inner, m: mat2x3<f32>, last: array<vec2<f32>, 2> }
        @group(0) @binding(0) var<storage, read_write> y: array<f32>;
        @group(0) @binding(1) var<storage, read> x: All;
        @compute @workgroup_size(1) fn main() {
            let copy = x;
            y[0] = copy.inner.b + f32(copy.n);
            y[1] = (copy.m * vec2(2.0, 3.0)).y;
            y[2] = (vec3(1.0, 10.0, 100.0) * copy.m).y;
            y[3] = x.last[1].x + x.m[1][2];
        }";
    let mut x = [0f32; 24];
    (x[4], x[7], x[9], x[13], x[14], x[18]) = (1.0, 7.0, 2.0, 5.0, 6.0, 9.0);
    let mut bytes: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
    bytes[..4].copy_from_slice(&3u32.to_le_bytes());
    let launch = Launch::new([1, 1, 1]).with("y", Buffer::uninitialised(16)).with("x", Buffer::new(bytes));
    let outcome = outcome(text, launch, &Options::default());
    // m = [[0, 2, 0], [0, 5, 6]] lies at byte 32, last at byte 64
    assert_eq!(outcome.buffer("y").unwrap().f32s(), [10.0, 19.0, 650.0, 15.0]);
}

#[test]
fn numbers_are_converted_and_packed() {
    let text = format!(
        "enable f16;\n{Y}@compute @workgroup_size(1) fn main() {{
            var x = vec4(0.0, 1.0, 0.5, 2.0);
            var word = 40u;
            y[0] = u32(-3.5 * x.y);
            y[1] = bitcast<u32>(i32(-3.5 * x.y));
            y[2] = pack2x16float(vec2(x.y, -x.w));
            y[3] = pack2x16float(vec2(f32(f16(x.y)), f32(f16(0.1 * x.y))));
            y[4] = pack4x8unorm(x);
            y[5] = firstLeadingBit(word) + countOneBits(word - 33u);
            y[6] = u32(unpack2x16float(y[2]).y < -1.0);
            y[7] = bitcast<u32>(round(x.w + x.z));
            y[8] = bitcast<u32>(f32(f16(2049.0 + f32(y[5]) - 8.0)));
        }}"
    );
    let found = words(&text, 9, &Options::default());
    assert_eq!(found[..3], [0, u32::MAX - 2, 0xC000_3C00]);
    assert_eq!((found[3], found[4]), (0x2E66_3C00, 0xFF80_FF00));
    assert_eq!(found[5..], [8, 1, 2f32.to_bits(), 2048f32.to_bits()]);
}

#[test]
fn vectors_matrices_and_functions() {
    let text = format!(
        "{Y_F32}@compute @workgroup_size(1) fn main() {{
            let a = vec4(1.0, 2.0, 3.0, 4.0);
            var v = a.wzyx * 2.0;
            v.y += 1.0;
            v[u32(v.x) - 6u] = 9.0;
            y[0] = dot(a, v);
            y[1] = select(a, v, a > vec4(2.5)).z;
            y[2] = (mat2x2(1.0, 2.0, 3.0, 4.0) * mat2x2(0.0, 1.0, 1.0, 0.0))[1].y;
            y[3] = clamp(mix(1.0, 3.0, v.x / 32.0), 0.0, 1.25) + cross(a.xyz, vec3(0.0, v.x / 8.0, 0.0)).z;
            y[4] = length(vec2(3.0, v.x / 2.0)) + f32(all(a > vec4(0.0)));
            y[5] = ldexp(v.x - 6.5, 3i) + fract(v.x + 0.25) + sign(-v.x);
        }}"
    );
    assert_eq!(floats(&text, 6), [8.0 + 14.0 + 27.0 + 8.0, 9.0, 2.0, 2.25, 6.0, 11.25]);
}

#[test]
fn a_workgroup_works_together() {
    let text = format!(
        "{Y}var<workgroup> count: atomic<u32>; var<workgroup> limit: u32; var<workgroup> tile: array<u32, 8>;
        @compute @workgroup_size(4, 2) fn main(@builtin(local_invocation_index) lane: u32) {{
            if lane == 7u {{ atomicStore(&count, 100u); limit = 3u; }}
            let most = workgroupUniformLoad(&limit);
            tile[lane] = lane * most;
            let before = atomicAdd(&count, lane);
            workgroupBarrier();
            y[lane] = tile[7u - lane] + atomicLoad(&count) + u32(before < 100u);
        }}"
    );
    for seed in 1..=4 {
        let found = words(&text, 8, &Options { seed, ..Options::default() });
        assert_eq!(found, [149, 146, 143, 140, 137, 134, 131, 128]);
    }
}

#[test]
fn lanes_exchange_values() {
    let text = format!(
        "{Y}@compute @workgroup_size(8) fn main(@builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_id) id: u32,
                @builtin(subgroup_size) size: u32) {{
            let x = lane + 10u * id;
            let sum = subgroupAdd(x);
            let most = subgroupMax(x);
            let other = subgroupShuffleXor(x, 1u);
            let first = subgroupBroadcastFirst(x);
            let bits = subgroupBallot(lane > 1u).x;
            let before = subgroupExclusiveAdd(lane);
            y[id * size + lane] = sum + most * 100u + other * 10000u + first + bits * 1000000u + before;
        }}"
    );
    let found = words(&text, 8, &Options { subgroup_size: 4, ..Options::default() });
    assert_eq!(found[1], 6 + 300 + 12_000_000);
    assert_eq!(found[6], 46 + 1300 + 130_000 + 10 + 12_000_000 + 1);
}

#[test]
fn overrides_have_values() {
    let text = format!("override size: u32 = 2u; {Y}@compute @workgroup_size(1) fn main() {{ y[0] = size * 3u; }}");
    let program = Program::of_entry(&text, Some("main"), &[("size".into(), 7.0)]).unwrap();
    let launch = Launch::new([1, 1, 1]).with("y", Buffer::uninitialised(4));
    assert_eq!(run(&program, launch, &Options::default()).unwrap().buffer("y").unwrap().words(), [21]);
}

#[test]
fn what_is_thrown_away_is_no_fault_unless_asked() {
    let text = format!(
        "{Y}var<workgroup> tile: array<u32, 4>;
        @compute @workgroup_size(1) fn main() {{
            tile[0] = 5u;
            y[0] = select(tile[1], tile[0], tile[0] == 5u) + (tile[2] & 0u);
        }}"
    );
    assert_eq!(words(&text, 1, &Options::default()), [5]);
    let launch = || Launch::new([1, 1, 1]).with("y", Buffer::uninitialised(4));
    let strict = Options { undefined: Undefined::Reads, ..Options::default() };
    let found = outcome(&text, launch(), &strict).findings;
    assert!(!found.is_empty() && found.iter().all(|f| f.kind == FindingKind::Uninitialised));
    // a buffer that takes it on counts as unwritten
    let passed_on = text.replace("(tile[2] & 0u)", "tile[2]");
    let lenient = Options { undefined: Undefined::Decisions, ..Options::default() };
    let after = outcome(&passed_on, launch(), &lenient);
    assert!(after.findings.is_empty());
    assert_eq!(after.buffer("y").unwrap().first_unwritten(0..4), Some(0));
}

#[test]
fn an_adversary_moves_a_sum() {
    let text = format!(
        "{Y_F32}@compute @workgroup_size(1) fn main() {{
            var sum = 0.0;
            for (var i = 1u; i < 100u; i++) {{ sum += 1.0 / f32(i); }}
            y[0] = sum;
        }}"
    );
    let of = |adversary| f32::from_bits(words(&text, 1, &Options { adversary, ..Options::default() })[0]);
    let plain = of(None);
    let [up, down] = [Style::Up, Style::Down].map(|style| of(Some(Adversary { seed: 1, style })));
    assert!(down < plain && plain < up && (up - down) / plain < 1e-4, "{down} {plain} {up}");
}

#[test]
fn what_is_not_known_is_named() {
    let bad = |text: &str| Program::from_wgsl(text).unwrap_err();
    let error = bad("@group(0) @binding(0) var image: texture_2d<f32>;
        @compute @workgroup_size(1) fn main() {\n _ = textureDimensions(image); }");
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert!(matches!(bad("fn main() {"), Error::Invalid { line: 1, .. }));
    assert!(matches!(bad("fn main() {}"), Error::Entry { .. }));
    let program = Program::from_wgsl(&format!("{Y}@compute @workgroup_size(1) fn main() {{ y[0] = 1u; }}")).unwrap();
    let missing = run(&program, Launch::new([1; 3]), &Options::default()).unwrap_err();
    assert_eq!(missing.to_string(), "y: bound by the kernel, but the dispatch has no buffer of this name");
    let small = Launch::new([1; 3]).with("y", Buffer::new([]));
    assert!(run(&program, small, &Options::default()).unwrap_err().to_string().contains("at least 4 bytes, got 0"));
}
