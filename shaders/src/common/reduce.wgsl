// The statistic of all invocations of a workgroup, by a tree of FAN branches in a fixed order. LANES · 12 bytes of workgroup memory.
// Every invocation must call it.
var<workgroup> stats: array<Stat, LANES>;

fn reduce(lane: u32, own: Stat) -> Stat {
    stats[lane] = own;
    workgroupBarrier();
    for (var width = LANES; width > 1u; width = (width + FAN - 1u) / FAN) {
        let next = (width + FAN - 1u) / FAN;
        // Only invocation `lane` touches stats[lane], and the others it reads are not written: one barrier a level.
        if lane < next {
            var merged = stats[lane];
            for (var other = lane + next; other < width; other += next) {
                merged = merge(merged, stats[other]);
            }
            stats[lane] = merged;
        }
        workgroupBarrier();
    }
    return stats[0];
}
