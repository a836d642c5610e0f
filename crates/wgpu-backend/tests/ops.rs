//! The short way: an op's spec and its inputs as a struct.

mod fixture;

use fixture::gpu;
use gatefold_wgpu::rowwise::Inputs;
use gatefold_wgpu::{Dtype, RowFunction, Rowwise, RunError, SpecError, Tensor, Tensors};

#[test]
fn an_op_runs_from_its_spec() {
    let gpu = gpu();
    let op = Rowwise { function: RowFunction::Softmax, rows: 2, cols: 4, scale: 1.0, lens: false, dtype: Dtype::F32 };
    let x = Tensor::f32([2, 4], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]).unwrap();
    let out = gpu.run(&op, Inputs { x: x.clone(), lens: None }).unwrap();
    // A quarter each, up to the 2.5 ULP of a division.
    assert!(out.y.to_f32().iter().all(|p| (p - 0.25).abs() < 1e-6), "{:?}", out.y);
    assert_eq!(gpu.run_tensors(&op, &Tensors::new().with("x", x.clone())).unwrap()["y"], out.y);
    println!("{}", gpu.plan(&op).unwrap());

    let error = gpu.run_tensors(&op, &Tensors::new()).unwrap_err();
    assert!(matches!(error, RunError::Spec(SpecError::Missing { .. })), "{error}");
    let error = gpu.plan(&Rowwise { scale: f32::NAN, ..op.clone() }).unwrap_err();
    assert!(matches!(error, RunError::Spec(SpecError::Option { .. })), "{error}");
    assert_eq!(gpu.run(&op, Inputs { x, lens: None }).unwrap().y, out.y);
}
