//! What the host says of routing, on golden vectors if they are in the repository.

use std::path::Path;

use gatefold_core::routing::{LoadCounts, RoutingStats, effective_temperature, equilibrium, estimate_gamma};
use gatefold_core::{Dtype, RouterLoss, SelectionBiasUpdate, Tensor, Tensors};
use gatefold_cpu_ref::Reference;
use gatefold_tests::compare::same_bits;
use gatefold_tests::gpu;
use gatefold_tests::vectors::archive::Archive;

/// The arrays of a golden case, or of the folder that the variable names; `None` if it is not there.
fn golden(name: &str) -> Option<Archive> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/routing");
    let folder = std::env::var_os("GATEFOLD_ROUTING_VECTORS").map_or(own, Into::into);
    let path = folder.join(format!("{name}.safetensors"));
    path.exists().then(|| Archive::read(&path).unwrap())
}

fn attribute(file: &Archive, name: &str) -> f64 {
    file.case["attrs"][name].as_f64().unwrap()
}

fn close(got: &[f64], file: &Archive, name: &str) {
    let want = &file.need(name).unwrap().values;
    let number = |name: &str| file.case[name].as_f64().unwrap();
    let largest = want.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    assert_eq!(got.len(), want.len(), "{name}");
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= number("atol") * largest + number("rtol") * want.abs(), "{name}: {got} {want}");
    }
}

#[test]
fn statistics_of_a_golden_case() {
    let Some(file) = golden("routing_stats.base") else { return };
    let counts = file.need("counts").unwrap().tensor(Dtype::U32).unwrap();
    let found = RoutingStats::of(&counts).unwrap();
    close(&found.share, &file, "share");
    for (name, got) in [
        ("max_over_mean", found.max_over_mean),
        ("min_over_mean", found.min_over_mean),
        ("cv", found.cv),
        ("entropy", found.entropy),
        ("l1_to_uniform", found.l1_to_uniform),
        ("gini", found.gini),
        ("dead", found.dead as f64),
    ] {
        close(&[got], &file, name);
    }
}

#[test]
fn equilibrium_and_estimate_of_golden_cases() {
    if let Some(file) = golden("congestion.equilibrium") {
        let quality = &file.need("quality").unwrap().values;
        let (gamma, temperature) = (attribute(&file, "gamma"), attribute(&file, "temperature"));
        close(&equilibrium(quality, gamma, temperature).unwrap(), &file, "share");
        close(&[effective_temperature(quality.len(), gamma, temperature).unwrap()], &file, "effective_temperature");
    }
    if let Some(file) = golden("congestion.estimate") {
        let [quality, share] = ["quality", "share"].map(|name| file.need(name).unwrap().values.clone());
        close(&[estimate_gamma(&quality, &share, attribute(&file, "temperature")).unwrap()], &file, "gamma_eff");
    }
}

/// Counts by hand, through the kernel that moves the bias: steps against the load bring it to rest where loads are equal.
#[test]
fn a_bias_rests_at_even_loads() {
    let op = SelectionBiasUpdate::new(4, 0.25);
    let run = |counts: [u32; 4], bias: [f32; 4]| {
        let inputs = Tensors::new()
            .with("counts", Tensor::u32([4], counts).unwrap())
            .with("selection_bias", Tensor::f32([4], bias).unwrap());
        gpu().run_tensors(&op, &inputs).unwrap()["selection_bias"].to_f32()
    };
    assert_eq!(run([7, 3, 5, 5], [0.0, 0.5, -0.0, 1.0]), [-0.25, 0.75, 0.0, 1.0]);
    assert_eq!(run([u32::MAX, 0, u32::MAX, 0], [0.0; 4]), [-0.25, 0.25, -0.25, 0.25]);
    assert_eq!(run([9; 4], [0.5; 4]), [0.5; 4]);
}

/// The loss's own counts are those of the histogram, whatever indices a buffer holds.
#[test]
fn losses_of_micro_batches_do_not_average() {
    let mut all = LoadCounts::new(2).unwrap();
    let op = RouterLoss { gradient: false, ..RouterLoss::load_balance(4, 2, 1, 1.0) };
    let mut losses = Vec::new();
    for expert in [0, 1] {
        let inputs = Tensors::new()
            .with("logits", Tensor::f32([4, 2], [4.0, -4.0, -4.0, 4.0][2 * expert..][..2].repeat(4)).unwrap())
            .with("indices", Tensor::u32([4, 1], vec![u32::from(expert == 1); 4]).unwrap());
        losses.push(gpu().run_tensors(&op, &inputs).unwrap()["loss"].to_f32()[0]);
        all.add(&[[4, 0], [0, 4]][expert]).unwrap();
    }
    // each micro-batch is as uneven as can be, and together they are even
    assert!(losses.iter().all(|&l| l > 1.9) && all.stats().entropy == 1.0);
}

#[test]
fn a_gradient_alone_is_the_gradient() {
    for seed in [20, 41, 62] {
        let case = RouterLoss::case(seed);
        let both = RouterLoss { value: true, gradient: true, dtype: Dtype::F32, ..case.op };
        let mut inputs = case.inputs.with("d_loss", Tensor::f32([1], vec![3.0]).unwrap());
        let logits = inputs["logits"].to_f32();
        inputs.insert("logits", Tensor::f32([both.tokens, both.experts], logits).unwrap());
        let alone = RouterLoss { value: false, ..both.clone() };
        let (a, b) = (gpu().run_tensors(&both, &inputs).unwrap(), gpu().run_tensors(&alone, &inputs).unwrap());
        let only = |all: &Tensors| Tensors::new().with("d_logits", all["d_logits"].clone());
        assert_eq!(same_bits(&only(&a), &only(&b)), Ok(()), "seed {seed}");
    }
}
