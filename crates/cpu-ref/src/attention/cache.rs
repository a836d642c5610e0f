//! Appending to a cache from its definition, and its cases.

use gatefold_core::attention::{CacheLayout, RowLayout, Storage};
use gatefold_core::{CacheAppend, Dtype, Op, Tensor, Tensors};

use crate::case::edge;
use crate::data::{Family, Rng};
use crate::{Case, Real, Reference, Values};

const SALT: u64 = 0xcac4;

/// Row of the cache that holds position `at` of a batch entry's head.
fn cache_row(op: &CacheAppend, table: &[u32], [b, h, at]: [usize; 3]) -> usize {
    match op.cache {
        CacheLayout::Dense => (b * op.heads + h) * op.max_len + at,
        CacheLayout::Paged { page, .. } => {
            let number = table[b * op.table_pages() + at / page] as usize;
            (number * page + at % page) * op.heads + h
        }
    }
}

/// Every new row: where it lies in `x`, where it goes in the cache, and its head.
fn new_rows<R: Real>(op: &CacheAppend, inputs: &Values<R>) -> Vec<[usize; 3]> {
    let (lens, new, table) = (inputs.int("lens"), inputs.int("lens_new"), inputs.int("block_table"));
    let mut all = Vec::new();
    for b in 0..op.batch {
        let count = if op.ragged { new[b] as usize } else { op.seq };
        for (h, t) in (0..op.heads).flat_map(|h| (0..count).map(move |t| (h, t))) {
            let from = match op.layout {
                RowLayout::HeadsFirst => (b * op.heads + h) * op.seq + t,
                RowLayout::TokensFirst => (b * op.seq + t) * op.heads + h,
            };
            all.push([from, cache_row(op, table, [b, h, lens[b] as usize + t]), h]);
        }
    }
    all
}

/// `max |x| / 127` in f32. A quotient of two f32 numbers is never so near the middle between two others that rounding to f64 first would matter.
fn scale_of(row: &[f64]) -> f64 {
    let largest = row.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
    let rounded = f64::from((largest / 127.0) as f32);
    match largest {
        _ if row.iter().any(|x| !x.is_finite()) => f64::NAN,
        _ if largest < (-119f64).exp2() => 0.0,
        _ => rounded,
    }
}

/// `round(x / scale)`, saturated.
fn quotient(x: f64, scale: f64) -> i8 {
    if x.is_nan() || scale.is_nan() || scale == 0.0 {
        return 0;
    }
    #[allow(clippy::cast_possible_truncation, reason = "within -127 to 127")]
    let n = (x / scale).round_ties_even().clamp(-127.0, 127.0) as i8;
    n
}

/// The cache and its scales after an append of rows in int8. Words are whole numbers, so they are exact.
fn append_int8<R: Real>(op: &CacheAppend, inputs: &Values<R>) -> Values<R> {
    let words = op.row_elements();
    let mut cache = inputs.int("cache").to_vec();
    let mut scales: Vec<f64> = inputs.float("cache_scale").iter().map(|x| x.value()).collect();
    for [from, to, h] in new_rows(op, inputs) {
        let row: Vec<f64> = inputs.float("x")[from * op.dim..][..op.dim].iter().map(|x| x.value()).collect();
        let at = if op.storage == Storage::INT8_PER_TOKEN { to } else { h };
        if op.storage == Storage::INT8_PER_TOKEN {
            scales[at] = scale_of(&row);
        }
        for (word, four) in cache[to * words..][..words].iter_mut().zip(row.chunks(4)) {
            let mut bytes = [0; 4];
            for (byte, &x) in bytes.iter_mut().zip(four) {
                [*byte] = quotient(x, scales[at]).to_le_bytes();
            }
            *word = u32::from_le_bytes(bytes);
        }
    }
    let cache = cache.into_iter().map(|word| R::from_f64(word.into())).collect();
    let scales = scales.into_iter().map(R::from_f64).collect();
    Values { floats: [("cache".to_string(), cache), ("cache_scale".into(), scales)].into(), ..Values::default() }
}

