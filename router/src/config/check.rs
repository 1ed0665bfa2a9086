//! What values must be together. Units and single values were read before; here is what they mean.

use std::{collections::HashSet, fmt::Display, path::Path, time::Duration};

use hyper::header::HeaderName;

use super::{Config, ConfigError, Origin, Timeouts, keys, text::span};
use crate::{
    kube::{ObjectName, PoolName},
    log,
};

mod addresses;
mod extension;
mod listeners;
mod replicas;
mod spans;

use addresses::addresses;
use extension::extension;
use listeners::{admin, listeners, tls};
pub(super) use replicas::idle;
use replicas::replicas;
use spans::tracing;

/// The smallest prefix index there is: 100,000 blocks and the sets of their owners.
const MIN_INDEX_BYTES: u64 = 8 << 20;
/// Engines are not asked more often, whatever is configured: a page costs them milliseconds.
const MIN_SCRAPE: Duration = Duration::from_millis(50);
const MAX_WORKERS: usize = 1_024;
/// More than a request could try within any client's patience.
const MAX_FALLBACKS: usize = 16;

/// A setting and what is wrong with it.
type Fault = (&'static str, String);

/// Checks the whole.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let rules = [
        replicas, kube, agents, agent_tls, listeners, admin, tls, extension, models, profile, fallbacks,
        faults, limits, timeouts, stopping, headers, prefix, lane, scrape, process, tracing,
    ];
    rules.into_iter().try_for_each(|rule| rule(config)).map_err(|(key, why)| {
        let value = keys::find(key).map(|key| (key.get)(config)).unwrap_or_default();
        match config.origins.of(key) {
            Origin::Default if value.is_empty() => ConfigError::Missing { key, why },
            origin => ConfigError::Value { key, value, origin, why },
        }
    })
}

fn require(holds: bool, key: &'static str, why: impl Display) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err((key, why.to_string())) }
}

fn kube(config: &Config) -> Result<(), Fault> {
    const POOLS: &str = "kube.pools";
    let kube = &config.kube;
    if kube.pools.is_empty() {
        let why = "it is of use with pools of the cluster only: name them too, --pool NAMESPACE/NAME";
        return require(kube.config.as_os_str().is_empty(), "kube.config", why);
    }
    let both = "replicas are named too (--endpoint): name either them or pools";
    require(config.endpoints.is_empty(), POOLS, both)?;
    let is_name = |text: &String| text.parse::<PoolName>().map_err(|why| (POOLS, format!("{text:?}: {why}")));
    kube.pools.iter().try_for_each(|pool| is_name(pool).map(drop))?;
    let twice = kube.pools.iter().enumerate().find(|(at, pool)| kube.pools[..*at].contains(pool));
    require(twice.is_none(), POOLS, "a pool is named twice")?;
    let service = kube.agents.parse::<ObjectName>();
    require(kube.agents.is_empty() || service.is_ok(), "kube.agents", "write NAMESPACE/NAME of a Service")?;
    let lease = kube.lease.parse::<ObjectName>();
    require(kube.lease.is_empty() || lease.is_ok(), "kube.lease", "write NAMESPACE/NAME of a Lease")
}

fn agents(config: &Config) -> Result<(), Fault> {
    addresses("agents", &config.agents)
}

fn agent_tls(config: &Config) -> Result<(), Fault> {
    let tls = &config.agent_tls;
    let is_set = |file: &Path| !file.as_os_str().is_empty();
    let why = "no agent is named: give --agent HOST:PORT, or leave it out";
    require(!tls.is_on() || config.follows_agents(), "agent_tls.ca", why)?;
    let why = "without agent_tls.ca agents are spoken to in the clear: name the CA of their certificates too";
    let rest = [
        ("agent_tls.certificate", is_set(&tls.certificate)),
        ("agent_tls.key", is_set(&tls.key)),
        ("agent_tls.name", !tls.name.is_empty()),
    ];
    rest.into_iter().try_for_each(|(key, is_set)| require(tls.is_on() || !is_set, key, why))?;
    let why = "name the PEM file: a certificate and its private key go together";
    require(is_set(&tls.key) || !is_set(&tls.certificate), "agent_tls.key", why)?;
    require(is_set(&tls.certificate) || !is_set(&tls.key), "agent_tls.certificate", why)?;
    let nameless = |address: &&String| tls.is_on() && tls.name_of(address).is_none();
    let why = "no certificate can carry it: write a name such as warmlane-agent, or an IP address";
    require(
        tls.name.is_empty() || !config.agents.iter().any(|agent| nameless(&agent)),
        "agent_tls.name",
        why,
    )?;
    match config.agents.iter().find(nameless) {
        None => Ok(()),
        Some(agent) => Err((
            "agents",
            format!(
                "no certificate can carry the host of {agent}: give the name that it carries with --agent-tls-name"
            ),
        )),
    }
}

