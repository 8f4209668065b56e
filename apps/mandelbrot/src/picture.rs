//! A whole picture: put together from tiles, coloured, and written so that no crash leaves half a file.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::kernel::Rendered;
use crate::palette::{Density, Palette, light, srgb_byte};
use crate::view::{Tile, View};

/// The results of all pixels of a view, row by row.
///
/// It takes 4 bytes per pixel and layer: up to 4 GiB for the largest view and one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    view: View,
    counts: Option<Vec<u32>>,
    smooth: Option<Vec<f32>>,
}

/// What a picture keeps of each pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layers {
    /// Smooth counts, for [`Picture::write_png`].
    Smooth,
    /// Escape counts, for [`Picture::write_raw`].
    Counts,
    /// Both.
    Both,
}

impl Picture {
    /// An empty picture of a view that has passed [`View::validate`]; all its pixels are inside so far.
    pub fn new(view: View, layers: Layers) -> Self {
        let pixels = view.pixels() as usize;
        let counts = matches!(layers, Layers::Counts | Layers::Both).then(|| vec![0; pixels]);
        let smooth = matches!(layers, Layers::Smooth | Layers::Both).then(|| vec![0.0; pixels]);
        Self { view, counts, smooth }
    }

    /// The view that is shown.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The escape counts, row by row, if this picture keeps them.
    pub fn counts(&self) -> Option<&[u32]> {
        self.counts.as_deref()
    }

    /// The smooth counts, row by row, if this picture keeps them.
    pub fn smooth(&self) -> Option<&[f32]> {
        self.smooth.as_deref()
    }

    /// Puts a tile in its place; the same tile may come more than once.
    ///
    /// A tile that does not fit is refused and nothing changes: it may come from another node.
    pub fn put(&mut self, tile: Tile, rendered: &Rendered) -> Result<(), PutError> {
        if !tile.within(self.view.size) {
            return Err(PutError::Outside { tile });
        }
        let complete = |length: usize| {
            let expected = tile.pixels();
            if length == expected { Ok(()) } else { Err(PutError::Incomplete { tile, length, expected }) }
        };
        if self.counts.is_some() {
            complete(rendered.counts.len())?;
        }
        if self.smooth.is_some() {
            complete(rendered.smooth.len())?;
        }
        let width = self.view.size.0;
        if let Some(counts) = &mut self.counts {
            copy_rows(counts, width, tile, &rendered.counts);
        }
        if let Some(smooth) = &mut self.smooth {
            copy_rows(smooth, width, tile, &rendered.smooth);
        }
        Ok(())
    }

    /// Writes the picture as a PNG with 8 bits per channel, which replaces the file at `path` at once or not at all.
    ///
    /// Equal pictures give equal bytes on every machine.
    /// The text chunk `View` holds the view, for [`View::from_str`](std::str::FromStr), the chunk `Palette` its name.
    ///
    /// `shrink` makes one pixel of the file out of `shrink` × `shrink` pixels of the picture, averaged in linear light;
    /// 1 writes it as it is.
    /// Columns and rows that do not fill a square at the right and lower rims are left out.
    pub fn write_png(&self, path: &Path, palette: &Palette, shrink: u32) -> Result<(), WriteError> {
        let smooth = self.smooth.as_deref().ok_or(WriteError::Layer { layer: "smooth counts" })?;
        let shrink = shrink.max(1);
        if shrink > self.view.size.0.min(self.view.size.1) {
            return Err(WriteError::Shrink { shrink });
        }
        replace(path, |file| self.encode(file, smooth, palette, shrink))
    }

    /// Writes the escape counts as 32-bit little-endian numbers, row by row, which replace the file at `path` at once
    /// or not at all.
    pub fn write_raw(&self, path: &Path) -> Result<(), WriteError> {
        let counts = self.counts.as_deref().ok_or(WriteError::Layer { layer: "escape counts" })?;
        replace(path, |file| counts.iter().try_for_each(|count| file.write_all(&count.to_le_bytes())))
    }

