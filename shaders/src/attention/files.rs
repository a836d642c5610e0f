//! The attention's WGSL files.

use gatefold_core::attention::{NanPolicy, Normalizer, Sequences, Weight};
use gatefold_core::{Attention, Dtype};

use super::tiles::{Schedule, Tile};
use super::{custom, local_linear, reweight, storage};
use crate::Source;
use crate::source::wgsl;

pub(super) const FORWARD_COMBINE: Source = wgsl!("attention/forward_combine.wgsl");
pub(super) const FORWARD_SCORES: Source = wgsl!("attention/forward_scores.wgsl");
pub(super) const STORE_ROWS: Source = wgsl!("attention/store_rows.wgsl");
pub(super) const NARROW: Source = wgsl!("attention/narrow/plain.wgsl");
pub(super) const FINISH: Source = wgsl!("attention/finish/none.wgsl");
pub(super) const NARROW_SATURATED: Source = wgsl!("attention/narrow/saturated.wgsl");
pub(super) const SHAPE: Source = wgsl!("attention/shape.wgsl");
pub(super) const SCORE_MOD_NONE: Source = wgsl!("attention/score_mod/none.wgsl");
pub(super) const SCORE_MOD_CUSTOM: Source = wgsl!("attention/score_mod/custom.wgsl");
pub(super) const SCORE_MOD_SLOPE: Source = wgsl!("attention/score_mod/custom_slope.wgsl");
pub(super) const MASK_MOD_NONE: Source = wgsl!("attention/mask_mod/none.wgsl");
pub(super) const MASK_MOD_CUSTOM: Source = wgsl!("attention/mask_mod/custom.wgsl");
pub(super) const PHI_CUSTOM: Source = wgsl!("attention/phi/custom.wgsl");
pub(super) const PHI_SLOPE: Source = wgsl!("attention/phi/custom_slope.wgsl");
const MASK_PLAIN: Source = wgsl!("attention/mask/plain.wgsl");
pub(super) const KEYS_IN_ORDER: Source = wgsl!("attention/keys/in_order.wgsl");
pub(super) const SCORE: Source = wgsl!("attention/score.wgsl");
pub(super) const ROW_NUMBERS: Source = wgsl!("attention/row_numbers.wgsl");
pub(super) const NUMBERS_SOFTMAX: Source = wgsl!("attention/numbers/softmax.wgsl");
pub(super) const NUMBERS_NORMALIZED: Source = wgsl!("attention/numbers/normalized.wgsl");
pub(super) const BACKWARD_QUERY: Source = wgsl!("attention/backward_query.wgsl");
pub(super) const BACKWARD_KEY_VALUE: Source = wgsl!("attention/backward_key_value.wgsl");
pub(super) const BACKWARD_SCORE_BIAS: Source = wgsl!("attention/backward_score_bias.wgsl");
pub(super) const PAIR_GRADIENTS: Source = wgsl!("attention/pair_gradients.wgsl");
pub(super) const REDUCE_ROWS: Source = wgsl!("attention/reduce_rows.wgsl");
pub(super) const SCAN: Source = wgsl!("attention/scan.wgsl");
pub(super) const ANY_FLAG: Source = wgsl!("attention/any_flag.wgsl");
pub(super) const MARK_QUERY: Source = wgsl!("attention/mark_query.wgsl");
pub(super) const MARK_KEY: Source = wgsl!("attention/mark_key.wgsl");
pub(super) const MARK_SCORE_BIAS: Source = wgsl!("attention/mark_score_bias.wgsl");
pub(super) const MARK_PAIR: Source = wgsl!("attention/mark/pair.wgsl");
pub(super) const MARK_OUTPUT: Source = wgsl!("attention/mark/output.wgsl");
pub(super) const MARK_GRADIENT: Source = wgsl!("attention/mark/gradient.wgsl");
pub(super) const SCAN_QUERY: Source = wgsl!("attention/scan/query.wgsl");
pub(super) const SCAN_QUERY_GRADIENT: Source = wgsl!("attention/scan/query_gradient.wgsl");
const KEYS_VEC4: Source = wgsl!("attention/io/keys_vec4.wgsl");
pub(super) const LOAD_SCALAR: Source = wgsl!("attention/io/load_scalar.wgsl");
pub(super) const KEYS_SCALAR: Source = wgsl!("attention/io/keys_scalar.wgsl");
const KEYS_INT8: Source = wgsl!("attention/io/keys_int8.wgsl");
pub(super) const SCAN_KEY: Source = wgsl!("attention/scan/key.wgsl");
pub(super) const SCAN_KEY_INT8: Source = wgsl!("attention/scan/key_int8.wgsl");
/// Where a row of queries, or of keys, lies: for kernels that take a row, or an element of one, an invocation.
pub(super) const QUERY_ROWS: Source = wgsl!("attention/row_map/rows/queries.wgsl");
pub(super) const KEY_ROWS: Source = wgsl!("attention/row_map/rows/keys.wgsl");
pub(super) const TANH: Source = wgsl!("common/tanh.wgsl");
pub(super) const OUTPUT_DELTA: Source = wgsl!("attention/output_delta.wgsl");
pub(super) const REDUCE_KEYS: Source = wgsl!("attention/reduce_keys.wgsl");

