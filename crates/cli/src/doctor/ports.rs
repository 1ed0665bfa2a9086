//! Who listens where Warmlane does unless set otherwise: read from the kernel's tables, from who has which socket, and where that is
//! not to be seen, from what is answered.
//!
//! Bounds: half a second for a connection and another for all of the answer, [`MOST_HEAD`] of it.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use warmlane_api::admin::VERSION_HEADER;

const PATIENCE: Duration = Duration::from_millis(500);
/// Asked of who takes requests.
const MODELS: &str = "/v1/models";
const MOST_HEAD: usize = 8 << 10;

/// A port of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) number: u16,
    pub(crate) program: &'static str,
    /// Which sets another.
    pub(crate) flag: &'static str,
    /// What is asked to see who answers; `None`: it does not speak HTTP/1.1.
    probe: Option<&'static str>,
}

/// Those that stand in the manifests.
pub(crate) const PORTS: [Port; 10] = [
    port(8_080, "warmlane-router", "--plain", Some(MODELS)),
    port(8_081, "warmlane-router", "--aware", Some(MODELS)),
    port(9_090, "warmlane-router", "--metrics", Some("/healthz")),
    port(9_091, "warmlane-router", "--admin", Some("/healthz")),
    port(9_002, "warmlane-router", "--ext-proc", None),
    port(9_003, "warmlane-router", "--grpc-health", None),
    port(9_004, "warmlane-router", "--extension-server", None),
    port(9_010, "warmlane-agent", "--listen", None),
    port(9_011, "warmlane-agent", "--metrics", Some("/healthz")),
    port(9_012, "warmlane-agent", "--admin", Some("/healthz")),
];

/// Somebody listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) port: Port,
    pub(crate) by: Holder,
}

/// Who.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A program of this name.
    Program(String),
    /// Whoever it is, it answers as Warmlane does.
    Ours,
    /// It answers as nobody of ours does.
    Stranger,
    /// Neither its name nor its answer is to be had.
    Hidden,
}

/// A line of the kernel's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Socket {
    address: SocketAddr,
    inode: u64,
}

const fn port(number: u16, program: &'static str, flag: &'static str, probe: Option<&'static str>) -> Port {
    Port { number, program, flag, probe }
}

// === Port ===

impl Port {
    /// Who has it, by the name of the program and by what is answered.
    fn held_by(self, name: Option<&String>, answers: impl Fn(&str) -> Option<bool>) -> Holder {
        if name.is_some_and(|name| name == self.program) {
            return Holder::Program(self.program.to_owned());
        }
        // Another program may lead to one of ours, as a port-forward does.
        match (self.probe.and_then(answers), name) {
            (Some(true), _) => Holder::Ours,
            (_, Some(name)) => Holder::Program(name.clone()),
            // Ours lists models there without a word of itself, so who it is cannot be told.
            (Some(false), None) if self.probe == Some(MODELS) => Holder::Hidden,
            (Some(false), None) => Holder::Stranger,
            (None, None) => Holder::Hidden,
        }
    }
}

// === Taken ===

impl Taken {
    /// As it is on this machine; `answers` asks who is there.
    pub(super) fn look(root: &Path, answers: impl Fn(SocketAddr, &str) -> Option<bool>) -> Vec<Self> {
        let table =
            |name: &str| fs::read_to_string(root.join("proc/self/net").join(name)).unwrap_or_default();
        let (four, six) = (table("tcp"), table("tcp6"));
        let listening: Vec<Socket> = four.lines().chain(six.lines()).filter_map(Socket::of).collect();
        let of = |port: Port| listening.iter().filter(move |socket| socket.address.port() == port.number);
        let ours: Vec<(Port, Socket)> =
            PORTS.into_iter().flat_map(|port| of(port).map(move |socket| (port, *socket))).collect();
        let names = if ours.is_empty() { HashMap::new() } else { names(root, &ours) };
        let mut taken: Vec<Self> = Vec::new();
        // Sockets that share an address, as a router's workers do, are asked once unless their programs are known.
        let mut asked = HashSet::new();
        for (port, socket) in ours {
            let name = names.get(&socket.inode);
            if !asked.insert((socket.address, name)) {
                continue;
            }
            let by = port.held_by(name, |path| answers(socket.reachable(), path));
            let this = Self { port, by };
            match taken.iter_mut().find(|other| other.port == port) {
                // Of those who share a port's number the worst counts.
                Some(other) if this.badness() > other.badness() => *other = this,
                Some(_) => {}
                None => taken.push(this),
            }
        }
        taken
    }

