//! Requests as they come off the wire.

use std::{io::Read, net::TcpStream};

use crate::{PATIENCE, wire::find};

pub(super) fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..at + 4).collect();
            return Some(String::from_utf8_lossy(&head).into_owned());
        }
        read_more(stream, buffer)?;
    }
}

/// The body as sent, by the head's own word.
pub(super) fn read_body(stream: &mut TcpStream, buffer: &mut Vec<u8>, head: &str) -> Option<Vec<u8>> {
    let lower = head.to_ascii_lowercase();
    let length =
        lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    if let Some(length) = length {
        while buffer.len() < length {
            read_more(stream, buffer)?;
        }
        return Some(buffer.drain(..length).collect());
    }
    if !lower.contains("\ntransfer-encoding:") {
        return Some(Vec::new());
    }
    let mut at = 0;
    loop {
        let line = at + until(stream, buffer, at, b"\r\n")?;
        let size = String::from_utf8_lossy(&buffer[at..line]).into_owned();
        let size = usize::from_str_radix(size.split(';').next()?, 16).ok()?;
        if size == 0 {
            // Trailers end with an empty line; without any, it follows at once.
            let end = line + until(stream, buffer, line, b"\r\n\r\n")? + 4;
            return Some(buffer.drain(..end).collect());
        }
        at = line + 2 + size + 2;
    }
}

/// How far behind `from` the next `needle` is, reading on until it is there.
fn until(stream: &mut TcpStream, buffer: &mut Vec<u8>, from: usize, needle: &[u8]) -> Option<usize> {
    loop {
        if let Some(at) = buffer.get(from..).and_then(|rest| find(rest, needle)) {
            return Some(at);
        }
        read_more(stream, buffer)?;
    }
}

fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut bytes = vec![0; 256 * 1024];
    let _ = stream.set_read_timeout(Some(PATIENCE * 6));
    match stream.read(&mut bytes) {
        Ok(n) if n > 0 => {
            buffer.extend_from_slice(&bytes[..n]);
            Some(())
        }
        _ => None,
    }
}
