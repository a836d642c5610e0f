use super::*;

fn qualities(count: usize, seed: u64) -> Vec<f64> {
    let mut random = SplitMix(seed);
    (0..count).map(|_| (0..12).map(|_| random.below(1 << 24) as f64 / f64::from(1 << 24)).sum::<f64>() - 6.0).collect()
}

fn off(quality: &[f64], share: &[f64], gamma: f64, temperature: f64) -> f64 {
    let logits: Vec<f64> = quality.iter().zip(share).map(|(q, x)| (q - gamma * x) / temperature).collect();
    let peak = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = logits.iter().map(|z| (z - peak).exp()).sum();
    share.iter().zip(&logits).map(|(x, z)| (x - (z - peak).exp() / total).abs()).sum()
}

/// The golden cases `congestion.equilibrium` and, in part, `congestion.estimate`.
#[test]
fn a_published_equilibrium() {
    let quality = [
        0.732_819_914_8,
        1.657_739_758_5,
        0.905_860_722_1,
        -0.782_167_255_9,
        -0.308_207_064_9,
        -0.179_796_651,
        -0.742_544_293_4,
        -0.083_943_299_9,
        1.933_904_767,
        0.264_113_634_8,
        -0.620_338_857_2,
        1.411_916_971_2,
        -2.137_950_182,
        0.152_121_409_8,
        1.356_637_358_7,
        -0.496_529_310_9,
    ];
    let share = equilibrium(&quality, 14.0, 1.0).unwrap();
    for (at, want) in [(0, 0.075_852_282_3), (8, 0.125_613_763_9), (12, 0.010_699_125), (15, 0.037_796_575_6)] {
        assert!((share[at] - want).abs() < 1e-8, "{} {want}", share[at]);
    }
    assert_eq!(effective_temperature(16, 14.0, 1.0).unwrap(), 1.875);
}

