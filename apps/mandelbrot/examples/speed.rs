use mandelbrot::kernel::*; use mandelbrot::view::*; use std::time::Instant;
fn main(){
 let home=View{center:(-0.75,0.0),half_width:1.5,size:(1920,1080),iterations:1000};
 let sea=View{center:(-0.743643887037151,0.131825904205330),half_width:2e-3,size:(1920,1080),iterations:5000};
 let sea2=View{center:(-0.7453,0.1127),half_width:6.5e-4,size:(1920,1080),iterations:5000};
 for (n,v) in [("home",home),("sea",sea),("sea2",sea2)] { for d in [Detail::Counts,Detail::Smooth] { for p in Path::available() {
  if p==Path::Scalar {continue}
  let mut best=f64::MAX; let mut sum=0u64; let mut inside=0;
  for _ in 0..5 { let t=Instant::now(); let mut s=0u64; inside=0;
   for tile in v.tiles(256) { let r=render_with(p,&v,tile,d,&||false).unwrap(); for c in r.counts { s+= c as u64; inside+=(c==0) as u64; } }
   best=best.min(t.elapsed().as_secs_f64()); sum=s; }
  println!("{n} {d:?} {p:?} {best:.4}s {:.1} Mpx/s  {:.2} Giter/s (escaping only) mean {:.1} inside {:.3}", v.pixels() as f64/best/1e6, sum as f64/best/1e9, sum as f64/v.pixels() as f64, inside as f64/v.pixels() as f64);
 }}}
}
