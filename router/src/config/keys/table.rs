//! One row per setting, in the order in which they are read, shown and explained.
//!
//! `strategy` stands before what it sets: weights and thresholds then override its profile.

use warmlane_picker::Profile;

use super::{
    super::{models, objectives, text, tokenizers},
    Key,
};

const ROUTING: &str = "Replicas and routing";
const LISTEN: &str = "Listeners";
const WEIGHTS: &str = "Weights (override the strategy's; 0 turns a concern off)";
const THRESHOLDS: &str = "Thresholds";
const FAULTS: &str = "Failing replicas";
const LIMITS: &str = "Limits";
const TIMEOUTS: &str = "Timeouts";
const HEADERS: &str = "Headers and sessions";
const PREFIX: &str = "Prefix reuse";
const LANE: &str = "Kernel lane (responses of pods on this node without waking the router)";
const SCRAPE: &str = "Reading engines";
const PROCESS: &str = "Process and log";
const TRACING: &str = "Tracing (spans of requests for an OpenTelemetry collector)";

/// A row whose value is a field: group, name, flag, value's name, unit, field, help.
macro_rules! key {
    ($group:ident, $path:literal, $flag:literal, $value:literal, $unit:ident, $($field:ident).+, $help:literal) => {
        Key {
            path: $path,
            flag: $flag,
            value: $value,
            group: $group,
            help: $help,
            form: text::$unit::FORM,
            get: |config| text::$unit::write(&config.$($field).+),
            set: |config, text| {
                config.$($field).+ = text::$unit::read(text)?;
                Ok(())
            },
        }
    };
}

