//! One question to an engine on this machine: does this path answer 200?

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An engine that imports or compiles may accept and not answer for a while; the asker comes back anyway.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether `GET path` answers 200 within two seconds.
pub(super) fn answers(address: SocketAddr, path: &str) -> bool {
    ask(address, path).is_ok_and(|head| head.starts_with(b"HTTP/1.1 200"))
}

fn ask(address: SocketAddr, path: &str) -> std::io::Result<[u8; 12]> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn server(status: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn only_a_200_counts_as_an_answer() {
        assert!(answers(server("200 OK"), "/health"));
        assert!(!answers(server("503 Service Unavailable"), "/health"));
    }

    #[test]
    fn a_closed_port_does_not_answer() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(!answers(address, "/health"));
    }
}
