//! Probe, then trust: an adapter whose self-test fails on a fast path never takes it, whoever asks; its verdict is kept, and named.

mod fixture;

use std::path::{Path, PathBuf};
use std::time::Instant;

use gatefold_wgpu::attention::Dims;
use gatefold_wgpu::{
    AdapterKind, Attention, Dtype, FastPath, Gpu, Lie, Op, Options, PathStatus, PathVerdict, Plan, Probe, Role,
    RunError, Tensor, Tensors, VerdictFile,
};

/// A self-test's file with one text replaced, as a driver would lie.
fn lie(step: &'static str, file: &str, find: &str, put: &str) -> Lie {
    assert_eq!(file.matches(find).count(), 1, "{step}: expected \"{find}\" once");
    Lie { step, text: Box::leak(file.replace(find, put).into_boxed_str()) }
}

const SUBGROUPS: &str = include_str!("../src/probe/subgroups.wgsl");
const F16: &str = include_str!("../src/probe/f16.wgsl");
const UNCHECKED: &str = include_str!("../src/probe/unchecked.wgsl");
const MATRIX: &str = include_str!("../src/probe/matrix.wgsl");
const ATTENTION: &str = include_str!("../src/probe/attention.wgsl");

/// Lies about each path, and a word of why it fails.
fn lies() -> Vec<(FastPath, Lie, &'static str)> {
    let subgroups = |find, put, why| (FastPath::Subgroups, lie("probe.subgroups", SUBGROUPS, find, put), why);
    let f16 = |find, put, why| (FastPath::F16, lie("probe.f16", F16, find, put), why);
    let unchecked = |find, put, why| (FastPath::Unchecked, lie("probe.unchecked", UNCHECKED, find, put), why);
    let matrix =
        |find, put| (FastPath::Matrix, lie("probe.matrix", MATRIX, find, put), "sums of the self-test are wrong");
    vec![
        matrix("trip < params.trips", "trip + 1u < params.trips"),
        matrix("coopLoadT<Right>(&right[0], STRIDE4)", "coopLoad<Right>(&right[0], STRIDE4)"),
        subgroups("subgroupShuffle(word, source)", "subgroupShuffle(word, min(source, LANES - 2u))", "shuffles"),
        subgroups(
            "subgroupShuffle(word, (lane + round) % LANES)",
            "subgroupShuffle(word, min(lane + round, LANES - 1u))",
            "shuffles",
        ),
        subgroups("subgroupShuffleXor(word, source)", "subgroupShuffle(word, source)", "shuffles"),
        subgroups("subgroupAdd(mine)", "(subgroupAdd(mine) + select(0.0, 1.0, round > 1u))", "sum in round 2"),
        subgroups("subgroupMin(mine)", "mine", "least"),
        subgroups("subgroupMax(mine)", "subgroupMax(select(mine, -9e9, lane == 0u))", "largest"),
        subgroups("vec4(size, lane,", "vec4(size, lane ^ 1u,", "told lane"),
        subgroups("vec4(size, lane,", "vec4(size * 2u, lane,", "the kernel finds"),
        subgroups("fn main(", "fn main_(", "main"),
        f16("tile[lane] = x[at];", "tile[lane] = vec4<f16>(x[at].yx, x[at].zw);", "was copied as"),
        f16(
            "widened[at] = vec4<f32>(x[at]);",
            "widened[at] = select(vec4<f32>(x[at]), vec4(0.0), vec4<f32>(x[at]) == vec4(65504.0));",
            "as f32",
        ),
        f16("narrowed[at] = f16(wide[at]);", "narrowed[at] = f16(wide[at] * 0.999);", "no neighbour"),
        f16("narrowed[at] = f16(wide[at]);", "narrowed[at] = f16(wide[at / 2u * 2u]);", "no neighbour"),
        unchecked("trip < params.trips", "trip + 1u < params.trips", "without the checks: word 0"),
        unchecked("if (at < params.count)", "if (at + 1u < params.count)", "without the checks: word"),
        unchecked("mixed[at] = sum;", "mixed[(at + 1u) % params.count] = sum;", "without the checks: word 0"),
        unchecked(
            "words[(at + i * params.trips) % params.count]",
            "words[min(at + i * params.trips, params.count - 1u)]",
            "without the checks: word",
        ),
    ]
}

