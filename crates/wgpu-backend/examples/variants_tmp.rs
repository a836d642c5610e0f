use gatefold_cpu_ref::*; use gatefold_wgpu::*; use std::collections::BTreeMap;
fn go<O: Reference+Kernels>(n:u64){ for (kind,sg) in [(DeviceKind::Cpu,Some(8)),(DeviceKind::Gpu,None)] { let lim=Limits{kind,subgroup:sg,f16:true,..Limits::webgpu_default()}; let mut m:BTreeMap<String,u32>=BTreeMap::new(); let mut work=0f64;
 for s in 0..n { let c=O::case(s); work+=c.op.cost().flops; if let Ok(p)=c.op.plan(&lim){ for st in p.steps {*m.entry(st.name).or_default()+=1;} } else {println!("plan err seed {s}")} }
 println!("{} {n} cases {:?}: {} variants, planned {}, gflop {}",O::NAME,kind,m.len(),O::PLANNED, work/1e9); } }
fn main(){ go::<Attention>(1500); go::<AttentionBackward>(1000); }
