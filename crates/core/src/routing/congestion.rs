//! Routing as a congestion game: equilibrium, effective temperature, and the estimate of the coefficient of congestion from what a router does.
//!
//! ```text
//! share = softmax((quality − γ·share) / T)          the one equilibrium for γ ≥ 0: it maximises Φ below
//! Φ(x)  = Σ_e q_e x_e − γ/2 Σ_e x_e² − T Σ_e x_e ln x_e
//! T_eff = T + γ/M                                   near uniform shares: then share ≈ softmax(quality / T_eff)
//! γ̂     = cov(q − T ln x, x) / var(x)               over the M experts; undefined for equal shares
//! ```
//!
//! Derived from the abstract of *Three Phases of Expert Routing* (arXiv 2604.04230): the game with one coefficient, its equilibrium that reduces to
//! a softmax at another temperature, and intervals over batches are the paper's; the formulas above are not in it, and the paper's text does not
//! fix them. The potential of counts is that of Rosenthal, *A class of games possessing pure-strategy Nash equilibria* (1973).

use super::CongestionCost;

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CongestionError {
    /// No experts, or no batches.
    #[error("{what}: expected at least 1, got none")]
    Empty {
        /// What there is none of.
        what: &'static str,
    },
    /// Another length than the first array has.
    #[error("{what}: expected {expected} elements, got {given}")]
    Length {
        /// The array.
        what: &'static str,
        /// Experts.
        expected: usize,
        /// Its length.
        given: usize,
    },
    /// A number outside its range.
    #[error("{what}: expected {expected}, got {given}")]
    Number {
        /// The number.
        what: &'static str,
        /// Its range in words.
        expected: &'static str,
        /// What was given.
        given: f64,
    },
    /// Shares that are all equal say nothing of γ.
    #[error("γ is undefined: the shares are equal (variance {variance:e})")]
    Undefined {
        /// Variance of the shares.
        variance: f64,
    },
    /// The solver stopped before its tolerance: numbers too large or too small for f64.
    #[error("no equilibrium after {iterations} steps: the shares add up to 1 + {residual:e}")]
    NotConverged {
        /// Steps made.
        iterations: usize,
        /// Sum of the shares, less 1.
        residual: f64,
    },
}

type Result<T> = std::result::Result<T, CongestionError>;

/// Steps of either iteration, at most. Both are Newton's on a convex function, from the side where it cannot overshoot.
const STEPS: usize = 300;
/// Shares that add up to 1 within this are an equilibrium.
const TOLERANCE: f64 = 1e-12;
/// Least variance of the shares ÷ their squared mean from which a slope is believed.
const LEAST_VARIANCE: f64 = 1e-18;

fn in_range(what: &'static str, given: f64, expected: &'static str, holds: bool) -> Result<()> {
    if holds && given.is_finite() { Ok(()) } else { Err(CongestionError::Number { what, expected, given }) }
}

fn check_game(gamma: f64, temperature: f64) -> Result<()> {
    in_range("gamma", gamma, "a finite number, 0 or more", gamma >= 0.0)?;
    in_range("temperature", temperature, "a finite number above 0", temperature > 0.0)
}

fn check_all(what: &'static str, all: &[f64]) -> Result<()> {
    all.iter().try_for_each(|&x| in_range(what, x, "finite numbers", true))
}

fn same_length(what: &'static str, given: usize, expected: usize) -> Result<()> {
    if given == expected { Ok(()) } else { Err(CongestionError::Length { what, expected, given }) }
}

/// `ln x` of `T ln x + γ x = r` for `r ≤ γ`, so that `x ≤ 1`.
fn log_share(r: f64, gamma: f64, temperature: f64) -> f64 {
    let mut y = (r / temperature).min(0.0);
    for _ in 0..STEPS {
        let congested = gamma * y.exp();
        let step = (temperature * y + congested - r) / (temperature + congested);
        y -= step;
        if step <= 1e-16 * (1.0 + y.abs()) {
            break;
        }
    }
    y
}

