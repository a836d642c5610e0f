// Slot statistic: a plain sum; top is 1 once there has been an entry that is not minus infinity.
struct Stat {
    top: f32,
    sum: f32,
    marks: u32,
}

fn empty() -> Stat { return Stat(0.0, 0.0, 0u); }
fn merge(a: Stat, b: Stat) -> Stat { return Stat(max(a.top, b.top), a.sum + b.sum, a.marks | b.marks); }
