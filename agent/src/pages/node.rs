//! `/debug/node`: engines with what they say and how old that is, cards with what is thought of them, who follows, and how those
//! do who are asked.

use warmlane_api::admin::{self, Aged, Card, Follower, Held, NodeEngine, Source};
use warmlane_picker::{Reading, Signals, Time};
use warmlane_scrape::Failure;

use super::Sources;
use crate::{
    gpu::{Driver, Gpu, Verdict},
    kubelet::Known,
    message,
    node::{Contact, Engine},
    score::score,
};

/// The page.
pub(super) fn page(sources: &Sources) -> admin::Node {
    let node = &sources.node;
    let (all, now, pods) = (node.since(0), node.now(), node.pods());
    let followers = sources.followers.each().into_iter();
    admin::Node {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node: node.name().to_owned(),
        uptime_seconds: now.as_secs_f64(),
        engines: all.engines.iter().map(|one| engine(one, now)).collect(),
        left_out: node.left_out(),
        gpus: all.gpus.iter().map(|gpu| card(gpu, &pods)).collect(),
        routers: followers
            .map(|follower| Follower {
                seconds: follower.since.elapsed().as_secs_f64(),
                router: follower.router,
            })
            .collect(),
        nvml: driver(&sources.driver.borrow()),
        kubelet: kubelet(sources),
        cluster: sources.found.as_ref().map(|found| {
            let found = found.borrow();
            Source { works: Some(found.on_all), about: None, troubles: found.troubles.clone() }
        }),
    }
}

fn engine(engine: &Engine, now: Time) -> NodeEngine {
    let (contact, trouble) = match &engine.contact.now {
        Contact::Untried => ("untried", None),
        Contact::Load(_) => ("answers", None),
        Contact::Alive => ("alive", None),
        Contact::Unreachable { why, .. } => ("unreachable", Some(reason(*why))),
    };
    let load = match &engine.contact.now {
        Contact::Load(page) => Some(&page.signals),
        Contact::Untried | Contact::Alive | Contact::Unreachable { .. } => None,
    };
    let on = &engine.joined;
    NodeEngine {
        address: engine.named.address.to_string(),
        pod: engine.named.pod.as_ref().map(ToString::to_string),
        contact: contact.to_owned(),
        trouble,
        signals: load.map(|load| signals(load, now)).unwrap_or_default(),
        kv_capacity_tokens: load.and_then(|load| load.kv_capacity_tokens),
        score: score(&engine.contact.now, on.verdict.as_ref()),
        gpus: on.gpus.clone(),
        verdict: on.verdict.as_ref().map(verdict),
        kv: engine.cache.as_ref().map(|cache| Held { blocks: cache.count(), whole: cache.is_whole() }),
    }
}

fn reason(why: Failure) -> String {
    match why {
        Failure::Refused => "nothing listens".to_owned(),
        Failure::NoRoute => "no way to its address".to_owned(),
        Failure::Unresolved => "its name has no address".to_owned(),
        Failure::TimedOut => "no answer in time".to_owned(),
        Failure::Mute => "it takes connections and answers nothing in time".to_owned(),
        Failure::Broken => "the connection broke".to_owned(),
        Failure::Status(status) => format!("it answers with {status}"),
        Failure::TooLarge(bytes) => format!("its page is larger than {bytes} bytes"),
    }
}

fn signals(signals: &Signals, now: Time) -> admin::Signals {
    fn aged<T: Copy>(reading: Option<Reading<T>>, now: Time) -> Option<Aged<T>> {
        reading.map(|reading| Aged::new(reading.value, reading.age(now)))
    }
    let lora = signals.lora.as_ref().map(|reading| {
        let warmlane_picker::Lora { active, waiting, max } = reading.value.clone();
        Aged::new(admin::Lora { active, waiting, max }, reading.age(now))
    });
    admin::Signals {
        queue: aged(signals.queue, now),
        running: aged(signals.running, now),
        kv_use: aged(signals.kv_use, now),
        awake: aged(signals.awake, now),
        lora,
    }
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Healthy => "healthy".to_owned(),
        Verdict::Degraded { why } => format!("degraded: {why}"),
        Verdict::Failed { why } => format!("failed: {why}"),
    }
}

fn card(gpu: &Gpu, pods: &Known) -> Card {
    let sample = &gpu.sample;
    let uuid = sample.uuid.as_deref();
    let has = |devices: &[String]| devices.iter().any(|device| Some(device.as_str()) == uuid);
    let pods = pods.iter().flat_map(|pods| pods.iter()).filter(|pod| has(&pod.devices));
    Card {
        gpu: shown(gpu),
        read_ms_ago: gpu.read_at.map(|at| at.elapsed().as_millis() as u64),
        index: sample.index,
        slice: sample.slice,
        parent: sample.parent.as_deref().map(str::to_owned),
        slowdown: sample
            .throttle
            .and_then(|throttle| throttle.slowdown())
            .map(|slowdown| slowdown.to_string()),
        sm_clock_mhz: sample.clocks.sm,
        memory_clock_mhz: sample.clocks.memory,
        ecc_corrected: sample.ecc.corrected,
        ecc_uncorrected: sample.ecc.uncorrected,
        remap_pending: sample.remap.pending,
        remap_failed: sample.remap.failed,
        pcie_replays: sample.pcie.replays,
        pods: pods.map(|pod| pod.name.to_string()).collect(),
    }
}

/// As routers are told.
fn shown(gpu: &Gpu) -> admin::Gpu {
    admin::Gpu::of(message::gpu(gpu), verdict(&gpu.verdict))
}

fn driver(driver: &Driver) -> Source {
    match driver {
        Driver::Sought => Source::default(),
        Driver::Open { version } => {
            Source { works: Some(true), about: Some(format!("driver {version}")), troubles: Vec::new() }
        }
        Driver::Unavailable { why } => {
            Source { works: Some(false), about: None, troubles: vec![why.clone()] }
        }
    }
}

fn kubelet(sources: &Sources) -> Source {
    let Some(kubelet) = &sources.kubelet else {
        let off = "switched off: --kubelet-socket none".to_owned();
        return Source { works: Some(false), about: None, troubles: vec![off] };
    };
    match &*kubelet.borrow() {
        None => Source::default(),
        Some(Ok(())) => Source { works: Some(true), ..Source::default() },
        Some(Err(why)) => Source { works: Some(false), about: None, troubles: vec![why.clone()] },
    }
}
