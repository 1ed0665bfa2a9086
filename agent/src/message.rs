//! The node's state as routers are told it. Times become ages at the moment of sending.

use warmlane_api::node::{self as told, endpoint, unreachable::Cause, verdict::Grade};
use warmlane_picker::{Signals, Time};
use warmlane_scrape::{Failure, Page};

use crate::{
    cache::Delta,
    gpu::{Gpu, Verdict},
    node::{Contact, Engine, Models},
    score::score,
};

/// What an engine is now, and on which GPUs.
pub(crate) fn endpoint(engine: &Engine, now: Time) -> told::Endpoint {
    let on = &engine.joined;
    told::Endpoint {
        address: engine.named.address.to_string(),
        contact: contact(&engine.contact.now, now),
        models: engine.models.as_ref().map(|models| self::models(&models.now, now)),
        gpus: on.gpus.clone(),
        verdict: on.verdict.as_ref().map(verdict),
        score: score(&engine.contact.now, on.verdict.as_ref()),
    }
}

/// What changed in an engine's KV cache.
pub(crate) fn blocks(engine: &str, delta: Delta) -> told::Blocks {
    told::Blocks {
        address: engine.to_owned(),
        reset: delta.reset,
        added: delta.added,
        removed: delta.removed,
        count: delta.digest.count,
        sum: delta.digest.sum,
        block_size: delta.block_size,
        whole: delta.whole,
    }
}

/// Nothing is known any more of what an engine's cache holds: whoever was there is gone, and nobody publishes now.
pub(crate) fn no_blocks(engine: &str) -> told::Blocks {
    told::Blocks { address: engine.to_owned(), reset: true, ..told::Blocks::default() }
}

/// What a GPU is now.
pub(crate) fn gpu(gpu: &Gpu) -> told::Gpu {
    let sample = &gpu.sample;
    let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
    let watts = |milliwatts: Option<u32>| milliwatts.map(|power| power as f32 / 1_000.0);
    told::Gpu {
        uuid: text(&sample.uuid),
        name: text(&sample.name),
        parent: text(&sample.parent),
        verdict: Some(verdict(&gpu.verdict)),
        age_us: gpu.read_at.map_or(0, |at| micros(at.elapsed())),
        utilisation: sample.utilisation.map(|busy| busy.gpu as f32 / 100.0),
        temperature: sample.temperature.map(|degrees| degrees as f32),
        slowdown_temperature: sample.slowdown_at.map(|degrees| degrees as f32),
        memory_total: sample.memory.map(|memory| memory.total),
        memory_used: sample.memory.map(|memory| memory.used),
        power_watts: watts(sample.power),
        power_limit_watts: watts(sample.power_limit),
    }
}

fn contact(contact: &Contact, now: Time) -> Option<endpoint::Contact> {
    match contact {
        Contact::Untried => None,
        Contact::Load(page) => Some(endpoint::Contact::Load(load(page, now))),
        Contact::Alive => Some(endpoint::Contact::Alive(told::Alive {})),
        Contact::Unreachable { why, at } => Some(endpoint::Contact::Unreachable(told::Unreachable {
            age_us: age(*at, now),
            cause: Some(cause(*why)),
        })),
    }
}

fn load(page: &Page, now: Time) -> told::Load {
    let Page { signals, progress } = page;
    // All readings of a page were asked for at one moment.
    let at = signals.last_heard().or(signals.awake.map(|awake| awake.at)).unwrap_or(now);
    told::Load {
        age_us: age(at, now),
        queue: signals.queue.map(|reading| reading.value),
        running: signals.running.map(|reading| reading.value),
        kv_use: signals.kv_use.map(|reading| reading.value),
        kv_capacity_tokens: signals.kv_capacity_tokens,
        awake: signals.awake.map(|reading| reading.value),
        lora: lora(signals),
        progress: *progress,
    }
}

fn lora(signals: &Signals) -> Option<told::Lora> {
    let lora = &signals.lora.as_ref()?.value;
    Some(told::Lora { active: lora.active.clone(), waiting: lora.waiting.clone(), max: lora.max })
}

fn cause(why: Failure) -> Cause {
    match why {
        Failure::Refused => Cause::Refused(told::Refused {}),
        Failure::NoRoute => Cause::NoRoute(told::NoRoute {}),
        Failure::Unresolved => Cause::Unresolved(told::Unresolved {}),
        Failure::TimedOut => Cause::TimedOut(told::TimedOut {}),
        Failure::Mute => Cause::Mute(told::Mute {}),
        Failure::Broken => Cause::Broken(told::Broken {}),
        Failure::Status(status) => Cause::Status(status.into()),
        Failure::TooLarge(bytes) => Cause::TooLarge(bytes as u64),
    }
}

fn models(models: &Models, now: Time) -> told::ModelList {
    told::ModelList { age_us: age(models.at, now), body: models.body.clone() }
}

fn verdict(verdict: &Verdict) -> told::Verdict {
    let (grade, why) = match verdict {
        Verdict::Healthy => (Grade::Healthy, String::new()),
        Verdict::Degraded { why } => (Grade::Degraded, why.to_string()),
        Verdict::Failed { why } => (Grade::Failed, why.to_string()),
    };
    told::Verdict { grade: grade.into(), why }
}

fn age(at: Time, now: Time) -> u64 {
    micros(now.saturating_sub(at))
}

fn micros(time: Time) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
