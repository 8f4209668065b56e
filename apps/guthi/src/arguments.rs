//! The command line as clap reads it.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};

use crate::text::duration;

/// Starts nodes of Guthi, looks at them and calls their functions
#[derive(Debug, Parser)]
#[command(name = "guthi", version, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const AFTER: &str = "\
Examples:
  $ guthi node start --name ann
  $ guthi node ls
  $ guthi fn call math.add 2 3

Exit codes:
  0 done   1 failure   2 usage   3 not found   4 timeout   5 conflict   6 no local node can be reached
  7 the function failed or panicked   8 some of all nodes failed   130 interrupted";

/// What every command understands.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Globals {
    /// The local node to ask: its name, id, short id or URL. The oldest one unless given
    #[arg(long, value_name = "NODE", env = "GUTHI_NODE", global = true)]
    pub(crate) node: Option<String>,
    /// The form of what is printed: tables for people, one JSON value, or one on each line
    #[arg(short, long, value_name = "FORM", env = "GUTHI_OUTPUT", global = true, default_value = "table")]
    pub(crate) output: Output,
    /// How long the node may take to answer
    #[arg(long, value_name = "TIME", global = true, default_value = "5s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Says nothing but what was asked for
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Says more, such as which node was asked; twice for the log of a node
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// Whether to use colours; NO_COLOR=1 turns them off as well
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub(crate) color: Color,
    /// Shows times as they are in UTC
    #[arg(long, global = true)]
    pub(crate) utc: bool,
}

/// The form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
    Jsonl,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

/// What there is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Nodes: start one, see all, connect, leave
    #[command(subcommand)]
    Node(Node),
    /// Functions: see them, call them
    #[command(subcommand)]
    Fn(Function),
    /// Mutexes: see who holds them, run a command under one
    #[command(subcommand)]
    Lock(Lock),
    /// Variables: see them, read and write them, bring them elsewhere
    #[command(subcommand)]
    Var(Var),
    /// Topics: say something to whoever subscribes, and hear what is said
    #[command(subcommand)]
    Topic(Topic),
    /// What happens to nodes
    #[command(subcommand)]
    Events(Events),
    /// What nodes log
    #[command(subcommand)]
    Log(Log),
    /// The members that all of them agree on
    #[command(subcommand)]
    View(View),
    /// Shows who sees whom, as a matrix
    #[command(after_help = "Examples:\n  $ guthi sees\n  $ guthi sees -o json")]
    Sees,
    /// Starts several nodes on this machine, and ends them with Ctrl-C
    Lab(Lab),
    /// Keys of clusters
    #[command(subcommand)]
    Key(Key),
    /// Prints a line with which another node can join: its addresses and its id, no secret
    #[command(after_help = "Examples:\n  $ guthi ticket\n  $ guthi node connect $(guthi ticket --node ann) --node ben")]
    Ticket,
    /// Prints the URL that opens the dashboard of a local node: whoever has it can do what you can
    #[command(after_help = "Examples:\n  $ guthi dashboard\n  $ guthi dashboard --node ben")]
    Dashboard,
    /// Looks for what is wrong on this machine, and says what to do
    #[command(after_help = "Examples:\n  $ guthi doctor\n  $ guthi doctor -o json")]
    Doctor,
    /// Prints the completions of a shell
    #[command(after_help = "\
Examples:
  $ guthi completions bash > ~/.local/share/bash-completion/completions/guthi
  $ guthi completions zsh > ~/.zfunc/_guthi
  $ guthi completions fish > ~/.config/fish/completions/guthi.fish")]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// The same as `guthi node ls`
    #[command(after_help = "Examples:\n  $ guthi ps\n  $ guthi ps --status failed")]
    Ps(Ls),
}

