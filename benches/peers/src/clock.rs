//! Interleaved turns: everyone once, then everyone again, so that what disturbs the machine disturbs all alike.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Somebody who computes a case, with the data already on the device.
pub(crate) trait Contender {
    /// Who, and how: `burn, tuned`.
    fn name(&self) -> String;

    /// Submits the work this many times, then waits for all of it. Nothing is read back.
    fn run(&mut self, runs: usize) -> Result<()>;

    /// Reads the last run's output.
    fn output(&mut self) -> Result<Vec<f32>>;
}

/// How long is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Rounds that are always run.
    pub(crate) fewest: usize,
    /// Rounds at most.
    pub(crate) most: usize,
    /// Seconds of rounds per case, beyond the fewest.
    pub(crate) seconds: u64,
}

impl Pace {
    pub(crate) fn new(quick: bool) -> Self {
        if quick { Self { fewest: 3, most: 7, seconds: 2 } } else { Self { fewest: 5, most: 25, seconds: 6 } }
    }
}

/// Seconds that one sample should last at least: quick kernels run several times in it.
const SAMPLE: f64 = 0.02;

/// Runs in a sample at most.
const RUNS: f64 = 64.0;

/// Seconds of one run from which a contender is not asked again: the run after the first is its only sample.
const SLOW: f64 = 8.0;

/// What the turns gave.
#[derive(Debug, Clone, Default)]
pub(crate) struct Raced {
    /// [`Contender::name`].
    pub(crate) name: String,
    /// Seconds of the first call: kernels made, compiled and, by peers that do, tuned.
    pub(crate) first: f64,
    /// Runs per sample.
    pub(crate) runs: usize,
    /// Whether one run took so long that it is the only sample.
    pub(crate) slow: bool,
    /// Seconds per run, one for each round.
    pub(crate) samples: Vec<f64>,
    /// Output of the first call.
    pub(crate) output: Option<Vec<f32>>,
    /// Why there is no more.
    pub(crate) failure: Option<String>,
}

fn seconds(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

/// The first call, its output, and a second call, from which the runs of a sample follow.
fn opening(contender: &mut dyn Contender) -> Result<Raced> {
    let first = seconds(|| contender.run(1))?;
    let output = Some(contender.output()?);
    let warm = seconds(|| contender.run(1))?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 64")]
    let runs = (SAMPLE / warm).ceil().clamp(1.0, RUNS) as usize;
    let slow = warm > SLOW;
    let samples = if slow { vec![warm] } else { Vec::new() };
    Ok(Raced { name: contender.name(), first, runs, slow, samples, output, failure: None })
}

/// Times all contenders. One that fails stands aside and says why; the others go on.
pub(crate) fn race(contenders: &mut [Box<dyn Contender + '_>], pace: Pace) -> Vec<Raced> {
    let mut all = Vec::new();
    for contender in contenders.iter_mut() {
        print!("  {}: first call", contender.name());
        // Some take minutes: it should be seen who. A terminal that is gone is no reason to stop.
        let _ = std::io::stdout().flush();
        let failed = |e: anyhow::Error| Raced { failure: Some(format!("{e:#}")), ..Raced::default() };
        let raced = opening(contender.as_mut()).unwrap_or_else(failed);
        println!(
            "{}",
            raced.failure.as_ref().map_or_else(|| format!(" {:.2} s", raced.first), |why| format!(": {why}"))
        );
        all.push(Raced { name: contender.name(), ..raced });
    }
    let start = Instant::now();
    for round in 0..pace.most {
        if round >= pace.fewest && start.elapsed() > Duration::from_secs(pace.seconds) {
            break;
        }
        for (contender, raced) in contenders.iter_mut().zip(&mut all) {
            if raced.failure.is_some() || raced.slow {
                continue;
            }
            match seconds(|| contender.run(raced.runs)) {
                Ok(total) => raced.samples.push(total / raced.runs as f64),
                Err(e) => raced.failure = Some(format!("{e:#}")),
            }
        }
    }
    all
}
