//! How often a router is woken by packets that it has nothing to do with, by what it waits for.
//!
//! The kernel wakes who waits for bytes at a socket as packets come, those that were redirected too, and whoever waits for
//! room beside, as event loops do, even gets an event each time. Who waits for a pod's last word only sleeps.

use std::{fs, io::Write, net::TcpStream, os::fd::AsFd, thread, time::Duration};

use rustix::event::{
    Timespec,
    epoll::{self, Event, EventData, EventFlags},
};
use warmlane_router::kernel::{Framing, Standing};

use super::{super::pause, lane};

const PACKETS: u64 = 200;

/// How a wait for the end of a ride went.
#[derive(Debug)]
struct Woken {
    events: u64,
    /// How often the thread slept.
    slept: u64,
}

/// How often this thread has slept.
fn slept() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok()).expect("a count")
}

/// Waits for these at a socket until the pod has closed.
fn wait(upstream: &impl AsFd, flags: EventFlags) -> Woken {
    let watch = epoll::create(epoll::CreateFlags::empty()).expect("there is room");
    epoll::add(&watch, upstream, EventData::new_u64(0), flags).expect("there is room");
    let (before, mut events) = (slept(), 0);
    let timeout = Timespec { tv_sec: 20, tv_nsec: 0 };
    loop {
        let mut seen = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }];
        let count = epoll::wait(&watch, &mut seen, Some(&timeout)).expect("it waits");
        assert!(count > 0, "the end is never seen");
        events += 1;
        // The event is packed: copied out before it is looked at.
        let flags = seen[0].flags;
        if flags.contains(EventFlags::RDHUP) {
            return Woken { events, slept: slept() - before };
        }
    }
}

fn send(pod: &mut TcpStream) {
    thread::sleep(Duration::from_millis(20));
    for _ in 0..PACKETS {
        pod.write_all(b"5\r\nabcde\r\n").expect("open");
        pause(Duration::from_millis(1));
    }
    pod.shutdown(std::net::Shutdown::Write).expect("open");
}

#[test]
fn who_waits_for_the_pods_last_word_only_sleeps_while_packets_are_redirected() {
    let ways = [
        ("as event loops do", EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET),
        ("for bytes", EventFlags::IN | EventFlags::RDHUP | EventFlags::ET),
        ("for the last word", EventFlags::RDHUP | EventFlags::ET),
    ];
    for (name, flags) in ways {
        let laid = lane();
        let (mut pod, mut relay, _client) = laid.exchange();
        let upstream = relay.upstream.try_clone().expect("open");
        let armed = relay.arm(Framing::chunked()).expect("there is room");
        let woken = thread::scope(|scope| {
            scope.spawn(|| send(&mut pod));
            wait(&upstream, flags)
        });
        println!("{name}: {woken:?} with {PACKETS} packets");
        assert!(matches!(armed.standing(), Standing::Riding(progress) if progress.messages == PACKETS));
        if !flags.contains(EventFlags::IN) {
            assert!(woken.events <= 2 && woken.slept < PACKETS / 10, "{woken:?}");
        }
    }
}
