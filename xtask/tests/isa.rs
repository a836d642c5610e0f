//! `cargo xtask isa` from outside: a small kernel goes through the whole of it where RADV is installed.

#![forbid(unsafe_code)]

use std::process::{Command, Output};

fn isa(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask")).arg("isa").args(args).output().unwrap()
}

#[test]
fn a_small_kernel_compiles_where_radv_is() {
    let out = isa(&["rowwise log_sum_exp.f32 [R65536 N32]", "--family", "rdna2", "--code"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    match out.status.code() {
        Some(0) => {
            for part in
                ["hot loop main/col", "rowwise/row_per_invocation.wgsl:", "for (var col = 0u;", "buffer_load_dword"]
            {
                assert!(text.contains(part), "{part} is missing in:\n{text}");
            }
        }
        Some(2) => eprintln!("not tested, there is no RADV with a null device: {text}"),
        other => panic!("{other:?}: {text}{}", String::from_utf8_lossy(&out.stderr)),
    }
}

#[test]
fn kernels_are_listed_without_a_driver() {
    let out = isa(&["attention sigmoid", "--list"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success() && text.contains("attention_forward.sigmoid.f32"), "{text}");
    assert_eq!(isa(&["no such kernel", "--list"]).status.code(), Some(1));
}

#[test]
fn a_driver_that_is_not_there_is_named() {
    let out = isa(&["--driver", "nowhere/radeon.json"]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("nowhere/radeon.json: no such file"));
}
