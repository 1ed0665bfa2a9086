//! What `warmlane top` takes of a core while it shows a router of a thousand endpoints twice a second, and what it costs that
//! router to tell.
//!
//! One engine answers at a thousand addresses of this machine, with pages that say another load each time. The router has the first
//! core; `top` shares the last one with the engine, on a terminal whose other side is read here.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{Args, Figures, Kind, What};
use crate::{
    nodes::{engines::Engines, programs::Router},
    proxy::{bars::Bar, cost},
    terminal::Terminal,
};

const ENDPOINTS: u16 = 1_000;
/// What it may take, in percent of a core.
const LIMIT: f64 = 5.0;
/// How long each is looked at; before that, what a start takes is let pass.
const SPAN: Duration = Duration::from_secs(20);
const CALM: Duration = Duration::from_secs(5);
/// What is not there by then will not be.
const PATIENCE: Duration = Duration::from_secs(60);
const SIZE: (u16, u16) = (120, 40);

pub(super) async fn measure(args: &Args, figures: &mut Figures<What, Kind>) -> anyhow::Result<()> {
    let engines = Engines::everywhere().await?;
    let port = engines.addresses[0].port();
    let endpoints: Vec<String> = (0..ENDPOINTS).map(|number| address(number, port).to_string()).collect();
    let router = Router::spawn(&args.router, ["--endpoint".to_owned(), endpoints.join(",")].into_iter())?;
    let mut scene = Scene { router };
    scene.ready().await?;
    sleep(CALM).await;
    let before = scene.router.program.cpu_seconds();
    sleep(SPAN).await;
    let alone = scene.router.program.cpu_seconds() - before;
    figures.add(What::Telling, Kind::Unobserved, alone / SPAN.as_secs_f64() * 100.0);
    scene.watched(&args.cli, figures).await
}

/// Each on a network of this machine's own.
fn address(number: u16, port: u16) -> SocketAddr {
    let [high, low] = (number + 1).to_be_bytes();
    (Ipv4Addr::new(127, 1, high, low), port).into()
}

pub(super) fn bar(figures: &Figures<What, Kind>) -> Bar {
    Bar::at_most(What::Watching.to_string(), figures.highest(What::Watching, Kind::Observed), LIMIT)
}

/// A router that is watched, or not yet.
struct Scene {
    router: Router,
}

// === Scene ===

impl Scene {
    async fn ready(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            // A router that has just started does not listen yet.
            let page = self.router.get("/debug/endpoints").await.unwrap_or_default();
            let rows = page["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
            let read = rows.iter().filter(|row| row["ready"] == true && !row["signals"]["kv_use"].is_null());
            if read.count() == usize::from(ENDPOINTS) {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < until, "not all are ready: {}", self.router.program.said());
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn watched(&mut self, cli: &Path, figures: &mut Figures<What, Kind>) -> anyhow::Result<()> {
        let terminal = Terminal::start(cli, SIZE, |command| {
            command.env_clear().envs([("TERM", "xterm-256color"), ("LANG", "C.UTF-8")]);
            command.args(["--router", &self.router.admin().to_string(), "top", "--interval", "500ms"]);
        })?;
        let until = Instant::now() + PATIENCE;
        while !shows(&terminal) {
            let seen = terminal.lines().join("\n");
            anyhow::ensure!(Instant::now() < until, "`top` does not show the router, but\n{seen}");
            // The engine runs on this very thread, so nothing here may block.
            sleep(Duration::from_millis(50)).await;
        }
        sleep(CALM).await;
        let spent = || (cost::cpu_seconds(terminal.id()), self.router.program.cpu_seconds());
        let ((top, router), began, drawn) = (spent(), Instant::now(), terminal.sent().len());
        sleep(SPAN).await;
        let ((top_after, router_after), passed) = (spent(), began.elapsed().as_secs_f64());
        anyhow::ensure!(
            shows(&terminal) && terminal.sent().len() > drawn + 1_000,
            "`top` stands still:\n{}",
            terminal.lines().join("\n")
        );
        figures.add(What::Watching, Kind::Observed, (top_after - top) / passed * 100.0);
        figures.add(What::Telling, Kind::Observed, (router_after - router) / passed * 100.0);
        Ok(())
    }
}

/// All of them, and as they are now.
fn shows(terminal: &Terminal) -> bool {
    let lines = terminal.lines();
    let has = |at: usize, text: &str| lines.get(at).is_some_and(|line| line.contains(text));
    has(1, "1,000 of 1,000 ready") && has(0, "version") && !has(0, "as of")
}
