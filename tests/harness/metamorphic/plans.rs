//! Properties of plans: what another tile, another packing of rows or a call for the last query alone may change.

use gatefold_core::attention::{Causal, Dims};
use gatefold_core::{Attention, Tensors};
use gatefold_shaders::{Choices, Kernels, Limits};

use super::{
    DIMS, Outcomes, Runner, both, draw, gradient, is_of_queries, of, padding_has_no_effect, saved, specs, take, turned,
};

/// Limits under which an op is tiled in another way: without subgroups, and with the last tile that a tuner may choose.
fn other_tiles<O: Kernels>(runner: &Runner<'_>, op: &O) -> Vec<Limits> {
    let limits = runner.limits();
    let mut choices = Choices::new();
    for class in op.classes(limits) {
        class.tiles.iter().skip(1).last().into_iter().for_each(|tile| choices.set(class.name.clone(), tile));
    }
    let tuned = (choices != Choices::new()).then(|| Limits { choices, ..limits.clone() });
    let plain = limits.subgroup.map(|_| Limits { subgroup: None, ..limits.clone() });
    tuned.into_iter().chain(plain).collect()
}

/// Sums are taken in another order, and no more than that.
pub fn another_tile_is_near(runner: &Runner<'_>) -> Outcomes {
    for op in specs(runner, Dims { seq_q: 41, ..DIMS }) {
        let op = Attention { causal: Causal::BottomRight, ..op };
        let inputs = draw(&gradient(&op), 40, Tensors::new());
        let [o, d] = both(runner, &op, &inputs);
        let mut others = 0;
        for limits in other_tiles(runner, &op) {
            let other = runner.under(limits).run(&op, &of(&op, &inputs));
            others += usize::from(other.same(&o, &[]).is_err());
            other.near(&o, &saved(&op))?;
        }
        for limits in other_tiles(runner, &gradient(&op)) {
            runner.under(limits).run(&gradient(&op), &inputs).near(&d, &["d_q", "d_k", "d_v"])?;
        }
        if others == 0 {
            return Err(format!("{}: there is no other tile", gatefold_core::Op::label(&op)));
        }
    }
    Ok(())
}

/// Within such a plan, what lies beyond the lengths has no effect either.
pub fn padding_has_no_effect_in_another_tile(runner: &Runner<'_>) -> Outcomes {
    let op = Attention::softmax(DIMS);
    other_tiles(runner, &op).into_iter().try_for_each(|limits| padding_has_no_effect(&runner.under(limits)))
}

/// A call for the last query of a sequence gives the last row of the whole: few queries have kernels of their own, whose rows are those of all
/// heads that share keys.
pub fn a_decoded_row_is_the_last(runner: &Runner<'_>) -> Outcomes {
    for op in specs(runner, Dims { seq_q: 37, ..DIMS }) {
        let whole = Attention { causal: Causal::BottomRight, ..op };
        let one = Attention { dims: Dims { seq_q: 1, ..whole.dims }, ..whole.clone() };
        let inputs = draw(&whole, 41, Tensors::new());
        let last = |name: &str, t: &_| if is_of_queries(name) { take(t, 2, &[36]) } else { Clone::clone(t) };
        let o = runner.run(&whole, &inputs).turned(last);
        runner.run(&one, &turned(&inputs, &last)).near(&o, &saved(&one))?;
    }
    Ok(())
}