/// `guthi node`.
#[derive(Debug, Subcommand)]
pub(crate) enum Node {
    /// Starts a node that serves until Ctrl-C
    Start(Box<Start>),
    /// Lists the nodes of the cluster, as one of them sees them
    Ls(Ls),
    /// Shows all about one node
    #[command(after_help = "Examples:\n  $ guthi node show\n  $ guthi node show ben -o json")]
    Show {
        /// Its name, id or short id; the node that is asked unless given
        which: Option<String>,
    },
    /// Links the local node with the one at an address, and with all that it knows
    #[command(after_help = "\
Examples:
  $ guthi node connect 10.0.0.5:6969
  $ guthi node connect /ip4/10.0.0.5/tcp/6969
  $ guthi node connect guthi1node...")]
    Connect {
        /// host:port, a multiaddress, or what `guthi ticket` printed
        address: String,
    },
    /// Lets a local node say goodbye and end
    #[command(after_help = "Examples:\n  $ guthi node leave\n  $ guthi node leave ben")]
    Leave {
        /// The local node; needed if there are several
        which: Option<String>,
    },
    /// Bans a node from the cluster, for all
    #[command(after_help = "Examples:\n  $ guthi node forget cat")]
    Forget {
        /// Its name, id or short id
        which: String,
    },
}

/// `guthi node start`.
#[derive(Args, Debug)]
#[command(after_help = "\
Without --listen and --join it is a node for this machine, and finds the others of its cluster here by itself.
Beyond this machine a key is needed: `guthi key new` makes one, for GUTHI_KEY or --key-file.

Examples:
  $ guthi node start
  $ guthi node start --name ann --label rack=3
  $ guthi node start --cluster studio --listen 10.0.0.6:6969 --join 10.0.0.5:6969 --key-file studio.key")]
pub(crate) struct Start {
    /// What to call it; two words from its id unless given
    #[arg(long, env = "GUTHI_NAME")]
    pub(crate) name: Option<String>,
    /// The cluster to belong to
    #[arg(long, value_name = "NAME", env = "GUTHI_CLUSTER", default_value = "local")]
    pub(crate) cluster: String,
    /// Listens here, and nowhere else: IP:PORT or a multiaddress. Can be given more than once
    #[arg(long, value_name = "ADDRESS", env = "GUTHI_LISTEN", value_delimiter = ',')]
    pub(crate) listen: Vec<String>,
    /// Links with the node at this address or ticket. Can be given more than once
    #[arg(long, value_name = "ADDRESS", env = "GUTHI_JOIN", value_delimiter = ',')]
    pub(crate) join: Vec<String>,
    /// A file with the key of the cluster; GUTHI_KEY unless given
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Says something about it that all nodes see. Can be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) label: Vec<(String, String)>,
    /// Where it is: the same as --label zone=NAME
    #[arg(long, value_name = "NAME")]
    pub(crate) zone: Option<String>,
    /// Threads for plain functions; as many as there are cores unless given
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,
    /// No dashboard, and nothing that this program could ask
    #[arg(long, conflicts_with = "dashboard")]
    pub(crate) no_dashboard: bool,
    /// Where the dashboard is; the first free port from 7969 on unless given
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) dashboard: Option<SocketAddr>,
    /// Leaves when the standard input ends, for whoever starts it as a child
    #[arg(long, hide = true)]
    pub(crate) child: bool,
}

/// `guthi node ls`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  $ guthi node ls
  $ guthi node ls --status alive,failed
  $ guthi node ls -o jsonl")]
