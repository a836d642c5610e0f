//! The inputs that are kept for each target, without libFuzzer.

use gatefold_fuzz::replay;

#[test]
fn readers() {
    replay("readers", gatefold_fuzz_device::readers);
}
