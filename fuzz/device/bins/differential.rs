//! libFuzzer's entry: small cases on the adapter against the reference.
#![no_main]

libfuzzer_sys::fuzz_target!(init: gatefold_fuzz_device::prepare(), |bytes: &[u8]| gatefold_fuzz_device::differential(bytes));
