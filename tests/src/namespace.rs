//! Two network namespaces with a third between them that passes packets on, or not: a partition as a network makes it, where
//! packets go nowhere and neither end is told. And one beside ours, as a pod's is beside its node's.
//!
//! Needs root (or `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`) and the program `ip` of iproute2.

use std::{
    fs::File,
    net::Ipv4Addr,
    os::fd::AsFd,
    path::Path,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// See the module's header. Dropped, both are gone.
#[derive(Debug)]
pub struct Link {
    name: String,
}

/// One end of a link.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// 10.231.1.1
    Near,
    /// 10.231.2.1
    Far,
}

/// A namespace with a way to ours, as a pod has one to its node. Dropped, it is gone.
#[derive(Debug)]
pub struct Beside {
    name: String,
}

/// Begins the name of each [`Beside`]; behind it stands the number of its process.
const BESIDE: &str = "wl-pod-";
/// The same of our device towards it.
const DEVICE: &str = "wl";

// === Link ===

impl Link {
    /// Makes all three and joins them.
    ///
    /// # Panics
    /// Without the privilege or the program for it.
    #[expect(clippy::new_without_default, reason = "it changes the system, which a default should not")]
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("wl{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let link = Self { name };
        let between = link.between();
        ip(&["netns", "add", &between]);
        for end in [End::Near, End::Far] {
            link.attach(end, &between);
        }
        link.mend();
        link
    }

    /// Makes one end and its way to the middle.
    fn attach(&self, end: End, between: &str) {
        let (space, device) = (self.space(end), end.device());
        ip(&["netns", "add", &space]);
        ip(&[
            "link", "add", "out", "netns", &space, "type", "veth", "peer", "name", device, "netns", between,
        ]);
        let gateway = end.gateway().to_string();
        for (space, device, address) in [(&*space, "out", end.address()), (between, device, end.gateway())] {
            ip(&["-n", space, "address", "add", &format!("{address}/30"), "dev", device]);
            ip(&["-n", space, "link", "set", device, "up"]);
        }
        ip(&["-n", &space, "link", "set", "lo", "up"]);
        ip(&["-n", &space, "route", "add", "default", "via", &gateway]);
    }

    /// Works at one end: on a thread there, whose own threads are there too.
    ///
    /// # Panics
    /// As `work` does, and when the namespace cannot be entered.
    pub fn at<T: Send>(&self, end: End, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.space(end), work)
    }

    /// From now on nothing passes.
    pub fn cut(&self) {
        self.forward("0");
    }

    /// It passes again.
    pub fn mend(&self) {
        self.forward("1");
    }

    fn forward(&self, on: &str) {
        inside(&self.between(), || {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", on).expect("root may set it");
        });
    }

    fn between(&self) -> String {
        format!("{}-between", self.name)
    }

    fn space(&self, end: End) -> String {
        format!("{}-{}", self.name, end.device())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for space in [self.between(), self.space(End::Near), self.space(End::Far)] {
            // Who cannot delete has not made it either.
            let _ = Command::new("ip").args(["netns", "delete", &space]).output();
        }
    }
}

// === Beside ===

impl Beside {
    /// Its address. Ours is the one after it.
    pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 231, 3, 1);

    /// Makes it. At most one is there at a time: those that processes left behind when they were killed are removed.
    ///
    /// # Panics
    /// Without the privilege or the program for it, and while another process has one.
    #[expect(clippy::new_without_default, reason = "it changes the system, which a default should not")]
    pub fn new() -> Self {
        Self::sweep();
        let id = std::process::id();
        let beside = Self { name: format!("{BESIDE}{id}") };
        let (space, device) = (&*beside.name, &*format!("{DEVICE}{id}"));
        ip(&["netns", "add", space]);
        ip(&["link", "add", device, "type", "veth", "peer", "name", "out", "netns", space]);
        let ours = Ipv4Addr::from_bits(Self::ADDRESS.to_bits() + 1);
        for (prefix, device, address) in [(&[][..], device, ours), (&["-n", space], "out", Self::ADDRESS)] {
            let address = format!("{address}/30");
            ip(&[prefix, &["address", "add", &address, "dev", device]].concat());
            ip(&[prefix, &["link", "set", device, "up"]].concat());
        }
        ip(&["-n", space, "link", "set", "lo", "up"]);
        beside
    }

    /// Moves this thread, and those that it starts, into it.
    ///
    /// # Panics
    /// When it cannot be entered.
    pub fn enter(&self) {
        enter(&self.name);
    }

    fn sweep() {
        for entry in std::fs::read_dir("/run/netns").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(id) = name.strip_prefix(BESIDE) else { continue };
            if !Path::new("/proc").join(id).exists() {
                let _ = Command::new("ip").args(["netns", "delete", &name]).output();
            }
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It goes when no thread and no socket is there any more, the devices at once.
        let device = self.name.replacen(BESIDE, DEVICE, 1);
        let _ = Command::new("ip").args(["link", "delete", &device]).output();
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).output();
    }
}

fn enter(space: &str) {
    let space = File::open(format!("/run/netns/{space}")).expect("the namespace is there");
    move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))
        .expect("root may enter a namespace");
}

fn inside<T: Send>(space: &str, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            enter(space);
            work()
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn ip(words: &[&str]) {
    let how = "this needs root and iproute2: sudo, and apt-get install iproute2";
    let output = Command::new("ip").args(words).output().unwrap_or_else(|error| panic!("ip: {error}; {how}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {}: {said}; {how}", words.join(" "));
}

// === End ===

impl End {
    /// Its address.
    pub fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 231, self.net(), 1)
    }

    fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 231, self.net(), 2)
    }

    fn net(self) -> u8 {
        match self {
            Self::Near => 1,
            Self::Far => 2,
        }
    }

    fn device(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Far => "far",
        }
    }
}
