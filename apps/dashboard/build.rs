//! Puts the files of the page into the program.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// What a browser may ask for; what else lies there is for those who work on the page.
const KINDS: [&str; 7] = ["html", "css", "js", "svg", "png", "ico", "woff2"];

fn main() -> io::Result<()> {
    let page = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("page");
    println!("cargo::rerun-if-changed={}", page.display());
    let mut paths = Vec::new();
    collect(&page, &mut paths)?;
    paths.sort();
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut table = String::new();
    for (number, path) in paths.iter().enumerate() {
        println!("cargo::rerun-if-changed={}", path.display());
        let packed = out.join(format!("{number}.gz"));
        fs::write(&packed, compressed(&fs::read(path)?)?)?;
        let name = path.strip_prefix(&page).unwrap_or(path).display();
        let (path, packed) = (path.display().to_string(), packed.display().to_string());
        table += &format!(
            "    Packed {{ name: \"{name}\", plain: include_bytes!({path:?}), gzip: include_bytes!({packed:?}) }},\n"
        );
    }
    fs::write(out.join("page.rs"), format!("const FILES: &[Packed] = &[\n{table}];\n"))
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_served = path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known));
        if path.is_dir() {
            println!("cargo::rerun-if-changed={}", path.display());
            collect(&path, paths)?;
        } else if is_served {
            paths.push(path);
        }
    }
    Ok(())
}

fn compressed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}
