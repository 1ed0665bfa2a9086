//! Where there is no room, no permission, or nothing to find: one line, and copy.

use std::{path::PathBuf, process::Command};

use warmlane_router::kernel::{Lane, LoadError, Refusal, Settings, Side, count};
use warmlane_tests::lane::{Ends, Laid, object};

use super::{LOOPBACK, lane};

const CHILD: &str = "WARMLANE_LANE_CAPABILITIES";

fn refusal(settings: &Settings) -> String {
    let error = Lane::load(settings).map(drop).expect_err("it cannot be laid").to_string();
    assert!(!error.contains('\n'), "one line: {error}");
    error
}

#[test]
fn connections_beyond_the_maps_go_by_copy() {
    let laid = Laid::with(LOOPBACK, |settings| settings.connections = 1);
    let first = laid.connect();
    let second = laid.connect();
    assert_eq!(laid.lane.counts().of(count::PODS_FULL), 1);
    // One connection of each kind is kept: the later one, and the earlier pod's.
    let refusals = [&first, &second].map(|ends| laid.lane.upstream(&ends.upstream).map(drop));
    assert!(refusals.iter().all(Result::is_err), "{refusals:?}");
    let kept = laid.lane.client(&second.client_side).expect("the later client is known");
    assert_eq!(laid.lane.client(&first.client_side).map(drop), Err(Refusal::ClientUnseen));
    drop(kept);
}

#[test]
fn slots_run_out_and_come_back() {
    let laid = Laid::with(LOOPBACK, |settings| settings.slots = 1);
    let (first, second) = (laid.connect(), laid.connect());
    let held = laid.lane.upstream(&first.upstream).expect("there is one");
    assert_eq!(laid.lane.upstream(&second.upstream).map(drop), Err(Refusal::Full));
    drop(held);
    warmlane_tests::eventually("it has rested", || laid.lane.upstream(&second.upstream).is_ok());
}

#[test]
fn connections_that_nobody_announced_take_no_part() {
    let laid = lane();
    let Ends { client_side, client, .. } = laid.connect();
    let others = std::net::TcpStream::connect(laid.pod_address()).expect("it listens");
    assert_eq!(laid.lane.upstream(&others).map(drop), Err(Refusal::Early));
    assert_eq!(laid.lane.client(&client).map(drop), Err(Refusal::ClientUnseen));
    assert!(laid.lane.client(&client_side).is_ok());
    let refused =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("there are sockets");
    assert!(laid.lane.announce(&refused, Side::Local));
    assert_eq!(laid.lane.upstream(&refused).map(drop), Err(Refusal::Unseen));
}

#[test]
fn what_is_missing_is_said_in_one_line() {
    let settings = |object: PathBuf| Settings::new(object);
    let missing = refusal(&settings("nowhere.o".into()));
    assert!(missing.contains("nowhere.o") && missing.contains("cargo xtask ebpf"), "{missing}");
    let foreign = refusal(&settings(std::env::current_exe().expect("it runs")));
    assert!(foreign.contains("create the maps") || foreign.contains("does not fit"), "{foreign}");
    let none = refusal(&settings("/proc/version".into()));
    assert!(none.contains("/proc/version does not fit") && !none.contains("too old"), "{none}");
    let nowhere = refusal(&Settings { cgroup: Some("/proc".into()), ..settings(object()) });
    assert!(nowhere.contains("not a cgroup of version 2"), "{nowhere}");
}

/// What a router with these capabilities and no others says: this test again, in a process of its own.
fn with_capabilities(names: &str) -> String {
    let name = "privileged::limits::exactly_three_capabilities_are_needed_and_named";
    let mut command = Command::new("setpriv");
    command.args([&format!("--bounding-set=-all{names}"), "--inh-caps=-all", "--no-new-privs"]);
    command.arg(std::env::current_exe().expect("it runs")).args(["--exact", name, "--nocapture"]);
    let output = command.env(CHILD, "1").output().expect("setpriv of util-linux");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = said.lines().find_map(|line| line.split("lane: ").nth(1));
    told.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&output.stderr))).to_owned()
}

#[test]
fn exactly_three_capabilities_are_needed_and_named() {
    if std::env::var_os(CHILD).is_some() {
        let told = match Lane::load(&Settings::new(object())) {
            Ok(lane) => lane.self_test().map_or_else(|error| error.to_string(), |()| "works".to_owned()),
            Err(error @ LoadError::Privilege { .. }) => format!("not permitted: {error}"),
            Err(error) => error.to_string(),
        };
        println!("lane: {told}");
        return;
    }
    assert_eq!(with_capabilities(",+bpf,+net_admin,+perfmon"), "works");
    for fewer in ["", ",+net_admin,+perfmon", ",+bpf,+perfmon"] {
        let told = with_capabilities(fewer);
        assert!(
            told.starts_with("not permitted: ") && told.contains("CAP_BPF, CAP_NET_ADMIN"),
            "{fewer}: {told}"
        );
    }
    // The verifier knows a privilege as a lack of helpers.
    let told = with_capabilities(",+bpf,+net_admin");
    assert!(told.contains("refuses the program `messages`") && told.contains("CAP_PERFMON"), "{told}");
}
