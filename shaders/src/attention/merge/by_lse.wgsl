// Slot join: parts are weighed by their lse. A part whose lse is -inf saw no key and does not count.
@group(0) @binding(3) var<storage, read> lse_parts: array<u32>;
@group(0) @binding(4) var<storage, read_write> lse: array<u32>;

const LIMIT: f32 = 3.0e38;      // of an lse
const LEAST: f32 = -100.0;      // of half a difference: halves, so that none overflows; exp of the whole is 0

struct Joint {
    peak: f32,      // largest lse
    total: f32,     // Σ exp(lse_s - peak); 0 if no part saw a key
    factor: f32,    // 1 / total
    broken: bool,   // an lse is NaN or +inf
}

fn lse_bits(part: u32, row: u32) -> u32 { return lse_parts[part * params.rows + row]; }
fn counts(part: u32, row: u32) -> bool { return lse_bits(part, row) != 0xff800000u; }
fn lse_of(part: u32, row: u32) -> f32 { return clamp(bitcast<f32>(lse_bits(part, row)), -LIMIT, LIMIT); }

fn enter_row(row: u32) -> Joint {
    var joint = Joint(-LIMIT, 0.0, 0.0, false);
    for (var part = 0u; part < params.parts; part++) {
        if counts(part, row) {
            joint.broken = joint.broken | is_not_finite(lse_bits(part, row));
            joint.peak = max(joint.peak, lse_of(part, row));
        }
    }
    for (var part = 0u; part < params.parts; part++) {
        if counts(part, row) { joint.total += share(part, row, joint); }
    }
    if joint.total > 0.0 { joint.factor = 1.0 / joint.total; }
    return joint;
}

fn share(part: u32, row: u32, joint: Joint) -> f32 { return exp(2.0 * max(0.5 * lse_of(part, row) - 0.5 * joint.peak, LEAST)); }

fn store_lse(row: u32, joint: Joint) {
    let value = select(bitcast<u32>(joint.peak + log(max(joint.total, 1.0))), params.minus_infinity, joint.total == 0.0);
    lse[row] = select(value, params.nan, joint.broken);
}