pub(crate) struct Ls {
    /// Only those that are so: joining, alive, suspected, failed, left
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    pub(crate) status: Vec<Status>,
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Status {
    Joining,
    Alive,
    Suspected,
    Failed,
    Left,
}

/// `guthi fn`.
#[derive(Debug, Subcommand)]
pub(crate) enum Function {
    /// Lists what can be called
    #[command(after_help = "Examples:\n  $ guthi fn ls\n  $ guthi fn ls math.\n  $ guthi fn ls --contains add -o json")]
    Ls {
        /// Only names that begin like this
        prefix: Option<String>,
        /// Only names with this in them
        #[arg(long, value_name = "TEXT")]
        contains: Option<String>,
    },
    /// Calls a function, wherever it runs
    Call(Box<Call>),
}

/// `guthi fn call`.
#[derive(Args, Debug)]
#[command(after_help = "\
An argument is JSON if it can be read as JSON, and text otherwise: 5 is a number, five is a text, '\"5\"' is a text too.
@FILE is what stands in a file, @- what comes from the standard input, @@x the text @x.

Examples:
  $ guthi fn call math.add 2 3
  $ guthi fn call echo hello --on ben --raw
  $ guthi fn call sys.uptime --on all -o jsonl
  $ guthi fn call demo.report 18 --local
  $ guthi fn call demo.status 18 --to 127.0.0.1:6969
  $ guthi fn call math.add --args '[2, 3]' --print")]
pub(crate) struct Call {
    /// The function
    pub(crate) name: String,
    /// Its arguments
    #[arg(value_name = "ARGUMENT", allow_negative_numbers = true)]
    pub(crate) arguments: Vec<String>,
    /// All arguments as one JSON value: null for none, the value for one, an array for more
    #[arg(long, value_name = "JSON", conflicts_with = "arguments")]
    pub(crate) args: Option<String>,
    /// Where it runs: any (the least busy node), all, or the name, id or short id of a node
    #[arg(long, value_name = "NODE", default_value = "any")]
    pub(crate) on: String,
    /// How long it may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) deadline: Duration,
    /// Tries so many times in all if nodes are lost while they run it
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) attempts: u32,
    /// Prints a text as it is, without quotes
    #[arg(short, long)]
    pub(crate) raw: bool,
    /// Prints the request with which curl does the same, and calls nothing. It holds the token of the node
    #[arg(long, conflicts_with_all = ["to", "ephemeral", "local"])]
    pub(crate) print: bool,
    #[command(flatten)]
    pub(crate) path: Path,
}

/// Which way a call goes, if not through a local node.
#[derive(Args, Debug)]
#[command(next_help_heading = "Instead of through a local node")]
pub(crate) struct Path {
    /// Straight to the node at this address or ticket, from a node within this command
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["ephemeral", "local", "on"])]
    pub(crate) to: Option<String>,
    /// From a node within this command, which joins, calls and leaves
    #[arg(long, conflicts_with = "local")]
    pub(crate) ephemeral: bool,
    /// In this command, which joins for as long as the function runs; what the function calls may run elsewhere
    #[arg(long, conflicts_with = "on")]
    pub(crate) local: bool,
    /// The cluster of a node within this command
    #[arg(long, value_name = "NAME", env = "GUTHI_CLUSTER", default_value = "local")]
    pub(crate) cluster: String,
    /// Its key; GUTHI_KEY, or the one of this user's local nodes, unless given
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// `guthi lock`.
#[derive(Debug, Subcommand)]
pub(crate) enum Lock {
    /// Lists the mutexes of the cluster, who holds them, and who waits
    #[command(after_help = "\
It ends with 8 if some node did not answer: there may be more then.

Examples:
  $ guthi lock ls
  $ guthi lock ls deploy/
  $ guthi lock ls -o json")]
    Ls {
        /// Only names that begin like this
        prefix: Option<String>,
    },
    /// Runs a command while nobody else has the mutex of this name, on any node
    Run(Box<LockRun>),
}

/// `guthi lock run`.
#[derive(Args, Debug)]
#[command(after_help = "\
The command finds in its environment:
  GUTHI_LOCK    the name of the mutex
  GUTHI_FENCE   a number such as 7.42, higher than that of all before: let what is changed refuse
                lower ones
  GUTHI_PREVIOUS_HOLDER_DIED=1   if whoever had it before died, and has perhaps not finished

