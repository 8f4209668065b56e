use mandelbrot::{kernel::*,view::*,picture::*,palette::*};
fn main(){ // draw out re im hw iters palette shrink
 let a:Vec<String>=std::env::args().collect(); let s:u32=a[7].parse().unwrap();
 let v=View{center:(a[2].parse().unwrap(),a[3].parse().unwrap()),half_width:a[4].parse().unwrap(),size:(a.get(8).map_or(1920,|x|x.parse().unwrap())*s,a.get(9).map_or(1080,|x|x.parse().unwrap())*s),iterations:a[5].parse().unwrap()};
 v.validate().unwrap();
 let t=std::time::Instant::now();
 let mut p=Picture::new(v.clone(),Layers::Both);
 for tile in v.tiles(256) { p.put(tile,&render(&v,tile,&||false).unwrap()).unwrap(); }
 let t1=t.elapsed();
 p.write_png(a[1].as_ref(),&Palette::by_name(&a[6]).unwrap(),s).unwrap();
 let c=p.counts().unwrap(); println!("{} render {t1:?} write {:?} mean {:.0} inside {:.4}", a[1], t.elapsed()-t1, c.iter().map(|&x| x as f64).sum::<f64>()/c.len() as f64, c.iter().filter(|&&x|x==0).count() as f64/c.len() as f64);
}
