//! Properties of functions of rows: softmax, log-softmax, log-sum-exp and their gradients.

use gatefold_core::{Dtype, RowFunction, Rowwise, RowwiseBackward, Tensor, Tensors};

use super::{Outcome, Outcomes, Runner, change, draw, map, take, turned};

const ROWS: usize = 9;
const COLS: usize = 130;
const FUNCTIONS: [RowFunction; 3] = [RowFunction::Softmax, RowFunction::LogSoftmax, RowFunction::LogSumExp];

/// The functions of short rows, each an invocation's, of longer ones, each a workgroup's, and of storage in f16 where there is any.
fn functions(runner: &Runner<'_>) -> Vec<Rowwise> {
    let mut all = Vec::new();
    for function in FUNCTIONS {
        let op = Rowwise::new(function, ROWS, COLS);
        all.extend([op.clone(), Rowwise { cols: 5, ..op.clone() }]);
        all.extend(runner.has_f16().then_some(Rowwise { dtype: Dtype::F16, ..op }));
    }
    all
}

fn gradient(op: &Rowwise) -> RowwiseBackward {
    RowwiseBackward { forward: op.clone() }
}

/// Entries of ±4 in eighths, which have room for a shift.
fn exact(op: &Rowwise, seed: u64) -> Tensors {
    change(&draw(op, seed, Tensors::new()), &["x"], |t| map(t, |_, x| (8.0 * x.clamp(-4.0, 4.0)).round() / 8.0))
}

/// The function and its gradient.
fn both(runner: &Runner<'_>, op: &Rowwise, x: &Tensors, seed: u64) -> [Outcome; 2] {
    [runner.run(op, x), runner.run(&gradient(op), &draw(&gradient(op), seed, x.clone()))]
}

/// Rows do not know of each other.
pub fn rows_may_be_permuted(runner: &Runner<'_>) -> Outcomes {
    let order: Vec<usize> = (0..ROWS).map(|row| (4 * row + 7) % ROWS).collect();
    for op in functions(runner) {
        let x = draw(&op, 50, Tensors::new());
        let all = draw(&gradient(&op), 50, x.clone());
        let turn = |_: &str, t: &Tensor| take(t, 0, &order);
        runner.run(&op, &turned(&x, &turn)).same(&runner.run(&op, &x).turned(turn), &["y"])?;
        let d_x = runner.run(&gradient(&op), &all).turned(turn);
        runner.run(&gradient(&op), &turned(&all, &turn)).same(&d_x, &["d_x"])?;
    }
    Ok(())
}

/// A constant on every entry: bit by bit if entries stay exact, and near if not.
pub fn a_shift_of_rows_changes_no_share(runner: &Runner<'_>) -> Outcomes {
    for op in functions(runner) {
        let x = exact(&op, 51);
        let moved = |by: f32| change(&x, &["x"], |t| map(t, |_, x| x + by));
        let expected = |by: f32| {
            let up = move |t: &Tensor| map(t, |_, y| if op.function == RowFunction::LogSumExp { y + by } else { y });
            runner.run(&op, &x).turned(|_, t| up(t))
        };
        let [far, near] = [-64.0, 0.3].map(|by| (runner.run(&op, &moved(by)), expected(by)));
        if op.function == RowFunction::LogSumExp {
            far.0.near(&far.1, &["y"])?;
        } else {
            far.0.same(&far.1, &["y"])?;
        }
        // entries in f16 are rounded when a number such as 0.3 is added to them
        if op.dtype == Dtype::F32 {
            near.0.near(&near.1, &["y"])?;
        }
    }
    Ok(())
}

/// What lies beyond a row's length is not read, and what is before it stands for itself.
pub fn a_row_ends_at_its_length(runner: &Runner<'_>) -> Outcomes {
    let len = 77;
    for op in functions(runner).into_iter().filter(|op| op.cols == COLS) {
        let cut = Rowwise { lens: true, ..op.clone() };
        let lens = Tensor::u32([ROWS], vec![u32::try_from(len).unwrap_or_default(); ROWS]).expect("a length a row");
        let inputs = draw(&cut, 52, Tensors::new().with("lens", lens));
        let filled = |with: f32| change(&inputs, &["x"], |t| map(t, |e, x| if e % COLS < len { x } else { with }));
        let [y, d_x] = both(runner, &cut, &filled(0.0), 52);
        for with in [f32::NAN, f32::INFINITY, 6.0e4] {
            let [filled_y, filled_d_x] = both(runner, &cut, &filled(with), 52);
            filled_y.same(&y, &["y"])?;
            filled_d_x.same(&d_x, &["d_x"])?;
        }
        let first: Vec<usize> = (0..len).collect();
        let prefix =
            |name: &str, t: &Tensor| if name == "y" && t.dims().len() == 1 { t.clone() } else { take(t, 1, &first) };
        let short = Rowwise { cols: len, lens: false, ..cut.clone() };
        let x = Tensors::new().with("x", take(&inputs["x"], 1, &first));
        runner.run(&short, &x).near(&y.turned(prefix), &["y"])?;
    }
    Ok(())
}