It ends with the exit code of the command (128 and the signal, if a signal ended it), with 127 or
126 if the command cannot be started, and with 5 if the mutex was not to be had in time, or was
lost: then the command gets SIGTERM, and SIGKILL after --grace. Signals to this program go to the
command, and the mutex is held until that has ended.

Examples:
  $ guthi lock run deploy -- ./deploy.sh staging
  $ guthi lock run deploy --wait 30s -- ./deploy.sh
  $ guthi lock run backup/nightly --try -- ./backup.sh
  $ guthi lock run deploy --ephemeral --cluster studio --key-file studio.key -- ./deploy.sh")]
pub(crate) struct LockRun {
    /// The mutex: 1 to 255 bytes
    pub(crate) name: String,
    /// Gives up after this time; waits without end unless given
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "tries")]
    pub(crate) wait: Option<Duration>,
    /// Gives up at once if somebody has it or waits for it
    #[arg(long = "try")]
    pub(crate) tries: bool,
    /// How long the command may take to end if the mutex is lost, before it is killed
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) grace: Duration,
    /// The command, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
    #[command(flatten)]
    pub(crate) within: Within,
}

/// A node within this command, in place of a local one.
#[derive(Args, Debug)]
#[command(next_help_heading = "Instead of through a local node")]
pub(crate) struct Within {
    /// By a node within this command, which joins, holds the mutex and leaves
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// The cluster of a node within this command
    #[arg(long, value_name = "NAME", env = "GUTHI_CLUSTER", default_value = "local")]
    pub(crate) cluster: String,
    /// Its key; GUTHI_KEY, or the one of this user's local nodes, unless given
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// `guthi var`.
#[derive(Debug, Subcommand)]
pub(crate) enum Var {
    /// Prints the value of a variable, as JSON
    #[command(after_help = "\
With -v or -o json it says the version and the type as well. If no node says what the type looks like, the bytes are
printed, as base64.

Examples:
  $ guthi var get site/hits
  $ guthi var get motd --raw
  $ guthi var get site/hits -o json")]
    Get {
        /// The variable
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// Prints a text as it is, without quotes
        #[arg(short, long)]
        raw: bool,
    },
    /// Prints each value of a variable, or of many, as it comes, until Ctrl-C
    #[command(after_help = "\
It begins with what there is. Where values come faster than they are printed, the newest is next, and a line on the
standard error says how many are not shown. It ends when the node leaves.

A name that ends in ** stands for all variables that begin with what is before it, and ** alone for all: each line has
the name and the value then. Quote it, so that the shell leaves it as it is. A variable whose own name ends in ** is
watched with ** behind that, together with those that begin so. With --updates-only nothing is told before all that
there is was passed over; JSON says {\"change\":\"listed\"} at that place otherwise, which -n does not count.

Examples:
  $ guthi var watch site/hits
  $ guthi var watch site/hits --updates-only -n 1
  $ guthi var watch 'site/**'
  $ guthi var watch '**' -o jsonl")]
    Watch {
        /// The variable, or how those begin that are meant, and **
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// Leaves out what there is at first
        #[arg(long)]
        updates_only: bool,
        /// Ends after so many
        #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = u64::MAX, hide_default_value = true, value_parser = clap::value_parser!(u64).range(1..))]
        count: u64,
    },
    /// Gives a variable a value, and creates it if it is not there
    Set(Box<VarSet>),
    /// Adds to a variable that is a whole number, and prints what it is then
    #[command(
        after_help = "Examples:\n  $ guthi var add site/hits\n  $ guthi var add site/hits 5\n  $ guthi var add site/hits -1"
    )]
    Add {
        /// The variable
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// What is added
        #[arg(default_value_t = 1, allow_negative_numbers = true)]
        delta: i64,
    },
    /// Lists the variables of the cluster
    #[command(after_help = "\
It ends with 8 if some node did not answer: there may be more then.

Examples:
  $ guthi var ls
  $ guthi var ls site/
  $ guthi var ls --contains hits -o json")]
    Ls {
        /// Only names that begin like this
        prefix: Option<String>,
        /// Only names with this in them
        #[arg(long, value_name = "TEXT")]
        contains: Option<String>,
    },
    /// Deletes a variable, for all
    #[command(after_help = "Examples:\n  $ guthi var rm site/hits")]
    Rm {
        /// The variable
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
    },
    /// Begins a variable anew after all nodes that kept it died at once, and the others that they kept
    #[command(after_help = "\
A node that was only cut off may still have what it was: bring that back first, if you can.
Afterwards the variable is not there, and can be created. One that is not lost is left as it is.

Examples:
  $ guthi var reset site/hits")]
    Reset {
        /// The variable
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
    },
    /// Writes all variables as lines of JSON, for `guthi var import`
    #[command(after_help = "\
It ends with 8 if some node did not answer, or some variable could not be read. Each is read by itself: what changes
meanwhile is in it as it was before, or as it is after.

Examples:
  $ guthi var export
  $ guthi var export site/ --file site.jsonl
  $ guthi var export > all.jsonl")]
    Export {
        /// Only names that begin like this
        prefix: Option<String>,
        /// Writes them into this file
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Sets all variables of an export
    #[command(after_help = "\
A line has a name and a value, or base64 and kind. Where value and base64 are there, base64 counts: to change the value
by hand, take the base64 away. It ends with 8 if some could not be set.

Examples:
  $ guthi var import site.jsonl
  $ guthi var import site.jsonl --keep
  $ guthi var import -")]
    Import {
        /// The file; - for the standard input
        file: PathBuf,
        /// Leaves those as they are that are there
        #[arg(long)]
        keep: bool,
    },
}

/// `guthi var set`.
#[derive(Args, Debug)]
#[command(after_help = "\
A value is JSON if it can be read as JSON, and text otherwise: 5 is a number, five is a text, '\"5\"' is a text too.
@FILE is what stands in a file, @- what comes from the standard input, @@x the text @x.
The type of a variable stays. A new one gets it from the value: i64, u64 if it is too large for that, f64, bool or
string; or by --type: u8 to u128, i8 to i128, f32, f64, bool, char, string, or json for any JSON.

It ends with 5 if the version is another one by now.

Examples:
  $ guthi var set site/limit 20
  $ guthi var set site/limit 30 --if-version 7.42
  $ guthi var set motd hello
  $ guthi var set site/hits 0 --type u64 --new
  $ guthi var set site/config @config.json --type json")]
pub(crate) struct VarSet {
    /// The variable: 1 to 255 bytes
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: String,
    /// What it is to be
    #[arg(allow_negative_numbers = true)]
    pub(crate) value: String,
    /// The type of one that is created; refused if it is there with another one
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) of_type: Option<String>,
    /// Only if it still has this version, as `guthi var get -o json` shows it
    #[arg(long, value_name = "VERSION")]
    pub(crate) if_version: Option<guthi::Version>,
    /// Only if it is not there
    #[arg(long, conflicts_with = "if_version")]
    pub(crate) new: bool,
    /// The value is its encoded bytes, as base64: for types that no node says the look of
    #[arg(long)]
    pub(crate) base64: bool,
    /// What the type of those bytes is called: 16 digits of base 16
    #[arg(long, value_name = "KIND", requires = "base64", conflicts_with = "of_type")]
    pub(crate) kind: Option<String>,
}

