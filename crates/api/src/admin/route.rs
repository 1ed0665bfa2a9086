//! Which paths a port has and which methods each takes: what requests are found by, what is said of those that are not, and
//! what is described.

use super::path;

const READ: &str = "GET, HEAD";
const READ_AND_CHANGE: &str = "GET, HEAD, POST";

/// One of a port's paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// With `{name}` for what may be anything but nothing.
    pub path: &'static str,
    /// As the header `allow` has them.
    pub methods: &'static str,
}

/// Of a router's admin port.
pub const ROUTER: &[Route] = &[
    read("/"),
    read("/page/{file}"),
    read(path::OPENAPI),
    read(path::HEALTH),
    read(path::READY),
    read(path::ROUTER),
    read(path::ENDPOINTS),
    route("/debug/endpoints/{address}/drain", "POST"),
    route("/debug/endpoints/{address}/undrain", "POST"),
    read(path::AGENTS),
    route(path::LANE, READ_AND_CHANGE),
    read(path::PINS),
    route("/debug/pins/{session}", "DELETE"),
    read(path::GROUPS),
    route("/debug/groups/{group}", "DELETE"),
    read(path::POOLS),
    read(path::DECISIONS),
    read("/debug/decisions/{request_id}"),
    route(path::EXPLAIN, "POST"),
    route(path::LOG, READ_AND_CHANGE),
    read(path::CONFIG),
];

/// Of an agent's admin port.
pub const AGENT: &[Route] = &[read(path::OPENAPI), read(path::HEALTH), read(path::READY), read(path::NODE)];

/// Of the ports for monitoring.
pub const METRICS: &[Route] = &[read("/metrics"), read(path::HEALTH), read(path::READY)];

const fn read(path: &'static str) -> Route {
    route(path, READ)
}

const fn route(path: &'static str, methods: &'static str) -> Route {
    Route { path, methods }
}

/// The one that has this path.
pub fn find(routes: &'static [Route], path: &str) -> Option<&'static Route> {
    routes.iter().find(|route| route.is(path))
}

/// What could be asked for instead.
pub fn names(routes: &[Route]) -> Vec<&'static str> {
    routes.iter().map(|route| route.path).collect()
}

// === Route ===

impl Route {
    /// Whether it takes the method.
    pub fn takes(&self, method: &str) -> bool {
        self.methods.split(", ").any(|taken| taken == method)
    }

    fn is(&self, path: &str) -> bool {
        let Some((before, after)) = self.path.split_once('{') else { return self.path == path };
        let after = after.split_once('}').map_or("", |(_, after)| after);
        let between = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        between.is_some_and(|between| !between.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_with_what_it_takes() {
        let methods = |path| find(ROUTER, path).map(|route| route.methods);
        assert_eq!(methods("/"), Some(READ));
        assert_eq!(methods("/debug/lane"), Some(READ_AND_CHANGE));
        assert_eq!(methods("/debug/decisions"), Some(READ));
        assert_eq!(methods("/debug/decisions/a/b"), Some(READ), "ids are what clients make of them");
        assert_eq!(methods("/debug/endpoints/10.0.0.1:8000/undrain"), Some("POST"));
        assert_eq!(methods("/debug/pins/00ff"), Some("DELETE"));
        for path in
            ["", "//", "/debug", "/debug/decisions/", "/debug/endpoints//drain", "/debug/lane/", "/page/"]
        {
            assert_eq!(methods(path), None, "{path}");
        }
    }

    #[test]
    fn a_method_is_taken_whole() {
        let lane = find(ROUTER, "/debug/lane").expect("there");
        assert!(lane.takes("HEAD") && lane.takes("POST"));
        assert!(!lane.takes("GE") && !lane.takes("get") && !lane.takes("DELETE") && !lane.takes(""));
    }

    #[test]
    fn no_path_is_two() {
        for routes in [ROUTER, AGENT, METRICS] {
            for route in routes {
                let example = route.path.replace(['{', '}'], "");
                let found = routes.iter().filter(|other| other.is(&example)).count();
                assert_eq!(found, 1, "{}", route.path);
            }
        }
    }
}
