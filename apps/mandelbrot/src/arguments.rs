//! What can be asked for.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use mandelbrot::view::View;

/// Draws the Mandelbrot set with all the nodes it can find.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) draw: Draw,
}

const EXAMPLES: &str = "\
Examples:
  mandelbrot --nodes 3 -o mandelbrot.png                 draw with three more processes
  mandelbrot --nodes 3 --kill-one -o mandelbrot.png      and kill one of them half-way
  mandelbrot --place seahorse --size 3840x2160 --palette ocean -o sea.png
  mandelbrot --center=-0.745,0.113 --half-width 0.01 --iters 5000 -o here.png
  mandelbrot --join 127.0.0.1:6969 -o mandelbrot.png     draw with workers that run elsewhere

  mandelbrot serve --listen 127.0.0.1:6969               be such a worker
  mandelbrot places                                      list the places worth a visit";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Works for others until it is told to stop.
    Serve(Serve),
    /// Lists the named places.
    Places,
    /// Lists the palettes.
    Palettes,
    /// Measures how close the kernel comes to what this machine's arithmetic can do.
    Ceiling,
}

#[derive(Args, Debug)]
pub(crate) struct Draw {
    /// Where to write the picture.
    #[arg(short, long, value_name = "FILE", default_value = "mandelbrot.png")]
    pub(crate) output: PathBuf,
    /// Width and height in pixels.
    #[arg(long, value_name = "WxH", default_value = "1920x1080", value_parser = size)]
    pub(crate) size: (u32, u32),
    /// A named place to start from; see `mandelbrot places`.
    #[arg(long, value_name = "NAME", default_value = "seahorse")]
    place: String,
    /// After how many iterations a point counts as inside; the place's own unless given.
    #[arg(long, value_name = "N")]
    iters: Option<u32>,
    /// The middle of the picture; the place's own unless given.
    #[arg(long, value_name = "RE,IM", value_parser = center, allow_hyphen_values = true)]
    center: Option<(f64, f64)>,
    /// Half the width of the picture in the plane; the place's own unless given.
    #[arg(long, value_name = "W")]
    half_width: Option<f64>,
    /// The colours; see `mandelbrot palettes`.
    #[arg(long, value_name = "NAME")]
    pub(crate) palette: Option<String>,
    /// Writes the iteration counts as well: u32, little-endian, row by row, 0 for inside.
    #[arg(long, value_name = "FILE")]
    pub(crate) raw: Option<PathBuf>,
    /// How many more processes to start on this machine.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) nodes: usize,
    /// Uses the workers that run at this address, and those that they know. Can be given more than once.
    #[arg(long, value_name = "ADDRESS", env = "GUTHI_JOIN")]
    pub(crate) join: Vec<String>,
    /// The cluster of those workers.
    #[arg(long, value_name = "NAME", env = "GUTHI_CLUSTER", default_value = CLUSTER)]
    pub(crate) cluster: String,
    /// Compute threads of each process; as many as there are cores unless given.
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,
    /// Kills one of the processes half-way, to show that the picture does not mind.
    #[arg(long, requires = "nodes")]
    pub(crate) kill_one: bool,
    /// Prints one JSON object about the drawing, and no progress.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The cluster of workers that were started by hand.
const CLUSTER: &str = "mandelbrot";

#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Listens here as well, such as 0.0.0.0:6969. Beyond this machine it needs the key in GUTHI_KEY.
    #[arg(long, value_name = "ADDRESS", env = "GUTHI_LISTEN")]
    pub(crate) listen: Option<String>,
    /// Links with the node at this address. Can be given more than once.
    #[arg(long, value_name = "ADDRESS", env = "GUTHI_JOIN")]
    pub(crate) join: Vec<String>,
    /// The cluster to belong to.
    #[arg(long, value_name = "NAME", env = "GUTHI_CLUSTER", default_value = CLUSTER)]
    pub(crate) cluster: String,
    /// What to be called.
    #[arg(long, value_name = "NAME", env = "GUTHI_NAME")]
    pub(crate) name: Option<String>,
    /// Compute threads; as many as there are cores unless given.
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,
    /// Ends when the standard input does, and says when it is ready: for processes that start this one.
    #[arg(long, hide = true)]
    pub(crate) child: bool,
}

impl Draw {
    /// The view that is asked for, checked.
    pub(crate) fn view(&self) -> anyhow::Result<View> {
        let mut view = View::named(&self.place, self.size)
            .ok_or_else(|| anyhow::anyhow!("no place is called {:?}; see `mandelbrot places`", self.place))?;
        if let Some(center) = self.center {
            view.center = center;
        }
        if let Some(half_width) = self.half_width {
            view.half_width = half_width;
        }
        if let Some(iterations) = self.iters {
            view.iterations = iterations;
        }
        view.validate()?;
        Ok(view)
    }
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let parsed = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    parsed.ok_or_else(|| "expected width x height in pixels, such as 1920x1080".into())
}

fn center(text: &str) -> Result<(f64, f64), String> {
    let parsed = text.split_once(',').and_then(|(re, im)| Some((re.trim().parse().ok()?, im.trim().parse().ok()?)));
    parsed.ok_or_else(|| "expected two numbers, such as -0.75,0.1".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_place_can_be_changed() {
        let arguments =
            Arguments::try_parse_from(["mandelbrot", "--center", "-1,0.5", "--iters", "7", "--size", "4x3"]);
        let view = arguments.unwrap().draw.view().unwrap();
        assert_eq!((view.center, view.iterations, view.size), ((-1.0, 0.5), 7, (4, 3)));
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for bad in [["--size", "4"], ["--size", "x"], ["--center", "1"], ["--iters", "-1"]] {
            assert!(Arguments::try_parse_from(["mandelbrot"].into_iter().chain(bad)).is_err(), "{bad:?}");
        }
        let none = Arguments::try_parse_from(["mandelbrot", "--place", "nowhere"]).unwrap();
        assert!(none.draw.view().unwrap_err().to_string().contains("mandelbrot places"));
    }
}