/// The shares of experts of these qualities at the equilibrium `share = softmax((quality − γ·share) / T)`.
///
/// `T ln x_e + γ x_e = q_e − μ` gives each share for a μ; their sum falls with μ and is convex, and Newton's steps from a μ where it is 1 or more end
/// where it is 1.
///
/// # Errors
/// [`CongestionError::Empty`], [`CongestionError::Number`] for `γ < 0`, `T ≤ 0` or what is not finite, [`CongestionError::NotConverged`].
pub fn equilibrium(quality: &[f64], gamma: f64, temperature: f64) -> Result<Vec<f64>> {
    if quality.is_empty() {
        return Err(CongestionError::Empty { what: "quality" });
    }
    check_game(gamma, temperature)?;
    check_all("quality", quality)?;
    let best = quality.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // here the best expert alone has share 1
    let mut mu = best - gamma;
    let mut residual = f64::NAN;
    for _ in 0..STEPS {
        let share: Vec<f64> = quality.iter().map(|q| log_share(q - mu, gamma, temperature).exp()).collect();
        let sum: f64 = share.iter().sum();
        residual = sum - 1.0;
        if residual.abs() <= TOLERANCE {
            return Ok(share.into_iter().map(|x| x / sum).collect());
        }
        let slope: f64 = share.iter().map(|x| x / (temperature + gamma * x)).sum();
        mu = (mu + residual / slope).max(best - gamma);
    }
    Err(CongestionError::NotConverged { iterations: STEPS, residual })
}

/// `Φ` of shares: what the equilibrium maximises.
///
/// # Errors
/// As [`equilibrium`]; [`CongestionError::Length`] if the arrays differ.
pub fn equilibrium_potential(quality: &[f64], share: &[f64], gamma: f64, temperature: f64) -> Result<f64> {
    same_length("share", share.len(), quality.len())?;
    check_game(gamma, temperature)?;
    check_all("quality", quality)?;
    share.iter().try_for_each(|&x| in_range("share", x, "0 or more", x >= 0.0))?;
    let entropy = |x: f64| if x > 0.0 { -x * x.ln() } else { 0.0 };
    Ok(quality.iter().zip(share).map(|(q, &x)| q * x - 0.5 * gamma * x * x + temperature * entropy(x)).sum())
}

/// `T + γ/M`: the temperature at which a softmax without congestion spreads as the equilibrium does, to first order around uniform shares.
///
/// # Errors
/// [`CongestionError::Empty`] without experts, [`CongestionError::Number`] as [`equilibrium`].
pub fn effective_temperature(experts: usize, gamma: f64, temperature: f64) -> Result<f64> {
    if experts == 0 {
        return Err(CongestionError::Empty { what: "experts" });
    }
    check_game(gamma, temperature)?;
    Ok(temperature + gamma / experts as f64)
}

/// `γ̂`: the slope of `q − T ln x` over the shares `x`, which need not add up to 1 exactly. Below 0 where load follows quality more
/// than a softmax without congestion would.
///
/// # Errors
/// [`CongestionError::Undefined`] for equal shares, [`CongestionError::Number`] for a share that is not above 0: a dead expert's is not the model's.
/// Otherwise as [`equilibrium_potential`].
pub fn estimate_gamma(quality: &[f64], share: &[f64], temperature: f64) -> Result<f64> {
    if quality.is_empty() {
        return Err(CongestionError::Empty { what: "quality" });
    }
    same_length("share", share.len(), quality.len())?;
    check_game(0.0, temperature)?;
    check_all("quality", quality)?;
    share.iter().try_for_each(|&x| in_range("share", x, "numbers above 0", x > 0.0))?;
    let count = share.len() as f64;
    let lifted: Vec<f64> = quality.iter().zip(share).map(|(q, x)| q - temperature * x.ln()).collect();
    let (mean, mean_lifted) = (share.iter().sum::<f64>() / count, lifted.iter().sum::<f64>() / count);
    let variance = share.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    if variance.is_nan() || variance <= LEAST_VARIANCE * mean * mean {
        return Err(CongestionError::Undefined { variance });
    }
    let covariance = share.iter().zip(&lifted).map(|(x, y)| (x - mean) * (y - mean_lifted)).sum::<f64>() / count;
    Ok(covariance / variance)
}

/// What one batch says of a router.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutedBatch {
    /// Quality of each expert in this batch: its mean logit, say.
    pub quality: Vec<f64>,
    /// Load of each expert: counts, or sums of probabilities. Loads of batches are added, so their scale weighs the batch.
    pub load: Vec<f64>,
}

/// An estimate of γ over batches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GammaInterval {
    /// From all batches together.
    pub gamma: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Resamples that gave a number; in the others the shares were equal.
    pub resamples: usize,
}

/// Steele, Lea & Flood's SplitMix64 (OOPSLA 2014): the same interval on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        #[allow(clippy::cast_possible_truncation, reason = "the result is below n")]
        let drawn = ((u128::from(z ^ (z >> 31)) * n as u128) >> 64) as usize;
        drawn
    }
}