    fn encode(&self, file: &mut dyn Write, smooth: &[f32], palette: &Palette, shrink: u32) -> io::Result<()> {
        let (width, height) = self.view.size;
        let mut encoder = png::Encoder::new(file, width / shrink, height / shrink);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
        // This compressor has one implementation for all machines, while flate2 has several to choose from at build
        // time, whose bytes differ.
        encoder.set_deflate_compression(png::DeflateCompression::FdeflateUltraFast);
        encoder.set_filter(png::Filter::Adaptive);
        encoder.add_text_chunk("View".into(), self.view.to_string())?;
        encoder.add_text_chunk("Palette".into(), palette.name().into())?;
        let mut writer = encoder.write_header()?;
        let mut rows = writer.stream_writer()?;

        let density = Density::fit(smooth);
        let inside = palette.inside();
        let colour = |&smooth: &f32| density.position(smooth).map_or(inside, |place| palette.colour(place));
        let mut blend = Blend::new(width / shrink, shrink);
        let mut line = Vec::with_capacity(width as usize * 3);
        for row in smooth.chunks_exact(width as usize).take((height / shrink * shrink) as usize) {
            line.clear();
            line.extend(row.iter().flat_map(colour));
            if shrink == 1 {
                rows.write_all(&line)?;
            } else if let Some(blended) = blend.add(&line) {
                rows.write_all(&blended)?;
            }
        }
        rows.finish()?;
        writer.finish()?;
        Ok(())
    }
}

/// Tries whether a file could be written at `path`, so that a long computation need not end in an error.
///
/// It creates a file beside it and removes it again; the file at `path` itself is not touched.
pub fn probe(path: &Path) -> Result<(), WriteError> {
    Draft::create(path).map(drop)
}

/// Why a tile was not put into a picture, which is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// The tile is empty or reaches beyond the picture.
    #[error("cannot place {tile:?}: it is not part of the picture")]
    Outside {
        /// The tile that was refused.
        tile: Tile,
    },
    /// A layer of the tile has not one value per pixel.
    #[error("cannot place {tile:?}: it has {length} values instead of {expected}")]
    Incomplete {
        /// The tile that was refused.
        tile: Tile,
        /// The values that came.
        length: usize,
        /// The values that were expected.
        expected: usize,
    },
}

/// Why a file was not written; a file that was there before is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The picture does not keep what this file is made of.
    #[error("cannot write the {layer}: this picture was made without them")]
    Layer {
        /// What is missing.
        layer: &'static str,
    },
    /// Nothing would be left of the picture.
    #[error("cannot shrink the picture {shrink} times: it has fewer rows or columns")]
    Shrink {
        /// The divisor asked for.
        shrink: u32,
    },
    /// The path names a directory, a device or something else that is not a regular file.
    #[error("cannot write {}: it is {what}; name a file", path.display())]
    NotAFile {
        /// Where to.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// The system refused.
    #[error("cannot write {}: {advice}", path.display())]
    System {
        /// Where to.
        path: PathBuf,
        /// What is wrong and what to do about it.
        advice: Advice,
        /// What the system said.
        source: io::Error,
    },
}

impl WriteError {
    fn system(path: &Path, source: io::Error) -> Self {
        Self::System { path: path.to_owned(), advice: Advice::of(&source), source }
    }
}

/// What is wrong with a path and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// The disk or the quota is used up.
    Full,
    /// The directory of the file does not exist.
    NoDirectory,
    /// The directory may not be written to.
    Forbidden,
    /// The file system is mounted read-only.
    ReadOnly,
    /// The file system or a limit of the process allows no file of this size.
    TooLarge,
    /// Anything else; the source has the words of the system.
    Other,
}

