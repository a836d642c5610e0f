//! Styles of random specs: what makes a kernel variant, drawn together.

use gatefold_core::attention::{Dims, Normalizer, Weight};

use crate::data::Rng;

const SEQS: [usize; 27] =
    [1, 2, 3, 7, 13, 15, 16, 17, 31, 32, 33, 47, 61, 63, 64, 65, 81, 97, 113, 127, 128, 129, 191, 200, 203, 239, 255];
/// Lengths from which tiles grow: kernels that take long to compile, so they are few.
const LONG: [usize; 9] = [256, 257, 300, 511, 513, 799, 1023, 1024, 1025];
const WIDTHS: [usize; 26] =
    [1, 2, 3, 4, 5, 8, 16, 21, 31, 32, 33, 40, 59, 64, 64, 65, 72, 80, 96, 111, 128, 129, 160, 203, 255, 256];

/// Work of a reference run, in multiply-adds.
fn work(d: &Dims) -> usize {
    d.batch * d.q_heads * d.seq_q * d.seq_kv * (d.head_dim + d.val_dim + 30)
}

/// What makes a kernel variant: drawn from one of few styles, so that thousands of cases need a few dozen pipelines (a CPU driver takes
/// seconds to compile one). Sizes, masks, lengths and numbers are drawn afresh for every case.
pub(super) struct Style {
    pub(super) rng: Rng,
    widths: Vec<usize>,
    /// A weight and a normaliser; none in the first styles. Every pair of them is among the planned cases.
    pub(super) function: Option<(Weight, Normalizer)>,
    /// Whether heads that share keys may have few queries, whose rows are packed.
    grouped: bool,
    /// Whether all cases have chunks or a prefix, or a paged cache.
    pub(super) chunked: bool,
    pub(super) paged: bool,
    /// Whether all cases have masks inside the range of keys that a query sees.
    pub(super) listed: bool,
}

/// Styles of softmax and sigmoid: enough that every option is in some; see the test. A narrow one follows for each weight function.
const STYLES: usize = 9;
const STYLE_SALT: u64 = 0x5720;

impl Style {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let number = rng.below(STYLES + Weight::FUNCTIONS.len());
        let normalizer = |at: usize| Normalizer::ALL[(2 * at + 1) % Normalizer::ALL.len()];
        let function = number.checked_sub(STYLES).map(|at| (Weight::FUNCTIONS[at], normalizer(at)));
        // Two styles are wide, one of them with widths that are no multiples of 4.
        let widest = match number {
            0 => 256,
            1 => 128,
            2..=4 => 64,
            _ => 32,
        };
        let aligned = number.is_multiple_of(2);
        let fits = |w: &usize| *w <= widest && 4 * *w > widest && w.is_multiple_of(4) == aligned;
        Self {
            rng: Rng::new(number as u64, STYLE_SALT),
            widths: WIDTHS.into_iter().filter(fits).collect(),
            function,
            grouped: number.is_multiple_of(3),
            chunked: number < STYLES && number % 5 == 1,
            paged: number < STYLES && number % 6 == 2,
            listed: number < STYLES && number % 4 == 3,
        }
    }
}

pub(super) fn draw_dims(rng: &mut Rng, style: &Style, divisor: usize) -> Dims {
    let widths = &style.widths;
    let kv_heads = rng.pick(&[1, 1, 2, 3]);
    let head_dim = rng.pick(widths);
    let long = rng.chance(4);
    let seq = |rng: &mut Rng| match () {
        () if rng.chance(1) => 0,
        () if long => rng.pick(&LONG),
        () => rng.pick(&SEQS),
    };
    let seq_kv = seq(rng);
    let seq_q = match rng.below(8) {
        0..4 => seq_kv,
        4 => rng.pick(&[1, 2]),
        _ => seq(rng),
    };
    let mut d = Dims {
        batch: if rng.chance(1) { 0 } else { rng.pick(&[1, 1, 1, 2, 2, 3, 5]) },
        q_heads: kv_heads * rng.pick(&[1, 1, 1, 2, 3, 8]),
        kv_heads,
        seq_q,
        seq_kv,
        head_dim,
        val_dim: if rng.chance(60) { head_dim } else { rng.pick(widths) },
    };
    if !style.grouped && d.seq_q <= 16 {
        d.q_heads = kv_heads;
    }
    // most cases are small; a few use the device as a user would
    let most = if long || rng.chance(3) { 12_000_000 } else { 1_200_000 } / divisor;
    while work(&d) > most {
        match d {
            _ if d.batch > 1 => d.batch -= 1,
            _ if d.q_heads > d.kv_heads => d.q_heads = d.kv_heads,
            _ if d.kv_heads > 1 => (d.q_heads, d.kv_heads) = (1, 1),
            // heads are few by now, so no rows are packed
            _ if d.seq_q > 17 => d.seq_q = if long { 17 } else { rng.pick(&SEQS[..SEQS.len() / 2]) },
            _ => d.seq_kv = if long { 511 } else { rng.pick(&SEQS[..SEQS.len() / 2]) },
        }
    }
    d
}