impl Reference for CacheAppend {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        if !self.storage.is_float() {
            return append_int8(self, inputs);
        }
        let (mut cache, x) = (inputs.float("cache").to_vec(), inputs.float("x"));
        for [from, to, _] in new_rows(self, inputs) {
            cache[to * self.dim..][..self.dim].copy_from_slice(&x[from * self.dim..][..self.dim]);
        }
        Values { floats: [("cache".to_string(), cache)].into(), ..Values::default() }
    }

    fn case(seed: u64) -> Case<Self> {
        Case::drawn((seed, SALT), planned(seed), random, 20, inputs)
    }

    const PLANNED: u64 = (4 * SIZES.len() + INT8.len()) as u64;
}

/// `batch, heads, seq, dim, max_len, page`.
const SIZES: [[usize; 6]; 9] = [
    [1, 1, 1, 1, 1, 1],
    [3, 2, 1, 64, 40, 16],
    [0, 2, 3, 4, 9, 4],
    [2, 3, 0, 4, 9, 4],
    [2, 2, 5, 7, 5, 3],
    [4, 2, 17, 24, 70, 7],
    [1, 8, 70, 128, 100, 256],
    [5, 1, 3, 256, 33, 1],
    [2, 3, 9, 33, 64, 16],
];

/// Which of `SIZES`, and whether scales are per head, pages, ragged, f16, and of special contents: tokens first where pages are, or f16.
const INT8: [(usize, [bool; 5]); 10] = [
    (0, [false, false, false, false, false]),
    (1, [false, true, true, false, false]),
    (4, [true, false, true, false, false]),
    (5, [false, true, true, true, false]),
    (6, [true, true, false, false, false]),
    (6, [false, false, false, true, false]),
    (7, [false, true, true, false, true]),
    (8, [false, false, false, false, true]),
    (8, [true, true, true, false, true]),
    (4, [true, false, false, true, true]),
];

fn planned_int8((size, [per_head, paged, ragged, half, special]): (usize, [bool; 5])) -> (CacheAppend, String) {
    let [batch, heads, seq, dim, max_len, page] = SIZES[size];
    let pages = batch * max_len.div_ceil(page) + 1;
    let op = CacheAppend {
        cache: if paged { CacheLayout::Paged { page, pages } } else { CacheLayout::Dense },
        ragged,
        layout: if paged || half { RowLayout::TokensFirst } else { RowLayout::HeadsFirst },
        dtype: if half { Dtype::F16 } else { Dtype::F32 },
        storage: if per_head { Storage::INT8_PER_HEAD } else { Storage::INT8_PER_TOKEN },
        ..CacheAppend::new(batch, heads, seq, dim, max_len)
    };
    let special = if special { ", special values" } else { "" };
    (op, format!("int8, {batch} by {heads} by {seq} of {max_len}{special}"))
}

fn planned(seed: u64) -> Option<(CacheAppend, String)> {
    let at = edge(seed, CacheAppend::PLANNED)?;
    if let Some(int8) = at.checked_sub(4 * SIZES.len()) {
        return Some(planned_int8(INT8[int8]));
    }
    let [batch, heads, seq, dim, max_len, page] = SIZES[at / 4];
    let pages = batch * max_len.div_ceil(page) + 1;
    let op = CacheAppend {
        cache: if at.is_multiple_of(2) { CacheLayout::Dense } else { CacheLayout::Paged { page, pages } },
        ragged: at / 2 % 2 == 1,
        layout: if at.is_multiple_of(3) { RowLayout::TokensFirst } else { RowLayout::HeadsFirst },
        dtype: if at % 5 == 4 { Dtype::F16 } else { Dtype::F32 },
        ..CacheAppend::new(batch, heads, seq, dim, max_len)
    };
    let special = if at / 4 == SIZES.len() - 1 { ", special values" } else { "" };
    Some((op, format!("{batch} by {heads} by {seq} of {max_len}{special}")))
}

