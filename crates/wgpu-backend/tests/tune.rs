//! The tuner: verifies before it times, keeps to its budget, and what it finds is followed, kept and refused elsewhere.

mod fixture;

use std::path::PathBuf;
use std::time::Duration;

use fixture::step;
use gatefold_wgpu::attention::Dims;
use gatefold_wgpu::{
    Attention, AttentionBackward, Choices, Cost, Dtype, Gpu, Kernels, Limits, Op, Operand, Options, Param, Plan,
    PlanError, Role, RunOptions, ShapeClass, SpecError, Tensor, Tensors, TuneOptions, Tuning, TuningState, Verdict,
};
use serde::{Deserialize, Serialize};

/// An op of the tests' own with a choice of kernels: y = 2 x.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Double {
    count: usize,
}

const CLASS: &str = "double.f32";
/// The default; faster; wrong in one element; writes past the end; does not compile; not planned.
const TILES: [&str; 6] = ["slow", "fast", "wrong", "stray", "broken", "refused"];

impl Op for Double {
    const NAME: &'static str = "double";
    type Inputs = Tensors;
    type Outputs = Tensors;

    fn operands(&self) -> Vec<Operand> {
        vec![Operand::input("x", [self.count], Dtype::F32), Operand::output("y", [self.count], Dtype::F32)]
    }

    fn validate(&self) -> Result<(), SpecError> {
        Ok(())
    }

    fn cost(&self) -> Cost {
        Cost { flops: self.count as f64, bytes: 8.0 * self.count as f64 }
    }

    fn label(&self) -> String {
        "f32".into()
    }

    fn size_label(&self) -> String {
        self.count.to_string()
    }
}

/// A kernel that doubles after so many idle rounds, and spoils what its name says.
fn kernel(rounds: u32, spoil: &str) -> &'static str {
    let text = format!(
        "struct Params {{ count: u32 }}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
  if id.x >= params.count {{ return; }}
  var idle = x[id.x];
  for (var i = 0u; i < {rounds}u; i++) {{ idle = sin(idle) + 1.5; }}
  y[id.x] = 2.0 * x[id.x] + min(idle, 0.0);
  {spoil}
}}
"
    );
    Box::leak(text.into_boxed_str())
}

impl Kernels for Double {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let tile = limits.choices.get(CLASS).filter(|t| TILES.contains(t)).unwrap_or("slow");
        let (rounds, spoil) = match tile {
            "slow" => (20_000, ""),
            "fast" => (1, ""),
            "wrong" => (1, "if id.x == 70u { y[70] += 0.01; }"),
            "stray" => (1, "y[params.count + 1u] = 1.0;"),
            "broken" => (1, "no_such_function();"),
            _ => {
                let limit = "patience";
                return Err(PlanError::Limit { kernel: tile.into(), limit, need: 2, have: 1 });
            }
        };
        let count = u32::try_from(self.count).unwrap();
        let params = vec![("count", Param::U32(count))];
        let step = step(&format!("double.{tile}"), kernel(rounds, spoil), [count.div_ceil(64), 1, 1], params);
        Ok(Plan { op: Self::NAME, steps: vec![step], ..Plan::default() })
    }

    fn classes(&self, _: &Limits) -> Vec<ShapeClass> {
        vec![ShapeClass { name: CLASS.into(), tiles: TILES.map(String::from).to_vec() }]
    }
}

const OP: Double = Double { count: 1000 };
const LONG: TuneOptions = TuneOptions { budget: Duration::from_secs(600), gain: 0.03, again: false };

fn inputs<O: Op>(op: &O) -> Tensors {
    let mut inputs = Tensors::new();
    for o in op.operands().into_iter().filter(|o| o.role == Role::Input) {
        let values: Vec<f32> = (0..o.len()).map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0).collect();
        inputs.insert(o.name, Tensor::f32(o.dims, values).unwrap());
    }
    inputs
}

fn name_of_first<O: Kernels>(gpu: &Gpu, op: &O) -> String {
    gpu.plan(op).unwrap().steps[0].name.clone()
}