/// Score slots of a kernel that forms none.
pub(super) const PLAIN_SCORES: [Source; 7] = [
    MASK_PLAIN,
    SCORE_MOD_NONE,
    MASK_MOD_NONE,
    KEYS_IN_ORDER,
    wgsl!("attention/softcap/none.wgsl"),
    wgsl!("attention/bias/none.wgsl"),
    wgsl!("attention/finite/trust.wgsl"),
];

pub(super) fn forward(tile: &Tile) -> Source {
    match tile.schedule {
        Schedule::Matrix(_) => wgsl!("attention/forward_matrix.wgsl"),
        _ => wgsl!("attention/forward.wgsl"),
    }
}

/// Which operands own and which stream: in the forward pass, in gradients by query, in gradients by key.
pub(super) fn access_forward(a: &Attention) -> [Source; 2] {
    let own = if a.local_linear { local_linear::OWN_PAIRS } else { wgsl!("attention/access/own_query.wgsl") };
    [own, wgsl!("attention/access/stream_keys.wgsl")]
}
pub(super) const ACCESS_BY_QUERY: [Source; 2] =
    [wgsl!("attention/access/own_queries.wgsl"), wgsl!("attention/access/stream_keys.wgsl")];
pub(super) const ACCESS_BY_KEY: [Source; 2] =
    [wgsl!("attention/access/own_keys.wgsl"), wgsl!("attention/access/stream_queries.wgsl")];

pub(super) fn schedule(tile: &Tile) -> Source {
    match tile.schedule {
        Schedule::Matrix(_) => wgsl!("attention/schedule/matrix.wgsl"),
        Schedule::Lanes => wgsl!("attention/schedule/lanes.wgsl"),
        Schedule::MicroTile | Schedule::SmallMicroTile => wgsl!("attention/schedule/micro_tile.wgsl"),
    }
}

/// How the weights of a row are formed: by files of their own, or elementwise by a function and a normaliser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowKind {
    Softmax,
    Sigmoid,
    Elementwise,
}

pub(super) fn row_kind(a: &Attention) -> RowKind {
    match (a.weight, a.normalizer) {
        (Weight::Softmax, _) => RowKind::Softmax,
        (Weight::Sigmoid, Normalizer::None) => RowKind::Sigmoid,
        _ => RowKind::Elementwise,
    }
}

/// How matrix tiles form scores: the softmax's `lse` and its distance from a maximum want them as they are.
pub(super) fn score_matrix(a: &Attention, tile: &Tile) -> Option<Source> {
    let is_plain = a.softcap.is_none() && bias(a).1.is_empty();
    let source = match a.weight {
        Weight::Sigmoid if is_plain => wgsl!("attention/score_matrix/binary.wgsl"),
        _ => wgsl!("attention/score_matrix/natural.wgsl"),
    };
    matches!(tile.schedule, Schedule::Matrix(_)).then_some(source)
}

