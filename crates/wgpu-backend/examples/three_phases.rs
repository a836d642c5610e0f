//! Three phases of a router's training (arXiv 2604.04230): the pull towards even loads surges, holds and relaxes, and the estimated coefficient of
//! congestion follows, with an interval over micro-batches. A small router on clustered tokens, by plain SGD. Writes a plot to the path given.
//!
//! Every step's loss is `Σ_t (−p_t·reward + p_t·ln p_t) / T` of the task and a congestion loss of soft, linear loads, whose price `α·E·share` is an
//! explicit `γ = α·E`; what the estimate has beyond it is implicit: clusters that want the same experts.
use std::ops::Range;

use gatefold_wgpu::gemm::Inputs;
use gatefold_wgpu::routing::{
    Congestion, CongestionCost, GammaInterval, GateInputs, Load, RoutedBatch, RouterInputs, RouterLossInputs,
    RouterLossKind, RoutingStats, bootstrap_gamma,
};
use gatefold_wgpu::{Gemm, Gpu, Router, RouterLoss, Tensor, TopKGate};
use plotters::coord::Shift;
use plotters::prelude::*;

const CLUSTERS: usize = 16;
const EXPERTS: usize = 8;
const TOP_K: usize = 2;
const WIDTH: usize = 16;
const TOKENS: usize = 1024;
/// Micro-batches of a step: what the interval is over.
const PARTS: usize = 16;
const STEPS: usize = 240;
const RATE: f32 = 3.0;

struct Random(u64);

impl Random {
    /// 24 bits.
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 40
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.bits()).map_or(0, |x| x % n)
    }

    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.bits() as f32 / (1u32 << 24) as f32).sum::<f32>() - 6.0
    }
}

/// What experts are worth to tokens: some to all, and each a little more or less to every cluster.
fn rewards(random: &mut Random) -> Vec<f32> {
    let common: Vec<f32> = (0..EXPERTS).map(|_| 1.2 * random.normal()).collect();
    (0..CLUSTERS * EXPERTS).map(|i| common[i % EXPERTS] + 0.4 * random.normal()).collect()
}

/// The explicit coefficient of congestion: up in the first fifth, level, and down from three fifths on.
fn explicit(step: usize) -> f32 {
    let at = step as f32 / STEPS as f32;
    match at {
        _ if at < 0.2 => 10.0 + 110.0 * at,
        _ if at < 0.6 => 32.0 - 10.0 * (at - 0.2),
        _ => (28.0 - 80.0 * (at - 0.6)).max(6.0),
    }
}

/// Tokens and the cluster of each.
fn tokens(random: &mut Random) -> (Vec<f32>, Vec<usize>) {
    let clusters: Vec<usize> = (0..TOKENS).map(|_| random.below(CLUSTERS)).collect();
    let x = clusters.iter().flat_map(|&c| (0..WIDTH).map(move |h| if h == c { 2.0 } else { 0.0 }));
    (x.map(|centre| centre + 0.4 * random.normal()).collect(), clusters)
}

/// The task's gradient of the logits: of `Σ_t (−p_t·reward + p_t·ln p_t) / T`.
fn task_gradient(p: &[f32], reward: &[&[f32]]) -> Vec<f32> {
    let row = |(p, reward): (&[f32], &&[f32])| {
        let slope: Vec<f32> = p.iter().zip(*reward).map(|(p, r)| p.ln() - r).collect();
        let mean: f32 = p.iter().zip(&slope).map(|(p, s)| p * s).sum();
        p.iter().zip(&slope).map(|(p, s)| p * (s - mean) / TOKENS as f32).collect::<Vec<_>>()
    };
    p.chunks(EXPERTS).zip(reward).flat_map(row).collect()
}

/// Quality and load of a part of the tokens: mean rewards, sums of probabilities.
fn batch(p: &[f32], reward: &[&[f32]], part: Range<usize>) -> RoutedBatch {
    let count = part.len() as f64;
    let of = |f: &dyn Fn(usize, usize) -> f32| -> Vec<f64> {
        (0..EXPERTS).map(|e| part.clone().map(|t| f64::from(f(t, e))).sum()).collect()
    };
    let quality = of(&|t, e| reward[t][e]).into_iter().map(|q| q / count).collect();
    RoutedBatch { quality, load: of(&|t, e| p[t * EXPERTS + e]) }
}

/// What is seen of a step.
struct Seen {
    gamma: GammaInterval,
    stats: RoutingStats,
    loss: f32,
}

