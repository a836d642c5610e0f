//! How evenly a router loads its experts, formed on the host in f64.

use crate::{SpecError, Tensor};

/// Counts of choices by expert, added up over micro-batches and devices: ratios of a whole are not means of the parts' ratios.
///
/// Counts are those before anything is dropped for capacity; how many of them were kept may be said besides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadCounts {
    chosen: Vec<u64>,
    kept: Option<Vec<u64>>,
}

/// What can be said of the load of experts. A ratio to a mean that is 0, as nothing was routed, is NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutingStats {
    /// Share of each expert; all 0 if nothing was routed.
    pub share: Vec<f64>,
    /// Largest count ÷ mean: 1 if all are equal, the count of experts if one has all.
    pub max_over_mean: f64,
    /// Least count ÷ mean.
    pub min_over_mean: f64,
    /// Standard deviation ÷ mean, of the counts as the whole population.
    pub cv: f64,
    /// Entropy of the shares ÷ `ln E`: 1 if all are equal, 0 if one has all. 1 for a single expert.
    pub entropy: f64,
    /// `Σ |share − 1/E|`: 0 if all are equal, at most 2.
    pub l1_to_uniform: f64,
    /// Gini coefficient: 0 if all are equal, `1 − 1/E` if one has all.
    pub gini: f64,
    /// Experts that no token chose.
    pub dead: usize,
    /// Share of the choices that were dropped, if it was said how many were kept.
    pub dropped: Option<f64>,
}

fn same_experts(operand: &str, given: usize, expected: usize) -> Result<(), SpecError> {
    if given == expected {
        return Ok(());
    }
    Err(SpecError::Shape { operand: operand.into(), expected: vec![expected], given: vec![given] })
}

fn words<'a>(operand: &str, tensor: &'a Tensor) -> Result<&'a [u32], SpecError> {
    let expected = crate::Dtype::U32;
    tensor.as_u32().ok_or_else(|| SpecError::Dtype { operand: operand.into(), expected, given: tensor.dtype() })
}

fn add(to: &mut [u64], from: &[u32]) {
    to.iter_mut().zip(from).for_each(|(a, &b)| *a = a.saturating_add(b.into()));
}

impl LoadCounts {
    /// No counts yet, of so many experts.
    ///
    /// # Errors
    /// [`SpecError::Dim`] if there is no expert.
    pub fn new(experts: usize) -> Result<Self, SpecError> {
        if experts == 0 {
            return Err(SpecError::Dim { dim: "experts", expected: "1 or more".into(), given: 0 });
        }
        Ok(Self { chosen: vec![0; experts], kept: None })
    }

    /// Adds the counts of a micro-batch.
    ///
    /// # Errors
    /// [`SpecError::Shape`] for another count of experts.
    pub fn add(&mut self, counts: &[u32]) -> Result<(), SpecError> {
        same_experts("counts", counts.len(), self.chosen.len())?;
        add(&mut self.chosen, counts);
        if let Some(kept) = &mut self.kept {
            add(kept, counts);
        }
        Ok(())
    }

    /// Adds the counts of a micro-batch of which only `kept` went to their expert.
    ///
    /// # Errors
    /// [`SpecError::Shape`] for another count of experts, [`SpecError::Value`] where more were kept than chosen.
    pub fn add_kept(&mut self, counts: &[u32], kept: &[u32]) -> Result<(), SpecError> {
        same_experts("counts", counts.len(), self.chosen.len())?;
        same_experts("kept", kept.len(), self.chosen.len())?;
        if let Some(index) = counts.iter().zip(kept).position(|(n, k)| k > n) {
            let (expected, given) = (format!("at most {}, its count", counts[index]), kept[index].to_string());
            return Err(SpecError::Value { operand: "kept".into(), index, expected, given });
        }
        // what was added before without a word was kept
        let all = self.kept.get_or_insert_with(|| self.chosen.clone());
        add(all, kept);
        add(&mut self.chosen, counts);
        Ok(())
    }

    /// Choices of each expert.
    pub fn chosen(&self) -> &[u64] {
        &self.chosen
    }

    /// What can be said of them.
    pub fn stats(&self) -> RoutingStats {
        let experts = self.chosen.len() as f64;
        let counts: Vec<f64> = self.chosen.iter().map(|&n| n as f64).collect();
        let total: f64 = counts.iter().sum();
        let mean = total / experts;
        let share: Vec<f64> = counts.iter().map(|n| if total > 0.0 { n / total } else { 0.0 }).collect();
        let over_mean = |n: f64| if total > 0.0 { n / mean } else { f64::NAN };
        let variance = counts.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / experts;
        let nats: f64 = share.iter().filter(|&&x| x > 0.0).map(|x| -x * x.ln()).sum();
        let mut sorted = counts.clone();
        sorted.sort_by(f64::total_cmp);
        let ranked: f64 = sorted.iter().enumerate().map(|(i, n)| (i + 1) as f64 * n).sum();
        let routed = |x: f64| if total > 0.0 { x } else { f64::NAN };
        let kept: Option<f64> = self.kept.as_ref().map(|all| all.iter().map(|&n| n as f64).sum());
        RoutingStats {
            max_over_mean: over_mean(sorted.last().copied().unwrap_or(0.0)),
            min_over_mean: over_mean(sorted.first().copied().unwrap_or(0.0)),
            cv: over_mean(variance.sqrt()),
            entropy: routed(if self.chosen.len() == 1 { 1.0 } else { nats / experts.ln() }),
            l1_to_uniform: routed(share.iter().map(|x| (x - 1.0 / experts).abs()).sum()),
            gini: routed(2.0 * ranked / (experts * total) - (experts + 1.0) / experts),
            dead: self.chosen.iter().filter(|&&n| n == 0).count(),
            dropped: kept.map(|kept| routed(1.0 - kept / total)),
            share,
        }
    }
}