#[test]
fn an_equilibrium_is_one_and_tells_its_gamma() {
    for (gamma, temperature) in [(0.0, 1.0), (0.5, 0.1), (14.0, 1.0), (39.0, 2.0), (1e4, 1.0), (1e6, 0.01), (3.0, 1e-3)]
    {
        for count in [1, 2, 7, 64, 1000] {
            let quality = qualities(count, 3);
            let share = equilibrium(&quality, gamma, temperature).unwrap();
            assert!((share.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let error = off(&quality, &share, gamma, temperature);
            // logits are known to a rounding of γ/T
            assert!(error < 1e-11 * (1.0 + gamma / temperature), "{gamma} {temperature} {count}: {error}");
            let found = estimate_gamma(&quality, &share, temperature);
            if count == 1 {
                assert!(matches!(found, Err(CongestionError::Undefined { .. })));
            } else if share.iter().all(|&x| x > 1e-300) {
                assert!((found.unwrap() - gamma).abs() < 1e-6 * (1.0 + gamma), "{gamma} {temperature} {count}");
            }
        }
    }
}

#[test]
fn congestion_spreads_and_equal_qualities_are_uniform() {
    let uniform = equilibrium(&[0.3; 5], 7.0, 0.5).unwrap();
    assert!(uniform.iter().all(|x| (x - 0.2).abs() < 1e-12));
    assert!(matches!(estimate_gamma(&[0.3; 5], &uniform, 0.5), Err(CongestionError::Undefined { .. })));
    let crowded = equilibrium(&[3.0, 0.0, -3.0], 1e7, 1.0).unwrap();
    assert!(crowded.iter().all(|x| (x - 1.0 / 3.0).abs() < 1e-6));
    let lone = equilibrium(&[900.0, 0.0], 0.0, 1.0).unwrap();
    assert!(lone[0] == 1.0 && lone[1] < 1e-300);
}

#[test]
fn it_maximises_the_potential() {
    let quality = qualities(9, 8);
    let (gamma, temperature) = (12.0, 0.7);
    let share = equilibrium(&quality, gamma, temperature).unwrap();
    let best = equilibrium_potential(&quality, &share, gamma, temperature).unwrap();
    for at in 1..9 {
        for by in [-1e-3, 1e-3] {
            let mut moved = share.clone();
            moved[at] += by;
            moved[0] -= by;
            assert!(equilibrium_potential(&quality, &moved, gamma, temperature).unwrap() < best);
        }
    }
}

/// What the abstract says: near uniform shares the equilibrium cannot be told from a softmax at another temperature.
#[test]
fn it_reduces_to_a_softmax_at_the_effective_temperature() {
    let quality: Vec<f64> = qualities(64, 5).iter().map(|q| 0.3 * q).collect();
    let share = equilibrium(&quality, 60.0, 1.0).unwrap();
    let effective = effective_temperature(64, 60.0, 1.0).unwrap();
    let soft = equilibrium(&quality, 0.0, effective).unwrap();
    let plain = equilibrium(&quality, 0.0, 1.0).unwrap();
    let apart = |a: &[f64]| a.iter().zip(&share).map(|(x, y)| (x - y).abs()).sum::<f64>();
    assert!(apart(&soft) < 0.01 && apart(&plain) > 0.1, "{} {}", apart(&soft), apart(&plain));
}

#[test]
fn an_interval_holds_what_made_the_batches() {
    let quality = qualities(16, 2);
    let noisy = |n: u64| {
        let noise = qualities(16, 100 + n);
        let quality: Vec<f64> = quality.iter().zip(noise).map(|(q, e)| q + 0.1 * e).collect();
        let load = equilibrium(&quality, 14.0, 1.0).unwrap().iter().map(|x| 1000.0 * x).collect();
        RoutedBatch { quality, load }
    };
    let batches: Vec<_> = (0..50).map(noisy).collect();
    let found = bootstrap_gamma(&batches, 1.0, 0.95, 400, 7).unwrap();
    assert!(found.low < found.gamma && found.gamma < found.high && found.resamples == 400, "{found:?}");
    assert!((found.gamma - 14.0).abs() < 0.5 && found.high - found.low < 1.0, "{found:?}");
    assert_eq!(bootstrap_gamma(&batches, 1.0, 0.95, 400, 7).unwrap(), found);
    assert_ne!(bootstrap_gamma(&batches, 1.0, 0.95, 400, 8).unwrap(), found);
    let narrow = bootstrap_gamma(&batches, 1.0, 0.5, 400, 7).unwrap();
    assert!(narrow.high - narrow.low < found.high - found.low);
}

#[test]
fn the_potential_is_the_sum_over_arrivals() {
    let counts = [3u32, 0, 5];
    for (cost, power) in [(CongestionCost::Linear, 1), (CongestionCost::Quadratic, 2)] {
        let load = 8.0 / 3.0;
        let arrivals = counts.iter().flat_map(|&n| 1..=n).map(|j| 0.5 * (f64::from(j) / load).powi(power) / 8.0);
        let found = rosenthal_potential(&counts, 8, cost, 0.5).unwrap();
        assert!((found - arrivals.sum::<f64>()).abs() < 1e-12);
    }
    assert_eq!(rosenthal_potential(&[0, 0], 0, CongestionCost::Linear, 1.0).unwrap(), 0.0);
}

#[test]
fn faults_are_named() {
    let named = |error: CongestionError, name: &str| assert!(error.to_string().starts_with(name), "{error}");
    named(equilibrium(&[], 1.0, 1.0).unwrap_err(), "quality: expected at least 1");
    named(equilibrium(&[1.0], -1.0, 1.0).unwrap_err(), "gamma: expected a finite number, 0 or more, got -1");
    named(equilibrium(&[1.0], 1.0, 0.0).unwrap_err(), "temperature");
    named(equilibrium(&[f64::NAN], 1.0, 1.0).unwrap_err(), "quality");
    named(estimate_gamma(&[1.0, 2.0], &[0.5], 1.0).unwrap_err(), "share: expected 2 elements, got 1");
    named(estimate_gamma(&[1.0, 2.0], &[1.0, 0.0], 1.0).unwrap_err(), "share: expected numbers above 0");
    named(estimate_gamma(&[1.0, 2.0], &[0.5, 0.5], 1.0).unwrap_err(), "γ is undefined");
    named(effective_temperature(0, 1.0, 1.0).unwrap_err(), "experts");
    named(bootstrap_gamma(&[], 1.0, 0.9, 10, 1).unwrap_err(), "batches");
    let batch = RoutedBatch { quality: vec![1.0, 2.0], load: vec![1.0, 3.0] };
    named(bootstrap_gamma(std::slice::from_ref(&batch), 1.0, 1.5, 10, 1).unwrap_err(), "confidence");
    named(bootstrap_gamma(std::slice::from_ref(&batch), 1.0, 0.5, 0, 1).unwrap_err(), "resamples");
    let idle = RoutedBatch { load: vec![0.0; 2], ..batch };
    named(bootstrap_gamma(&[idle], 1.0, 0.5, 10, 1).unwrap_err(), "load: expected a sum above 0");
    named(rosenthal_potential(&[1], 1, CongestionCost::Linear, -1.0).unwrap_err(), "lambda");
}
