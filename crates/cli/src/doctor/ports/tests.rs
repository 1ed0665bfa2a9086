use std::{net::TcpListener, os::unix::fs::symlink, thread};

use super::*;

const HEAD: &str =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

fn line(local: &str, state: &str, inode: u64) -> String {
    format!(
        "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0\n"
    )
}

#[test]
fn who_holds_a_port_is_told_by_its_sockets() {
    let root = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    assert_eq!(Taken::look(root.path(), |_, _| None), []);
    let local = |port: u16| format!("0100007F:{port:04X}");
    let tcp = [
        line(&local(9_091), "0A", 11),
        line(&local(8_080), "0A", 12),
        line(&local(8_081), "01", 13),
        line(&local(8_081), "0A", 17),
        line(&local(9_091), "0A", 18),
        line(&local(9_002), "0A", 19),
        line(&local(9_010), "0A", 14),
        line(&local(22), "0A", 15),
    ];
    write("proc/self/net/tcp", &(HEAD.to_owned() + &tcp.concat()));
    let any = format!("{}:{:04X}", "0".repeat(32), 9_011);
    write("proc/self/net/tcp6", &(HEAD.to_owned() + &line(&any, "0A", 16)));
    for (process, name, socket) in [("7", "warmlane-router", 11), ("8", "nginx", 12), ("9", "socat", 18)] {
        write(&format!("proc/{process}/comm"), &format!("{name}\n"));
        fs::create_dir_all(root.path().join(format!("proc/{process}/fd"))).expect("a folder");
        let link = root.path().join(format!("proc/{process}/fd/3"));
        symlink(format!("socket:[{socket}]"), link).expect("a link");
    }
    let look = |answer: Option<bool>| -> Vec<(u16, Holder)> {
        let asked = |address: SocketAddr, path: &str| {
            let meant = match address.port() {
                8_080 | 8_081 | 9_091 => "127.0.0.1",
                _ => "[::1]",
            };
            assert_eq!(address.to_string(), format!("{meant}:{}", address.port()));
            let models = matches!(address.port(), 8_080 | 8_081);
            assert_eq!(path, if models { "/v1/models" } else { "/healthz" });
            answer
        };
        Taken::look(root.path(), asked).into_iter().map(|taken| (taken.port.number, taken.by)).collect()
    };
    let found = look(Some(false));
    let program = |name: &str| Holder::Program(name.to_owned());
    assert_eq!(
        found,
        [
            (8_080, program("nginx")),
            // Ours lists models there without a word of itself.
            (8_081, Holder::Hidden),
            // Beside ours.
            (9_091, program("socat")),
            (9_002, Holder::Hidden),
            (9_010, Holder::Hidden),
            (9_011, Holder::Stranger),
        ]
    );
    let forwarded = look(Some(true));
    assert_eq!(
        (&forwarded[0].1, &forwarded[5].1),
        (&Holder::Ours, &Holder::Ours),
        "nginx leads to one of ours"
    );
    assert_eq!(look(None)[5].1, Holder::Hidden);
}

#[test]
fn addresses_are_read_as_the_kernel_writes_them() {
    let said = |hex: &str| address(hex).map(|address| address.to_string());
    if cfg!(target_endian = "little") {
        assert_eq!(said("0100007F").as_deref(), Some("127.0.0.1"));
        assert_eq!(said("B80D0120000000000000000001000000").as_deref(), Some("2001:db8::1"));
    }
    assert_eq!((said("xyz"), said("0100007")), (None, None));
    assert_eq!(Socket::of(HEAD), None);
}

#[test]
fn who_answers_is_told_by_its_headers() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let heads = [
        "HTTP/1.1 200 OK\r\nWarmlane-Version: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nServer: x\r\n\r\nwarmlane-version: 1",
        "",
    ];
    let server = thread::spawn(move || {
        for head in heads {
            let (mut stream, _) = listener.accept().expect("a connection");
            _ = stream.read(&mut [0; 512]);
            stream.write_all(head.as_bytes()).expect("written");
        }
    });
    assert_eq!(answers(address, "/"), Some(true));
    assert_eq!(answers(address, "/"), Some(false), "its body says nothing");
    assert_eq!(answers(address, "/"), None);
    server.join().expect("it ends");
    assert_eq!(answers(address, "/"), None, "nobody is there any more");
}

#[test]
fn one_that_never_comes_to_an_end_holds_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        // Each byte in time for a wait that begins with it.
        while stream.write_all(b"x").is_ok() {
            thread::sleep(PATIENCE / 5);
        }
    });
    let begun = Instant::now();
    assert_eq!(answers(address, "/"), Some(false));
    assert!(begun.elapsed() < PATIENCE * 6, "{:?}", begun.elapsed());
}
