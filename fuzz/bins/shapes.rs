//! libFuzzer's entry: specs, shapes and masks against the validator.
#![no_main]

/// A gibibyte is more than any input may ask for: beyond it an allocation fails, and with it the process.
#[global_allocator]
static MEMORY: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, 1 << 30);

libfuzzer_sys::fuzz_target!(init: gatefold_fuzz::specs::prepare(), |bytes: &[u8]| gatefold_fuzz::shapes(bytes));
