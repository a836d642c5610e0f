//! scratch
use gatefold_tests::conformance::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let gpu = gatefold_tests::gpu();
    if a[1] == "repro" {
        let (t, _) = repro(gpu, &a[2], a[3].parse().unwrap()).unwrap();
        println!("{t}");
        return;
    }
    if a[1] == "vectors" {
        let dirs: Vec<_> = a[2..].iter().map(|d| d.into()).collect();
        println!("{}", gatefold_tests::vectors::check_folders(&dirs, Some(gpu), None, &mut |_| ()).unwrap());
        return;
    }
    let gate: f64 = a[4].parse().unwrap();
    let first: u64 = a[2].parse().unwrap();
    let n: u64 = a[3].parse().unwrap();
    let mut all = Vec::new();
    let clock = std::time::Instant::now();
    let o = Options { op: Some(a[1].clone()), cases: Some(n), first_seed: first, gate: Some(gate), full: false };
    let r = conformance(gpu, &o, &mut |r| {
        all.push(r.clone());
    });
    println!("{r}");
    all.sort_by(|x, y| y.millis.total_cmp(&x.millis));
    for r in &all[..12.min(all.len())] {
        println!("{} {:.0} ms ref {:.0} ms {} {} {}", r.seed, r.millis, r.reference_millis, r.label, r.size, r.profile);
    }
    let s: f64 = all.iter().map(|r| r.millis).sum();
    let t: f64 = all.iter().map(|r| r.reference_millis).sum();
    println!("cases {} total {:.1}s gpu {s:.0} ms ref {t:.0} ms", all.len(), clock.elapsed().as_secs_f64());
}
