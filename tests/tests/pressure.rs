//! The kernel lane on a machine that runs short of memory for TCP. A suite of its own, as it takes that memory from all that runs beside it:
//! `xtask/assets/nextest.toml` has it run alone.

#![cfg(target_os = "linux")]

mod privileged {
    use std::{
        fs,
        io::{Read, Write},
        net::{Ipv4Addr, TcpListener, TcpStream},
        thread,
    };

    use warmlane_router::kernel::{Framing, Refusal, Standing, count, reason};
    use warmlane_tests::{
        eventually,
        lane::{Laid, Relay},
    };

    const LIMITS: &str = "/proc/sys/net/ipv4/tcp_mem";
    const CHUNK: &[u8] = b"3\r\nabc\r\n";

    /// From the first page on the machine counts as short, and nothing is refused yet.
    struct Short {
        before: String,
        /// What one end has not read: without it all memory could be given back, and nothing would be short.
        _unread: [TcpStream; 2],
    }

    impl Short {
        fn begin() -> Self {
            let before = fs::read_to_string(LIMITS).expect("it is there");
            let most = before.split_whitespace().last().expect("three numbers");
            // Before, as buffers do not grow in a shortage: more than each CPU keeps back uncounted, which is a megabyte.
            let unread = full();
            fs::write(LIMITS, format!("1 1 {most}")).expect("root may");
            Self { before, _unread: unread }
        }
    }

    impl Drop for Short {
        fn drop(&mut self) {
            fs::write(LIMITS, &self.before).expect("root may");
        }
    }

    fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        (near, listener.accept().expect("it was dialled").0)
    }

    /// A connection that holds as much as fits, some megabytes.
    fn full() -> [TcpStream; 2] {
        let (mut near, far) = connected();
        near.set_nonblocking(true).expect("open");
        while near.write(&[0; 100_000]).is_ok() {}
        [near, far]
    }

    /// The kernel looks as sockets take memory, and as they give it back.
    fn make_it_look() {
        let (mut near, mut far) = connected();
        thread::scope(|scope| {
            scope.spawn(|| near.write_all(&[0; 100_000]).expect("open"));
            far.read_exact(&mut [0; 100_000]).expect("it comes");
        });
    }

    /// Whether the next chunk takes the lane; where not, the router gets it.
    fn rides((mut pod, mut relay, mut client): (TcpStream, Relay, TcpStream)) -> bool {
        let armed = relay.arm(Framing::chunked()).expect("there is room");
        pod.write_all(CHUNK).expect("open");
        let (standing, mut got) = (armed.standing(), [0; CHUNK.len()]);
        drop(armed);
        if let Standing::HandedOver(end) = standing {
            assert_eq!(end.reason, reason::MEMORY);
            assert_eq!(relay.read(&mut got).expect("it comes here"), CHUNK.len());
            return false;
        }
        client.read_exact(&mut got).expect("it rode");
        true
    }

    #[test]
    fn responses_are_copied_until_it_has_memory_again() {
        let laid = Laid::over(Ipv4Addr::LOCALHOST);
        let takes_part = || {
            make_it_look();
            laid.lane.upstream(&laid.connect().upstream).map(drop)
        };
        assert!(rides(laid.exchange()));
        let (before, short) = (laid.exchange(), Short::begin());
        eventually("new connections take no part", || takes_part() == Err(Refusal::Left));
        assert!(laid.lane.counts().of(count::SHORT) > 0);
        assert!(!rides(before), "nor does the next chunk on one from before");
        laid.lane.self_test().expect("it is no fault of the kernel's");
        drop(short);
        eventually("new connections take part again", || takes_part() == Ok(()));
        assert!(rides(laid.exchange()));
    }
}
