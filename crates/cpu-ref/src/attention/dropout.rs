//! Which pairs dropout drops, from the generator's definition in [`gatefold_core::attention::Dropout`].

use gatefold_core::Attention;

use super::score::host_constant;
use crate::{Real, Values};

/// PCG4D (Jarzynski and Olano, JCGT 2020), word by word.
fn hash_of_four(words: [u32; 4]) -> [u32; 4] {
    let mut v = words.map(|w| w.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    // word `at` grows by the product of two others
    let steps = [(0, 1, 3), (1, 2, 0), (2, 0, 1), (3, 1, 2)];
    let grow = |v: &mut [u32; 4]| {
        for (at, a, b) in steps {
            v[at] = v[at].wrapping_add(v[a].wrapping_mul(v[b]));
        }
    };
    grow(&mut v);
    v = v.map(|w| w ^ (w >> 16));
    grow(&mut v);
    v
}

/// The random word of the pair of query `i` and key `j`, `head` counted over all batch entries.
pub(crate) fn word(seed: u64, head: u32, i: u32, j: u32) -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "the halves of the seed")]
    let [first, second, ..] = hash_of_four([i, head, seed as u32, (seed >> 32) as u32]);
    let mut t = j ^ first;
    for (shift, factor, key) in [(17, 0xed5a_d4bb, second), (11, 0xac4c_1b51, 0), (15, 0x3184_8bab, 0)] {
        t = (t ^ (t >> shift)).wrapping_mul(factor).wrapping_add(key);
    }
    t ^ (t >> 14)
}

/// The seed of a call: the spec's, xor the input's halves.
pub(crate) fn seed<R: Real>(op: &Attention, inputs: &Values<R>) -> u64 {
    let given = inputs.int("dropout_seed").iter().rev().fold(0, |whole, &half| whole << 32 | u64::from(half));
    op.dropout.map_or(0, |d| d.seed ^ given)
}

