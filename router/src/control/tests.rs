use std::{
    io::{Read, Write},
    net::TcpStream,
};

use super::*;

fn inputs(change: impl FnOnce(&mut Config)) -> (Inputs, watch::Sender<Shutdown>) {
    let mut config = Config::for_endpoints(vec!["127.0.0.1:1".to_owned()]);
    change(&mut config);
    let world = Arc::new(World::new(&config, 1));
    let metrics = Arc::new(Metrics::new(&world));
    let (shutdown, is_shutdown) = watch::channel(Shutdown::Serving);
    (
        Inputs {
            world,
            config: Arc::new(config),
            metrics,
            shutdown: is_shutdown,
            certificates: Vec::new(),
            extension: None,
            credentials: None,
            desired: None,
            log: None,
            exporter: None,
        },
        shutdown,
    )
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connect");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").expect("send");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    answer
}

#[test]
fn both_ports_serve_and_the_endpoints_are_known_as_soon_as_it_is_started() {
    let (inputs, _shutdown) = inputs(|_| {});
    let world = inputs.world.clone();
    let control = Control::start(inputs).expect("starts");
    assert_eq!(world.snapshot.load().endpoints().len(), 1);
    assert!(
        get(control.metrics_address(), "/metrics")
            .contains("warmlane_endpoint_ready{endpoint=\"127.0.0.1:1\"} 0")
    );
    assert!(get(control.admin_address(), "/debug/config").contains("endpoints = [\"127.0.0.1:1\"]"));
    assert!(get(control.metrics_address(), "/readyz").starts_with("HTTP/1.1 503"));
}

#[test]
fn hooks_alone_are_ready_and_served_as_soon_as_it_is_started() {
    let (inputs, shutdown) = inputs(|config| {
        config.endpoints.clear();
        config.listen = Listen { plain: None, aware: None, ..config.listen };
        config.listen.extension = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    });
    let control = Control::start(inputs).expect("starts");
    let mut listening = Listen::default();
    control.say_where(&mut listening);
    assert!(TcpStream::connect(listening.extension.expect("an address")).is_ok());
    for port in [control.metrics_address(), control.admin_address()] {
        let page = get(port, "/readyz");
        assert!(page.starts_with("HTTP/1.1 200") && page.ends_with("which need no replica\n"), "{page}");
    }
    assert!(get(control.admin_address(), "/debug/pools").contains("\"pools\": []"));
    shutdown.send_replace(Shutdown::Announced);
    let page = get(control.metrics_address(), "/readyz");
    assert!(page.starts_with("HTTP/1.1 503") && page.contains("draining"), "{page}");
}

#[test]
fn dropping_it_frees_the_ports_and_ends_the_updates() {
    let (inputs, _shutdown) = inputs(|_| {});
    let control = Control::start(inputs).expect("starts");
    let (metrics, updates) = (control.metrics_address(), control.updates());
    drop(control);
    assert!(TcpStream::connect(metrics).is_err());
    assert!(updates.is_closed());
}

#[test]
fn a_taken_port_is_named_with_its_flag() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("bind");
    let taken = holder.local_addr().expect("address");
    let (inputs, _shutdown) = inputs(|config| config.listen.admin = taken);
    let error = Control::start(inputs).expect_err("taken").to_string();
    assert!(error.contains(&format!("cannot listen on {taken} (--admin)")), "{error}");
}
