//! Stands before a ZMQ socket and cuts connections whose frames are longer than any that belong there.
//!
//! The socket reserves the memory that a frame's head claims before any of the frame came, so nine bytes could end the
//! process. What subscribers and replay clients send is short. Everything else is passed on as it comes.
//!
//! Bound: [`MOST`] bytes per connection, and the buffers of its two sockets.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, copy},
    net::{TcpListener, TcpStream},
    select,
    task::JoinSet,
};

/// Longest frame that is passed on: an identity of 255 bytes, or a subscription, fits many times.
const MOST: usize = 4096;

/// Signature, version, mechanism and padding of ZMTP 3.
const GREETING: usize = 64;

/// In a frame's flags: the length takes eight bytes.
const LONG: u8 = 2;

/// Brings those who come to the socket at `inner`.
pub(super) async fn serve(listener: TcpListener, inner: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn_local(pass(client, inner));
                }
                // Out of file descriptors: those in use come back as connections end.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Passes one connection on until either side ends it or it is cut.
async fn pass(mut client: TcpStream, inner: SocketAddr) -> io::Result<()> {
    let mut socket = TcpStream::connect(inner).await?;
    client.set_nodelay(true)?;
    socket.set_nodelay(true)?;
    let (from_client, mut to_client) = client.split();
    let (mut from_socket, to_socket) = socket.split();
    select! {
        ended = frames(BufReader::new(from_client), to_socket) => ended,
        ended = copy(&mut from_socket, &mut to_client) => ended.map(drop),
    }
}

async fn frames(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut frame = vec![0; GREETING];
    from.read_exact(&mut frame).await?;
    loop {
        to.write_all(&frame).await?;
        frame.clear();
        let flags = from.read_u8().await?;
        frame.push(flags);
        let length = if flags & LONG == 0 {
            let length = from.read_u8().await?;
            frame.push(length);
            u64::from(length)
        } else {
            let length = from.read_u64().await?;
            frame.extend_from_slice(&length.to_be_bytes());
            length
        };
        if length > MOST as u64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let head = frame.len();
        frame.resize(head + length as usize, 0);
        from.read_exact(&mut frame[head..]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes through, and whether it was cut for its length.
    async fn through(bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::new();
        let end = frames(bytes, &mut passed).await.unwrap_err();
        (passed, end.kind() == io::ErrorKind::InvalidData)
    }

    #[tokio::test]
    async fn whole_frames_are_passed_on_as_they_are() {
        let short = [&[7; GREETING][..], &[4, 3], b"abc", &[0, 0], &[1, 1, 9]].concat();
        assert_eq!(through(&short).await, (short.clone(), false));
        let long = [&short[..], &[LONG], &4096_u64.to_be_bytes(), &[1; 4096]].concat();
        assert_eq!(through(&long).await, (long.clone(), false));
        assert_eq!(through(&[&short[..], &[0, 3, 1]].concat()).await, (short, false));
    }

    #[tokio::test]
    async fn a_frame_that_claims_too_much_is_cut_at_its_head() {
        let greeting = [7; GREETING];
        for length in [4097, u64::MAX] {
            let hostile = [&greeting[..], &[LONG], &length.to_be_bytes(), &[1; 9000]].concat();
            assert_eq!(through(&hostile).await, (greeting.to_vec(), true));
        }
    }
}
