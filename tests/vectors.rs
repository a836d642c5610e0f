//! The golden vectors in this repository, on the reference and on the adapter.

use std::path::{Path, PathBuf};

use gatefold_core::{RowFunction, Rowwise, Tensor, Tensors};
use gatefold_tests::gpu;
use gatefold_tests::vectors::archive::{Archive, write};
use gatefold_tests::vectors::{Verdict, check_folders};

fn golden(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(part)
}

/// A fresh folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("gatefold_{name}_{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn check(part: &str, at_least: usize) {
    let outcomes = check_folders(&[golden(part)], Some(gpu()), None, &mut |_| ()).unwrap();
    assert!(outcomes.passed(), "{outcomes}");
    assert!(outcomes.count(&Verdict::Passed) >= at_least, "{outcomes}");
}

#[test]
fn attention() {
    check("attention", 69);
}

#[test]
fn rowwise() {
    check("rowwise", 28);
}

#[test]
fn onnx() {
    check("onnx", 118);
}

/// The example in the documentation: a case of our own form.
fn own_case(want: f32) -> (Tensors, serde_json::Value) {
    let tensors = Tensors::new()
        .with("x", Tensor::f32([1, 2], vec![0.0, 0.0]).unwrap())
        .with("want.y", Tensor::f32([1, 2], vec![0.5, want]).unwrap());
    let spec = serde_json::to_value(Rowwise::new(RowFunction::Softmax, 1, 2)).unwrap();
    (tensors, serde_json::json!({ "op": "rowwise", "spec": spec, "rtol": 1e-5, "atol": 1e-6 }))
}

#[test]
fn own_form_passes_and_fails() {
    let folder = folder("own_form");
    for (want, verdict) in [(0.5, Verdict::Passed), (0.6, Verdict::Failed)] {
        let (tensors, case) = own_case(want);
        write(&folder.join("one.safetensors"), &tensors, &case).unwrap();
        let outcomes = check_folders(std::slice::from_ref(&folder), Some(gpu()), None, &mut |_| ()).unwrap();
        assert_eq!(outcomes.count(&verdict), 2, "{outcomes}");
        assert_eq!(outcomes.passed(), verdict == Verdict::Passed);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn webnn_form_passes_and_fails() {
    let folder = folder("webnn_form");
    let tensor = |values: [f32; 2]| Tensor::f32([1, 2], values.to_vec()).unwrap();
    let case = serde_json::json!({ "op": "softmax", "arguments": { "axis": 1 }, "tolerance": ["ULP", 12] });
    for (want, verdict) in [(0.5, Verdict::Passed), (0.500_01, Verdict::Failed)] {
        let tensors = Tensors::new().with("in.0.x", tensor([3.0, 3.0])).with("out.0.y", tensor([0.5, want]));
        write(&folder.join("one.safetensors"), &tensors, &case).unwrap();
        let outcomes = check_folders(std::slice::from_ref(&folder), Some(gpu()), None, &mut |_| ()).unwrap();
        assert_eq!(outcomes.count(&verdict), 2, "{outcomes}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_the_adapter_gave_is_written() {
    let (cases, out) = (folder("written_in"), folder("written_out"));
    let (tensors, case) = own_case(0.5);
    write(&cases.join("one.safetensors"), &tensors, &case).unwrap();
    check_folders(std::slice::from_ref(&cases), Some(gpu()), Some(&out), &mut |_| ()).unwrap();
    let written = Archive::read(&out.join("one.safetensors")).unwrap();
    assert_eq!(written.need("y").unwrap().values, [0.5, 0.5]);
    assert_eq!(written.case, case);
    std::fs::remove_dir_all(cases).unwrap();
    std::fs::remove_dir_all(out).unwrap();
}

#[test]
fn what_is_not_offered_is_named() {
    let folder = folder("not_offered");
    let q = || Tensor::f32([1, 1, 2, 4], vec![0.5; 8]).unwrap();
    let tensors = Tensors::new().with("q", q()).with("k", q()).with("v", q());
    let case = |attrs: serde_json::Value| serde_json::json!({ "op": "attention", "attrs": attrs, "outputs": [], "grads": [], "rtol": 1e-4, "atol": 1e-5 });
    for (attrs, named) in [
        (serde_json::json!({"weight": "cosine"}), "weight cosine"),
        (serde_json::json!({"weight": "relu", "normaliser": "spectral"}), "normaliser spectral"),
        (serde_json::json!({"reweight": 3}), "reweight 3"),
        (serde_json::json!({"qk_norm": "batch"}), "norm batch"),
        (serde_json::json!({"output_norm": "group"}), "norm group"),
        (serde_json::json!({"scale": "log_d"}), "scale log_d"),
    ] {
        write(&folder.join("one.safetensors"), &tensors, &case(attrs)).unwrap();
        let outcomes = check_folders(std::slice::from_ref(&folder), None, None, &mut |_| ()).unwrap();
        assert_eq!(outcomes.count(&Verdict::NotSupported), 1, "{outcomes}");
        assert_eq!(outcomes.all[0].reason, named);
    }
    std::fs::remove_dir_all(folder).unwrap();
}
