// Slot sums: no additive input needs a sum of dz.
fn add_pair(r: u32, i: u32, j: u32, dz: f32) {}
fn store_sums() {}
const SUM_STATE: u32 = 0u;
fn suspend_sums(word: u32) {}
fn resume_sums(word: u32) {}