/// A path of the test's own, with nothing there.
fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("gatefold-tuning-{}-{name}.json", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn open(file: &std::path::Path) -> Gpu {
    Gpu::open(&Options { probe: false, tuning_file: Some(file.into()), ..Options::default() }).unwrap()
}

#[test]
fn a_faster_tile_is_chosen_and_wrong_ones_are_not() {
    let gpu = fixture::gpu();
    assert_eq!(name_of_first(&gpu, &OP), "double.slow");
    let report = gpu.tune(&OP, inputs(&OP), &LONG).unwrap();
    println!("{report}");
    let [class] = &report.classes[..] else { panic!("{report}") };
    assert_eq!((class.class.as_str(), class.chosen.as_str()), (CLASS, "fast"));
    assert!(class.is_complete() && report.not_saved.is_none());
    let why = |tile: &str| match &class.tried.iter().find(|t| t.tile == tile).unwrap().verdict {
        Verdict::Rejected { reason } => reason.clone(),
        other => panic!("{tile}: {other:?}"),
    };
    assert!(why("wrong").starts_with("y[70]: "), "{}", why("wrong"));
    assert!(why("stray").contains("guard zone"), "{}", why("stray"));
    assert!(why("broken").contains("no_such_function"), "{}", why("broken"));
    assert!(why("refused").contains("patience"), "{}", why("refused"));

    // The plan of before is not served again, and its outputs are those of the default.
    assert_eq!(name_of_first(&gpu, &OP), "double.fast");
    assert_eq!(gpu.choices().get(CLASS), Some("fast"));
    let doubled: Vec<f32> = inputs(&OP)["x"].to_f32().iter().map(|x| 2.0 * x).collect();
    assert_eq!(gpu.run_tensors(&OP, &inputs(&OP)).unwrap()["y"].to_f32(), doubled);

    // A class with a choice is left alone, unless asked for.
    assert!(gpu.tune(&OP, inputs(&OP), &LONG).unwrap().classes[0].tried.is_empty());
    let again = gpu.tune(&OP, inputs(&OP), &TuneOptions { again: true, ..LONG }).unwrap();
    assert_eq!((again.classes[0].tried.len(), again.classes[0].chosen.as_str()), (TILES.len() - 1, "fast"));
    gpu.set_choices(Choices::new());
    assert_eq!(name_of_first(&gpu, &OP), "double.slow");
}

#[test]
fn an_empty_budget_tries_nothing_and_says_so() {
    let gpu = fixture::gpu();
    let report = gpu.tune(&OP, inputs(&OP), &TuneOptions { budget: Duration::ZERO, ..LONG }).unwrap();
    let class = &report.classes[0];
    assert!(class.tried.len() == TILES.len() - 1 && class.tried.iter().all(|t| t.verdict == Verdict::NotTried));
    assert!(class.chosen == "slow" && !class.is_complete());
    assert!(report.to_string().contains("not tried: the budget was spent"), "{report}");
    // Nothing was found, so a later call may look again.
    assert!(gpu.choices().is_empty());
}

#[test]
fn a_gain_below_the_threshold_changes_nothing() {
    let gpu = fixture::gpu();
    let report = gpu.tune(&OP, inputs(&OP), &TuneOptions { gain: 1.0, ..LONG }).unwrap();
    assert_eq!(report.classes[0].chosen, "slow");
    // All were tried: that the default is best is a finding too.
    assert_eq!(gpu.choices().get(CLASS), Some("slow"));
}

#[test]
fn bad_inputs_are_refused_before_anything_runs() {
    let gpu = fixture::gpu();
    assert!(gpu.tune(&OP, Tensors::new(), &LONG).unwrap_err().to_string().starts_with("x"));
    assert!(gpu.build_seconds().is_empty());
}

#[test]
fn findings_are_kept_in_a_file_and_shipped() {
    let file = path("kept");
    let gpu = open(&file);
    assert_eq!(gpu.tuning_sources().file, TuningState::New);
    gpu.tune(&OP, inputs(&OP), &LONG).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(Tuning::from_json(&text), Ok(gpu.tuning()));

    let later = open(&file);
    assert_eq!(later.tuning_sources().file, TuningState::Loaded { classes: 1 });
    assert_eq!(name_of_first(&later, &OP), "double.fast");
    let options = Options { probe: false, tuning: Some(gpu.tuning()), ..Options::default() };
    let shipped = Gpu::open(&options).unwrap();
    assert_eq!(shipped.tuning_sources().given, TuningState::Loaded { classes: 1 });
    assert_eq!(name_of_first(&shipped, &OP), "double.fast");
    assert_eq!(shipped.reopen().unwrap().choices(), shipped.choices());

    // What another process added stays.
    let mut other = gpu.tuning();
    other.choices.set("another.class", "tile");
    std::fs::write(&file, other.to_json()).unwrap();
    later.tune(&OP, inputs(&OP), &TuneOptions { again: true, ..LONG }).unwrap();
    assert_eq!(Tuning::from_json(&std::fs::read_to_string(&file).unwrap()).unwrap().choices.len(), 2);
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn foreign_and_damaged_files_are_passed_over_with_a_reason() {
    let file = path("bad");
    let mut tuning = fixture::gpu().tuning();
    tuning.choices.set(CLASS, "fast");
    let good = tuning.to_json();
    let foreign = |change: &dyn Fn(&mut Tuning)| {
        let mut other = tuning.clone();
        change(&mut other);
        other.to_json()
    };
    for (text, why) in [
        (foreign(&|t| t.adapter = "another GPU".into()), "for adapter [another GPU]"),
        (foreign(&|t| t.driver = "another".into()), "for driver [another]"),
        (foreign(&|t| t.crate_version = "0.0.1".into()), "for version [0.0.1]"),
        (good[..good.len() / 2].into(), "no tuning"),
        (String::new(), "no tuning"),
        ("[1, 2]".into(), "no tuning"),
    ] {
        std::fs::write(&file, text).unwrap();
        let gpu = open(&file);
        let TuningState::Ignored { reason } = &gpu.tuning_sources().file else { panic!("{why}") };
        assert!(reason.contains(why), "{reason}");
        assert!(gpu.choices().is_empty() && name_of_first(&gpu, &OP) == "double.slow");
    }
    // The next finding replaces it; where nothing can be written, the report says so and the choice is in force.
    let gpu = open(&file);
    assert_eq!(gpu.tune(&OP, inputs(&OP), &LONG).unwrap().not_saved, None);
    assert_eq!(open(&file).tuning_sources().file, TuningState::Loaded { classes: 1 });
    let gpu = open(&file.join("below a file.json"));
    assert!(gpu.tune(&OP, inputs(&OP), &LONG).unwrap().not_saved.is_some());
    assert_eq!(gpu.choices().get(CLASS), Some("fast"));
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn a_choice_is_followed_and_an_unknown_one_passed_over() {
    let gpu = fixture::gpu();
    let op = Attention::softmax(Dims::new(1, 1, 96, 16));
    let class = op.classes(gpu.limits()).remove(0);
    let tile = class.tiles.last().unwrap();
    let given = inputs(&op);
    let before = gpu.run_tensors(&op, &given).unwrap();
    let of = |tile: &str| {
        let mut choices = Choices::new();
        choices.set(class.name.clone(), tile);
        choices
    };
    gpu.set_choices(of(tile));
    let plan = gpu.plan(&op).unwrap();
    assert!(plan.steps.iter().any(|s| s.name.ends_with(tile)), "{plan}");
    assert!(plan.reasons.contains(&format!("tuned: {tile} for {}", class.name)), "{plan}");
    let after = gpu.run_plan(&plan, &op.operands(), &given, &RunOptions::default()).unwrap().outputs;
    for (a, b) in before["o"].to_f32().iter().zip(after["o"].to_f32()) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
    gpu.set_choices(of("lanes1000.own1"));
    let plan = gpu.plan(&op).unwrap();
    assert!(plan.steps.iter().any(|s| s.name.ends_with(&class.tiles[0])), "{plan}");
    assert!(plan.reasons.iter().any(|r| r.starts_with("not tuned: lanes1000.own1 is no tile")), "{plan}");
}

/// One choice covers its neighbours, and no others.
#[test]
fn classes_are_coarse() {
    let limits = Limits::webgpu_default();
    let class =
        |seq: usize, width: usize| Attention::softmax(Dims::new(2, 3, seq, width)).classes(&limits).remove(0).name;
    assert_eq!(class(1024, 64), "attention_forward.softmax.f32.width64.own1024");
    assert_eq!(class(513, 33), class(1024, 64));
    assert_eq!(class(5000, 64), class(100_000, 64));
    assert_eq!(class(1, 64), class(64, 64));
    assert_ne!(class(1025, 64), class(1024, 64));
    let backward = AttentionBackward::new(Attention::sigmoid(Dims::new(1, 1, 100, 64)));
    let names: Vec<_> = backward.classes(&limits).into_iter().map(|c| c.name).collect();
    assert_eq!(
        names,
        [
            "attention_backward_query.sigmoid.f32.width64.own128",
            "attention_backward_key_value.sigmoid.f32.width64.own128"
        ]
    );
}
