// Slot logits: a token's logit for an expert. One that is NaN or -inf takes no part; larger ones than LIMIT count as LIMIT.
@group(0) @binding(1) var<storage, read> logits: array<Elem>;

const LIMIT: f32 = 3.0e38;
const FAR: f32 = -100.0;        // half a difference whose exponential is 0; halves, so that none overflows

fn logit_bits(at: u32) -> u32 { return bitcast<u32>(f32(logits[at])); }
fn is_nan(bits: u32) -> bool { return (bits & 0x7fffffffu) > 0x7f800000u; }
fn is_out(bits: u32) -> bool { return is_nan(bits) | (bits == 0xff800000u); }
fn logit(bits: u32) -> f32 { return clamp(bitcast<f32>(select(bits, 0u, is_out(bits))), -LIMIT, LIMIT); }

/// A logit's part of the sum that scores are shares of.
fn part(bits: u32, peak: f32) -> f32 {
    return select(exp(2.0 * max(0.5 * logit(bits) - 0.5 * peak, FAR)), 0.0, is_out(bits));
}