/// Words that a row of the forward pass waits in between two dispatches, beside its accumulator.
pub(super) fn row_state(a: &Attention) -> u32 {
    match row_kind(a) {
        RowKind::Softmax => 2,
        RowKind::Sigmoid => 0,
        RowKind::Elementwise => 1,
    }
}

macro_rules! phi_files {
    ($($name:ident => $variant:ident $(($parameter:expr))?),*) => {
        /// The function of a weight: the file of its name, or the user's own.
        pub(super) fn phi(a: &Attention) -> Vec<Source> {
            match a.weight {
                Weight::Softmax => Vec::new(),
                Weight::Custom => custom::phi(a),
                $(Weight::$variant { .. } => vec![wgsl!(concat!("attention/phi/", stringify!($name), ".wgsl"))]),*
            }
        }
    };
}
gatefold_core::for_each_weight_function!(phi_files);

/// The normaliser's file: whether the gradient sees it makes no difference to it.
pub(super) fn normalizer(a: &Attention) -> (Source, &'static str) {
    match a.normalizer {
        Normalizer::None => (wgsl!("attention/normalizer/none.wgsl"), ""),
        Normalizer::RowSum | Normalizer::DetachedRowSum => (wgsl!("attention/normalizer/row_sum.wgsl"), ".row_sum"),
        Normalizer::ClampedRowSum | Normalizer::DetachedClampedRowSum => {
            (wgsl!("attention/normalizer/clamped_row_sum.wgsl"), ".clamped_row_sum")
        }
        Normalizer::Count => (wgsl!("attention/normalizer/count.wgsl"), ".count"),
        Normalizer::RootCount => (wgsl!("attention/normalizer/root_count.wgsl"), ".root_count"),
        Normalizer::CountPower(_) => (wgsl!("attention/normalizer/count_power.wgsl"), ".count_power"),
        Normalizer::LearnedExp => (wgsl!("attention/normalizer/learned_exp.wgsl"), ".learned_exp"),
        Normalizer::GlobalFrobenius(_) => (wgsl!("attention/normalizer/global_frobenius.wgsl"), ".global_frobenius"),
    }
}

/// What a normaliser takes from `d_o·v`, and where the sum that it is formed from is.
pub(super) fn correction(a: &Attention) -> (Vec<Source>, &'static str) {
    let (mut slots, part) = match a.normalizer {
        Normalizer::RowSum if a.reweight.is_some() => (reweight::correction().to_vec(), ".measured"),
        Normalizer::RowSum => (vec![wgsl!("attention/correction/row_sum.wgsl")], ".corrected"),
        Normalizer::ClampedRowSum => (vec![wgsl!("attention/correction/clamped_row_sum.wgsl")], ".corrected"),
        Normalizer::LearnedExp => (vec![wgsl!("attention/correction/learned_exp.wgsl")], ""),
        _ => (vec![wgsl!("attention/correction/none.wgsl")], ""),
    };
    slots.extend(a.needs_delta().then_some(OUTPUT_DELTA));
    slots.push(match a.saved() {
        Some(_) => wgsl!("attention/saved/row_sum.wgsl"),
        None => wgsl!("attention/saved/none.wgsl"),
    });
    (slots, part)
}

/// The files that make weights of a tile's scores in the forward pass.
pub(super) fn row(a: &Attention, tile: &Tile) -> (Vec<Source>, &'static str) {
    let (normalizer, part) = normalizer(a);
    let slots = match (row_kind(a), tile.schedule) {
        (RowKind::Softmax, Schedule::Matrix(_)) => vec![wgsl!("attention/row_matrix/softmax.wgsl")],
        (RowKind::Sigmoid, Schedule::Matrix(_)) => vec![wgsl!("attention/row_matrix/sigmoid.wgsl")],
        (RowKind::Softmax, _) if a.local_linear => vec![local_linear::ROW],
        (RowKind::Softmax, _) => vec![wgsl!("attention/row/softmax.wgsl")],
        (RowKind::Sigmoid, _) => vec![wgsl!("attention/row/sigmoid.wgsl")],
        (RowKind::Elementwise, _) => {
            let own = reweight::slot(a).into_iter().chain([normalizer, wgsl!("attention/row/elementwise.wgsl")]);
            phi(a).into_iter().chain(own).collect()
        }
    };
    (slots, part)
}