/// What `x` of the pair (batch entry, head, query, key) counts after dropout, `None` if it is dropped.
pub(crate) fn drop<R: Real>(op: &Attention, seed: u64, place: [usize; 4], x: R) -> Option<R> {
    let Some(dropout) = op.drops() else { return Some(x) };
    #[allow(clippy::cast_possible_truncation, reason = "sizes are below 2^32")]
    let [b, h, i, j] = place.map(|n| n as u32);
    #[allow(clippy::cast_possible_truncation, reason = "heads are below 2^24")]
    let head = b * op.dims.q_heads as u32 + h;
    (word(seed, head, i, j) >= dropout.threshold()).then(|| x * host_constant(dropout.scale()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: u32 = 1 << 31;

    /// `|share − p|` in standard deviations of a share of `n`.
    fn deviations(hits: usize, n: usize, p: f64) -> f64 {
        (hits as f64 - p * n as f64).abs() / (p * (1.0 - p) * n as f64).sqrt()
    }

    /// All words of a block of rows of a head.
    fn words(seed: u64, head: u32, rows: u32, keys: u32) -> Vec<u32> {
        (0..rows).flat_map(|i| (0..keys).map(move |j| word(seed, head, i, j))).collect()
    }

    #[test]
    fn words_do_not_change() {
        assert_eq!(hash_of_four([0; 4]), [251_852_841, 760_645_481, 850_445_371, 3_542_436_074]);
        assert_eq!([word(0, 0, 0, 0), word(0x0123_4567_89ab_cdef, 5, 17, 1023)], [2_702_852_787, 2_104_856_476]);
    }

    #[test]
    fn as_many_are_dropped_as_are_asked_for() {
        let all = words(4711, 3, 1024, 1024);
        for p in [1e-4, 0.003, 0.1, 0.25, 0.5, 0.9, 0.9999f32] {
            let dropout = gatefold_core::attention::Dropout::new(p, 0);
            let hits = all.iter().filter(|&&w| w < dropout.threshold()).count();
            assert!(deviations(hits, all.len(), p.into()) < 4.0, "{p}: {hits} of {}", all.len());
        }
        // by row and by key
        for by_row in [true, false] {
            let sum = |n: usize, m: usize| usize::from(all[if by_row { n * 1024 + m } else { m * 1024 + n }] < HALF);
            let chi: f64 = (0..1024).map(|n| deviations((0..1024).map(|m| sum(n, m)).sum(), 1024, 0.5).powi(2)).sum();
            assert!((chi - 1024.0).abs() < 4.5 * (2.0f64 * 1024.0).sqrt(), "{chi} of 1024, by row: {by_row}");
        }
    }

    #[test]
    fn every_bit_is_fair() {
        let all = words(1, 0, 512, 512);
        for bit in 0..32 {
            let ones = all.iter().filter(|&&w| w >> bit & 1 == 1).count();
            assert!(deviations(ones, all.len(), 0.5) < 4.0, "bit {bit}: {ones} of {}", all.len());
        }
    }

    /// The words of two blocks agree below a threshold as often as independent ones do.
    fn independent(a: &[u32], b: &[u32], what: &str) {
        for p in [0.02, 0.5, 0.9f64] {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 2^32")]
            let below = (p * 2f64.powi(32)) as u32;
            let both = a.iter().zip(b).filter(|&(&x, &y)| x < below && y < below).count();
            assert!(deviations(both, a.len(), p * p) < 4.5, "{what}, {p}: {both} of {}", a.len());
        }
        let equal = a.iter().zip(b).filter(|(x, y)| x == y).count();
        assert!(equal <= 2, "{what}: {equal} of {} are equal", a.len());
    }

    #[test]
    fn neighbours_are_independent() {
        let (rows, keys) = (512u32, 512u32);
        let base = words(99, 8, rows, keys);
        let moved = |i: u32, j: u32| -> Vec<u32> {
            let row = |r: u32| (0..keys).map(move |c| word(99, 8, r + i, c + j));
            (0..rows).flat_map(row).collect()
        };
        for (i, j) in [(0, 1), (0, 2), (0, 4), (0, 64), (1, 0), (2, 0), (64, 0), (1, 1), (5, 3)] {
            independent(&base, &moved(i, j), &format!("{i} rows and {j} keys further"));
        }
        let turned: Vec<u32> = (0..rows).flat_map(|i| (0..keys).map(move |j| word(99, 8, j, i))).collect();
        independent(&base[1..keys as usize], &turned[1..keys as usize], "i and j exchanged");
        // heads of a batch entry, then the next entries
        for head in [9, 10, 16, 72] {
            independent(&base, &words(99, head, rows, keys), &format!("head {head}"));
        }
        for bit in [0, 1, 31, 32, 63] {
            independent(&base, &words(99 ^ (1 << bit), 8, rows, keys), &format!("bit {bit} of the seed"));
        }
        independent(&base, &words(100, 8, rows, keys), "the next seed");
    }

    /// Each bit of each of the five words turns half of the result's bits.
    #[test]
    fn a_bit_changes_half() {
        let n = 4096;
        for bit in 0..160u32 {
            let flip = |of: u32| if bit / 32 == of { 1u32 << (bit % 32) } else { 0 };
            let changed: u32 = (0..n)
                .map(|k: u32| {
                    let seed = u64::from(k) << 20 | 77;
                    let other = seed ^ u64::from(flip(3)) ^ u64::from(flip(4)) << 32;
                    let (i, j, head) = (k % 61, k % 97, k % 13);
                    (word(seed, head, i, j) ^ word(other, head ^ flip(0), i ^ flip(1), j ^ flip(2))).count_ones()
                })
                .sum();
            let share = f64::from(changed) / f64::from(32 * n);
            assert!((share - 0.5).abs() < 0.02, "bit {bit}: {share}");
        }
    }
}