/// A path of the test's own, with nothing there.
fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("gatefold-verdicts-{}-{name}.json", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn open(lies: Vec<Lie>, file: Option<&Path>) -> Gpu {
    Gpu::open(&Options { lies, verdict_file: file.map(Into::into), ..Options::default() }).unwrap()
}

fn verdict<'a>(gpu: &'a Gpu, path: &FastPath) -> &'a PathVerdict {
    gpu.probe().verdicts.iter().find(|v| v.path == *path).unwrap()
}

fn inputs<O: Op>(op: &O) -> Tensors {
    let mut inputs = Tensors::new();
    for o in op.operands().into_iter().filter(|o| o.role == Role::Input) {
        let values: Vec<f32> = (0..o.len()).map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0).collect();
        inputs.insert(o.name, Tensor::float(o.dtype, o.dims, values).unwrap());
    }
    inputs
}

/// Steps of a plan that take a path. Of unchecked kernels the plan cannot know.
fn takes(plan: &Plan, path: &FastPath) -> usize {
    let takes = |s: &&gatefold_wgpu::Step| match path {
        FastPath::Subgroups => s.subgroups,
        FastPath::F16 => s.f16,
        FastPath::Matrix => s.matrix,
        _ => false,
    };
    plan.steps.iter().filter(takes).count()
}

#[test]
fn an_honest_adapter_passes_all() {
    let gpu = Gpu::new().unwrap();
    println!("{}\n{}", gpu.info(), gpu.probe());
    // a GPU may be wrong by itself: then it is not used there
    let is_wrong = |v: &&PathVerdict| matches!(v.status, PathStatus::Failed { .. });
    for verdict in gpu.verdicts().iter().filter(is_wrong) {
        assert!(gpu.info().kind != AdapterKind::Cpu && verdict.path == FastPath::Matrix, "{verdict}");
        assert!(gpu.limits().matrix.is_none(), "{verdict}");
    }
    let passed = |path| gpu.probe().passed(&path);
    assert_eq!(
        (passed(FastPath::F16), passed(FastPath::Subgroups)),
        (gpu.limits().f16, gpu.limits().subgroup.is_some())
    );
    assert_eq!(gpu.info().f16, gpu.limits().f16);
    assert!(passed(FastPath::Unchecked));
    let plan = gpu.plan(&Attention::softmax(Dims::new(1, 2, 50, 16))).unwrap();
    println!("{plan}");
    for verdict in gpu.verdicts() {
        assert!(plan.reasons.iter().any(|r| r.starts_with(&verdict.to_string())), "{plan}");
    }
}

#[test]
fn a_liar_is_downgraded_by_name_and_its_results_stay_right() {
    let honest = Gpu::new().unwrap();
    let op = Attention::softmax(Dims::new(1, 2, 50, 16));
    let given = inputs(&op);
    let right = honest.run_tensors(&op, &given).unwrap()["o"].to_f32();
    let mut caught = 0;
    for (path, lie, word) in lies() {
        if !honest.probe().passed(&path) {
            println!("not run: {}", verdict(&honest, &path));
            continue;
        }
        let gpu = open(vec![lie], None);
        let found = verdict(&gpu, &path);
        println!("{found}");
        let PathStatus::Failed { why } = &found.status else { panic!("{path}: {word}: {found}") };
        assert!(why.contains(word), "{word}: {why}");
        // Only that path: matrix units need f16.
        for other in gpu.verdicts().iter().filter(|v| v.path != path && v.path != FastPath::Matrix) {
            assert!(!matches!(other.status, PathStatus::Failed { .. }), "{other}");
        }
        let limits = gpu.limits();
        assert!(path != FastPath::Subgroups || limits.subgroup.is_none());
        assert!(path != FastPath::F16 || !(limits.f16 || limits.matrix.is_some()));
        assert!(path != FastPath::Matrix || limits.matrix.is_none());
        assert_eq!(gpu.is_checked(), path == FastPath::Unchecked);
        let plan = gpu.plan(&op).unwrap();
        assert_eq!(takes(&plan, &path), 0, "{plan}");
        assert!(plan.reasons.contains(&found.to_string()), "{plan}");
        if path != FastPath::Subgroups || caught == 0 {
            for (a, b) in right.iter().zip(gpu.run_tensors(&op, &given).unwrap()["o"].to_f32()) {
                assert!((a - b).abs() < 1e-5, "{path}: {a} {b}");
            }
        }
        caught += 1;
    }
    assert!(caught >= 4, "{caught}");
    // No lie has reached the honest. The rate is timed anew.
    let again = Gpu::new().unwrap();
    assert_eq!(again.verdicts(), honest.verdicts());
    let timeless = |gpu: &Gpu| Probe { mul_adds_per_second: 0.0, seconds: 0.0, ..gpu.probe().clone() };
    assert_eq!(timeless(&again), timeless(&honest));
}

