//! Specs of the ops on rows of a plan.

use gatefold_core::routing::ExpertFunction;
use gatefold_core::{Dtype, ExpertActivation, ExpertActivationBackward, MoeCombine, MoeCombineBackward, MoeDispatch};

use super::Specs;

/// Tokens, experts of a token, width, rows.
const SIZES: [[usize; 4]; 9] = [
    [1, 1, 1, 1],
    [0, 2, 8, 4],
    [7, 2, 6, 20],
    [300, 4, 34, 1300],
    [100, 8, 257, 700],
    [4096, 8, 2048, 33_000],
    [1, 64, 65_536, 64],
    [3, 2, 65_535, 8],
    [1 << 20, 2, 4, 1 << 21],
];

const DTYPES: [Dtype; 2] = [Dtype::F32, Dtype::F16];

impl Specs for MoeDispatch {
    fn specs() -> Vec<Self> {
        let made = |dtype, [t, k, h, s]: [usize; 4]| Self { dtype, report: h > 6, ..Self::new(t, k, h, s) };
        let all = DTYPES.into_iter().flat_map(|dtype| SIZES.map(|sizes| made(dtype, sizes)));
        all.chain([Self::new(5, 2, 8, 0)]).collect()
    }
}

impl Specs for MoeCombine {
    fn specs() -> Vec<Self> {
        let made = |dtype, weighted, [t, k, h, s]: [usize; 4]| {
            // of no tokens, entries are all that there is to look at
            Self { weighted, dtype, report: t > 0 && weighted, ..Self::new(t, k, h, s) }
        };
        let options = DTYPES.into_iter().flat_map(|dtype| [false, true].map(|weighted| (dtype, weighted)));
        options.flat_map(|(dtype, weighted)| SIZES.map(|sizes| made(dtype, weighted, sizes))).collect()
    }
}

impl Specs for MoeCombineBackward {
    fn specs() -> Vec<Self> {
        // without tokens nothing reads what is kept by slot
        MoeCombine::specs().into_iter().filter(|op| op.weighted && op.tokens > 0).map(|op| op.backward()).collect()
    }
}

impl Specs for ExpertActivation {
    fn specs() -> Vec<Self> {
        let mut all = Vec::new();
        for function in ExpertFunction::ALL {
            for dtype in DTYPES {
                for (rows, width) in [(0, 4), (1, 1), (70, 64), (33, 130), (33_000, 2048), (2, 65_535)] {
                    all.push(Self { dtype, ..Self::new(function, rows, width) });
                }
            }
        }
        all
    }
}

impl Specs for ExpertActivationBackward {
    fn specs() -> Vec<Self> {
        ExpertActivation::specs().into_iter().map(|forward| Self { forward }).collect()
    }
}
