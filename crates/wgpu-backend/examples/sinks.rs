//! Attention sinks: how important each key is to softmax and to sigmoid attention, on the same queries and keys. Writes a plot to the path given.
use gatefold_wgpu::attention::{Bias, Causal, Dims, HeadDiagnosis, Inputs, SINK_THRESHOLD, StatisticsInputs};
use gatefold_wgpu::{Attention, AttentionStatistics, Gpu, Tensor};
use plotters::prelude::*;

const HEADS: usize = 8;
const TOKENS: usize = 64;
const WIDTH: usize = 32;

fn numbers(count: usize, salt: usize) -> Vec<f32> {
    let mut state = 88_172_645_463_325_252u64 ^ (salt as u64) << 32;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u32 << 24) as f32
    };
    (0..count).map(|_| (0..12).map(|_| next()).sum::<f32>() - 6.0).collect()
}

/// Queries that share a direction, and a first key that points there: what training makes of the first token.
fn inputs() -> anyhow::Result<Inputs> {
    let row = HEADS * TOKENS * WIDTH;
    let (mut q, mut k) = (numbers(row, 1), numbers(row, 2));
    q.iter_mut().step_by(WIDTH).for_each(|x| *x += 4.0);
    k.iter_mut().step_by(TOKENS * WIDTH).for_each(|x| *x = 8.0);
    let tensor = |numbers| Tensor::f32([1, HEADS, TOKENS, WIDTH], numbers);
    Ok(Inputs { q: tensor(q)?, k: tensor(k)?, v: tensor(numbers(row, 3))?, ..Inputs::default() })
}

/// Mean importance of each position over the heads; prints what the heads do.
fn importance(gpu: &Gpu, name: &str, forward: Attention, inputs: &Inputs) -> anyhow::Result<Vec<f64>> {
    let o = gpu.run(&forward, inputs.clone())?.o;
    let op = AttentionStatistics::new(forward);
    let found = gpu.run(&op, StatisticsInputs { forward: inputs.clone() })?;
    let told = op.diagnose(&found, &inputs.k, &o, SINK_THRESHOLD)?;
    let mean = |f: fn(&HeadDiagnosis) -> f64| told.heads.iter().map(f).sum::<f64>() / told.heads.len() as f64;
    println!(
        "{name}: {:.1} % of the first keys are sinks; support {:.1} keys, top mass {:.2}, cosine of outputs {:.2}, rank {:.1}, \
         norms and importance correlate by {:.2}",
        100.0 * told.sinks_by_position[0],
        mean(|h| h.support),
        mean(|h| h.top_mass),
        mean(|h| h.cosine),
        mean(|h| h.rank),
        mean(|h| h.norm_correlation),
    );
    let all = found.importance.to_f64();
    Ok((0..TOKENS).map(|j| all.iter().skip(j).step_by(TOKENS).sum::<f64>() / HEADS as f64).collect())
}

fn draw(path: &str, series: &[(&str, RGBColor, Vec<f64>)]) -> anyhow::Result<()> {
    let area = SVGBackend::new(path, (900, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Importance of each key, mean over 8 heads", ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d(-1.0..TOKENS as f64, 0.0..1.0)?;
    chart
        .configure_mesh()
        .x_desc("key position")
        .y_desc("importance")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .max_light_lines(0)
        .disable_x_mesh()
        .draw()?;
    for (name, colour, values) in series {
        let points: Vec<_> = values.iter().enumerate().map(|(j, &c)| (j as f64, c)).collect();
        let line = LineSeries::new(points.clone(), colour.stroke_width(2)).point_size(3);
        let key = *colour;
        chart.draw_series(line)?.label(*name).legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], key));
    }
    let threshold = [(-1.0, SINK_THRESHOLD), (TOKENS as f64, SINK_THRESHOLD)];
    let legend = |(x, y)| PathElement::new([(x, y), (x + 24, y)], BLACK);
    chart.draw_series(LineSeries::new(threshold, BLACK))?.label("threshold of a sink").legend(legend);
    chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw()?;
    area.present()?;
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| std::env::temp_dir().join("gatefold_sinks.svg").to_string_lossy().into_owned());
    let (gpu, inputs) = (Gpu::new()?, inputs()?);
    let dims = Dims::new(1, HEADS, TOKENS, WIDTH);
    let causal = |forward| Attention { causal: Causal::TopLeft, ..forward };
    let sigmoid = Attention { bias: Bias::Const(0.0), ..Attention::sigmoid(dims) };
    let softmax = importance(&gpu, "softmax", causal(Attention::softmax(dims)), &inputs)?;
    let sigmoid = importance(&gpu, "sigmoid", causal(sigmoid), &inputs)?;
    draw(&path, &[("softmax", RED, softmax), ("sigmoid, no bias", BLUE, sigmoid)])?;
    println!("{path}");
    Ok(())
}
