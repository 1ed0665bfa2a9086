//! The whole router in process.

use std::{net::SocketAddr, sync::Once};

use warmlane_router::{
    app::{App, Running},
    config::{Config, LaneMode},
};

use crate::{Wire, eventually, lane};

/// A router on port 0, stopped when dropped.
pub struct TestRouter {
    running: Running,
}

// === TestRouter ===

impl TestRouter {
    /// Starts a router over endpoints and waits until it holds all of them for ready.
    pub fn start(endpoints: &[SocketAddr]) -> Self {
        Self::with(endpoints, |_| {})
    }

    /// The same with other settings.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with(endpoints: &[SocketAddr], change: impl FnOnce(&mut Config)) -> Self {
        let router = Self::unready(endpoints, change);
        let count = endpoints.len();
        eventually("all endpoints are ready", || router.ready_endpoints() == count);
        router
    }

    /// The same without waiting for endpoints.
    ///
    /// # Panics
    /// When it does not start.
    pub fn unready(endpoints: &[SocketAddr], change: impl FnOnce(&mut Config)) -> Self {
        static LOGGING: Once = Once::new();
        LOGGING.call_once(|| {
            let filter = std::env::var("WARMLANE_TEST_LOG").unwrap_or_else(|_| "error".to_owned());
            let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        });
        let mut config = Config::for_endpoints(endpoints.iter().map(ToString::to_string).collect());
        config.workers = 2;
        let lane = std::env::var("WARMLANE_TEST_LANE").map(|mode| mode.parse().expect("a mode of the lane"));
        config.lane.mode = lane.unwrap_or(LaneMode::Off);
        change(&mut config);
        let wants_lane = config.lane.mode != LaneMode::Off;
        if wants_lane && config.lane.object.as_os_str().is_empty() {
            config.lane.object = lane::object();
        }
        let router = Self { running: App::start(config).expect("router starts") };
        if wants_lane {
            let page = router.admin().get("/debug/lane").json();
            assert_eq!(page["on"], true, "{page}");
        }
        router
    }

    /// A connection to the aware listener.
    pub fn aware(&self) -> Wire {
        Wire::connect(self.aware_address())
    }

    /// A connection to the plain listener.
    pub fn plain(&self) -> Wire {
        Wire::connect(self.plain_address())
    }

    /// Where the aware listener is.
    ///
    /// # Panics
    /// When it is off.
    pub fn aware_address(&self) -> SocketAddr {
        self.running.listening.aware.expect("an aware listener")
    }

    /// Where the plain listener is.
    ///
    /// # Panics
    /// When it is off.
    pub fn plain_address(&self) -> SocketAddr {
        self.running.listening.plain.expect("a plain listener")
    }

    /// A connection to the admin port.
    pub fn admin(&self) -> Wire {
        Wire::connect(self.running.listening.admin).called("localhost")
    }

    /// A connection to the metrics port.
    pub fn metrics(&self) -> Wire {
        Wire::connect(self.running.listening.metrics)
    }

    /// The addresses.
    pub fn listening(&self) -> warmlane_router::config::Listen {
        self.running.listening
    }

    /// `/debug/endpoints`.
    pub fn endpoints(&self) -> Vec<serde_json::Value> {
        let page = self.admin().get("/debug/endpoints").json();
        page["endpoints"].as_array().cloned().unwrap_or_default()
    }

    /// Requests the router holds for open at all endpoints together.
    pub fn in_flight(&self) -> u64 {
        self.endpoints().iter().filter_map(|e| e["in_flight"].as_u64()).sum()
    }

    /// Endpoints it holds for ready.
    pub fn ready_endpoints(&self) -> usize {
        self.endpoints().iter().filter(|e| e["ready"] == true).count()
    }

    /// The sum of all metric lines that start with `series`.
    pub fn metric(&self, series: &str) -> f64 {
        crate::metric(&self.metrics().get("/metrics").text(), series)
    }

    /// Picks of a replica that held something of the prompt, which was known from this source.
    pub fn matched_by(&self, source: &str) -> f64 {
        self.metric(&format!("warmlane_prefix_matches_total{{source=\"{source}\"}}"))
    }

    /// Waits until what its first agent knows by now is known here too, once engines do nothing: updates that were made before
    /// are on their way while one follows the other, so the one that counts comes after a silence.
    pub fn hear_agents(&self) {
        let agent = || self.admin().get("/debug/agents").json()["agents"][0].take();
        let updates = || agent()["updates"].as_u64().unwrap_or_default();
        eventually("its agent falls silent", || {
            agent()["heard_ms_ago"].as_u64().is_some_and(|ago| ago >= 100)
        });
        let before = updates();
        eventually("its agent speaks again", || updates() > before);
    }

    /// Stops it as SIGTERM does: see [`Running::announce`] and [`Running::drain`].
    pub fn terminate(mut self) {
        self.running.announce();
        self.running.drain();
    }

    /// Drains it: see [`Running::drain`].
    pub fn drain(self) -> u64 {
        self.running.drain()
    }
}
