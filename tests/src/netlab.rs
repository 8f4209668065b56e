//! Hosts in network namespaces of their own, joined by a bridge, and cables between them that can be cut.
//!
//! ```text
//!  host 0        host 1        host 2       one namespace each: 10.69.0.1, 10.69.0.2, …
//!   eth0          eth0          eth0
//!    |             |             |
//!  port0         port1         port2
//!    +------- bridge `lan` ------+          the namespace of the switch
//! ```
//!
//! What is cut is dropped within the bridge, by a pair of ports: no host can tell it from a broken cable, since nothing
//! refuses and no interface goes down. All of it lies in namespaces, so to delete these leaves nothing behind.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use rustix::{
    process::{Pid, Signal, kill_process},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// The names of all namespaces of all labs begin like this; the id of the process follows.
const PREFIX: &str = "guthi-lab-";
/// Where `ip netns` keeps them.
const NAMESPACES: &str = "/run/netns";
const NEEDS: &str = "it takes root, and the packages iproute2 and nftables";
/// A datagram within the bridge takes some hundredths of a millisecond.
const DATAGRAM_MAX: Duration = Duration::from_millis(200);
const DATAGRAMS_MAX: usize = 50;

/// Some hosts on one switch. Dropping it takes all of it away, with whatever still runs there.
#[derive(Debug)]
pub struct Lab {
    /// The name that those of its namespaces begin with.
    name: String,
    hosts: Vec<Host>,
}

/// A machine with one network card, as far as its processes can tell.
#[derive(Debug)]
pub struct Host {
    namespace: String,
    address: Ipv4Addr,
}

impl Lab {
    /// So many hosts, which all hear each other.
    ///
    /// # Errors
    /// A sentence that says what this machine lacks.
    pub fn new(hosts: usize) -> Result<Self, String> {
        sweep();
        let name = (0..).map(|number| format!("{PREFIX}{}-{number}", std::process::id())).find_map(claim);
        // From here on, dropping it takes away what is there already.
        let mut lab = Self { name: name.expect("there is no last number")?, hosts: Vec::new() };
        lab.switch(&["ip", "link", "add", "lan", "type", "bridge"])?;
        lab.switch(&["ip", "link", "set", "lan", "up"])?;
        for number in 0..hosts {
            lab.add_host(number)?;
        }
        let chain = "{ type filter hook forward priority 0; policy accept; }";
        lab.filter(&format!("add table bridge lab\nadd chain bridge lab forward {chain}\n"))?;
        lab.check()?;
        Ok(lab)
    }