    fn badness(&self) -> u8 {
        match self.is_right() {
            Some(true) => 0,
            None => 1,
            Some(false) => 2,
        }
    }

    /// Whether it is the one that is meant to be there; `None`: that cannot be told.
    pub(super) fn is_right(&self) -> Option<bool> {
        match &self.by {
            Holder::Program(name) => Some(name == self.port.program),
            Holder::Ours => Some(true),
            Holder::Stranger => Some(false),
            Holder::Hidden => None,
        }
    }
}

/// By socket, of those processes that this one may look into.
fn names(root: &Path, ours: &[(Port, Socket)]) -> HashMap<u64, String> {
    let mut names = HashMap::new();
    for process in fs::read_dir(root.join("proc")).into_iter().flatten().flatten() {
        let is_number = process.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok());
        let Ok(open) = fs::read_dir(process.path().join("fd")) else { continue };
        if !is_number {
            continue;
        }
        let inodes = open.flatten().filter_map(|file| inode(&fs::read_link(file.path()).ok()?));
        for inode in inodes.filter(|inode| ours.iter().any(|(_, socket)| socket.inode == *inode)) {
            if let Ok(name) = fs::read_to_string(process.path().join("comm")) {
                names.insert(inode, name.trim_end().to_owned());
            }
        }
    }
    names
}

/// Of `socket:[4711]`.
fn inode(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Whether who answers there is one of ours: by its headers. `None`: no answer comes.
pub(super) fn answers(address: SocketAddr, path: &str) -> Option<bool> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let ask = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).ok()?;
    let head = read_until(&mut stream, Instant::now() + PATIENCE);
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let head = text.split("\r\n\r\n").next().filter(|head| !head.is_empty())?;
    Some(head.lines().any(|line| line.starts_with(VERSION_HEADER) || line.starts_with("x-warmlane-")))
}

/// What comes until then: one that sends a byte now and then holds nobody.
fn read_until(stream: &mut TcpStream, end: Instant) -> Vec<u8> {
    let (mut head, mut part) = (Vec::new(), [0; 1 << 10]);
    while head.len() < MOST_HEAD {
        let left = end.saturating_duration_since(Instant::now());
        // What came before it fell silent counts.
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            break;
        }
        match stream.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(count) => head.extend_from_slice(&part[..count]),
        }
    }
    head
}

// === Socket ===

impl Socket {
    /// Of a line that listens: `0: 0100007F:2383 00000000:0000 0A ... INODE ...`.
    fn of(line: &str) -> Option<Self> {
        let mut parts = line.split_whitespace();
        let (local, _, state) = (parts.nth(1)?, parts.next()?, parts.next()?);
        let inode = parts.nth(5)?.parse().ok()?;
        let (host, port) = local.split_once(':')?;
        let address = SocketAddr::new(address(host)?, u16::from_str_radix(port, 16).ok()?);
        (state == "0A").then_some(Self { address, inode })
    }

    /// Where a connection to it can be made from here.
    fn reachable(self) -> SocketAddr {
        let host = match self.address.ip() {
            IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            // It takes connections by IPv4 too, unless told not to.
            IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            host => host,
        };
        SocketAddr::new(host, self.address.port())
    }
}

/// Words of 32 bits, each as this machine keeps one.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
