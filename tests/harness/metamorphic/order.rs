//! Properties of what stands where: permutations, padding, prefixes, sequences that are packed.

use gatefold_core::attention::{Causal, Dims, Sequences};
use gatefold_core::{Attention, Tensor, Tensors};

use super::{
    DIMS, Outcomes, Runner, both, change, draw, gradient, is_of_queries, join, map, saved, specs, take, turned,
};

/// Batch entries and heads do not know of each other.
pub fn batch_and_heads_may_be_permuted(runner: &Runner<'_>) -> Outcomes {
    for op in specs(runner, DIMS) {
        let inputs = draw(&gradient(&op), 1, Tensors::new());
        let turn = |name: &str, t: &Tensor| {
            let heads: &[usize] = if is_of_queries(name) { &[2, 3, 0, 1] } else { &[1, 0] };
            take(&take(t, 0, &[2, 0, 1]), 1, heads)
        };
        let [o, d] = both(runner, &op, &inputs);
        let [permuted_o, permuted_d] = both(runner, &op, &turned(&inputs, &turn));
        permuted_o.same(&o.turned(turn), &saved(&op))?;
        permuted_d.same(&d.turned(turn), &["d_q", "d_k", "d_v"])?;
    }
    Ok(())
}

/// A row of the output is the same wherever its query stands; sums over queries are taken in another order.
pub fn queries_may_be_permuted(runner: &Runner<'_>) -> Outcomes {
    let order: Vec<usize> = (0..DIMS.seq_q).map(|i| (7 * i + 19) % DIMS.seq_q).collect();
    for op in specs(runner, DIMS) {
        let inputs = draw(&gradient(&op), 2, Tensors::new());
        let turn = |name: &str, t: &Tensor| if is_of_queries(name) { take(t, 2, &order) } else { t.clone() };
        let [o, d] = both(runner, &op, &inputs);
        let [permuted_o, permuted_d] = both(runner, &op, &turned(&inputs, &turn));
        permuted_o.same(&o.turned(turn), &saved(&op))?;
        let d = d.turned(turn);
        permuted_d.same(&d, &["d_q"])?;
        permuted_d.near(&d, &["d_k", "d_v"])?;
    }
    Ok(())
}

/// And the other way round for keys, which the output sums over.
pub fn keys_may_be_permuted(runner: &Runner<'_>) -> Outcomes {
    let order: Vec<usize> = (0..DIMS.seq_kv).map(|j| (5 * j + 36) % DIMS.seq_kv).collect();
    for op in specs(runner, DIMS) {
        let inputs = draw(&gradient(&op), 3, Tensors::new());
        let turn = |name: &str, t: &Tensor| if is_of_queries(name) { t.clone() } else { take(t, 2, &order) };
        let [o, d] = both(runner, &op, &inputs);
        let [permuted_o, permuted_d] = both(runner, &op, &turned(&inputs, &turn));
        permuted_o.near(&o.turned(turn), &saved(&op))?;
        let d = d.turned(turn);
        permuted_d.same(&d, &["d_k", "d_v"])?;
        permuted_d.near(&d, &["d_q"])?;
    }
    Ok(())
}

/// What lies beyond the lengths is not read: NaN, numbers near the largest, or zeros.
pub fn padding_has_no_effect(runner: &Runner<'_>) -> Outcomes {
    let (lens_q, lens_kv) = ([20, 0, 11], [30, 37, 5]);
    let lens = |name: &str, lens: [u32; 3]| (name.to_string(), Tensor::u32([3], lens.to_vec()).expect("three lengths"));
    for op in specs(runner, DIMS) {
        let op = Attention { sequences: Sequences::Padded { q: true, kv: true }, ..op };
        let given: Tensors = [lens("lens_q", lens_q), lens("lens_kv", lens_kv)].into_iter().collect();
        let inputs = draw(&gradient(&op), 4, given);
        let filled = |with: f32| {
            turned(&inputs, &|name, t| {
                let (heads, seq, lens) = if is_of_queries(name) { (4, 20, lens_q) } else { (2, 37, lens_kv) };
                let width = t.len() / (3 * heads * seq);
                let beyond = |e: usize| e / width % seq >= lens[e / (width * seq * heads)] as usize;
                if matches!(name, "q" | "k" | "v" | "d_o") {
                    map(t, |e, x| if beyond(e) { with } else { x })
                } else {
                    t.clone()
                }
            })
        };
        let [zero_o, zero_d] = both(runner, &op, &filled(0.0));
        for with in [f32::NAN, 3.0e38] {
            let [o, d] = both(runner, &op, &filled(with));
            o.same(&zero_o, &saved(&op))?;
            d.same(&zero_d, &["d_q", "d_k", "d_v"])?;
        }
    }
    Ok(())
}