fn models(config: &Config) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    let twin = config.models.iter().find(|rule| !seen.insert(&rule.name));
    require(
        twin.is_none(),
        "models",
        twin.map(|rule| format!("{:?} is there twice", rule.name)).unwrap_or_default(),
    )
}

fn profile(config: &Config) -> Result<(), Fault> {
    let profile = &config.profile;
    let sum: f32 = profile.weights.as_array().iter().sum();
    require(
        sum > 0.0,
        "weights.queue",
        "all weights are 0, so nothing can be preferred; leave at least one above 0",
    )?;
    let load = profile.weights.queue + profile.weights.kv + profile.weights.work;
    let why = "queue, kv and work are all 0: without a load term everything piles onto one replica; set one above 0";
    require(load > 0.0, "weights.queue", why)?;
    let why = format!("must be longer than thresholds.fresh ({})", span::write(&profile.fresh));
    require(profile.stale > profile.fresh, "thresholds.stale", why)?;
    let share = "is a share of the KV cache: write a number above 0, at most 1";
    let is_share = |share: f32| share > 0.0 && share <= 1.0;
    require(is_share(profile.shed_kv), "thresholds.shed_kv", share)?;
    require(is_share(profile.headroom_kv), "thresholds.headroom_kv", share)
}

fn fallbacks(config: &Config) -> Result<(), Fault> {
    let most = config.profile.fallbacks;
    require(most <= MAX_FALLBACKS, "thresholds.fallbacks", format!("must be 0 to {MAX_FALLBACKS}"))?;
    let why = format!("must be 0 to {most}: a pick has no more (thresholds.fallbacks)");
    require(config.ext_proc.fallbacks <= most, "ext_proc.fallbacks", why)
}

fn faults(config: &Config) -> Result<(), Fault> {
    let (retries, breaker) = (config.retries, config.breaker);
    let why = "must be 0 to 1: retries per request, so 0.2 is one for every five";
    require((0.0..=1.0).contains(&retries.share), "retries.share", why)?;
    require((0.0..=1e6).contains(&retries.per_second), "retries.per_second", "must be 0 to 1000000")?;
    require(
        breaker.share > 0.0,
        "breaker.share",
        "must be above 0; write 2 so that no share of failures counts",
    )?;
    require(breaker.rest >= Duration::from_millis(100), "breaker.rest", "must be at least 100ms")?;
    let why = format!("must be at least breaker.rest ({})", span::write(&breaker.rest));
    require(breaker.longest_rest >= breaker.rest, "breaker.longest_rest", why)
}

fn limits(config: &Config) -> Result<(), Fault> {
    let limits = &config.limits;
    require(limits.body >= 1_024, "limits.body", "must be at least 1KiB")?;
    let why = "must be at least limits.body, or the largest body allowed could never be held";
    require(limits.body_budget >= limits.body, "limits.body_budget", why)?;
    require((1_024..=1 << 20).contains(&limits.head), "limits.head", "must be 1KiB to 1MiB")?;
    require((8..=4_096).contains(&limits.headers), "limits.headers", "must be 8 to 4096")?;
    require(limits.connections > 0, "limits.connections", "must be at least 1")?;
    require((1..=10_000).contains(&limits.streams), "limits.streams", "must be 1 to 10000")
}

fn timeouts(config: &Config) -> Result<(), Fault> {
    let timeouts = &config.timeouts;
    let all = [
        ("timeouts.request", timeouts.request),
        ("timeouts.stream_idle", timeouts.stream_idle),
        ("timeouts.connect", timeouts.connect),
        ("timeouts.client_head", timeouts.client_head),
        ("timeouts.client_body_idle", timeouts.client_body_idle),
        ("timeouts.client_body", timeouts.client_body),
        ("timeouts.client_idle", timeouts.client_idle),
        ("timeouts.upstream_idle", timeouts.upstream_idle),
    ];
    all.into_iter().try_for_each(|(key, time)| {
        require(
            time >= Duration::from_millis(1),
            key,
            "must be at least 1ms; for no practical limit write 365d",
        )
    })
}

