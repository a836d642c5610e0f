//! Contents of a binding, and which of them have been written.

use std::ops::Range;

/// Bytes, and for every half of a word whether it has been written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Buffer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) written: Vec<bool>,
}

impl Buffer {
    /// Bytes that are all known. Padded to whole words; the padding is not known.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        let mut bytes = bytes.into();
        let mut written = vec![true; bytes.len().div_ceil(2)];
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        written.resize(bytes.len() / 2, false);
        Self { bytes, written }
    }

    /// Words, little-endian.
    pub fn of_words(words: impl IntoIterator<Item = u32>) -> Self {
        Self::new(words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>())
    }

    /// `f32` numbers.
    pub fn of_f32(numbers: impl IntoIterator<Item = f32>) -> Self {
        Self::of_words(numbers.into_iter().map(f32::to_bits))
    }

    /// Bytes that nobody has written: what is read there is a NaN as `f32`, and a finding.
    pub fn uninitialised(bytes: usize) -> Self {
        let bytes = bytes.next_multiple_of(4);
        let words = std::iter::repeat_n(POISON.to_le_bytes(), bytes / 4);
        Self { bytes: words.flatten().collect(), written: vec![false; bytes / 2] }
    }

    /// The contents.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The contents as words.
    pub fn words(&self) -> Vec<u32> {
        self.bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    /// The contents as `f32` numbers.
    pub fn f32s(&self) -> Vec<f32> {
        self.words().into_iter().map(f32::from_bits).collect()
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Makes it at least this long; what is added is not known.
    #[must_use]
    pub fn at_least(mut self, bytes: usize) -> Self {
        if bytes > self.len() {
            let more = Self::uninitialised(bytes - self.len());
            self.bytes.extend(more.bytes);
            self.written.extend(more.written);
        }
        self
    }

    /// Overwrites bytes from `at` on, which are known then. What lies beyond the end is dropped.
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = (at + bytes.len()).min(self.bytes.len());
        if at < end {
            self.bytes[at..end].copy_from_slice(&bytes[..end - at]);
            self.written[at / 2..end.div_ceil(2)].fill(true);
        }
    }

    /// Makes bytes count as not written.
    pub(crate) fn forget(&mut self, at: usize, bytes: usize) {
        self.written[at / 2..(at + bytes).div_ceil(2)].fill(false);
    }

    /// A part, with what is known of it; the range is cut to what there is.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        let end = range.end.min(self.bytes.len());
        let start = range.start.min(end);
        Self { bytes: self.bytes[start..end].to_vec(), written: self.written[start / 2..end / 2].to_vec() }
    }

    /// Puts a part back where it was taken.
    pub fn put(&mut self, at: usize, part: &Self) {
        let end = (at + part.len()).min(self.bytes.len());
        if at < end {
            self.bytes[at..end].copy_from_slice(&part.bytes[..end - at]);
            self.written[at / 2..end / 2].copy_from_slice(&part.written[..(end - at) / 2]);
        }
    }

    /// The first byte of a range that nobody has written.
    pub fn first_unwritten(&self, range: Range<usize>) -> Option<usize> {
        let halves = range.start / 2..range.end.div_ceil(2).min(self.written.len());
        let start = halves.start;
        self.written.get(halves)?.iter().position(|written| !written).map(|at| 2 * (start + at))
    }
}

/// What memory holds that nobody has written: a NaN as `f32`.
pub(crate) const POISON: u32 = 0x7FC0_DEAD;
