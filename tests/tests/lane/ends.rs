//! How responses on the lane end: each way as it does by copy.

use super::*;

/// Each of them with the engine on this node, and with it on another.
macro_rules! in_both_places {
    ($($name:ident),+ $(,)?) => {
        mod here {
            $(#[test] fn $name() { super::$name(super::Place::Here) })+
        }
        mod elsewhere {
            $(#[test] fn $name() { super::$name(super::Place::Elsewhere) })+
        }
    };
}

in_both_places!(
    an_end_that_comes_in_pieces_ends_the_stream,
    an_engine_that_breaks_off_is_seen_and_its_client_too,
    a_client_that_leaves_frees_its_engine,
    an_engine_that_gives_an_answer_up_is_heard,
    silence_is_measured_by_what_the_kernel_carries,
    a_client_that_does_not_read_stops_its_engine_and_gets_all_of_it_later,
    a_router_that_stops_lets_it_end,
    a_router_that_cuts_what_is_open_leaves_its_client_with_a_visible_end,
    an_engine_that_closes_as_its_client_leaves_is_not_blamed,
);

fn an_end_that_comes_in_pieces_ends_the_stream(place: Place) {
    let mut node = Node::at(place, |_| {});
    let mut client = node.router.aware();
    let before = node.router.metric("warmlane_requests_total");
    for cut in 1..END.len() {
        node.begin(&mut client);
        node.say_by_lane(2);
        let (first, second) = END.split_at(cut);
        node.say(first);
        eventually("it is on its way", || client.has(node.said.len()));
        node.say(second);
        node.parts = None;
        assert_eq!(client.take(node.said.len()), node.said);
        eventually("it is whole", || node.router.metric("warmlane_requests_total") == before + cut as f64);
    }
    assert_eq!(node.rides(), 4.0);
    assert_eq!(ended(&node.router, "response_cut"), 0.0);
}

fn an_engine_that_breaks_off_is_seen_and_its_client_too(place: Place) {
    for end in [Behaviour::PartsAndClose, Behaviour::PartsAndReset] {
        let mut node = Node::at(place, |_| {});
        let mut client = node.router.aware();
        node.begin_as(&mut client, end);
        node.say_by_lane(4);
        node.parts = None;
        assert_eq!(client.rest(), node.said);
        eventually("it is told", || ended(&node.router, "response_cut") == 1.0);
        assert_eq!((node.rides(), node.router.in_flight()), (1.0, 0));
    }
}

fn a_client_that_leaves_frees_its_engine(place: Place) {
    let mut node = Node::at(place, |_| {});
    let mut client = node.router.aware();
    node.begin(&mut client);
    node.say_by_lane(4);
    drop(client);
    eventually("the engine is let go", || node.engine.open() == 0);
    eventually("it is told", || node.router.metric("warmlane_client_aborts_total") == 1.0);
    assert_eq!(node.router.in_flight(), 0);
}

fn an_engine_that_gives_an_answer_up_is_heard(place: Place) {
    let object = "{\"error\": {\"message\": \"out of memory\", \"code\": 500}}\n\n";
    for opening in ["data: ", "data:", "event: error\ndata: ", "event:error\ndata:"] {
        let mut node = Node::at(place, |_| {});
        let mut client = node.router.aware();
        node.begin(&mut client);
        node.say_by_lane(4);
        let text = format!("{opening}{object}");
        let failure = format!("{:x}\r\n{text}\r\n", text.len()).into_bytes();
        node.say(&failure);
        node.say_event();
        node.finish();
        assert_eq!(client.take(node.said.len()), node.said);
        eventually("it is told", || ended(&node.router, "error_event") == 1.0);
    }
}

fn silence_is_measured_by_what_the_kernel_carries(place: Place) {
    let mut node = Node::at(place, |config| config.timeouts.stream_idle = Duration::from_millis(800));
    let mut client = node.router.aware();
    node.begin(&mut client);
    for _ in 0..7 {
        thread::sleep(Duration::from_millis(300));
        node.say_by_lane(1);
    }
    assert_eq!(ended(&node.router, "stream_idle"), 0.0, "it is not silent");
    assert_eq!(client.rest(), node.said, "it is cut where it fell silent");
    eventually("it is told", || ended(&node.router, "stream_idle") == 1.0);
}

fn a_client_that_does_not_read_stops_its_engine_and_gets_all_of_it_later(place: Place) {
    let mut node = Node::at(place, |_| {});
    let mut client = node.router.aware();
    node.begin(&mut client);
    node.say_by_lane(1);
    // Long ones: thousands of short ones in one packet would be handed over for their number.
    let long = event_of(&"words ".repeat(700));
    for _ in 0..2_400 {
        node.say(&long);
    }
    eventually("the kernel has no room for more", || {
        node.router.metric("warmlane_lane_handovers_total{reason=\"room\"}") > 0.0
    });
    node.finish();
    assert!(client.take(node.said.len()) == node.said, "all of it comes, in its order");
    eventually("it is done", || node.router.in_flight() == 0);
    // The connection has left the lane: the next one has not.
    node.begin(&mut client);
    node.say_by_lane(4);
    node.finish();
    assert_eq!(client.take(node.said.len()), node.said);
}

fn a_router_that_stops_lets_it_end(place: Place) {
    let mut node = Node::at(place, |_| {});
    let mut client = node.router.aware();
    node.begin(&mut client);
    node.say_by_lane(4);
    let Node { router, engine, parts, said, .. } = node;
    let parts = parts.expect("an answer");
    let draining = thread::spawn(move || router.drain());
    thread::sleep(Duration::from_millis(100));
    assert_eq!(client.take(said.len()), said);
    for number in 0..4 {
        parts.send(event(number)).expect("the engine runs");
        assert!(client.until(&event(number)).is_some());
    }
    parts.send(END.to_vec()).expect("the engine runs");
    drop(parts);
    assert!(client.until(END).is_some());
    assert_eq!(draining.join().expect("it stops"), 0, "nothing was cut");
    drop(engine);
}

fn a_router_that_cuts_what_is_open_leaves_its_client_with_a_visible_end(place: Place) {
    let mut node = Node::at(place, |config| config.timeouts.drain = Duration::from_millis(200));
    let mut client = node.router.aware();
    node.begin(&mut client);
    node.say_by_lane(4);
    let Node { router, engine, parts, said, .. } = node;
    assert_eq!(router.drain(), 1);
    assert_eq!(client.rest(), said);
    eventually("the engine is let go", || engine.open() == 0);
    drop(parts);
}

fn an_engine_that_closes_as_its_client_leaves_is_not_blamed(place: Place) {
    const STREAMS: usize = 16;
    let mut node = Node::at(place, |config| config.workers = 1);
    let mut begin = || {
        let mut client = node.router.aware();
        node.begin_as(&mut client, Behaviour::PartsAndClose);
        node.say_by_lane(1);
        (client, node.parts.take())
    };
    // So many that the router still deals with the first ones while the engine closes the last.
    let (clients, parts): (Vec<Wire>, Vec<_>) = (0..STREAMS).map(|_| begin()).unzip();
    drop(clients);
    drop(parts);
    eventually("all are over", || node.router.in_flight() == 0);
    eventually("it is told", || node.router.metric("warmlane_client_aborts_total") == STREAMS as f64);
    assert_eq!(ended(&node.router, "response_cut"), 0.0);
}
