use std::time::Instant; use std::hint::black_box;
fn main(){ let v:Vec<f32>=(0..1_000_000).map(|i| 65536.0*(1.0+ (i as f32*0.37)%60000.0)).collect();
 for _ in 0..3 {
 let t=Instant::now(); let s:f32=v.iter().map(|&m| libm::log2f(black_box(m))).sum(); println!("log2f {:?} {s}", t.elapsed());
 let t=Instant::now(); let s:f32=v.iter().map(|&m| libm::log2f(libm::log2f(black_box(m)))).sum(); println!("log2f² {:?} {s}", t.elapsed());
 let t=Instant::now(); let s:f32=v.iter().map(|&m| libm::log2f(libm::logf(black_box(m)))).sum(); println!("log2f logf {:?} {s}", t.elapsed());
 let t=Instant::now(); let s:f64=v.iter().map(|&m| libm::log(libm::log(black_box(m as f64)))).sum(); println!("log log {:?} {s}", t.elapsed());
 }}