fn random(rng: &mut Rng) -> CacheAppend {
    let (batch, seq, page) = (rng.pick(&[1, 2, 3, 5]), rng.pick(&[1, 1, 2, 8, 33]), rng.pick(&[1, 3, 16, 64]));
    let max_len: usize = seq + rng.pick(&[0, 1, 20, 100]);
    let pages = batch * max_len.div_ceil(page) + rng.below(4);
    CacheAppend {
        cache: if rng.chance(50) { CacheLayout::Dense } else { CacheLayout::Paged { page, pages } },
        layout: rng.pick(&[RowLayout::HeadsFirst, RowLayout::TokensFirst]),
        ragged: rng.chance(50),
        dtype: if rng.chance(40) { Dtype::F16 } else { Dtype::F32 },
        ..CacheAppend::new(batch, rng.pick(&[1, 2, 3, 8]), seq, rng.pick(&[1, 5, 16, 64, 80]), max_len)
    }
}

/// Pages in a random order, each used once; entries that no row reaches point nowhere.
fn table(rng: &mut Rng, op: &CacheAppend, pages: usize, page: usize, reached: &[usize]) -> Vec<u32> {
    let mut free: Vec<usize> = (0..pages).collect();
    let mut all = Vec::new();
    for &rows in reached {
        for column in 0..op.table_pages() {
            let used = column * page < rows;
            let number = if used { free.swap_remove(rng.below(free.len())) } else { usize::MAX };
            all.push(u32::try_from(number).unwrap_or(u32::MAX));
        }
    }
    all
}

/// Rows of all sizes to be stored in int8: normal ones, ties, zeros, hardly more than zero, and if `special` some that are not finite.
fn new_numbers(rng: &mut Rng, op: &CacheAppend, special: bool) -> Vec<f32> {
    let picks = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    let mut all = Vec::new();
    for _ in 0..op.batch * op.heads * op.seq {
        // that of a scale of 2^-6 is a tie
        let tie = |rng: &mut Rng| (rng.below(255) as f32 - 127.0) / 128.0 + 1.0 / 128.0;
        let kind = rng.below(12);
        let mut row: Vec<f32> = (0..op.dim)
            .map(|_| match kind {
                0 => tie(rng),
                1 => 0.0,
                2 if op.dtype == Dtype::F32 => rng.normal() * 1e-36,
                3 if op.dtype == Dtype::F32 => rng.normal() * 1e37,
                _ => rng.normal(),
            })
            .collect();
        if kind == 0 {
            row[0] = 127.0 / 64.0;
        }
        if special && rng.chance(20) {
            let at = rng.below(op.dim);
            row[at] = rng.pick(&picks);
        }
        all.extend(row);
    }
    all
}

