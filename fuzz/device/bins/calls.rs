//! libFuzzer's entry: sequences of calls against a model.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gatefold_fuzz_device::calls(bytes));