/// Load and quality of batches together: loads are added, qualities averaged by the batches' loads.
fn pooled_gamma<'a>(batches: impl Iterator<Item = &'a RoutedBatch>, experts: usize, temperature: f64) -> Result<f64> {
    let (mut quality, mut load, mut total) = (vec![0.0; experts], vec![0.0; experts], 0.0);
    for batch in batches {
        let weight: f64 = batch.load.iter().sum();
        total += weight;
        quality.iter_mut().zip(&batch.quality).for_each(|(sum, q)| *sum += weight * q);
        load.iter_mut().zip(&batch.load).for_each(|(sum, n)| *sum += n);
    }
    in_range("load", total, "a sum above 0", total > 0.0)?;
    quality.iter_mut().chain(&mut load).for_each(|x| *x /= total);
    estimate_gamma(&quality, &load, temperature)
}

/// `γ̂` of all batches together, and the interval that holds the middle `confidence` of the estimates from `resamples` draws of as many batches, with
/// replacement (percentile bootstrap). The same for a `seed` on every machine.
///
/// # Errors
/// As [`estimate_gamma`] of the whole; [`CongestionError::Number`] for a confidence outside 0 to 1; [`CongestionError::Undefined`] or whatever stopped it
/// if fewer than half of the resamples give a number.
pub fn bootstrap_gamma(
    batches: &[RoutedBatch],
    temperature: f64,
    confidence: f64,
    resamples: usize,
    seed: u64,
) -> Result<GammaInterval> {
    let Some(first) = batches.first() else { return Err(CongestionError::Empty { what: "batches" }) };
    if resamples == 0 {
        return Err(CongestionError::Empty { what: "resamples" });
    }
    in_range("confidence", confidence, "a number between 0 and 1", confidence > 0.0 && confidence < 1.0)?;
    let experts = first.quality.len();
    for batch in batches {
        same_length("quality", batch.quality.len(), experts)?;
        same_length("load", batch.load.len(), experts)?;
        batch.load.iter().try_for_each(|&n| in_range("load", n, "0 or more", n >= 0.0))?;
    }
    let gamma = pooled_gamma(batches.iter(), experts, temperature)?;
    let mut random = SplitMix(seed);
    let (mut found, mut stopped) = (Vec::with_capacity(resamples), None);
    for _ in 0..resamples {
        let drawn: Vec<_> = batches.iter().map(|_| &batches[random.below(batches.len())]).collect();
        match pooled_gamma(drawn.into_iter(), experts, temperature) {
            Ok(gamma) => found.push(gamma),
            Err(e) => stopped = Some(e),
        }
    }
    if let Some(e) = stopped.filter(|_| 2 * found.len() < resamples) {
        return Err(e);
    }
    found.sort_by(f64::total_cmp);
    let tail = 0.5 * (1.0 - confidence);
    Ok(GammaInterval { gamma, low: quantile(&found, tail), high: quantile(&found, 1.0 - tail), resamples: found.len() })
}

/// A quantile of sorted numbers, of which there is one at least: linear between neighbours.
fn quantile(sorted: &[f64], at: f64) -> f64 {
    let place = at * (sorted.len() - 1) as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the last index")]
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

/// Rosenthal's potential of counts, `Σ_e Σ_{1 ≤ j ≤ n_e} λ·(j/L)ᵖ / A` with `A` assignments (tokens times experts of a token) and `L = A/E`: no token can
/// lower it by another choice where the game is at rest. 0 without assignments.
///
/// # Errors
/// [`CongestionError::Number`] for a `lambda` that is below 0 or not finite.
pub fn rosenthal_potential(counts: &[u32], assignments: u64, cost: CongestionCost, lambda: f64) -> Result<f64> {
    in_range("lambda", lambda, "a finite number, 0 or more", lambda >= 0.0)?;
    if assignments == 0 {
        return Ok(0.0);
    }
    let (all, experts) = (assignments as f64, counts.len() as f64);
    let of_expert = |&n: &u32| {
        let n = f64::from(n);
        match cost {
            CongestionCost::Linear => n * (n + 1.0) / 2.0 * (experts / all),
            CongestionCost::Quadratic => n * (n + 1.0) * (2.0 * n + 1.0) / 6.0 * (experts / all).powi(2),
        }
    };
    Ok(lambda * counts.iter().map(of_expert).sum::<f64>() / all)
}

#[cfg(test)]
mod tests;