/// Every setting.
#[rustfmt::skip] // One row a line reads as a table.
pub(in super::super) const KEYS: &[Key] = &[
    key!(ROUTING, "endpoints", "endpoint", "HOST:PORT[,...]", list, endpoints, "Replicas to route to, outside a cluster. May be given several times"),
    key!(ROUTING, "kube.pools", "pool", "NAMESPACE/NAME[,...]", list, kube.pools, "InferencePools of the cluster to route to, instead of named replicas: their pods, models, objectives and rewrites are watched. The first serves what names no model. May be given several times"),
    key!(ROUTING, "kube.config", "kubeconfig", "FILE", file, kube.config, "How to reach the cluster's API server; the pod's own service account where none is given"),
    key!(ROUTING, "kube.agents", "kube-agents", "NAMESPACE/NAME", word, kube.agents, "The Service whose pods are the nodes' agents: with pools they are found by it, besides those that are named. Empty: none are"),
    key!(ROUTING, "kube.lease", "kube-lease", "NAMESPACE/NAME", word, kube.lease, "The Lease whose holder, one of the routers, writes the status of InferenceModels. It judges the models of its own pools only: routers of different pools need different Leases. Empty: none is written"),
    key!(ROUTING, "agents", "agent", "HOST:PORT[,...]", list, agents, "Agents of the nodes that replicas run on; a replica that none tells of is read by the router itself. May be given several times"),
    key!(ROUTING, "agent_tls.ca", "agent-tls-ca", "FILE", file, agent_tls.ca, "Speak to agents by TLS: PEM file of the CA that their certificates must be signed by"),
    key!(ROUTING, "agent_tls.certificate", "agent-tls-certificate", "FILE", file, agent_tls.certificate, "PEM file of the certificate chain that agents are shown, the router's own first; for those with --tls-client-ca"),
    key!(ROUTING, "agent_tls.key", "agent-tls-key", "FILE", file, agent_tls.key, "PEM file of its private key. All three are looked at again for each connection"),
    key!(ROUTING, "agent_tls.name", "agent-tls-name", "NAME", word, agent_tls.name, "The name that agents' certificates carry, where that is not the host they are dialled by, such as a pod's address"),
    STRATEGY,
    key!(ROUTING, "plain_policy", "plain-policy", "POLICY", word, plain_policy, "How the plain listener spreads requests: random (as a Service does), round-robin, least-request"),
    key!(ROUTING, "unknown_model", "unknown-model", "404|pass", word, unknown_model, "What to do with a model name that no replica lists: 404 once every ready replica's list is known, or pass it on"),
    MODELS,
    OBJECTIVES,
    key!(LISTEN, "listen.plain", "plain", "ADDR|off", maybe_address, listen.plain, "Plain HTTP: no inference awareness, the baseline"),
    key!(LISTEN, "listen.aware", "aware", "ADDR|off", maybe_address, listen.aware, "Inference-aware HTTP. Off, with plain too, where Envoy carries the traffic: see ext_proc"),
    key!(LISTEN, "listen.plain_tls", "plain-tls", "ADDR|off", maybe_address, listen.plain_tls, "The plain listener's twin for TLS, HTTP/2 by ALPN"),
    key!(LISTEN, "listen.aware_tls", "aware-tls", "ADDR|off", maybe_address, listen.aware_tls, "The aware listener's twin for TLS, HTTP/2 by ALPN"),
    key!(LISTEN, "listen.metrics", "metrics", "ADDR", address, listen.metrics, "/metrics, /healthz and /readyz"),
    key!(LISTEN, "listen.admin", "admin", "ADDR", address, listen.admin, "A page for people, /openapi.json and what it describes below /debug/, and changes for who has the token; keep it on loopback"),
    key!(LISTEN, "listen.admin_socket", "admin-socket", "PATH", file, admin.socket, "The admin port as a Unix socket too, open to the router's user alone: there that user and root may change what the router does, such as drain a replica, without a token"),
    key!(LISTEN, "listen.grpc_health", "grpc-health", "ADDR|off", maybe_address, listen.grpc_health, "gRPC health for gateways and probes, usually port 9003: services \"\", liveness, readiness, envoy.service.ext_proc.v3.ExternalProcessor"),
    key!(LISTEN, "listen.ext_proc", "ext-proc", "ADDR|off", maybe_address, listen.ext_proc, "Endpoint picker for Envoy gateways (ext_proc), usually port 9002; gRPC health is there too"),
    key!(LISTEN, "listen.extension", "extension-server", "ADDR|off", maybe_address, listen.extension, "Hooks for Envoy Gateway, usually port 9004: HTTPRoutes to an InferencePool then ask its picker. Who answers them controls that gateway. Alone, with plain and aware off, it needs neither replicas nor pools"),
    key!(LISTEN, "admin.token_file", "admin-token-file", "FILE", file, admin.token_file, "File with the token, of at least 16 characters, that such changes need on the admin port. Read for each of them; without it none is made"),
    key!(LISTEN, "admin.hosts", "admin-host", "NAME[,...]", list, admin.hosts, "Names by which the admin port may be called, besides localhost and addresses. Any other could be led here by a page in somebody's browser"),
    key!(LISTEN, "ext_proc.tls", "ext-proc-tls", "off|self-signed|CERT,KEY", word, ext_proc.tls, "How Envoy connects to it: without TLS, with a certificate made at start, or with these two PEM files"),
    key!(LISTEN, "ext_proc.fallbacks", "ext-proc-fallbacks", "COUNT", count, ext_proc.fallbacks, "Replicas named after the first, at most thresholds.fallbacks; only clusters of type override_host read more than one"),
    key!(LISTEN, "extension.domain", "extension-domain", "NAME", word, extension.domain, "Domain of the cluster's Services, of which pickers are one"),
    key!(LISTEN, "extension.picker_tls", "extension-picker-tls", "off|unverified|FILE", word, extension.picker_tls, "How Envoy is told to connect to pickers: without TLS, by TLS with whoever answers, or with a certificate signed by the CA in this PEM file"),
    key!(LISTEN, "extension_tls.certificate", "extension-tls-certificate", "FILE", file, extension_tls.certificate, "Let the hooks be called by TLS only: PEM file of the certificate chain, the server's own first"),
    key!(LISTEN, "extension_tls.key", "extension-tls-key", "FILE", file, extension_tls.key, "PEM file of its private key"),
    key!(LISTEN, "extension_tls.client_ca", "extension-tls-client-ca", "FILE", file, extension_tls.client_ca, "Let only those call that show a certificate signed by the CA in this PEM file"),
    key!(LISTEN, "tls.certificate", "tls-certificate", "FILE", file, tls.certificate, "PEM file of the certificate chain for both, the server's own first"),
    key!(LISTEN, "tls.key", "tls-key", "FILE", file, tls.key, "PEM file of its private key"),
    key!(LISTEN, "tls.reload_interval", "tls-reload-interval", "TIME", span, tls.reload_interval, "How often both files are looked at; when they change, new connections use them and open ones go on"),
    key!(WEIGHTS, "weights.queue", "weights-queue", "NUMBER", ratio, profile.weights.queue, "Waiting requests"),
    key!(WEIGHTS, "weights.kv", "weights-kv", "NUMBER", ratio, profile.weights.kv, "Share of KV cache that the requests there will fill, far more once it is full"),
    key!(WEIGHTS, "weights.work", "weights-work", "NUMBER", ratio, profile.weights.work, "Work in the way: prompt tokens to be computed, and tokens being answered"),
    key!(WEIGHTS, "weights.lora", "weights-lora", "NUMBER", ratio, profile.weights.lora, "LoRA adapter already active"),
    key!(WEIGHTS, "weights.prefix", "weights-prefix", "NUMBER", ratio, profile.weights.prefix, "Prompt tokens that need no computing"),
    key!(WEIGHTS, "weights.session", "weights-session", "NUMBER", ratio, profile.weights.session, "Session pinned there"),
    key!(WEIGHTS, "weights.group", "weights-group", "NUMBER", ratio, profile.weights.group, "Prefix group pinned there"),
    key!(WEIGHTS, "weights.locality", "weights-locality", "NUMBER", ratio, profile.weights.locality, "On this node"),
    key!(THRESHOLDS, "thresholds.fresh", "thresholds-fresh", "TIME", span, profile.fresh, "A reading this young counts in full"),
    key!(THRESHOLDS, "thresholds.stale", "thresholds-stale", "TIME", span, profile.stale, "A reading this old counts as unknown"),
    key!(THRESHOLDS, "thresholds.shed_queue", "thresholds-shed-queue", "NUMBER", ratio, profile.shed_queue, "Sheddable requests get 429 when every replica has more waiting than this"),
    key!(THRESHOLDS, "thresholds.shed_kv", "thresholds-shed-kv", "SHARE", ratio, profile.shed_kv, "... or more than this share of its KV cache in use"),
    key!(THRESHOLDS, "thresholds.headroom_queue", "thresholds-headroom-queue", "NUMBER", ratio, profile.headroom_queue, "A replica with more waiting is passed over while another has room"),
    key!(THRESHOLDS, "thresholds.headroom_kv", "thresholds-headroom-kv", "SHARE", ratio, profile.headroom_kv, "... or with more of its KV cache spoken for"),
    key!(THRESHOLDS, "thresholds.slow_start", "thresholds-slow-start", "TIME", span, profile.slow_start, "A replica that joins a pool at work, or comes back, takes its full share after this; 0s: at once"),
    key!(THRESHOLDS, "thresholds.fallbacks", "thresholds-fallbacks", "COUNT", count, profile.fallbacks, "Replicas to try after the first, while nothing was answered; at most 16"),
    key!(FAULTS, "retries.share", "retries-share", "NUMBER", ratio, retries.share, "Failed requests sent once more, per request: keeps retries a small part of the load. Refused connections do not count"),
    key!(FAULTS, "retries.per_second", "retries-per-second", "NUMBER", ratio, retries.per_second, "... and per second and data-plane thread, for quiet pools"),
    key!(FAULTS, "breaker.failures", "breaker-failures", "COUNT", count, breaker.in_a_row, "Failures in a row after which a replica is left alone for a while; 0: never"),
    key!(FAULTS, "breaker.share", "breaker-share", "SHARE", ratio, breaker.share, "... or this share of at least 20 requests within 10s, if that is three times the others' share"),
    key!(FAULTS, "breaker.rest", "breaker-rest", "TIME", span, breaker.rest, "How long, the first time; then twice as long each time"),
    key!(FAULTS, "breaker.longest_rest", "breaker-longest-rest", "TIME", span, breaker.longest_rest, "... up to this"),
    key!(LIMITS, "limits.body", "body-limit", "BYTES", bytes, limits.body, "Largest request body; beyond it 413"),
    key!(LIMITS, "limits.body_budget", "limits-body-budget", "BYTES", bytes, limits.body_budget, "Bodies held by the whole process; beyond it 503"),
    key!(LIMITS, "limits.head", "limits-head", "BYTES", bytes, limits.head, "Largest request or response head"),
    key!(LIMITS, "limits.headers", "limits-headers", "COUNT", count, limits.headers, "Most headers in a head"),
    key!(LIMITS, "limits.connections", "limits-connections", "COUNT", count, limits.connections, "Most client connections at once, streams of HTTP/2 connections included"),
    key!(LIMITS, "limits.streams", "limits-streams", "COUNT", count, limits.streams, "Most streams of one HTTP/2 connection at once"),
    key!(TIMEOUTS, "timeouts.request", "timeouts-request", "TIME", span, timeouts.request, "From the end of a request to the end of its response"),
    key!(TIMEOUTS, "timeouts.stream_idle", "timeouts-stream-idle", "TIME", span, timeouts.stream_idle, "Silence between two parts of a response"),
    key!(TIMEOUTS, "timeouts.connect", "timeouts-connect", "TIME", span, timeouts.connect, "Connecting to a replica"),
    key!(TIMEOUTS, "timeouts.client_head", "timeouts-client-head", "TIME", span, timeouts.client_head, "A request's head, from its first byte"),
    key!(TIMEOUTS, "timeouts.client_body_idle", "timeouts-client-body-idle", "TIME", span, timeouts.client_body_idle, "Silence within a request's body"),
    key!(TIMEOUTS, "timeouts.client_body", "timeouts-client-body", "TIME", span, timeouts.client_body, "A request's body, from its head's end to its last byte"),
    key!(TIMEOUTS, "timeouts.client_idle", "timeouts-client-idle", "TIME", span, timeouts.client_idle, "Client connection between requests"),
    key!(TIMEOUTS, "timeouts.upstream_idle", "timeouts-upstream-idle", "TIME", span, timeouts.upstream_idle, "Unused connection to a replica; engines close theirs after 5s"),
    key!(TIMEOUTS, "timeouts.shutdown_delay", "timeouts-shutdown-delay", "TIME", span, timeouts.shutdown_delay, "From SIGTERM until listeners close: health checks are told at once, and requests are served as before, so that gateways notice in time; longer than the interval and timeout of their check, shorter than timeouts.drain. SIGINT does not wait"),
    key!(TIMEOUTS, "timeouts.drain", "timeouts-drain", "TIME", span, timeouts.drain, "From SIGTERM until open requests are cut"),
    key!(HEADERS, "headers.endpoint", "headers-endpoint", "BOOL", switch, headers.endpoint, "Name the replica in x-warmlane-endpoint"),
    key!(HEADERS, "headers.session", "headers-session", "NAME[,...]", list, headers.session, "Request headers that declare a session, first match wins"),
    key!(HEADERS, "headers.set_session_cookie", "headers-set-session-cookie", "BOOL", switch, headers.set_session_cookie, "Set the cookie warmlane-session for clients that declare no session"),
    key!(PREFIX, "prefix.block_bytes", "prefix-block-bytes", "BYTES", bytes, prefix.block_bytes, "Prompt text per block, a power of two"),
    key!(PREFIX, "prefix.index_bytes", "prefix-index-bytes", "BYTES", bytes, prefix.index_bytes, "Most memory of the prefix index, which grows as it fills, up to the KV capacity that engines state; and of the table of what they say they hold"),
    TOKENIZERS,
    key!(PREFIX, "prefix.tokenizer_wait", "prefix-tokenizer-wait", "TIME", span, prefix.tokenizer_wait, "A prompt that is new waits at most so long until its tokens are known; 0s: never, it then goes by what this router sent"),
    key!(PREFIX, "prefix.sessions", "prefix-sessions", "COUNT", count, prefix.sessions, "Sessions remembered"),
    key!(PREFIX, "prefix.session_lifetime", "prefix-session-lifetime", "TIME", span, prefix.session_lifetime, "A session idle longer is forgotten"),
    key!(PREFIX, "prefix.groups", "prefix-groups", "COUNT", count, prefix.groups, "Prefix groups remembered"),
    key!(PREFIX, "prefix.group_blocks", "prefix-group-blocks", "COUNT", count, prefix.group_blocks, "Shortest shared prefix that makes a group, in blocks"),
    key!(PREFIX, "prefix.group_requests", "prefix-group-requests", "COUNT", count, prefix.group_requests, "Requests within the window that make a group"),
    key!(PREFIX, "prefix.group_window", "prefix-group-window", "TIME", span, prefix.group_window, "That window"),
    key!(LANE, "lane.mode", "lane", "off|pinned|all", word, lane.mode, "Which responses take it where the kernel can: none, those of pinned sessions and prefix groups, or all that gain"),
    key!(LANE, "lane.remote", "lane-remote", "off|on", word, lane.remote, "Whether those of pods on other nodes may take it too: off the router's threads, not off the machine"),
    key!(LANE, "lane.object", "lane-object", "FILE", file, lane.object, "The kernel programs that `cargo xtask ebpf` builds. Unset: warmlane-lane.o beside the router, or in ../lib/warmlane"),
    key!(LANE, "lane.cgroup", "lane-cgroup", "PATH", file, lane.cgroup, "The cgroup v2 whose connections are seen: the router's own and all pods' must be below it. Unset: the root of the hierarchy"),
    key!(LANE, "lane.budget", "lane-budget", "BYTES", bytes, lane.budget, "Most kernel memory that may wait to be sent to one client; beyond it its response is copied. Half of it for pods on other nodes"),
    key!(SCRAPE, "scrape.min_interval", "scrape-min-interval", "TIME", span, scrape.min_interval, "Shortest time between two readings of one engine"),
    key!(SCRAPE, "scrape.max_interval", "scrape-max-interval", "TIME", span, scrape.max_interval, "Longest, while nothing moves"),
    key!(SCRAPE, "scrape.timeout", "scrape-timeout", "TIME", span, scrape.timeout, "A reading that takes longer is given up"),
    key!(SCRAPE, "scrape.rate", "scrape-rate", "COUNT", count, scrape.rate, "Most readings a second of all engines together, some 90 us of the control thread each: with more engines each is read less often; those that an agent speaks for are not read at all"),
    key!(PROCESS, "workers", "workers", "COUNT", count, workers, "Data-plane threads; 0: one per core"),
    key!(PROCESS, "log.level", "log-level", "FILTER", word, log.level, "error, warn, info, debug, trace, or per module: info,warmlane_router::scrape=debug"),
    key!(PROCESS, "log.json", "log-json", "BOOL", switch, log.json, "One JSON object a line"),
    key!(PROCESS, "log.access", "log-access", "BOOL", switch, log.access, "One line per request; costs more than routing it"),
    key!(PROCESS, "log.decisions", "log-decisions", "COUNT", count, log.decisions, "Decisions that each worker keeps in memory for /debug/decisions, all workers together 32 MiB of them at most; 0: none. No prompt is in them"),
    key!(TRACING, "tracing.endpoint", "tracing-endpoint", "URL", word, tracing.endpoint, "The collector's gRPC port, such as http://127.0.0.1:4317, without TLS. Unset: no spans are made, and traceparent passes as it came"),
    key!(TRACING, "tracing.sample", "tracing-sample", "SHARE", ratio, tracing.sample, "Share of requests whose spans are handed over, of those that come without a traceparent; else that decides"),
    key!(TRACING, "tracing.service_name", "tracing-service-name", "NAME", word, tracing.service_name, "What the router is called there"),
];