fn stopping(config: &Config) -> Result<(), Fault> {
    let Timeouts { shutdown_delay: delay, drain, .. } = config.timeouts;
    let why = format!(
        "must be shorter than timeouts.drain ({}): both begin with SIGTERM, and what lies between them is the time to \
         finish open requests; 0s is no delay",
        span::write(&drain)
    );
    require(delay.is_zero() || delay < drain, "timeouts.shutdown_delay", why)
}

fn headers(config: &Config) -> Result<(), Fault> {
    let bad = config.headers.session.iter().find(|name| {
        HeaderName::from_bytes(name.as_bytes()).is_err() || name.chars().any(|c| c.is_ascii_uppercase())
    });
    let why = bad.map(|name| format!("{name:?} is not a header name in lower case, such as x-session-id"));
    require(bad.is_none(), "headers.session", why.unwrap_or_default())
}

fn prefix(config: &Config) -> Result<(), Fault> {
    let prefix = &config.prefix;
    let block = prefix.block_bytes;
    let why = "must be a power of two from 16 to 4096";
    require(block.is_power_of_two() && (16..=4_096).contains(&block), "prefix.block_bytes", why)?;
    require(prefix.index_bytes >= MIN_INDEX_BYTES, "prefix.index_bytes", "must be at least 8MiB")?;
    let most = 1 << 24;
    require((1..=most).contains(&prefix.sessions), "prefix.sessions", format!("must be 1 to {most}"))?;
    require((1..=65_536).contains(&prefix.groups), "prefix.groups", "must be 1 to 65536")?;
    require((1..=1_024).contains(&prefix.group_blocks), "prefix.group_blocks", "must be 1 to 1024")?;
    require(prefix.group_requests > 0, "prefix.group_requests", "must be at least 1")?;
    let second = Duration::from_secs(1);
    require(prefix.group_window >= second, "prefix.group_window", "must be at least 1s")?;
    require(prefix.session_lifetime >= second, "prefix.session_lifetime", "must be at least 1s")?;
    let why = "must be at most 1s: no prefix is worth that its request waits longer";
    require(prefix.tokenizer_wait <= second, "prefix.tokenizer_wait", why)
}

fn lane(config: &Config) -> Result<(), Fault> {
    let why = "must be from 64KiB to 64MiB: less holds no burst of tokens, and more waits for a client that does not read";
    require((64 << 10..=64 << 20).contains(&config.lane.budget), "lane.budget", why)
}

fn scrape(config: &Config) -> Result<(), Fault> {
    let scrape = &config.scrape;
    let why = "must be at least 50ms: a page costs an engine milliseconds of its only Python thread";
    require(scrape.min_interval >= MIN_SCRAPE, "scrape.min_interval", why)?;
    let why = format!("must be at least scrape.min_interval ({})", span::write(&scrape.min_interval));
    require(scrape.max_interval >= scrape.min_interval, "scrape.max_interval", why)?;
    let why = format!(
        "must be shorter than thresholds.stale ({}), or readings of a calm engine never count",
        span::write(&config.profile.stale)
    );
    require(scrape.max_interval < config.profile.stale, "scrape.max_interval", why)?;
    require(scrape.timeout >= Duration::from_millis(1), "scrape.timeout", "must be at least 1ms")?;
    require(scrape.rate >= 1, "scrape.rate", "must be at least 1: without readings nobody is ready")
}

fn process(config: &Config) -> Result<(), Fault> {
    require(config.workers <= MAX_WORKERS, "workers", format!("must be at most {MAX_WORKERS}"))?;
    let filter = log::filter(&config.log.level);
    require(filter.is_ok(), "log.level", filter.err().unwrap_or_default())
}

/// What these flags come to.
#[cfg(test)]
fn loaded(args: &str) -> Result<Config, String> {
    let args = ["warmlane-router"].into_iter().chain(args.split_whitespace()).map(std::ffi::OsString::from);
    let loaded = Config::load(args, &std::collections::HashMap::new());
    loaded.map(|loaded| loaded.config).map_err(|error| error.to_string())
}