    /// The same; where it cannot be, it says why and there is none. With `CI=true` that is a failure.
    ///
    /// # Panics
    /// If it cannot be and `CI` is `true`.
    #[must_use]
    pub fn or_skip(hosts: usize) -> Option<Self> {
        match Self::new(hosts) {
            Ok(lab) => Some(lab),
            Err(lack) if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
                panic!("there can be no lab: {lack} ({NEEDS})")
            }
            Err(lack) => {
                eprintln!("skipped, since there can be no network of namespaces here: {lack} ({NEEDS})");
                None
            }
        }
    }

    /// The hosts, by number.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Nothing gets from `a` to `b` nor back.
    ///
    /// # Panics
    /// If the switch cannot be told; so in all that follow.
    pub fn cut(&self, a: usize, b: usize) {
        self.partition(&[a], &[b]);
    }

    /// Nothing gets from `a` to `b`; from `b` to `a` it does.
    pub fn cut_one_way(&self, a: usize, b: usize) {
        // Without an answer to who has an address, the other way would be cut too before long.
        self.add(&drop_between(&[a], &[b], "ether type != arp"));
    }

    /// Nothing gets between any of these and any of those.
    pub fn partition(&self, these: &[usize], those: &[usize]) {
        self.add(&both_ways(these, those));
    }

    /// Neighbours alone hear each other: 0 and 1, 1 and 2, and so on.
    pub fn chain(&self) {
        let pairs = (0..self.hosts.len()).flat_map(|a| (a + 2..self.hosts.len()).map(move |b| (a, b)));
        self.add(&pairs.map(|(a, b)| both_ways(&[a], &[b])).collect::<String>());
    }

    /// What leaves a host gets through at so many kilobits a second, through a queue of a fifth of a second.
    pub fn slow(&self, host: usize, kilobits: u32) {
        let rate = format!("{kilobits}kbit");
        let tbf = ["tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", &rate, "burst", "32kbit"];
        let slowed = self.hosts[host].run(&[&tbf[..], &["latency", "200ms"]].concat());
        slowed.expect("the card can be told");
    }

    /// How many bytes have left a host.
    #[must_use]
    pub fn sent(&self, host: usize) -> u64 {
        let mut cat = self.hosts[host].command("cat");
        let told = run(cat.arg("/sys/class/net/eth0/statistics/tx_bytes")).expect("the card can be asked");
        told.trim().parse().expect("a number")
    }

    /// Everybody hears everybody again.
    pub fn heal(&self) {
        self.add("flush chain bridge lab forward\n");
    }

    fn add(&self, rules: &str) {
        self.filter(rules).expect("the switch can be told");
    }

    fn add_host(&mut self, number: usize) -> Result<(), String> {
        let last = u8::try_from(number + 1).map_err(|_| "so many hosts have no addresses here".to_owned())?;
        let host = Host { namespace: format!("{}-{number}", self.name), address: Ipv4Addr::new(10, 69, 0, last) };
        run(Command::new("ip").args(["netns", "add", &host.namespace]))?;
        let (address, port, namespace) = (format!("{}/24", host.address), port(number), host.namespace.clone());
        self.hosts.push(host);
        let host = &self.hosts[number];
        self.switch(&["ip", "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &namespace])?;
        self.switch(&["ip", "link", "set", &port, "master", "lan", "up"])?;
        host.run(&["ip", "address", "add", &address, "dev", "eth0"])?;
        host.run(&["ip", "link", "set", "lo", "up"])?;
        host.run(&["ip", "link", "set", "eth0", "up"])
    }

    /// A command in the namespace of the switch.
    fn switch(&self, command: &[&str]) -> Result<(), String> {
        run(within(&self.name).args(command)).map(drop)
    }

    /// Rules for the bridge, all of them at one moment.
    fn filter(&self, rules: &str) -> Result<(), String> {
        let mut nft = within(&self.name);
        nft.args(["nft", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = nft.spawn().map_err(|error| format!("{nft:?}: {error}"))?;
        let written = child.stdin.take().map(|mut input| input.write_all(rules.as_bytes()));
        let output = child.wait_with_output().map_err(|error| format!("{nft:?}: {error}"))?;
        judge(&nft, &output)?;
        written.expect("it is piped").map_err(|error| format!("{nft:?}: {error}"))
    }

    /// Whether this kernel does what it was told: some accept the rules, and let everything pass.
    fn check(&self) -> Result<(), String> {
        let [a, b, ..] = self.hosts.as_slice() else { return Ok(()) };
        let sockets = [a.socket()?, b.socket()?];
        let expect = |wanted: [bool; 2], when: &str| {
            // What should come may be slow at first; what should not come is not waited for as long.
            let tries = wanted.map(|wanted| if wanted { DATAGRAMS_MAX } else { 1 });
            let there = passes(&sockets[0], &sockets[1], when, tries[0])?;
            let back = passes(&sockets[1], &sockets[0], when, tries[1])?;
            let told = format!("{when}, from one host to the other and back: {there}, {back} instead of {wanted:?}");
            if [there, back] == wanted { Ok(()) } else { Err(told) }
        };
        expect([true, true], "on a bridge without rules")?;
        self.cut_one_way(0, 1);
        expect([false, true], "cut one way")?;
        self.heal();
        self.cut(0, 1);
        expect([false, false], "cut")?;
        self.heal();
        expect([true, true], "healed")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The switch last: as long as it is there, nobody else takes the name.
        for host in &self.hosts {
            remove(&host.namespace);
        }
        remove(&self.name);
    }
}

impl Host {
    /// Its address.
    #[must_use]
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A command that runs here; the process that is started is the program itself.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = within(&self.namespace);
        command.arg(program);
        command
    }

    fn run(&self, command: &[&str]) -> Result<(), String> {
        run(within(&self.namespace).args(command)).map(drop)
    }

    /// A socket stays in the namespace in which it was made, a thread need not.
    fn socket(&self) -> Result<UdpSocket, String> {
        let (path, address) = (path(&self.namespace), SocketAddrV4::new(self.address, 0));
        let open = move || -> io::Result<UdpSocket> {
            move_into_link_name_space(File::open(path)?.as_fd(), Some(LinkNameSpaceType::Network))?;
            let socket = UdpSocket::bind(address)?;
            socket.set_read_timeout(Some(DATAGRAM_MAX))?;
            Ok(socket)
        };
        let opened = thread::spawn(open).join().expect("it does not panic");
        opened.map_err(|error| format!("no socket in a namespace: {error}"))
    }
}

fn both_ways(these: &[usize], those: &[usize]) -> String {
    drop_between(these, those, "") + &drop_between(those, these, "")
}

/// The rule that drops what comes from some hosts for others, if it is like this.
fn drop_between(from: &[usize], to: &[usize], what: &str) -> String {
    let ports =
        |hosts: &[usize]| hosts.iter().map(|host| format!("\"{}\"", port(*host))).collect::<Vec<_>>().join(", ");
    format!("add rule bridge lab forward iifname {{ {} }} oifname {{ {} }} {what} drop\n", ports(from), ports(to))
}

fn port(host: usize) -> String {
    format!("port{host}")
}

fn path(namespace: &str) -> PathBuf {
    Path::new(NAMESPACES).join(namespace)
}

/// A command within a namespace, to be given its program and arguments.
fn within(namespace: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]);
    command
}