/// Ordinary numbers, or if `special` some that are not finite, also among those that the cache holds.
fn inputs(rng: &mut Rng, op: &CacheAppend, special: bool) -> Tensors {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let new: Vec<usize> = (0..op.batch).map(|_| if op.ragged { rng.below(op.seq + 1) } else { op.seq }).collect();
    let room = |rng: &mut Rng, n: usize| if rng.chance(20) { op.max_len - n } else { rng.below(op.max_len - n + 1) };
    let lens: Vec<usize> = new.iter().map(|&n| room(rng, n)).collect();
    let mut all = Tensors::new();
    for o in op.operands() {
        let tensor = match (o.name, op.cache) {
            ("lens", _) => Tensor::u32(o.dims, lens.iter().map(|&n| small(n)).collect::<Vec<_>>()),
            ("lens_new", _) => Tensor::u32(o.dims, new.iter().map(|&n| small(n)).collect::<Vec<_>>()),
            ("block_table", CacheLayout::Paged { page, pages }) => {
                let reached: Vec<usize> = lens.iter().zip(&new).map(|(len, n)| len + n).collect();
                Tensor::u32(o.dims, table(rng, op, pages, page, &reached))
            }
            ("cache", _) if o.dtype == Dtype::U32 => {
                let word = |rng: &mut Rng| u32::try_from(rng.next_u64() >> 32).unwrap_or(0);
                Tensor::u32(o.dims.clone(), (0..o.len()).map(|_| word(rng)).collect::<Vec<_>>())
            }
            ("cache_scale", _) if op.storage == Storage::INT8_PER_HEAD => {
                // some numbers are beyond the scale
                let scales = (0..o.len()).map(|h| if special && h == 1 { 0.0 } else { 0.5 / 64.0 + 0.01 * rng.unit() });
                Tensor::f32(o.dims.clone(), scales.collect::<Vec<_>>())
            }
            ("x", _) if !op.storage.is_float() => Tensor::float(o.dtype, o.dims.clone(), new_numbers(rng, op, special)),
            _ => {
                let mut numbers = Family::Normal(1.0).fill(rng, o.len(), 1);
                if special {
                    let picks = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0];
                    numbers.iter_mut().for_each(|x| *x = if rng.chance(10) { rng.pick(&picks) } else { *x });
                }
                Tensor::float(o.dtype, o.dims, numbers)
            }
        };
        all.insert(o.name, tensor.expect("as many numbers as the shape says"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs;

    #[test]
    fn every_case_is_legal() {
        for seed in 0..300 {
            let case = CacheAppend::case(seed);
            case.op.check_inputs(&case.inputs).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        }
    }

    #[test]
    fn rows_in_int8_have_their_largest_at_127() {
        let op = CacheAppend { storage: Storage::INT8_PER_TOKEN, ..CacheAppend::new(1, 1, 2, 5, 2) };
        let x = [2.0, -127.0, 2.5, 3.5, -0.5, 0.0, 1e-38, 0.0, 0.0, 0.0];
        let inputs = Tensors::new()
            .with("cache", Tensor::u32([1, 1, 2, 2], [7, 7, 7, 7]).unwrap())
            .with("cache_scale", Tensor::f32([1, 1, 2], [9.0, 9.0]).unwrap())
            .with("x", Tensor::f32([1, 1, 2, 5], x).unwrap())
            .with("lens", Tensor::u32([1], [0]).unwrap());
        let exact = crate::bounded(&op, &inputs).outputs;
        assert_eq!(exact["cache"].values, [f64::from(0x0402_8102u32), 0.0, 0.0, 0.0]);
        assert_eq!(exact["cache_scale"].values, [1.0, 0.0]);
        let (given, x) = (Tensor::f32([1], [0.25]).unwrap(), [31.0, -32.0, f32::NEG_INFINITY, f32::NAN, 0.125]);
        let op = CacheAppend { storage: Storage::INT8_PER_HEAD, seq: 1, ..op };
        let inputs = inputs.with("cache_scale", given).with("x", Tensor::f32([1, 1, 1, 5], x).unwrap());
        assert_eq!(crate::bounded(&op, &inputs).outputs["cache"].values, [f64::from(0x0081_817cu32), 0.0, 7.0, 7.0]);
    }

    #[test]
    fn rows_follow_those_of_before() {
        let op = CacheAppend { ragged: true, ..CacheAppend::new(2, 1, 2, 1, 4) };
        let floats = |dims: [usize; 4], n: &[f32]| Tensor::f32(dims, n).unwrap();
        let ints = |n: &[u32]| Tensor::u32([2], n).unwrap();
        let inputs = Tensors::new()
            .with("cache", floats([2, 1, 4, 1], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]))
            .with("x", floats([2, 1, 2, 1], &[-1.0, -2.0, -3.0, -4.0]))
            .with("lens", ints(&[1, 3]))
            .with("lens_new", ints(&[2, 1]));
        assert_eq!(outputs(&op, &inputs)["cache"].to_f32(), [1.0, -1.0, -2.0, 4.0, 5.0, 6.0, 7.0, -3.0]);
    }
}