const STRATEGY: Key = Key {
    path: "strategy",
    flag: "strategy",
    value: "NAME",
    group: ROUTING,
    help: "How the aware listener weighs: DEFAULT (queue, KV use, LoRA, pins) or PREFIX_CACHE (the same and prefix reuse)",
    form: text::Form::Quoted,
    get: |config| config.profile.strategy.to_string(),
    set: |config, text| {
        config.profile = Profile::of(text::word::read(text)?);
        Ok(())
    },
};

const OBJECTIVES: Key = Key {
    path: "objectives",
    flag: "objectives",
    value: "TOML",
    group: ROUTING,
    help: "Importances that gateways name in x-gateway-inference-objective; [[objectives]] in the file, else a TOML list: \
           [{ name = \"batch\", priority = -1 }]. Below 0 is shed first, above 0 never",
    form: text::Form::Toml,
    get: |config| objectives::write(&config.objectives),
    set: |config, text| {
        config.objectives = objectives::read(text)?;
        Ok(())
    },
};

const TOKENIZERS: Key = Key {
    path: "tokenizers",
    flag: "tokenizer",
    value: "MODEL=PATH[,...]",
    group: PREFIX,
    help: "Tokenizer of a model: its tokenizer.json, or the folder with that and its chat template. With agents that follow KV \
           events, prompts then go by what engines really hold. May be given several times",
    form: text::Form::List,
    get: |config| tokenizers::write(&config.tokenizers),
    set: |config, text| {
        config.tokenizers = tokenizers::read(text)?;
        Ok(())
    },
};

const MODELS: Key = Key {
    path: "models",
    flag: "models",
    value: "TOML",
    group: ROUTING,
    help: "Models with an importance or targets of their own; [[models]] in the file, else a TOML list: \
           [{ name = \"chat\", criticality = \"Critical\", targets = [{ name = \"chat-v2\", weight = 1 }] }]",
    form: text::Form::Toml,
    get: |config| models::write(&config.models),
    set: |config, text| {
        config.models = models::read(text)?;
        Ok(())
    },
};
