//! What the pictures show: eight replicas on four nodes, one of which has a card that is too hot and one replica that queues.

use std::time::Duration;

use ratatui::{
    Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, crossterm::style::force_color_output,
    layout::Rect,
};
use warmlane_api::admin::{
    Aged, Agent, Agents, Endpoint, Endpoints, Gpu, Lane, Lora, Pool, Pools, Router, Signals,
};

use crate::{
    args::Format,
    screen::Screen,
    status::{Pages, Status},
    top::example::Example,
    views::show,
};

/// Queue, running, share of the KV cache, under way from this router, sent by it, age in ms.
const LOADS: [(f32, f32, f32, u32, u64, u64); 8] = [
    (0.0, 21.0, 0.58, 12, 48_211, 310),
    (0.0, 18.0, 0.44, 10, 45_904, 310),
    (6.0, 32.0, 0.96, 18, 51_377, 180),
    (0.0, 24.0, 0.71, 13, 47_650, 180),
    (0.0, 16.0, 0.39, 4, 12_044, 420),
    (0.0, 19.0, 0.47, 6, 13_310, 420),
    (1.0, 27.0, 0.83, 5, 11_873, 260),
    (0.0, 0.0, 0.0, 0, 9_120, 260),
];
const NODES: [&str; 4] = ["gpu-a", "gpu-b", "gpu-c", "gpu-d"];
const CELSIUS: [f32; 4] = [61.0, 72.0, 58.0, 91.0];

fn endpoint(at: usize, sent: u64) -> Endpoint {
    let (queue, running, kv_use, in_flight, requests, age_ms) = LOADS[at];
    let aged = |value| Some(Aged { value, age_ms });
    let ill = at >= 6;
    let lora = Lora { active: vec!["sql".to_owned(); at % 3], waiting: Vec::new(), max: 4 };
    let address = format!("10.0.{}.{}:8000", at / 2 + 1, at + 4);
    Endpoint {
        socket: address.clone(),
        address,
        ready: at != 7,
        in_flight,
        signals: Signals {
            queue: aged(queue),
            running: aged(running),
            kv_use: aged(kv_use),
            awake: None,
            lora: Some(Aged { value: lora, age_ms }),
        },
        health: match at {
            6 => "degraded: its GPU: it is too hot".to_owned(),
            7 => "failed: its GPU: XID 79, it has fallen off the bus".to_owned(),
            _ => "healthy".to_owned(),
        },
        slot: at as u16,
        local: at < 2,
        requests: requests + if ill { sent / 20 } else { sent / (at as u64 + 1) },
        kv_capacity_tokens: Some(95_000),
        models: Some(vec!["qwen3-32b".to_owned()]),
        node: Some(NODES[at / 2].to_owned()),
        pools: vec!["llm/qwen".to_owned()],
    }
}

fn endpoints(sent: u64) -> Endpoints {
    Endpoints { endpoints: (0..LOADS.len()).map(|at| endpoint(at, sent)).collect() }
}

fn agents() -> Agents {
    let gpu = |at: usize| Gpu {
        uuid: format!("GPU-{at}f0a7c52-66c5-9b3e-1111-0a2b3c4d5e6f"),
        name: "NVIDIA L20".to_owned(),
        verdict: if at == 3 { "degraded: it is too hot" } else { "healthy" }.to_owned(),
        temperature_celsius: Some(CELSIUS[at]),
        slowdown_celsius: Some(95.0),
        ..Gpu::default()
    };
    let agent = |at: usize| Agent {
        address: format!("10.0.{}.1:9010", at + 1),
        node: NODES[at].to_owned(),
        connected: true,
        heard_ms_ago: Some(200),
        endpoints: (0..2).map(|of| endpoint(at * 2 + of, 0).address).collect(),
        gpus: vec![gpu(at)],
        ..Agent::default()
    };
    Agents { agents: (0..NODES.len()).map(agent).collect() }
}

fn pages() -> Pages {
    Pages {
        router: Router {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: 266_400.0,
            ready: true,
            readiness: "ok: 7 of 8 replicas ready".to_owned(),
        },
        endpoints: endpoints(0),
        agents: agents(),
        pools: Pools {
            pools: vec![Pool {
                name: "llm/qwen".to_owned(),
                strategy: "PREFIX_CACHE".to_owned(),
                replicas: 8,
                ready: 7,
                ..Pool::default()
            }],
            cluster: None,
        },
        lane: Lane { on: true, mode: "pinned".to_owned(), ..Lane::default() },
    }
}

/// What `status` writes on a terminal of so many columns.
pub(super) fn status(columns: u16) -> String {
    let screen = Screen { width: Some(columns.into()), color: true };
    show(&Status::of("127.0.0.1:9091".to_owned(), &pages()), Format::Table, screen).expect("it can be shown")
}

/// What `top` sends to a terminal of this size.
pub(super) fn top(columns: u16, lines: u16) -> Vec<u8> {
    force_color_output(true);
    let (mut top, mut sent) = (Example::of(&pages()), Vec::new());
    top.page(endpoints(60).endpoints, Duration::from_secs(3));
    let viewport = Viewport::Fixed(Rect::new(0, 0, columns, lines));
    let backend = CrosstermBackend::new(&mut sent);
    let mut terminal = Terminal::with_options(backend, TerminalOptions { viewport }).expect("a terminal");
    terminal.draw(|frame| top.draw(frame, Duration::from_secs(3))).expect("it is drawn");
    drop(terminal);
    sent
}
