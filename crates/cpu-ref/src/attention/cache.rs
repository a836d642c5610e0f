//! Appending to a cache from its definition, and its cases.

use gatefold_core::attention::{CacheLayout, RowLayout};
use gatefold_core::{CacheAppend, Dtype, Op, Tensor, Tensors};

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

impl Reference for CacheAppend {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let (mut cache, x) = (inputs.float("cache").to_vec(), inputs.float("x"));
        let (lens, new, table) = (inputs.int("lens"), inputs.int("lens_new"), inputs.int("block_table"));
        for b in 0..self.batch {
            let count = if self.ragged { new[b] as usize } else { self.seq };
            for (h, t) in (0..self.heads).flat_map(|h| (0..count).map(move |t| (h, t))) {
                let from = match self.layout {
                    RowLayout::HeadsFirst => (b * self.heads + h) * self.seq + t,
                    RowLayout::TokensFirst => (b * self.seq + t) * self.heads + h,
                };
                let to = cache_row(self, table, [b, h, lens[b] as usize + t]);
                cache[to * self.dim..][..self.dim].copy_from_slice(&x[from * self.dim..][..self.dim]);
            }
        }
        Values { floats: [("cache".to_string(), cache)].into(), ..Values::default() }
    }

    fn case(seed: u64) -> Case<Self> {
        Case::drawn((seed, SALT), planned(seed), random, 20, inputs)
    }

    const PLANNED: u64 = 4 * SIZES.len() as u64;
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

fn planned(seed: u64) -> Option<(CacheAppend, String)> {
    let at = usize::try_from(seed).ok().filter(|_| seed < CacheAppend::PLANNED)?;
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
