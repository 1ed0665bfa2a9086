//! What is measured: this router by the lane, this router by copy, and nginx.

use std::{
    fmt::{self, Display, Formatter},
    net::SocketAddr,
    path::Path,
    process::Command,
};

use anyhow::Context as _;
use warmlane_xtask::workspace;

use super::{
    Args,
    pod::{Place, Pod},
};
use crate::{
    cgroup::Cgroup,
    proxy::{
        contender::{nginx, warmlane},
        process::on_proxy_core,
        running::{Running, free_address, page},
    },
};

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// This router, `--lane off`
    Copy,
    /// This router, `--lane all`
    Lane,
    /// nginx
    Nginx,
}

/// A running one; it ends when this is dropped.
pub(super) struct Router {
    pub(super) kind: Kind,
    pub(super) address: SocketAddr,
    metrics: SocketAddr,
    running: Running,
    /// Behind what runs in it.
    _cgroup: Option<Cgroup>,
}

/// What the kernel has carried since the router started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Carried {
    /// Framing included.
    pub(super) bytes: f64,
    /// Times that it left a response to the router for want of room at its client.
    pub(super) without_room: f64,
}

// === Kind ===

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Copy, Self::Lane, Self::Nginx];
    /// Both ways of this router.
    pub(super) const OURS: [Self; 2] = [Self::Copy, Self::Lane];
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Copy => "copy",
            Self::Lane => "lane",
            Self::Nginx => "nginx",
        })
    }
}

// === Router ===

impl Router {
    /// Starts one and waits until a request goes through. One that is meant to have a lane and has none is an error.
    pub(super) async fn start(kind: Kind, args: &Args, pod: SocketAddr) -> anyhow::Result<Self> {
        Self::start_in(None, kind, args, pod).await
    }

    /// The same for a pod of this place.
    pub(super) async fn start_for(kind: Kind, args: &Args, pod: &Pod) -> anyhow::Result<Self> {
        let cgroup = (pod.place == Place::Remote && kind == Kind::Lane).then(Cgroup::new);
        Self::start_in(cgroup, kind, args, pod.address).await
    }

    async fn start_in(
        cgroup: Option<Cgroup>,
        kind: Kind,
        args: &Args,
        pod: SocketAddr,
    ) -> anyhow::Result<Self> {
        let folder = workspace::target().join("bench-lane").join(kind.to_string());
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let [address, metrics, admin] = [free_address()?, free_address()?, free_address()?];
        let program = if kind == Kind::Nginx { args.nginx.as_ref() } else { args.router.as_ref() };
        let program = program.with_context(|| format!("no program for {kind}"))?;
        let mut command = match &cgroup {
            Some(cgroup) => in_cgroup(cgroup, program),
            None => on_proxy_core(program),
        };
        if kind == Kind::Nginx {
            nginx(&mut command, &folder, address, &[pod])?;
        } else {
            warmlane(&mut command, address, &[pod]);
            command.args(["--metrics", &metrics.to_string(), "--admin", &admin.to_string()]);
            command.args(["--lane", if kind == Kind::Lane { "all" } else { "off" }]);
            command.arg("--lane-object").args(&args.object);
        }
        if let Some(cgroup) = &cgroup {
            command.args(["--lane-remote", "on", "--lane-cgroup"]).arg(cgroup.path());
        }
        let running = Running::start(&kind.to_string(), command, &folder, address).await?;
        if kind == Kind::Lane {
            let said = page(admin, "/debug/lane").await?;
            if let Some(why) = why_off(&said) {
                anyhow::bail!("the kernel lane is off: {why}");
            }
        }
        Ok(Self { kind, address, metrics, running, _cgroup: cgroup })
    }

    pub(super) fn id(&self) -> u32 {
        self.running.id()
    }

    /// Why it left responses, and why responses were not whole.
    pub(super) async fn handovers(&self) -> anyhow::Result<String> {
        Ok(reasons(&page(self.metrics, "/metrics").await?))
    }

    /// Nothing, ever, without a lane.
    pub(super) async fn carried(&self) -> anyhow::Result<Carried> {
        if self.kind == Kind::Lane {
            Ok(Carried::read(&page(self.metrics, "/metrics").await?))
        } else {
            Ok(Carried::default())
        }
    }
}

/// A command for the proxies' core that is in this cgroup before it opens anything.
fn in_cgroup(cgroup: &Cgroup, program: &Path) -> Command {
    let mut command = on_proxy_core(Path::new("sh"));
    command.args(["-c", "echo 0 >\"$0/cgroup.procs\" && exec \"$@\""]).arg(cgroup.path()).arg(program);
    command
}

/// What a page of metrics counts of why the lane was left, and of responses that were not whole.
fn reasons(page: &str) -> String {
    let told = |line: &&str| {
        ["warmlane_lane_handovers_total", "warmlane_request_errors_total"]
            .iter()
            .any(|name| line.starts_with(name))
            && !line.ends_with(" 0")
    };
    page.lines().filter(told).collect::<Vec<_>>().join(", ")
}

/// Why the lane is off, if `/debug/lane` does not say that it is on.
fn why_off(answer: &str) -> Option<String> {
    let body = answer.split_once("\r\n\r\n").map_or(answer, |(_, body)| body);
    let page: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let why = || page["why_off"].as_str().unwrap_or(answer).to_owned();
    (page["on"] != true).then(why)
}

// === Carried ===

impl Carried {
    fn read(page: &str) -> Self {
        Self {
            bytes: crate::metric(page, "warmlane_lane_bytes_total"),
            without_room: crate::metric(page, "warmlane_lane_handovers_total{reason=\"room\"}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_is_off_says_why() {
        let page =
            "HTTP/1.1 200 OK\r\n\r\n{\n  \"on\": false,\n  \"why_off\": \"no room\",\n  \"counts\": null\n}";
        assert_eq!(why_off(page).as_deref(), Some("no room"));
        assert_eq!(why_off("HTTP/1.1 200 OK\r\n\r\n{\"on\":true,\"why_off\":null}"), None);
        assert_eq!(
            why_off("HTTP/1.1 404 Not Found\r\n\r\n").as_deref(),
            Some("HTTP/1.1 404 Not Found\r\n\r\n")
        );
    }

    #[test]
    fn what_was_carried_is_read_from_the_page() {
        let page = "# TYPE warmlane_lane_bytes counter\nwarmlane_lane_bytes_total 12\nwarmlane_lane_handovers_total{reason=\"end\"} 3\nwarmlane_lane_handovers_total{reason=\"room\"} 4\n";
        assert_eq!(
            reasons(page),
            "warmlane_lane_handovers_total{reason=\"end\"} 3, warmlane_lane_handovers_total{reason=\"room\"} 4"
        );
        assert_eq!(Carried::read(page), Carried { bytes: 12.0, without_room: 4.0 });
    }
}