/// Equal entries have equal shares, bit by bit, and those are what is known of them.
pub fn equal_entries_have_equal_shares(runner: &Runner<'_>) -> Outcomes {
    for op in functions(runner) {
        let y = runner.run(&op, &change(&draw(&op, 53, Tensors::new()), &["x"], |t| map(t, |_, _| 1.25)));
        let (got, count) = (y.outputs["y"].to_f64(), (op.cols as f64).ln());
        if let Some(other) = got.iter().position(|x| x.to_bits() != got[0].to_bits()) {
            return Err(format!("y[{other}] is {:e}, the first {:e}", got[other], got[0]));
        }
        let known = match op.function {
            RowFunction::Softmax => (-count).exp(),
            RowFunction::LogSoftmax => -count,
            RowFunction::LogSumExp => 1.25 + count,
        };
        y.near_known("y", known)?;
    }
    Ok(())
}

/// An entry alone has everything: its share is 1 and has no slope, and the sum is itself.
pub fn one_entry_is_the_row(runner: &Runner<'_>) -> Outcomes {
    for op in functions(runner).into_iter().filter(|op| op.cols == COLS) {
        let op = Rowwise { cols: 1, ..op };
        let x = draw(&op, 54, Tensors::new());
        let [y, d_x] = both(runner, &op, &x, 54);
        match op.function {
            RowFunction::Softmax => y.near_known("y", 1.0)?,
            RowFunction::LogSoftmax => y.near_known("y", 0.0)?,
            RowFunction::LogSumExp => y.is("y", &x["x"].to_f64())?,
        }
        if op.function != RowFunction::LogSumExp {
            d_x.is("d_x", &[0.0; ROWS])?;
        }
    }
    Ok(())
}

/// Log-softmax is the logarithm of softmax, and an entry less log-sum-exp.
pub fn logarithms_of_shares(runner: &Runner<'_>) -> Outcomes {
    let [softmax, log_softmax, log_sum_exp] = FUNCTIONS.map(|function| Rowwise::new(function, ROWS, COLS));
    let x = draw(&softmax, 55, Tensors::new());
    let [shares, logs, sums] = [softmax, log_softmax, log_sum_exp].map(|op| runner.run(&op, &x));
    let (share, sum, entry) = (shares.outputs["y"].to_f64(), sums.outputs["y"].to_f64(), x["x"].to_f64());
    logs.within("y", |e| {
        let slack = shares.bound("y", e) / (share[e] - shares.bound("y", e));
        (share[e].ln() - slack, share[e].ln() + slack)
    })?;
    logs.within("y", |e| {
        let (known, slack) = (entry[e] - sum[e / COLS], sums.bound("y", e / COLS));
        (known - slack, known + slack)
    })
}

/// Shares add up to 1, so the slopes of a row of softmax add up to nothing; those of its upstream gradient times a power of two are themselves
/// times it, bit by bit.
pub fn slopes_of_rows(runner: &Runner<'_>) -> Outcomes {
    for op in functions(runner).into_iter().filter(|op| op.dtype == Dtype::F32) {
        let inputs = draw(&gradient(&op), 56, draw(&op, 56, Tensors::new()));
        let d_x = runner.run(&gradient(&op), &inputs);
        let times = |t: &Tensor| map(t, |_, x| 4.0 * x);
        let scaled = runner.run(&gradient(&op), &change(&inputs, &["d_y"], times));
        scaled.same(&d_x.turned(|_, t| times(t)), &["d_x"])?;
        if op.function != RowFunction::Softmax {
            continue;
        }
        for (row, slopes) in d_x.outputs["d_x"].to_f64().chunks(op.cols).enumerate() {
            // the shares given are rounded, and so is their sum
            let rounding: f64 = inputs["d_y"].to_f64().iter().map(|d| d.abs()).fold(0.0, f64::max) * 2f64.powi(-22);
            let bound: f64 = (0..op.cols).map(|c| d_x.bound("d_x", row * op.cols + c)).sum();
            let sum: f64 = slopes.iter().sum();
            if sum.abs() > bound + rounding {
                return Err(format!("row {row}: slopes add up to {sum:e}, bound {bound:e}"));
            }
        }
    }
    Ok(())
}
