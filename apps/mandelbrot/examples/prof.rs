use mandelbrot::kernel::*; use mandelbrot::view::*; use std::time::Instant;
fn main(){
 let v=View{center:(-0.7436447860,0.1318252536),half_width:3e-8,size:(1280,960),iterations:20000};
 for e in [64,128,256,1280] {
 let t=Instant::now(); let mut k=0; let mut it=0u64;
 while t.elapsed().as_secs_f64()<2.0 { for tile in v.tiles(e) { it+=render_with(Path::Avx512,&v,tile,Detail::Counts,&||false).unwrap().counts.iter().map(|&x| x as u64).sum::<u64>(); } k+=1; }
 println!("{e} {} {:.2} Gi/s", t.elapsed().as_secs_f64()/k as f64, it as f64/t.elapsed().as_secs_f64()/1e9);
 }
}
