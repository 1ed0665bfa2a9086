//! Nothing is left in the kernel of a lane that is gone, however it went.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use warmlane_router::kernel::{Framing, Lane, Settings, Side, is_loaded};
use warmlane_tests::{
    eventually,
    lane::{Relay, dial, object},
};

use super::{LOOPBACK, lane};

const POD: &str = "WARMLANE_LANE_POD";

#[test]
fn a_lane_that_is_dropped_leaves_nothing() {
    let laid = lane();
    let programs = laid.lane.programs();
    assert_eq!(programs.len(), 2);
    assert!(programs.iter().all(|program| is_loaded(*program)));
    let (pod, relay, client) = laid.exchange();
    drop((relay, laid));
    // The connections live on.
    eventually("the programs are gone", || !programs.iter().any(|program| is_loaded(*program)));
    drop((pod, client));
}

/// A router that arms one response after the other, until it is killed.
fn router(pod: SocketAddr) -> ! {
    let lane = Lane::load(&Settings::new(object())).unwrap_or_else(|error| panic!("{error}"));
    let front = TcpListener::bind((LOOPBACK, 0)).expect("a port is free");
    let address = front.local_addr().expect("bound");
    assert!(lane.serve(address.port()));
    let programs: Vec<String> = lane.programs().iter().map(u32::to_string).collect();
    // Whatever the test runner writes stands before it.
    println!("\nlane {address} {}", programs.join(" "));
    let mut relays = Vec::new();
    loop {
        let (client_side, _) = front.accept().expect("it listens");
        let upstream = dial(&lane, Side::Local, pod);
        upstream.set_nodelay(true).expect("open");
        // The pod speaks first, so that its end is there.
        upstream.peek(&mut [0]).expect("it speaks");
        let mut relay = Relay::new(&lane, upstream, client_side).expect("they may take part");
        relay.read(&mut [0]).expect("it spoke");
        relay.arm(Framing::chunked()).map(std::mem::forget).expect("there is room");
        println!("armed");
        relays.push(relay);
    }
}

/// Starts this test again as that router; its address, and the programs it has loaded.
fn start(pod: SocketAddr) -> (Child, BufReader<std::process::ChildStdout>, SocketAddr, Vec<u32>) {
    let name = "privileged::attached::a_router_that_is_killed_leaves_nothing_and_no_clean_ends";
    let mut command = Command::new(std::env::current_exe().expect("it runs"));
    command.args(["--exact", name, "--nocapture"]).env(POD, pod.to_string()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut said = BufReader::new(child.stdout.take().expect("piped"));
    let line = line(&mut said, "lane ");
    let mut words = line.split(' ');
    let address = words.next().and_then(|word| word.parse().ok()).expect("an address");
    (child, said, address, words.map(|word| word.parse().expect("a number")).collect())
}

fn line(said: &mut impl BufRead, beginning: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(said.read_line(&mut line).expect("it speaks") > 0, "it ended");
        if let Some(rest) = line.trim().strip_prefix(beginning) {
            return rest.to_owned();
        }
    }
}

#[test]
fn a_router_that_is_killed_leaves_nothing_and_no_clean_ends() {
    if let Some(pod) = std::env::var_os(POD) {
        router(pod.to_string_lossy().parse().expect("an address"));
    }
    let pods = TcpListener::bind((LOOPBACK, 0)).expect("a port is free");
    let (mut child, mut said, front, programs) = start(pods.local_addr().expect("bound"));
    let mut exchanges = Vec::new();
    for _ in 0..20 {
        let client = TcpStream::connect(front).expect("it listens");
        let (mut pod, _) = pods.accept().expect("it dials");
        pod.write_all(b"!").expect("open");
        line(&mut said, "armed");
        exchanges.push((pod, client));
    }
    for (pod, client) in &mut exchanges {
        pod.write_all(b"3\r\nabc\r\n").expect("open");
        let mut got = [0; 8];
        client.read_exact(&mut got).expect("it takes the lane");
        assert_eq!(&got, b"3\r\nabc\r\n");
    }
    child.kill().expect("it runs");
    child.wait().expect("it ran");
    for (mut pod, mut client) in exchanges {
        // The body has not ended, so this is visibly not its end.
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{}", rest.escape_ascii());
        eventually("the pod is told", || pod.write(b"3\r\ndef\r\n").is_err());
    }
    eventually("the programs are gone", || !programs.iter().any(|program| is_loaded(*program)));
    plain_again(&pods);
}

/// New connections to the same pod are as if nothing had been.
fn plain_again(pods: &TcpListener) {
    let mut upstream = TcpStream::connect(pods.local_addr().expect("bound")).expect("it listens");
    let (mut pod, _) = pods.accept().expect("it was dialled");
    let writer = thread::spawn(move || pod.write_all(b"plain"));
    upstream.set_read_timeout(Some(Duration::from_secs(5))).expect("open");
    let mut got = [0; 5];
    upstream.read_exact(&mut got).expect("it comes");
    assert_eq!(&got, b"plain");
    writer.join().expect("no panic").expect("open");
}
