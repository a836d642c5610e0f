//! Top-k from its definition: a row sorted.

use std::cmp::Ordering;

use gatefold_core::TopK;

use super::top_k_cases as cases;
use crate::{Case, Real, Reference, Values};

/// NaN last, else by value in the wanted direction, equal ones by column.
fn order<R: Real>(op: &TopK, row: &[R], a: usize, b: usize) -> Ordering {
    let (x, y) = (row[a].value(), row[b].value());
    let by_value = if op.largest { y.partial_cmp(&x) } else { x.partial_cmp(&y) };
    x.is_nan().cmp(&y.is_nan()).then(by_value.unwrap_or(Ordering::Equal)).then(a.cmp(&b))
}

impl Reference for TopK {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let (mut values, mut indices) = (Vec::new(), Vec::new());
        for row in inputs.float("x").chunks(self.cols) {
            let mut columns: Vec<usize> = (0..self.cols).collect();
            columns.sort_by(|&a, &b| order(self, row, a, b));
            for &column in &columns[..self.k] {
                values.push(row[column]);
                indices.push(R::from_f64(column as f64));
            }
        }
        let floats = [("values".to_string(), values), ("indices".to_string(), indices)];
        Values { floats: floats.into(), ..Values::default() }
    }

    fn case(seed: u64) -> Case<Self> {
        cases::drawn(seed)
    }

    const PLANNED: u64 = cases::PLANNED;
}

#[cfg(test)]
mod tests {
    use gatefold_core::{Tensor, Tensors};

    use super::*;
    use crate::outputs;

    #[test]
    fn ties_go_to_the_lower_column_and_nan_comes_last() {
        let x = Tensor::f32([1, 7], vec![1.0, f32::NAN, -0.0, 0.0, 1.0, f32::NEG_INFINITY, f32::INFINITY]).unwrap();
        let given = Tensors::new().with("x", x);
        let indices = |largest| outputs(&TopK { largest, ..TopK::new(1, 7, 7) }, &given)["indices"].clone();
        assert_eq!(indices(true).as_u32().unwrap(), [6, 0, 4, 2, 3, 5, 1]);
        assert_eq!(indices(false).as_u32().unwrap(), [5, 2, 3, 0, 4, 6, 1]);
        let values = &outputs(&TopK::new(1, 7, 2), &given)["values"];
        assert_eq!(values.to_f32(), [f32::INFINITY, 1.0]);
    }
}