/// Dims of zeros change nothing, if the scale stays.
pub fn zeros_may_widen_heads(runner: &Runner<'_>) -> Outcomes {
    for op in specs(runner, DIMS) {
        let narrow = Attention { scale: Some(0.3), ..op };
        let wide = Attention { dims: Dims { head_dim: 16, ..DIMS }, ..narrow.clone() };
        let inputs = draw(&gradient(&narrow), 5, Tensors::new());
        let zeros = |t: &Tensor| join(&[t, &map(&take(t, 3, &[0, 1, 2, 3]), |_, _| 0.0)], 3);
        let [o, d] = both(runner, &narrow, &inputs);
        let [wide_o, wide_d] = both(runner, &wide, &change(&inputs, &["q", "k"], zeros));
        let cut: Vec<usize> = (0..12).collect();
        wide_o.alike(&o, &saved(&narrow))?;
        let wide_d = wide_d.turned(|name, t| if name == "d_v" { t.clone() } else { take(t, 3, &cut) });
        wide_d.alike(&d, &["d_q", "d_k", "d_v"])?;
    }
    Ok(())
}

/// The first queries of a causal attention do not know that more keys follow.
pub fn a_causal_prefix_stands_for_itself(runner: &Runner<'_>) -> Outcomes {
    for op in specs(runner, Dims { seq_q: 37, ..DIMS }) {
        let long = Attention { causal: Causal::TopLeft, ..op };
        let short = Attention { dims: Dims { seq_q: 20, seq_kv: 20, ..DIMS }, ..long.clone() };
        let inputs = draw(&long, 6, Tensors::new());
        let first: Vec<usize> = (0..20).collect();
        let o = runner.run(&long, &inputs).turned(|_, t| take(t, 2, &first));
        runner.run(&short, &turned(&inputs, &|_, t| take(t, 2, &first))).alike(&o, &saved(&short))?;
    }
    Ok(())
}

/// `[total, heads, …]` as `[1, heads, total, …]`.
fn heads_first(t: &Tensor) -> Tensor {
    let (total, heads) = (t.dims()[0], t.dims()[1]);
    let each: Vec<_> = (0..heads).map(|h| take(t, 1, &[h])).collect();
    let bytes: Vec<u8> = each.iter().flat_map(|t| t.bytes().to_vec()).collect();
    let dims = [&[1, heads, total], &t.dims()[2..]].concat();
    Tensor::from_bytes(t.dtype(), dims, &bytes).expect("the same elements")
}

/// Packed sequences, one of them empty, are what each gives by itself: in another layout, and padded to no length.
pub fn packed_sequences_stand_for_themselves(runner: &Runner<'_>) -> Outcomes {
    let (ends_q, ends_kv) = ([0, 9, 9, 29], [0, 13, 20, 57]);
    let ends = |name: &str, ends: [u32; 4]| (name.to_string(), Tensor::u32([4], ends.to_vec()).expect("four ends"));
    for op in specs(runner, DIMS) {
        let packed = Attention { sequences: Sequences::Packed { total_q: 29, total_kv: 57 }, ..op.clone() };
        let given: Tensors = [ends("cu_seqlens_q", ends_q), ends("cu_seqlens_kv", ends_kv)].into_iter().collect();
        let inputs = draw(&gradient(&packed), 7, given);
        let [all_o, all_d] = both(runner, &packed, &inputs);
        for s in [0, 2] {
            let part = |name: &str, t: &Tensor| {
                let ends = if is_of_queries(name) { ends_q } else { ends_kv };
                let rows: Vec<usize> = (ends[s] as usize..ends[s + 1] as usize).collect();
                if matches!(name, "lse" | "row_sum") {
                    let t = take(t, 1, &rows);
                    return Tensor::from_bytes(t.dtype(), [&[1], t.dims()].concat(), t.bytes())
                        .expect("the same elements");
                }
                heads_first(&take(t, 0, &rows))
            };
            let (seq_q, seq_kv) = ((ends_q[s + 1] - ends_q[s]) as usize, (ends_kv[s + 1] - ends_kv[s]) as usize);
            let one = Attention { dims: Dims { batch: 1, seq_q, seq_kv, ..DIMS }, ..op.clone() };
            let own = inputs.iter().filter(|(name, _)| !name.starts_with("cu_"));
            let own: Tensors = own.map(|(name, t)| (name.to_string(), part(name, t))).collect();
            let [o, d] = both(runner, &one, &own);
            all_o.turned(part).alike(&o, &saved(&op))?;
            all_d.turned(part).alike(&d, &["d_q", "d_k", "d_v"])?;
        }
    }
    Ok(())
}