/// Takes a name by making the namespace of that name; nothing if somebody else has it.
fn claim(name: String) -> Option<Result<String, String>> {
    let taken = path(&name).exists();
    match run(Command::new("ip").args(["netns", "add", &name])) {
        Ok(_) => Some(Ok(name)),
        Err(_) if taken || path(&name).exists() => None,
        Err(lack) => Some(Err(lack)),
    }
}

/// Whether a datagram with this word gets from one socket to the other; what is left of earlier ones does not count.
fn passes(from: &UdpSocket, to: &UdpSocket, word: &str, tries: usize) -> Result<bool, String> {
    let text = |error: io::Error| error.to_string();
    let mut heard = [0; 64];
    for _ in 0..tries {
        from.send_to(word.as_bytes(), to.local_addr().map_err(text)?).map_err(text)?;
        loop {
            match to.recv(&mut heard) {
                Ok(length) if heard[..length] == *word.as_bytes() => return Ok(true),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => break,
                Err(error) => return Err(text(error)),
            }
        }
    }
    Ok(false)
}

/// Takes away what processes left behind that were killed.
fn sweep() {
    let Ok(entries) = std::fs::read_dir(NAMESPACES) else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()).map(str::parse::<u32>);
        if let Some(Ok(owner)) = owner
            && !Path::new("/proc").join(owner.to_string()).exists()
        {
            remove(&name);
        }
    }
}

/// Takes a namespace away, with all that runs in it. Somebody else may do so at the same time.
fn remove(namespace: &str) {
    let Ok(processes) = run(Command::new("ip").args(["netns", "pids", namespace])) else { return };
    for pid in processes.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)) {
        let _ = kill_process(pid, Signal::KILL);
    }
    let _ = run(Command::new("ip").args(["netns", "delete", namespace]));
}

/// Runs a command to its end: what it printed, or why it failed.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    judge(command, &output)
}

fn judge(command: &Command, output: &Output) -> Result<String, String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut told = String::from("`");
    for part in std::iter::once(command.get_program()).chain(command.get_args()) {
        let _ = write!(told, "{} ", part.to_string_lossy());
    }
    Err(format!("{}`: {}", told.trim_end(), String::from_utf8_lossy(&output.stderr).trim()))
}