/// `guthi topic`.
#[derive(Debug, Subcommand)]
pub(crate) enum Topic {
    /// Publishes a message in a topic, and prints how many nodes it was handed to
    #[command(after_help = "\
A value is as for `guthi var set`: JSON if it can be read as JSON, and text otherwise; @FILE is what stands in a file,
@- what comes from the standard input, @@x the text @x. Its type follows from it: i64, u64 if it is too large for that,
f64, bool or string; or --type says it. Programs pass over what is of another type than theirs.

Nobody keeps it: whoever subscribes later does not get it.

Examples:
  $ guthi topic pub chat hello
  $ guthi topic pub chat 5 --type string
  $ guthi topic pub build/done @report.json --type json
  $ guthi topic pub moves AQID --base64 --kind 00000000000000ff")]
    Pub {
        /// The topic: 1 to 255 bytes
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// The message
        #[arg(allow_negative_numbers = true)]
        value: String,
        /// The type of the message
        #[arg(long = "type", value_name = "TYPE")]
        of_type: Option<String>,
        /// The value is its encoded bytes, as base64: for types that no node says the look of
        #[arg(long)]
        base64: bool,
        /// What the type of those bytes is called: 16 digits of base 16
        #[arg(long, value_name = "KIND", requires = "base64", conflicts_with = "of_type")]
        kind: Option<String>,
    },
    /// Prints what is published in a topic from now on, until Ctrl-C
    #[command(after_help = "\
Who says it stands before what is said; -o jsonl tells the type as well. If no node says what the type looks like, the
bytes are printed, as base64. Where messages are lost, a line on the standard error says how many. It ends when the node
leaves.

Examples:
  $ guthi topic sub chat
  $ guthi topic sub chat -n 1 -o jsonl")]
    Sub {
        /// The topic
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// Ends after so many
        #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = u64::MAX, hide_default_value = true, value_parser = clap::value_parser!(u64).range(1..))]
        count: u64,
    },
}