/// The files that make weights and their gradients of scores. What a normaliser has to do with them is in the numbers of a row.
pub(super) fn weight(a: &Attention) -> (Vec<Source>, &'static str) {
    match row_kind(a) {
        RowKind::Softmax if a.local_linear => (vec![local_linear::WEIGHT], ""),
        RowKind::Softmax => (vec![wgsl!("attention/weight/softmax.wgsl")], ""),
        RowKind::Sigmoid => (vec![wgsl!("attention/weight/sigmoid.wgsl")], ""),
        RowKind::Elementwise if a.reweight.is_some() => (phi(a).into_iter().chain(reweight::weight()).collect(), ""),
        RowKind::Elementwise => {
            let (file, part) = match (a.normalizer.of_head(), a.weight) {
                (Some(_), _) => (wgsl!("attention/weight/global.wgsl"), ".global"),
                (None, Weight::Sigmoid) => (wgsl!("attention/weight/elementwise.wgsl"), ".normalized"),
                _ => (wgsl!("attention/weight/elementwise.wgsl"), ""),
            };
            (phi(a).into_iter().chain([file]).collect(), part)
        }
    }
}

pub(super) fn softcap(a: &Attention) -> (Vec<Source>, &'static str) {
    match a.softcap {
        None => (vec![wgsl!("attention/softcap/none.wgsl")], ""),
        Some(_) => (vec![TANH, wgsl!("attention/softcap/tanh.wgsl")], ".softcap"),
    }
}

pub(super) fn bias(a: &Attention) -> (Source, &'static str) {
    if a.score_bias.is_some() {
        (wgsl!("attention/bias/dense.wgsl"), ".score_bias")
    } else if a.prologue.query_penalty.is_some() {
        (wgsl!("attention/bias/penalised.wgsl"), ".penalised")
    } else if a.relative_bias.is_some() {
        (wgsl!("attention/bias/relative.wgsl"), ".relative")
    } else if a.key_bias || a.alibi {
        (wgsl!("attention/bias/positional.wgsl"), ".positional")
    } else {
        (wgsl!("attention/bias/none.wgsl"), "")
    }
}

pub(super) fn finite(a: &Attention) -> (Source, &'static str) {
    match a.nan_policy {
        NanPolicy::Exact => (wgsl!("attention/finite/exact.wgsl"), ""),
        NanPolicy::Trust => (wgsl!("attention/finite/trust.wgsl"), ".trust"),
    }
}

/// What is saved of a row that is marked.
pub(super) fn marked(a: &Attention, wanted: Option<&str>) -> (Source, &'static str) {
    match (wanted, a.reweight) {
        (Some(_), Some(_)) => (wgsl!("attention/lse/measured.wgsl"), ".measured"),
        _ => lse(wanted),
    }
}

/// What becomes of the number that is saved of a row.
pub(super) fn lse(wanted: Option<&str>) -> (Source, &'static str) {
    match wanted {
        None => (wgsl!("attention/lse/none.wgsl"), ""),
        Some("lse") => (wgsl!("attention/lse/store.wgsl"), ".lse"),
        Some(_) => (wgsl!("attention/lse/row_sum.wgsl"), ".row_sum"),
    }
}

pub(super) fn carry(waits: bool, tile: &Tile) -> (Source, &'static str) {
    match (waits, tile.schedule) {
        (false, Schedule::Matrix(_)) => (wgsl!("attention/carry_matrix/none.wgsl"), ""),
        (true, Schedule::Matrix(_)) => (wgsl!("attention/carry_matrix/side.wgsl"), ".carry"),
        (false, _) => (wgsl!("attention/carry/none.wgsl"), ""),
        (true, _) => (wgsl!("attention/carry/side.wgsl"), ".carry"),
    }
}