#[test]
fn what_needs_f16_is_refused_with_the_verdict() {
    let honest = Gpu::new().unwrap();
    if !honest.limits().f16 {
        println!("not run: {}", verdict(&honest, &FastPath::F16));
        return;
    }
    let op = Attention { dtype: Dtype::F16, ..Attention::softmax(Dims::new(1, 1, 8, 8)) };
    assert!(takes(&honest.plan(&op).unwrap(), &FastPath::F16) > 0);
    let gpu = open(vec![lie("probe.f16", F16, "f16(wide[at])", "f16(wide[at] * 2.0)")], None);
    let error = gpu.plan(&op).unwrap_err();
    assert!(matches!(&error, RunError::Untrusted { .. }) && error.to_string().contains("no neighbour"), "{error}");
    let unprobed = Gpu::open(&Options { probe: false, ..Options::default() }).unwrap();
    assert!(unprobed.plan(&op).unwrap_err().to_string().contains("f16: switched off"));
}

#[test]
fn an_adapter_that_cannot_even_attend_is_unfit() {
    for (find, put) in
        [("score *= 0.25", "score *= 0.2499"), ("j <= row % KEYS", "j < row % KEYS"), ("acc / sum", "acc")]
    {
        let lies = vec![lie("probe.attention", ATTENTION, find, put)];
        let error = Gpu::open(&Options { lies, ..Options::default() }).unwrap_err();
        let RunError::AdapterUnfit { reason, .. } = &error else { panic!("{error}") };
        assert!(reason.contains("16 keys"), "{reason}");
    }
    // That is kept as well, and the error says where.
    let file = path("unfit");
    let lies = vec![lie("probe.attention", ATTENTION, "score *= 0.25", "score *= 0.2499")];
    let options = Options { lies, verdict_file: Some(file.clone()), ..Options::default() };
    Gpu::open(&options).unwrap_err();
    let error = Gpu::open(&Options { lies: Vec::new(), ..options }).unwrap_err().to_string();
    assert!(error.contains("kept in") && error.contains(&file.display().to_string()), "{error}");
    std::fs::remove_file(&file).unwrap();
    Gpu::new().unwrap();
}

#[test]
fn verdicts_are_kept_and_read_again() {
    let file = path("kept");
    let (first, seconds) = timed(|| open(Vec::new(), Some(&file)));
    assert_eq!(first.verdict_file(), &VerdictFile::New);
    let (again, warm) = timed(|| open(Vec::new(), Some(&file)));
    println!(
        "opened in {:.0} ms, from the file in {:.0} ms; the probe: {:.0} ms",
        seconds * 1e3,
        warm * 1e3,
        first.probe().seconds * 1e3
    );
    assert_eq!(again.verdict_file(), &VerdictFile::Loaded);
    assert_eq!((again.verdicts(), again.limits().loop_trips), (first.verdicts(), first.limits().loop_trips));
    // Another set of features is another matter.
    let checked =
        Gpu::open(&Options { checked: true, verdict_file: Some(file.clone()), ..Options::default() }).unwrap();
    assert_eq!(checked.verdict_file(), &VerdictFile::New);
    assert_eq!(verdict(&checked, &FastPath::Unchecked).status, PathStatus::SwitchedOff);
    assert_eq!(open(Vec::new(), Some(&file)).verdict_file(), &VerdictFile::Loaded);

    // A failure is kept as well, and nobody has to lie again.
    std::fs::remove_file(&file).unwrap();
    let liar = open(vec![lie("probe.unchecked", UNCHECKED, "mixed[at] = sum;", "mixed[at] = sum + 1u;")], Some(&file));
    let found = verdict(&liar, &FastPath::Unchecked).clone();
    assert!(matches!(found.status, PathStatus::Failed { .. }));
    let later = open(Vec::new(), Some(&file));
    assert_eq!((later.verdict_file(), verdict(&later, &FastPath::Unchecked)), (&VerdictFile::Loaded, &found));
    assert!(Gpu::new().unwrap().probe().passed(&FastPath::Unchecked));
    std::fs::remove_file(&file).unwrap();
}

