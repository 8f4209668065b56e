use mandelbrot::{kernel::*,view::*}; use std::sync::atomic::*; use std::time::Instant;
fn main(){ let v=BENCHMARK.view(BENCHMARK_SIZE); v.validate().unwrap(); let tiles=v.tiles(256); let n=AtomicUsize::new(0); let sum=AtomicU64::new(0); let inside=AtomicU64::new(0);
 let t=Instant::now();
 std::thread::scope(|s| for _ in 0..2 { s.spawn(|| loop { let k=n.fetch_add(1,Ordering::Relaxed); if k>=tiles.len(){break} let r=render(&v,tiles[k],&||false).unwrap();
   sum.fetch_add(r.counts.iter().map(|&c|c as u64).sum(),Ordering::Relaxed); inside.fetch_add(r.counts.iter().filter(|&&c|c==0).count() as u64,Ordering::Relaxed); }); });
 let e=t.elapsed().as_secs_f64(); println!("{v} {} tiles {e:.2} s {:.2} Gi/s mean {:.0} inside {}", tiles.len(), sum.load(Ordering::Relaxed) as f64/e/1e9, sum.load(Ordering::Relaxed) as f64/v.pixels() as f64, inside.load(Ordering::Relaxed)); }