/// Whose queries a tile's rows are.
pub(super) fn rows(grouped: bool) -> (Source, &'static str) {
    if grouped {
        (wgsl!("attention/rows/grouped.wgsl"), ".grouped")
    } else {
        (wgsl!("attention/rows/one_head.wgsl"), "")
    }
}

/// Whether the keys of a tile are shared out to several workgroups.
pub(super) fn share(split: bool) -> (Source, &'static str) {
    if split { (wgsl!("attention/share/split.wgsl"), ".split") } else { (wgsl!("attention/share/whole.wgsl"), "") }
}

pub(super) fn d_lse(given: bool) -> (Source, &'static str) {
    if given { (wgsl!("attention/d_lse/given.wgsl"), ".d_lse") } else { (wgsl!("attention/d_lse/none.wgsl"), "") }
}

pub(super) fn sums(rows: bool, keys: bool) -> (Source, &'static str) {
    if rows {
        (wgsl!("attention/sums/rows.wgsl"), ".sums")
    } else if keys {
        (wgsl!("attention/sums/keys.wgsl"), ".sums")
    } else {
        (wgsl!("attention/sums/none.wgsl"), "")
    }
}

/// Which keys a query sees.
pub(super) fn mask(a: &Attention) -> (Source, &'static str) {
    if a.chunk.is_some() || a.prefix.is_some() {
        (wgsl!("attention/mask/chunked.wgsl"), ".chunked")
    } else {
        (MASK_PLAIN, "")
    }
}

/// Where keys lie.
pub(super) fn keys(a: &Attention) -> (Source, &'static str) {
    match a.sequences {
        Sequences::Paged { .. } => (wgsl!("attention/keys/paged.wgsl"), ".paged"),
        _ => (KEYS_IN_ORDER, ""),
    }
}

/// Load and store files, and their part of a variant's name: vec4 where both widths allow it.
pub(super) fn io(a: &Attention) -> (Vec<Source>, Source, String) {
    let (load, keys, store, part) = if a.dims.head_dim.is_multiple_of(4) && a.dims.val_dim.is_multiple_of(4) {
        (wgsl!("attention/io/load_vec4.wgsl"), KEYS_VEC4, wgsl!("attention/io/store_vec4.wgsl"), "vec4")
    } else {
        (LOAD_SCALAR, KEYS_SCALAR, wgsl!("attention/io/store_scalar.wgsl"), "scalar")
    };
    match storage::scale(a) {
        None => ([load, keys].into_iter().chain(local_linear::load(a)).collect(), store, part.into()),
        Some((scale, stored)) => (vec![load, KEYS_INT8, scale], store, format!("{part}.{stored}")),
    }
}

/// Reduction files by the gradient, or the number of a head, that they write.
pub(super) fn reduction(output: &'static str) -> Source {
    match output {
        "d_head_bias" => wgsl!("attention/reduction/head_bias.wgsl"),
        "d_alibi_slopes" => wgsl!("attention/reduction/alibi.wgsl"),
        "d_sink" => wgsl!("attention/reduction/sink.wgsl"),
        "d_rho" => wgsl!("attention/reduction/rho.wgsl"),
        "head_squares" => wgsl!("attention/reduction/head_squares.wgsl"),
        "head_delta" => wgsl!("attention/reduction/head_delta.wgsl"),
        _ => wgsl!("attention/reduction/bias.wgsl"),
    }
}

/// How sums per key become the gradient of the key bias.
pub(super) fn reduction_keys(a: &Attention) -> Source {
    if a.key_bias_per_head {
        wgsl!("attention/reduction/keys_per_head.wgsl")
    } else {
        wgsl!("attention/reduction/keys_shared.wgsl")
    }
}

/// The alias of the storage type.
pub(super) fn elem(dtype: Dtype) -> (&'static str, &'static str) {
    ("Elem", crate::plan::wgsl_type(dtype))
}
