//! Who listens where Warmlane does unless set otherwise: read from the kernel's tables, from who has which socket, and where that is
//! not to be seen, from what is answered.
//!
//! Bounds: half a second for a connection and for an answer, [`MOST_HEAD`] of it.

use std::{
    collections::HashMap,
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use warmlane_api::admin::VERSION_HEADER;

const PATIENCE: Duration = Duration::from_millis(500);
const MOST_HEAD: u64 = 8 << 10;

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
pub(crate) const PORTS: [Port; 7] = [
    port(8_080, "warmlane-router", "--plain", Some("/v1/models")),
    port(8_081, "warmlane-router", "--aware", Some("/v1/models")),
    port(9_090, "warmlane-router", "--metrics", Some("/healthz")),
    port(9_091, "warmlane-router", "--admin", Some("/healthz")),
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

// === Taken ===

impl Taken {
    /// As it is on this machine; `answers` asks who is there.
    pub(super) fn look(root: &Path, answers: impl Fn(SocketAddr, &str) -> Option<bool>) -> Vec<Self> {
        let table =
            |name: &str| fs::read_to_string(root.join("proc/self/net").join(name)).unwrap_or_default();
        let (four, six) = (table("tcp"), table("tcp6"));
        let listening: Vec<Socket> = four.lines().chain(six.lines()).filter_map(Socket::of).collect();
        let of = |port: Port| listening.iter().find(|socket| socket.address.port() == port.number);
        let ours: Vec<(Port, Socket)> =
            PORTS.into_iter().filter_map(|port| Some((port, *of(port)?))).collect();
        let names = if ours.is_empty() { HashMap::new() } else { names(root, &ours) };
        let by = |port: Port, socket: Socket| {
            let name = names.get(&socket.inode);
            if name.is_some_and(|name| name == port.program) {
                return Holder::Program(port.program.to_owned());
            }
            // Another program may lead to one of ours, as a port-forward does.
            match (port.probe.and_then(|path| answers(socket.reachable(), path)), name) {
                (Some(true), _) => Holder::Ours,
                (_, Some(name)) => Holder::Program(name.clone()),
                (Some(false), None) => Holder::Stranger,
                (None, None) => Holder::Hidden,
            }
        };
        ours.into_iter().map(|(port, socket)| Self { port, by: by(port, socket) }).collect()
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
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let ask = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).ok()?;
    let mut head = Vec::new();
    // What came before it fell silent counts.
    _ = stream.take(MOST_HEAD).read_to_end(&mut head);
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let head = text.split("\r\n\r\n").next().filter(|head| !head.is_empty())?;
    Some(head.lines().any(|line| line.starts_with(VERSION_HEADER) || line.starts_with("x-warmlane-")))
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
mod tests {
    use std::{net::TcpListener, os::unix::fs::symlink, thread};

    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn line(local: &str, state: &str, inode: u64) -> String {
        format!(
            "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0\n"
        )
    }

    #[test]
    fn who_holds_a_port_is_told_by_its_sockets() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        assert_eq!(Taken::look(root.path(), |_, _| None), []);
        let local = |port: u16| format!("0100007F:{port:04X}");
        let tcp = [
            line(&local(9_091), "0A", 11),
            line(&local(8_080), "0A", 12),
            line(&local(8_081), "01", 13),
            line(&local(9_010), "0A", 14),
            line(&local(22), "0A", 15),
        ];
        write("proc/self/net/tcp", &(HEAD.to_owned() + &tcp.concat()));
        let any = format!("{}:{:04X}", "0".repeat(32), 9_011);
        write("proc/self/net/tcp6", &(HEAD.to_owned() + &line(&any, "0A", 16)));
        for (process, name, socket) in [("7", "warmlane-router", 11), ("8", "nginx", 12)] {
            write(&format!("proc/{process}/comm"), &format!("{name}\n"));
            fs::create_dir_all(root.path().join(format!("proc/{process}/fd"))).expect("a folder");
            let link = root.path().join(format!("proc/{process}/fd/3"));
            symlink(format!("socket:[{socket}]"), link).expect("a link");
        }
        let look = |answer: Option<bool>| -> Vec<(u16, Holder)> {
            let asked = |address: SocketAddr, path: &str| {
                let asked = (&*address.to_string(), path);
                assert!(
                    asked == ("127.0.0.1:8080", "/v1/models") || asked == ("[::1]:9011", "/healthz"),
                    "{asked:?}"
                );
                answer
            };
            Taken::look(root.path(), asked).into_iter().map(|taken| (taken.port.number, taken.by)).collect()
        };
        let found = look(Some(false));
        let program = |name: &str| Holder::Program(name.to_owned());
        assert_eq!(
            found,
            [
                (8_080, program("nginx")),
                (9_091, program("warmlane-router")),
                (9_010, Holder::Hidden),
                (9_011, Holder::Stranger),
            ]
        );
        let forwarded = look(Some(true));
        assert_eq!(
            (&forwarded[0].1, &forwarded[3].1),
            (&Holder::Ours, &Holder::Ours),
            "nginx leads to one of ours"
        );
        assert_eq!(look(None)[3].1, Holder::Hidden);
    }

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        let said = |hex: &str| address(hex).map(|address| address.to_string());
        if cfg!(target_endian = "little") {
            assert_eq!(said("0100007F").as_deref(), Some("127.0.0.1"));
            assert_eq!(said("B80D0120000000000000000001000000").as_deref(), Some("2001:db8::1"));
        }
        assert_eq!((said("xyz"), said("0100007")), (None, None));
        assert_eq!(Socket::of(HEAD), None);
    }

    #[test]
    fn who_answers_is_told_by_its_headers() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let heads = [
            "HTTP/1.1 200 OK\r\nWarmlane-Version: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nServer: x\r\n\r\nwarmlane-version: 1",
            "",
        ];
        let server = thread::spawn(move || {
            for head in heads {
                let (mut stream, _) = listener.accept().expect("a connection");
                _ = stream.read(&mut [0; 512]);
                stream.write_all(head.as_bytes()).expect("written");
            }
        });
        assert_eq!(answers(address, "/"), Some(true));
        assert_eq!(answers(address, "/"), Some(false), "its body says nothing");
        assert_eq!(answers(address, "/"), None);
        server.join().expect("it ends");
        assert_eq!(answers(address, "/"), None, "nobody is there any more");
    }
}
