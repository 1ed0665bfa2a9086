//! Bodies in packets, of which none is parted.

use super::*;

/// Does with packets what the kernel does.
fn drive(mut framing: Framing, packets: &[&[u8]], steps: usize) -> Option<(usize, Framing, u32)> {
    let mut at = 0;
    for packet in packets {
        let cut = Scan::run_undivided(framing, packet, steps);
        if cut.redirected == 0 {
            assert_eq!((cut.framing, cut.chunks, cut.data), (framing, 0, 0));
            return Some((at, framing, cut.reason));
        }
        assert_eq!((cut.redirected as usize, cut.reason), (packet.len(), 0));
        (framing, at) = (cut.framing, at + packet.len());
    }
    None
}

/// Where the packet begins in which this byte lies.
fn begin_of(packets: &[&[u8]], byte: usize) -> usize {
    let ends = packets.iter().scan(0, |end, packet| {
        *end += packet.len();
        Some(*end)
    });
    ends.take_while(|end| *end <= byte).last().unwrap_or(0)
}

impl Chunks {
    fn check_packets(&self, packets: &[&[u8]], reason: u32) {
        let (at, framing, why) = drive(Framing::chunked(), packets, usize::MAX).expect("it ends");
        assert_eq!((at, why), (begin_of(packets, self.decided), reason));
        assert_eq!((framing.remaining, framing.stage), self.known(at));
    }
}

#[test]
fn the_packet_in_which_a_body_ends_is_left_whole_to_user_space() {
    for last in ["0\r\n\r\n", "000;x=\"y\"\r\n\r\n", "0\r\nname: value\r\n\r\n"] {
        let chunks = [event("hello"), (b"0\r\n\r\n".to_vec(), ";a=b;c=\"d\""), event("data: {}\n\n")];
        let built = Chunks::new(&chunks, last);
        for first in 0..built.body.len() {
            for second in [first, first + 1, first + 3] {
                built.check_packets(&pieces(&built.body, &[first, second]), reason::END);
            }
        }
        let single: Vec<usize> = (0..built.body.len()).collect();
        built.check_packets(&pieces(&built.body, &single), reason::END);
    }
}

#[test]
fn a_packet_that_takes_more_steps_than_there_are_is_left_whole() {
    let chunks: Vec<_> = (0..10).map(|at| event(&format!("{at}"))).collect();
    let built = Chunks::new(&chunks, "0\r\n\r\n");
    let body = &built.body[..*built.lines.last().unwrap()];
    let needed = (1..1_000).find(|steps| drive(Framing::chunked(), &[body], *steps).is_none()).unwrap();
    // A byte of data takes a step, and so does each of the framing; the last step sees that there is no more.
    assert_eq!(needed, body.len() + 1);
    let left = drive(Framing::chunked(), &[body], needed - 1);
    assert_eq!(left, Some((0, Framing::chunked(), reason::STEPS)));
}

#[test]
fn the_packet_with_the_last_byte_of_a_length_is_left_whole() {
    let body = [7; 100];
    for cut in 1..100 {
        let left = drive(Framing::length(100), &pieces(&body, &[cut]), STEPS);
        assert_eq!(left, Some((cut, Framing::length(100 - cut as u64), reason::END)));
    }
    assert_eq!(Scan::run_undivided(Framing::length(100), &[0; 150], STEPS).reason, reason::END);
    assert_eq!(Scan::run_undivided(Framing::length(101), &body, STEPS).redirected, 100);
    assert_eq!(
        Scan::run_undivided(Framing { kind: 9, ..Framing::chunked() }, b"x", STEPS).reason,
        reason::FRAMING
    );
}

#[test]
fn what_waits_is_what_the_socket_lacks() {
    assert_eq!(Waiting::between(100, 100, 50, 3), Some(Waiting::default()));
    assert_eq!(Waiting::between(60, 100, 50, 3), Some(Waiting { bytes: 40, packets: 3 }));
    // Over the end of the numbers.
    assert_eq!(Waiting::between(u32::MAX - 9, 10, 50, 3), Some(Waiting { bytes: 20, packets: 3 }));
    // Others wrote, or it is another socket.
    assert_eq!(Waiting::between(101, 100, 50, 3), None);
    assert_eq!(Waiting::between(40, 100, 50, 3), None);
}

#[test]
fn packets_that_wait_count_with_the_memory_they_take() {
    let waiting = |bytes, packets| Waiting { bytes, packets };
    assert!(has_room_beside(waiting(0, 0), 1_000, 0, 1 << 20, 512 * 1024));
    // Half a mebibyte of ones in packets of one byte each takes a thousand times as much.
    assert!(!has_room_beside(waiting(600, 600), 1, 0, 1 << 20, 512 * 1024));
    assert!(!has_room_beside(waiting(400_000, 10), 100_000, 0, 1 << 20, 512 * 1024));
    assert!(!has_room_beside(waiting(0, 0), 1_000, 512 * 1024, 1 << 20, 512 * 1024));
    assert!(!has_room_beside(waiting(0, 0), 1_000, 0, 4_096, 512 * 1024));
    assert!(!has_room_beside(waiting(u32::MAX, u32::MAX), u32::MAX, u32::MAX, u32::MAX, u32::MAX));
}

proptest! {
    #[test]
    fn any_packets_of_any_body_are_left_from_the_one_that_decides(
        chunks in prop::collection::vec(any_chunk(), 0..40),
        cuts in prop::collection::vec(any::<usize>(), 0..30),
        last in prop_oneof![Just("0\r\n\r\n"), Just("00;x\r\nt: 1\r\n\r\n")],
    ) {
        let built = Chunks::new(&chunks, last);
        built.check_packets(&pieces(&built.body, &cuts), reason::END);
    }

    #[test]
    fn with_fewer_steps_no_more_is_redirected(
        chunks in prop::collection::vec(any_chunk(), 0..10),
        cuts in prop::collection::vec(any::<usize>(), 0..10),
        steps in 1..300_usize,
    ) {
        let built = Chunks::new(&chunks, "0\r\n\r\n");
        let packets = pieces(&built.body, &cuts);
        let (at, framing, why) = drive(Framing::chunked(), &packets, steps).expect("it ends");
        let decided = begin_of(&packets, built.decided);
        prop_assert!(at <= decided && (why == reason::STEPS || at == decided));
        prop_assert_eq!((framing.remaining, framing.stage), built.known(at));
    }
}
