use gatefold_cpu_ref::*;
use gatefold_wgpu::*;
fn go<O: Reference + Kernels>(gpu: &Gpu, from: u64, to: u64, gpu_schedule: bool, squeeze: bool) {
    let (mut worst, mut fails) = (0f64, 0);
    let mut t = std::time::Duration::ZERO;
    let mut tr = std::time::Duration::ZERO;
    for seed in from..to {
        let c = O::case(seed);
        if let Err(e) = c.op.check_inputs(&c.inputs) {
            println!("seed {seed} bad inputs {e}");
            continue;
        }
        let mut lim = gpu.limits().clone();
        if gpu_schedule {
            lim.kind = DeviceKind::Gpu;
        }
        if squeeze {
            lim.loop_trips = 1500;
            lim.groups_per_dim = 3;
        }
        let plan = match c.op.plan(&lim) {
            Ok(p) => p,
            Err(e) => {
                if !squeeze {
                    println!("seed {seed} {} plan {e}", c.op.label());
                }
                continue;
            }
        };
        let t0 = std::time::Instant::now();
        let ran = match gpu.run_plan(
            &plan,
            &c.op.operands(),
            &c.inputs,
            &RunOptions { poison: Some(0x7FC0DEAD), guard: true, ..Default::default() },
        ) {
            Ok(r) => r,
            Err(e) => {
                println!("seed {seed} {} {} run {e}", c.op.label(), c.op.size_label());
                fails += 1;
                continue;
            }
        };
        t += t0.elapsed();
        if std::env::var("V").is_ok() && t0.elapsed().as_secs_f64() > 0.05 {
            println!(
                "{:.2}s {}",
                t0.elapsed().as_secs_f64(),
                plan.steps.iter().map(|s| s.name.clone()).collect::<Vec<_>>().join(" ")
            );
        }
        for f in &ran.faults {
            println!("seed {seed} {} {} fault {f}", c.op.label(), c.op.size_label());
            fails += 1;
        }
        let t0 = std::time::Instant::now();
        let b = bounded(&c.op, &c.inputs);
        tr += t0.elapsed();
        for (name, want) in &b.outputs {
            let got = ran.outputs[name.as_str()].to_f64();
            let (mut w, mut at) = (0f64, 0);
            for (i, g) in got.iter().enumerate() {
                let r = want.ratio(i, *g);
                if r > w {
                    w = r;
                    at = i;
                }
            }
            if w > 0.25 {
                fails += 1;
                if fails < 40 {
                    println!(
                        "seed {seed} {} {} {name}{:?} ratio {w:.3} at {at}: got {} want {} ± {:e} [{}]",
                        c.op.label(),
                        c.op.size_label(),
                        want.dims,
                        got[at],
                        want.values[at],
                        want.bounds[at],
                        c.note
                    );
                }
            }
            worst = worst.max(w);
        }
    }
    println!(
        "{} {from}..{to} gpu_schedule={gpu_schedule} squeeze={squeeze}: worst {worst:.4}, {fails} fails, gpu {t:?} ref {tr:?}",
        O::NAME
    );
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let gpu = Gpu::new().unwrap();
    println!("{:?}\n{}", gpu.info(), gpu.probe());
    let (from, to) = (a[2].parse().unwrap(), a[3].parse().unwrap());
    for g in [false, true] {
        for s in [false, true] {
            match a[1].as_str() {
                "f" => go::<Attention>(&gpu, from, to, g, s),
                "b" => go::<AttentionBackward>(&gpu, from, to, g, s),
                _ => {}
            }
        }
    }
}