/// `guthi events`.
#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// Tells what happens to nodes, as it happens
    #[command(after_help = "\
With -o json it prints one event a line, as with -o jsonl.

Examples:
  $ guthi events watch
  $ guthi events watch -n 0 -o jsonl
  $ guthi events watch --no-follow")]
    Watch {
        /// Begins with so many of the past
        #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
        lines: usize,
        /// Ends after those of the past
        #[arg(long)]
        no_follow: bool,
    },
}

/// `guthi log`.
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Prints the last lines of the logs of nodes
    #[command(after_help = "\
Examples:
  $ guthi log tail
  $ guthi log tail --on all --level warn --follow
  $ guthi log tail --on ben -n 100 --contains linked -o jsonl")]
    Tail(Tail),
}

/// `guthi log tail`.
#[derive(Args, Debug)]
pub(crate) struct Tail {
    /// Whose: all, or the name, id or short id of a node; the node that is asked unless given
    #[arg(long, value_name = "NODE")]
    pub(crate) on: Option<String>,
    /// This level and what is graver
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) level: Level,
    /// Only lines with this in them
    #[arg(long, value_name = "TEXT", alias = "grep")]
    pub(crate) contains: Option<String>,
    /// So many lines at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) lines: u32,
    /// Goes on with what is logged from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
}

/// How grave a line of a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// `guthi view`.
#[derive(Debug, Subcommand)]
pub(crate) enum View {
    /// Shows the view: its lineage, its number, its members
    #[command(after_help = "Examples:\n  $ guthi view show\n  $ guthi view show -o json")]
    Show,
}

/// `guthi lab`.
#[derive(Args, Debug)]
#[command(after_help = "\
The nodes are a cluster of their own, with a random name. A program is started so many times, with GUTHI_CLUSTER,
GUTHI_NAME and GUTHI_RUNTIME_DIR in its environment; it reads them with `Builder::from_env`.
What they print comes with their names before it. Ctrl-C ends them all, and the end of their standard input says so too.

Examples:
  $ guthi lab
  $ guthi lab -n 5 --restart
  $ guthi lab -n 3 -- ./my-program --fast")]
pub(crate) struct Lab {
    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) nodes: u16,
    /// Starts one that has ended again, five times each at most
    #[arg(long)]
    pub(crate) restart: bool,
    /// A program and its arguments; `guthi node start` unless given
    #[arg(last = true, value_name = "PROGRAM")]
    pub(crate) program: Vec<String>,
}

/// `guthi key`.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Makes the key of a cluster: whoever has it can run every function
    #[command(after_help = "\