impl Advice {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WriteZero => Self::Full,
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NoDirectory,
            io::ErrorKind::PermissionDenied => Self::Forbidden,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::FileTooLarge => Self::TooLarge,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the disk is full; free some space or name a file on another disk",
            Self::NoDirectory => "there is no such directory; create it or name another",
            Self::Forbidden => "this directory may not be written to; name another or change its permissions",
            Self::ReadOnly => "the disk is read-only; name a file on another disk",
            Self::TooLarge => "the file would be too large for this disk; draw a smaller picture",
            Self::Other => "the system refused",
        })
    }
}

/// Writes a new file beside `path`, brings it to the disk and then puts it in place of the old one.
fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), WriteError> {
    let draft = Draft::create(path)?;
    let failed = |error| WriteError::system(path, error);
    let mut buffered = BufWriter::with_capacity(1 << 18, &draft.file);
    write(&mut buffered).and_then(|()| buffered.flush()).map_err(failed)?;
    drop(buffered);
    draft.file.sync_all().and_then(|()| draft.publish(path)).map_err(failed)
}

/// A file under construction, which goes away unless it is published.
struct Draft {
    file: File,
    path: PathBuf,
    directory: PathBuf,
}

impl Draft {
    fn create(target: &Path) -> Result<Self, WriteError> {
        let not_a_file = |what| WriteError::NotAFile { path: target.to_owned(), what };
        let Some(name) = target.file_name() else { return Err(not_a_file("no file name")) };
        match fs::metadata(target) {
            Ok(there) if there.is_dir() => return Err(not_a_file("a directory")),
            // A rename would put a picture where a device was.
            Ok(there) if !there.is_file() => return Err(not_a_file("a device or a pipe")),
            Ok(_) | Err(_) => {}
        }
        let directory = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
        let mut draft_name = OsString::from(".");
        draft_name.push(name);
        draft_name.push(format!(".{}-{number}.part", std::process::id()));
        let path = directory.join(draft_name);
        match File::options().write(true).create_new(true).open(&path) {
            Ok(file) => Ok(Self { file, path, directory }),
            Err(error) => Err(WriteError::system(target, error)),
        }
    }

    fn publish(self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        // The file is complete now; that its name survives a loss of power is more than some file systems offer.
        let _ = File::open(&self.directory).and_then(|directory| directory.sync_all());
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove.
        let _ = fs::remove_file(&self.path);
    }
}

/// Sums up squares of pixels in linear light.
struct Blend {
    light: [f64; 256],
    /// The sums of the rows so far, three channels per pixel.
    sums: Vec<f64>,
    rows: u32,
    shrink: u32,
}

impl Blend {
    fn new(width: u32, shrink: u32) -> Self {
        let light = std::array::from_fn(|byte| light(byte as u8));
        Self { light, sums: vec![0.0; width as usize * 3], rows: 0, shrink }
    }

    /// Adds a row of the picture and returns a row of the file when its squares are full.
    fn add(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        let shrink = self.shrink as usize;
        for (sums, square) in self.sums.chunks_exact_mut(3).zip(line.chunks_exact(3 * shrink)) {
            for pixel in square.chunks_exact(3) {
                for (sum, &byte) in sums.iter_mut().zip(pixel) {
                    *sum += self.light[usize::from(byte)];
                }
            }
        }
        self.rows += 1;
        if self.rows < self.shrink {
            return None;
        }
        self.rows = 0;
        let share = f64::from(self.shrink * self.shrink);
        let blended = self.sums.iter().map(|sum| srgb_byte(sum / share)).collect();
        self.sums.fill(0.0);
        Some(blended)
    }
}

fn copy_rows<T: Copy>(target: &mut [T], width: u32, tile: Tile, source: &[T]) {
    let (width, start) = (width as usize, tile.x as usize);
    let lines = target.chunks_exact_mut(width).skip(tile.y as usize);
    for (line, row) in lines.zip(source.chunks_exact(tile.width as usize)) {
        line[start..start + row.len()].copy_from_slice(row);
    }
}

/// Tells apart the drafts of one process.
static DRAFTS: AtomicU32 = AtomicU32::new(0);

#[cfg(test)]
mod tests;
