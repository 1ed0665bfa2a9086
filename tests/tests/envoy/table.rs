//! When Envoy ends the stream, in each way to configure it: what docs/ENVOY.md says.

use super::*;

/// The table's rows: modes for the response, and how streams end.
const ROWS: [(&str, &str, &str); 4] = [
    ("response_header_mode: SKIP", "response_body_mode: NONE", "unseen"),
    ("response_header_mode: SEND", "response_body_mode: NONE", "routed"),
    ("response_header_mode: SEND", "response_body_mode: STREAMED", "complete"),
    ("response_header_mode: SEND", "response_body_mode: FULL_DUPLEX_STREAMED", "complete"),
];

#[test]
fn the_stream_ends_when_nothing_more_is_to_be_sent() {
    let docs = include_str!("../../../docs/ENVOY.md");
    let mut missing = String::new();
    for (headers, body, end) in ROWS {
        let scene = configured(headers, body);
        let when = when_it_ends(&scene);
        assert_eq!(scene.picker.ended(end), 1.0, "{headers}, {body}: {when}");
        let row = format!("| `{headers}` | `{body}` | {when} | `{end}` |");
        if !docs.contains(&row) {
            missing += &format!("{row}\n");
        }
    }
    assert_eq!(missing, "", "docs/ENVOY.md should say so");
}

fn configured(headers: &str, body: &str) -> Scene {
    Scene::changed("override-host.yaml", |bootstrap| {
        let bootstrap =
            bootstrap.change("response_header_mode: SEND", headers).change("response_body_mode: NONE", body);
        if body.ends_with("FULL_DUPLEX_STREAMED") {
            bootstrap.change("response_trailer_mode: SKIP", "response_trailer_mode: SEND")
        } else {
            bootstrap
        }
    })
}

/// In which phase of a streamed response the picker's stream ends.
fn when_it_ends(scene: &Scene) -> String {
    let (behaviour, parts) = Behaviour::in_parts();
    scene.picker.engines[1].behave(behaviour);
    let mut client = scene.client();
    client.begin_post(PATH, "", CHAT);
    scene.picker.engines[1].wait_for(1);
    let ended = || {
        ["complete", "routed", "unseen", "abandoned"].iter().map(|how| scene.picker.ended(how)).sum::<f64>()
            > 0.0
    };
    // Looked at in each phase for long enough that an end would be seen.
    let phase = |phase: &str| {
        std::thread::sleep(Duration::from_millis(300));
        ended().then(|| phase.to_owned())
    };
    let mut when = phase("before the response");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    parts.send(head.into()).expect("the engine waits");
    assert!(client.until(b"\r\n\r\n").is_some());
    when = when.or_else(|| phase("with the response's head"));
    parts.send(b"9\r\ndata: 1\n\n\r\n0\r\n\r\n".to_vec()).expect("the engine waits");
    assert!(client.until(b"0\r\n\r\n").is_some());
    when = when.or_else(|| phase("with the response's end"));
    when.expect("it ends")
}
