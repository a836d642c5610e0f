//! libFuzzer's entry: files against their readers.
#![no_main]

/// A gibibyte is more than any input may ask for: beyond it an allocation fails, and with it the process.
#[global_allocator]
static MEMORY: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, 1 << 30);

libfuzzer_sys::fuzz_target!(init: gatefold_fuzz_device::prepare(), |bytes: &[u8]| gatefold_fuzz_device::readers(bytes));