Examples:
  $ guthi key new --file studio.key
  $ export GUTHI_KEY=$(guthi key new)")]
    New {
        /// Writes it into a new file that only you can read, instead of printing it
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// Shells that can complete commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    if key.is_empty() { Err("the key is empty".into()) } else { Ok((key.into(), value.into())) }
}

#[cfg(test)]
mod tests {
    use std::path::Path as FilePath;

    use clap::CommandFactory;

    use super::*;

    /// Every command that does something, by the words that lead to it.
    fn leaves() -> Vec<(Vec<String>, clap::Command)> {
        fn walk(path: &[String], command: &clap::Command, leaves: &mut Vec<(Vec<String>, clap::Command)>) {
            let mut children = command.get_subcommands().filter(|child| child.get_name() != "help").peekable();
            if children.peek().is_none() {
                leaves.push((path.to_vec(), command.clone()));
            }
            for child in children {
                walk(&[path, &[child.get_name().to_owned()]].concat(), child, leaves);
            }
        }
        let mut leaves = Vec::new();
        walk(&[], &Arguments::command(), &mut leaves);
        leaves
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
        assert!(leaves().len() > 15, "the tree is walked");
    }

    #[test]
    fn every_command_has_examples_that_can_be_typed() {
        for (path, command) in leaves() {
            let words = path.join(" ");
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<_> = help.lines().filter_map(|line| line.trim().strip_prefix("$ guthi ")).collect();
            assert!(examples.iter().any(|example| example.starts_with(&words)), "`guthi {words}` has no example");
            for example in examples {
                // What is left of a redirection, without what the shell puts in.
                let typed = example.split(" > ").next().unwrap_or(example).replace("$(guthi ticket --node ann)", "x");
                let typed = typed.replace('\'', "").replace("[2, 3]", "[2,3]");
                let parsed = Arguments::try_parse_from(["guthi"].into_iter().chain(typed.split(' ')));
                assert!(
                    parsed.is_ok(),
                    "`guthi {example}`: {}",
                    parsed.err().map(|error| error.to_string()).unwrap_or_default()
                );
            }
        }
    }

    #[test]
    fn every_command_has_a_golden_answer_in_json() {
        let golden = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        for (path, _) in leaves() {
            let file = golden.join(format!("{}.json", path.join("-")));
            assert!(file.exists(), "`guthi {}` has no {}: see tests/cli/golden.rs", path.join(" "), file.display());
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_suggestion() {
        let refused = Arguments::try_parse_from(["guthi", "node", "lss"]).unwrap_err();
        assert!(refused.to_string().contains("'ls'"), "{refused}");
        let bad = [
            vec!["node", "start", "--label", "=x"],
            vec!["node", "start", "--no-dashboard", "--dashboard", "127.0.0.1:1"],
            vec!["fn", "call", "f", "--to", "a:1", "--local"],
            vec!["fn", "call", "f", "1", "--args", "[]"],
            vec!["lab", "-n", "0"],
            vec!["lock", "run", "m"],
            vec!["lock", "run", "m", "true"],
            vec!["lock", "run", "m", "--try", "--wait", "1s", "--", "true"],
            vec!["var", "set", "v"],
            vec!["var", "set", "v", "1", "--if-version", "7"],
            vec!["var", "set", "v", "1", "--if-version", "7.1", "--new"],
            vec!["var", "set", "v", "1", "--kind", "00"],
            vec!["var", "add", "v", "1.5"],
            vec!["topic", "pub", "t"],
            vec!["topic", "pub", "t", "1", "--kind", "00"],
            vec!["topic", "sub", "t", "-n", "0"],
            vec!["node", "ls", "--timeout", "5"],
            vec!["node", "ls", "-o", "yaml"],
        ];
        for bad in bad {
            assert!(Arguments::try_parse_from(["guthi"].into_iter().chain(bad.clone())).is_err(), "{bad:?}");
        }
    }
}
