//! Numbers that are not finite, put into the inputs of a case.

use gatefold_core::attention::{SCALE_LIMIT, Storage};
use gatefold_core::{Attention, Tensor, Tensors};

use super::draw::Plant;
use super::geometry::sequences;
use crate::Values;
use crate::data::Rng;

/// The tensor with `rows` of `width` numbers overwritten at one column each.
fn overwrite(t: &Tensor, width: usize, cells: &[(usize, usize)], number: f32) -> Tensor {
    let mut all = t.to_f32();
    for &(row, column) in cells {
        all[row * width + column] = number;
    }
    Tensor::float(t.dtype(), t.dims().to_vec(), all).expect("the shape is as before")
}

/// Plants `plant` into `inputs`.
pub(crate) fn plant(rng: &mut Rng, op: &Attention, plant: Plant, inputs: &mut Tensors) {
    let d = &op.dims;
    if plant == Plant::Padding {
        return padding(op, inputs);
    }
    let sign = rng.pick(&[1.0, -1.0]);
    let (name, width, number) = match plant {
        Plant::NanQuery => ("q", d.head_dim, f32::NAN),
        Plant::NanKey => ("k", d.head_dim, f32::NAN),
        Plant::InfiniteKey => ("k", d.head_dim, sign * f32::INFINITY),
        Plant::InfiniteKeyBelow => ("k", d.head_dim, f32::NEG_INFINITY),
        Plant::InfiniteValue => ("v", d.val_dim, sign * f32::INFINITY),
        Plant::NanValue | Plant::Padding => ("v", d.val_dim, f32::NAN),
        Plant::InfiniteSlope => ("r", d.head_dim, sign * f32::INFINITY),
    };
    // what is not finite about int8 is its scale; of values one that is only too large
    let (name, width, number) = match (op.storage, name, plant) {
        (Storage::Float, ..) | (_, "q" | "r", _) => (name, width, number),
        (_, "k", _) => ("k_scale", 1, number),
        (_, _, Plant::InfiniteValue) => ("v_scale", 1, sign * SCALE_LIMIT),
        _ => ("v_scale", 1, number),
    };
    let rows = inputs[name].len() / width;
    let cells: Vec<_> = (0..rows.min(2)).map(|_| (rng.below(rows), rng.below(width))).collect();
    inputs.insert(name, overwrite(&inputs[name], width, &cells, number));
}

/// NaN in all rows of `q`, `k` and `v` beyond the lengths, of int8 in their scales.
fn padding(op: &Attention, inputs: &mut Tensors) {
    let d = &op.dims;
    let (mut queries, mut keys) = (Vec::new(), Vec::new());
    for s in sequences(op, &Values::<f64>::of(inputs)) {
        for h in 0..d.q_heads {
            queries.extend((s.len_q..d.seq_q).map(|i| (s.query_row(op, h, i), 0)));
            keys.extend((s.len_kv..d.seq_kv).map(|j| (s.key_row(op, h, j), 0)));
        }
    }
    let of_keys = match op.storage {
        Storage::Float => [("k", d.head_dim, &keys), ("v", d.val_dim, &keys)],
        Storage::Int8 { .. } => [("k_scale", 1, &keys), ("v_scale", 1, &keys)],
    };
    let of_queries = ["q", "r"].into_iter().filter(|name| inputs.get(name).is_some());
    let of_queries: Vec<_> = of_queries.map(|name| (name, d.head_dim, &queries)).collect();
    for (name, width, cells) in of_keys.into_iter().chain(of_queries) {
        inputs.insert(name, overwrite(&inputs[name], width, cells, f32::NAN));
    }
}