fn timed<T>(f: impl FnOnce() -> T) -> (T, f64) {
    let clock = Instant::now();
    let value = f();
    (value, clock.elapsed().as_secs_f64())
}

#[test]
fn damaged_and_foreign_files_are_passed_over_and_replaced() {
    let file = path("bad");
    let honest = open(Vec::new(), Some(&file));
    let good = std::fs::read_to_string(&file).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let replaced = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    let info = honest.info();
    let driver_info = serde_json::to_string(&info.driver_info).unwrap();
    for (text, why) in [
        (good[..good.len() / 2].to_owned(), "no verdicts"),
        (String::new(), "no verdicts"),
        ("[1]".into(), "no verdicts"),
        (replaced("\"measured\"", "\"believed\""), "no verdicts"),
        (replaced(&format!("\"crate_version\": \"{version}\""), "\"crate_version\": \"0.0.1\""), "for version [0.0.1]"),
        (replaced("\"compiler\": \"wgpu ", "\"compiler\": \"wgpu 1"), "for compiler [wgpu 1"),
        (replaced("\"kernels\": \"", "\"kernels\": \"0"), "for self-tests [0"),
        (
            replaced(&format!("\"driver_info\": {driver_info}"), "\"driver_info\": \"older\""),
            "for driver version [older]",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let gpu = open(Vec::new(), Some(&file));
        let VerdictFile::Ignored { reason } = gpu.verdict_file() else { panic!("{why}: {}", gpu.verdict_file()) };
        assert!(reason.contains(why), "{reason}");
        assert_eq!(open(Vec::new(), Some(&file)).verdict_file(), &VerdictFile::Loaded);
    }
    // Another adapter's entry stays beside ours.
    let name = serde_json::to_string(&info.name).unwrap();
    std::fs::write(&file, replaced(&format!("\"adapter\": {name}"), "\"adapter\": \"another GPU\"")).unwrap();
    assert_eq!(open(Vec::new(), Some(&file)).verdict_file(), &VerdictFile::New);
    assert!(std::fs::read_to_string(&file).unwrap().contains("another GPU"));
    // Where nothing can be written, the verdicts are in force all the same.
    let nowhere = open(Vec::new(), Some(&file.join("below a file.json")));
    assert!(!matches!(nowhere.verdict_file(), VerdictFile::Loaded | VerdictFile::New));
    assert!(nowhere.probe().passed(&FastPath::Unchecked));
    std::fs::remove_file(&file).unwrap();
}

/// A file that says more than the device has changes nothing.
#[test]
fn a_file_gives_no_path_that_the_device_lacks() {
    let file = path("more");
    let options = Options {
        limits: gatefold_wgpu::LimitChoice::WebGpuDefault,
        verdict_file: Some(file.clone()),
        ..Options::default()
    };
    let plain = Gpu::open(&options).unwrap();
    assert_eq!(verdict(&plain, &FastPath::F16).status, PathStatus::NotThere);
    let text = std::fs::read_to_string(&file).unwrap().replace("\"not_there\"", "\"passed\"");
    std::fs::write(&file, text).unwrap();
    let gpu = Gpu::open(&options).unwrap();
    assert_eq!(gpu.verdict_file(), &VerdictFile::Loaded);
    assert_eq!((gpu.limits().f16, gpu.limits().subgroup, gpu.limits().matrix), (false, None, None));
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn without_a_probe_no_fast_path_is_taken() {
    let gpu = fixture::gpu();
    assert!(!gpu.probe().measured && gpu.verdicts().iter().all(|v| !v.passed()));
    let plan = gpu.plan(&Attention::softmax(Dims::new(1, 1, 20, 8))).unwrap();
    for path in [FastPath::Subgroups, FastPath::F16, FastPath::Matrix] {
        assert_eq!(takes(&plan, &path), 0);
    }
    assert!(plan.reasons.iter().any(|r| r == "unchecked kernels: switched off"), "{plan}");
}