/// A step of SGD, and what the router did before it.
fn step(gpu: &Gpu, weight: &mut [f32], rewards: &[f32], alpha: f32, random: &mut Random) -> anyhow::Result<Seen> {
    let (x, clusters) = tokens(random);
    let x = Tensor::f32([TOKENS, WIDTH], x)?;
    let w_gate = Tensor::f32([WIDTH, EXPERTS], weight.to_vec())?;
    let router = Router::new(TopKGate { scores: true, ..TopKGate::switch(TOKENS, EXPERTS, TOP_K) }, WIDTH);
    let routed = gpu.run(&router, RouterInputs { x: x.clone(), w_gate, gate: GateInputs::default() })?;
    let p = routed.gate.scores.map(|t| t.to_f32()).unwrap_or_default();
    let indices = routed.gate.indices;
    let soft = Congestion { load: Load::Soft, cost: CongestionCost::Linear, lambda: 1.0 };
    let op = RouterLoss::new(RouterLossKind::Congestion(soft), TOKENS, EXPERTS, TOP_K, alpha);
    let inputs = RouterLossInputs {
        logits: routed.logits,
        indices: Some(indices.clone()),
        d_loss: Some(Tensor::f32([1], vec![1.0])?),
        ..RouterLossInputs::default()
    };
    let balance = gpu.run(&op, inputs)?;
    let reward: Vec<&[f32]> = clusters.iter().map(|c| &rewards[c * EXPERTS..][..EXPERTS]).collect();
    let balancing = balance.d_logits.map(|t| t.to_f32()).unwrap_or_default();
    let d_logits: Vec<f32> = task_gradient(&p, &reward).iter().zip(&balancing).map(|(a, b)| a + b).collect();
    let outer = Gemm { transpose_a: true, ..Gemm::new(WIDTH, EXPERTS, TOKENS) };
    let b = Tensor::f32([1, TOKENS, EXPERTS], d_logits)?;
    let a = Tensor::f32([1, TOKENS, WIDTH], x.to_f32())?;
    let d_weight = gpu.run(&outer, Inputs { a, b, bias: None })?.c.to_f32();
    weight.iter_mut().zip(d_weight).for_each(|(w, d)| *w -= RATE * d);

    let size = TOKENS / PARTS;
    let batches: Vec<_> = (0..PARTS).map(|n| batch(&p, &reward, n * size..(n + 1) * size)).collect();
    let mut counts = [0; EXPERTS];
    indices.as_u32().unwrap_or_default().iter().for_each(|&e| counts[e as usize] += 1);
    let loss = balance.loss.map_or(f32::NAN, |t| t.to_f32()[0]);
    Ok(Seen { gamma: bootstrap_gamma(&batches, 1.0, 0.95, 200, 1)?, stats: RoutingStats::of_counts(&counts)?, loss })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Points = Vec<(f64, f64)>;

fn panel(
    area: &Area<'_>,
    (title, unit): (&str, &str),
    y: Range<f64>,
    lines: &[(&str, RGBColor, Points)],
    band: Points,
) -> anyhow::Result<()> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..STEPS as f64, y)?;
    chart
        .configure_mesh()
        .x_desc("step")
        .y_desc(unit)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .max_light_lines(0)
        .disable_x_mesh()
        .draw()?;
    chart.draw_series([Polygon::new(band, BLUE.mix(0.2))])?;
    for (name, colour, points) in lines {
        let (line, key) = (LineSeries::new(points.clone(), colour.stroke_width(2)), *colour);
        chart.draw_series(line)?.label(*name).legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], key));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .border_style(BLACK)
        .background_style(WHITE)
        .draw()?;
    Ok(())
}

fn draw(path: &str, seen: &[Seen]) -> anyhow::Result<()> {
    let area = SVGBackend::new(path, (960, 760)).into_drawing_area();
    area.fill(&WHITE)?;
    let (above, below) = area.split_vertically(430);
    let along =
        |f: &dyn Fn(usize, &Seen) -> f64| seen.iter().enumerate().map(|(n, s)| (n as f64, f(n, s))).collect::<Points>();
    let within = |x: f64| x.clamp(0.0, 60.0);
    let mut band = along(&|_, s| within(s.gamma.low));
    band.extend(along(&|_, s| within(s.gamma.high)).into_iter().rev());
    let lines = [
        ("estimated, 95 % interval", BLUE, along(&|_, s| within(s.gamma.gamma))),
        ("explicit: coefficient times experts", RED, along(&|n, _| explicit(n).into())),
    ];
    panel(&above, ("Coefficient of congestion: surge, stabilisation, relaxation", "gamma"), 0.0..60.0, &lines, band)?;
    let lines = [
        ("largest load / mean", BLACK, along(&|_, s| s.stats.max_over_mean)),
        ("entropy / ln E", GREEN, along(&|_, s| s.stats.entropy)),
    ];
    panel(&below, ("Load of the experts (top 2 of 8)", "ratio"), 0.0..4.0, &lines, Vec::new())?;
    area.present()?;
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| std::env::temp_dir().join("gatefold_three_phases.svg").to_string_lossy().into_owned());
    let gpu = Gpu::new()?;
    let mut random = Random(88_172_645_463_325_252);
    let rewards = rewards(&mut random);
    let mut weight: Vec<f32> = (0..WIDTH * EXPERTS).map(|_| 0.02 * random.normal()).collect();
    let mut seen = Vec::with_capacity(STEPS);
    for n in 0..STEPS {
        let gamma = explicit(n);
        let found = step(&gpu, &mut weight, &rewards, gamma / EXPERTS as f32, &mut random)?;
        if n % 10 == 0 {
            let GammaInterval { gamma: estimate, low, high, .. } = found.gamma;
            let RoutingStats { max_over_mean, entropy, .. } = found.stats;
            println!(
                "step {n:3}: γ explicit {gamma:4.1}, estimated {estimate:5.1} [{low:5.1}, {high:5.1}], load {max_over_mean:.2} of the mean, \
                 entropy {entropy:.4}, balance loss {:.4}",
                found.loss
            );
        }
        seen.push(found);
    }
    draw(&path, &seen)?;
    println!("{path}");
    Ok(())
}
