//! A chosen tile is tried before it is taken: what it gives is compared with the default's, on a small case with seeded inputs.

mod fixture;

use std::path::{Path, PathBuf};

use fixture::step;
use gatefold_wgpu::attention::Dims;
use gatefold_wgpu::{
    Attention, Choices, Cost, Dtype, FastPath, Gpu, Kernels, Limits, Op, Operand, Options, Param, PathStatus, Plan,
    PlanError, ShapeClass, SpecError, Tensor, Tensors,
};
use serde::{Deserialize, Serialize};

/// A path of the test's own, with nothing there.
fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("gatefold-verdicts-{}-{name}.json", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn open(file: Option<&Path>) -> Gpu {
    Gpu::open(&Options { verdict_file: file.map(Into::into), ..Options::default() }).unwrap()
}

/// An op of the tests' own with a choice of kernels: y = 2 x. What its kernels spoil shows on whatever inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Double {
    count: usize,
}

const CLASS: &str = "double.f32";

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
        Cost { flops: self.count as f64 * if self.count > 5000 { 1e9 } else { 1.0 }, bytes: 8.0 * self.count as f64 }
    }

    fn label(&self) -> String {
        "f32".into()
    }

    fn size_label(&self) -> String {
        self.count.to_string()
    }
}

impl Kernels for Double {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let tile = limits.choices.get(CLASS).unwrap_or("default");
        let spoil = match tile {
            "wrong" => "if id.x == 70u { y[70] += 0.01; }",
            "stray" => "y[params.count + 1u] = 1.0;",
            "broken" => "no_such_function();",
            _ => "",
        };
        let text = format!(
            "struct Params {{ count: u32 }}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
  if id.x >= params.count {{ return; }}
  y[id.x] = 2.0 * x[id.x];
  {spoil}
}}
"
        );
        let count = u32::try_from(self.count).unwrap();
        let params = vec![("count", Param::U32(count))];
        let text = Box::leak(text.into_boxed_str());
        let step = step(&format!("double.{tile}"), text, [count.div_ceil(64), 1, 1], params);
        Ok(Plan { op: Self::NAME, steps: vec![step], ..Plan::default() })
    }

    fn classes(&self, _: &Limits) -> Vec<ShapeClass> {
        let tiles = ["default", "good", "wrong", "stray", "broken"];
        vec![ShapeClass { name: CLASS.into(), tiles: tiles.map(String::from).to_vec() }]
    }
}

const OP: Double = Double { count: 1000 };

fn choose(tile: &str) -> Choices {
    let mut choices = Choices::new();
    choices.set(CLASS, tile);
    choices
}

#[test]
fn a_chosen_tile_is_tried_before_it_is_taken() {
    let file = path("tiles");
    for (tile, why) in [("good", ""), ("wrong", "y[70]: "), ("stray", "guard zone"), ("broken", "no_such_function")] {
        let gpu = open(Some(&file));
        gpu.set_choices(choose(tile));
        let plan = gpu.plan(&OP).unwrap();
        let taken = if why.is_empty() { tile } else { "default" };
        assert_eq!(plan.steps[0].name, format!("double.{taken}"), "{plan}");
        let path = FastPath::Tile { class: CLASS.into(), tile: tile.into() };
        let found = gpu.verdicts().into_iter().find(|v| v.path == path).unwrap();
        println!("{found}");
        assert!(plan.reasons.contains(&found.to_string()), "{plan}");
        match &found.status {
            PathStatus::Passed => assert!(why.is_empty()),
            PathStatus::Failed { why: found } => assert!(!why.is_empty() && found.contains(why), "{found}"),
            other => panic!("{other:?}"),
        }
        let x: Vec<f32> = (0..1000u16).map(f32::from).collect();
        let doubled: Vec<f32> = x.iter().map(|x| 2.0 * x).collect();
        let given = Tensors::new().with("x", Tensor::f32([1000], x).unwrap());
        assert_eq!(gpu.run_tensors(&OP, &given).unwrap()["y"].to_f32(), doubled);
        // Once: a later device of the same file tries nothing, and so builds nothing.
        let later = open(Some(&file));
        later.set_choices(choose(tile));
        assert_eq!(later.plan(&OP).unwrap().steps, plan.steps);
        assert!(later.verdicts().contains(&found));
        assert!(!later.build_seconds().iter().any(|(name, _)| name.starts_with("double")));
    }
    // The file has the last word on each tile, and an op too large to be tried takes no tile that nobody has tried.
    let gpu = open(None);
    gpu.set_choices(choose("good"));
    let large = Double { count: 6000 };
    let plan = gpu.plan(&large).unwrap();
    assert!(plan.steps[0].name == "double.default" && plan.reasons[0].contains("not tried here"), "{plan}");
    gpu.plan(&OP).unwrap();
    assert_eq!(gpu.reopen().unwrap().plan(&OP).unwrap().steps[0].name, "double.good");
    std::fs::remove_file(&file).unwrap();
}

/// Attention's tiles are tried on a small case of the class, whatever the size of the call.
#[test]
fn a_tile_of_a_large_attention_is_tried_on_a_small_one() {
    let gpu = Gpu::new().unwrap();
    let op = Attention { alibi: true, key_bias: true, ..Attention::softmax(Dims::new(64, 16, 96, 16)) };
    let class = op.classes(gpu.limits()).remove(0);
    let trial = op.trial().unwrap();
    assert_eq!(trial.classes(gpu.limits())[0], class);
    assert!(trial.cost().flops * 100.0 < op.cost().flops);
    let tile = class.tiles.last().unwrap();
    let mut choices = Choices::new();
    choices.set(class.name.clone(), tile.clone());
    gpu.set_choices(choices);
    let plan = gpu.plan(&op).unwrap();
    println!("{plan}");
    assert!(plan.reasons.iter().any(|r| r.starts_with(&format!("tile {tile} for {}: passed", class.name))), "{plan}");
    assert!(plan.reasons.contains(&format!("tuned: {tile} for {}", class.name)), "{plan}");
}