impl RoutingStats {
    /// Statistics of counts by expert.
    ///
    /// ```
    /// use gatefold_core::routing::RoutingStats;
    ///
    /// let stats = RoutingStats::of_counts(&[6, 2, 0, 0]).unwrap();
    /// assert_eq!((stats.max_over_mean, stats.dead, stats.l1_to_uniform), (3.0, 2, 1.0));
    /// ```
    ///
    /// # Errors
    /// [`SpecError::Dim`] if there is no expert.
    pub fn of_counts(counts: &[u32]) -> Result<Self, SpecError> {
        let mut all = LoadCounts::new(counts.len())?;
        all.add(counts)?;
        Ok(all.stats())
    }

    /// Statistics of an output `counts` of a plan.
    ///
    /// # Errors
    /// As [`RoutingStats::of_counts`]; [`SpecError::Dtype`] if it is not u32.
    pub fn of(counts: &Tensor) -> Result<Self, SpecError> {
        Self::of_counts(words("counts", counts)?)
    }

    /// Statistics of counts before capacity, and of how many of them were kept.
    ///
    /// # Errors
    /// As [`RoutingStats::of`] and [`LoadCounts::add_kept`].
    pub fn of_kept(counts: &Tensor, kept: &Tensor) -> Result<Self, SpecError> {
        let mut all = LoadCounts::new(counts.len())?;
        all.add_kept(words("counts", counts)?, words("kept", kept)?)?;
        Ok(all.stats())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    /// The golden case `routing_stats.base`.
    #[test]
    fn a_published_case() {
        let stats = RoutingStats::of_counts(&[28, 24, 20, 19, 10, 13, 5, 9]).unwrap();
        assert!(close(stats.share[3], 0.148_437_5) && close(stats.max_over_mean, 1.75), "{stats:?}");
        assert!(close(stats.min_over_mean, 0.3125) && close(stats.l1_to_uniform, 0.421_875), "{stats:?}");
        assert!((stats.cv - 0.467_707_187).abs() < 1e-7 && (stats.entropy - 0.944_640_160).abs() < 1e-7, "{stats:?}");
        assert!(close(stats.gini, 0.265_625) && stats.dead == 0 && stats.dropped.is_none(), "{stats:?}");
    }

    #[test]
    fn the_ends() {
        let even = RoutingStats::of_counts(&[5; 7]).unwrap();
        assert!(close(even.entropy, 1.0) && close(even.gini, 0.0) && close(even.cv, 0.0));
        assert!(close(even.max_over_mean, 1.0) && close(even.min_over_mean, 1.0) && close(even.l1_to_uniform, 0.0));
        let lone = RoutingStats::of_counts(&[0, u32::MAX, 0, 0]).unwrap();
        assert!(close(lone.entropy, 0.0) && close(lone.gini, 0.75) && close(lone.cv, 3f64.sqrt()));
        assert!(close(lone.max_over_mean, 4.0) && close(lone.l1_to_uniform, 1.5) && lone.dead == 3);
        let single = RoutingStats::of_counts(&[3]).unwrap();
        assert!(close(single.entropy, 1.0) && close(single.gini, 0.0));
        let none = RoutingStats::of_counts(&[0, 0]).unwrap();
        assert!(none.cv.is_nan() && none.entropy.is_nan() && none.gini.is_nan() && none.max_over_mean.is_nan());
        assert!(none.share == [0.0, 0.0] && none.dead == 2 && none.l1_to_uniform.is_nan());
    }

    #[test]
    fn micro_batches_are_added_not_averaged() {
        let mut all = LoadCounts::new(2).unwrap();
        all.add(&[8, 0]).unwrap();
        all.add_kept(&[0, 8], &[0, 4]).unwrap();
        let stats = all.stats();
        // each is as uneven as can be; together they are even
        assert!(close(stats.entropy, 1.0) && close(stats.max_over_mean, 1.0) && stats.dead == 0);
        assert!(close(stats.dropped.unwrap(), 0.25) && all.chosen() == [8, 8]);
        let mut large = LoadCounts::new(1).unwrap();
        (0..3).for_each(|_| large.add(&[u32::MAX]).unwrap());
        assert_eq!(large.chosen(), [3 * u64::from(u32::MAX)]);
    }

    #[test]
    fn faults_are_named() {
        let message = |found: Result<RoutingStats, SpecError>| found.unwrap_err().to_string();
        assert!(message(RoutingStats::of_counts(&[])).starts_with("experts: expected 1 or more"));
        assert!(message(RoutingStats::of(&Tensor::default())).starts_with("counts: expected elements of type u32"));
        let counts = Tensor::u32([2], vec![3, 4]).unwrap();
        let kept = |all: Vec<u32>| Tensor::u32([all.len()], all).unwrap();
        assert!(message(RoutingStats::of_kept(&counts, &kept(vec![3, 5]))).starts_with("kept[1]: expected at most 4"));
        assert!(message(RoutingStats::of_kept(&counts, &kept(vec![3]))).starts_with("kept: expected shape [2]"));
        assert!(close(RoutingStats::of_kept(&counts, &kept(vec![3, 4])).unwrap().dropped.unwrap(), 0.0));
    }
}
