//! What the settings of tracing must be.

use hyper::Uri;

use super::{Config, Fault, require};

pub(super) fn tracing(config: &Config) -> Result<(), Fault> {
    const ENDPOINT: &str = "tracing.endpoint";
    let tracing = &config.tracing;
    let why = "is a share of all requests: write a number from 0 to 1";
    require(tracing.sample <= 1.0, "tracing.sample", why)?;
    require(
        !tracing.service_name.is_empty(),
        "tracing.service_name",
        "write a name, such as warmlane-router",
    )?;
    if tracing.endpoint.is_empty() {
        return Ok(());
    }
    let how =
        "write http://HOST:PORT of an OpenTelemetry collector's gRPC port, such as http://127.0.0.1:4317";
    let uri: Uri = tracing.endpoint.parse().map_err(|_| (ENDPOINT, how.to_owned()))?;
    let why = "spans are handed over without TLS: name a collector on this node or in this cluster, http://HOST:PORT";
    require(uri.scheme_str() != Some("https"), ENDPOINT, why)?;
    require(uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none(), ENDPOINT, how)
}

#[cfg(test)]
mod tests {
    use super::{super::loaded, *};

    fn load(args: &str) -> Result<Config, String> {
        loaded(&format!("--endpoint a:1 {args}"))
    }

    #[test]
    fn a_collector_is_named_by_a_url_without_tls_and_a_share_is_one() {
        let config = load("--tracing-endpoint http://collector:4317 --tracing-sample 0.25").expect("valid");
        assert_eq!((&*config.tracing.endpoint, config.tracing.sample), ("http://collector:4317", 0.25));
        assert_eq!(load("").expect("valid").tracing.endpoint, "", "off by default");
        for (args, why) in [
            ("--tracing-endpoint collector:4317", "write http://HOST:PORT"),
            ("--tracing-endpoint http://collector:4317/v1/traces", "write http://HOST:PORT"),
            ("--tracing-endpoint https://collector:4317", "without TLS"),
            ("--tracing-sample 1.5", "from 0 to 1"),
        ] {
            let said = load(args).expect_err(args);
            assert!(said.contains(why), "{args}: {said}");
        }
    }
}
