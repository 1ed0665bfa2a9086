//! Opens an agent's stream: a connection, TLS where that is configured, and the call.

use std::{io, time::Duration};

use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tonic::{
    Request, Status, Streaming, client::Grpc, codegen::http::uri::PathAndQuery, transport::Endpoint,
};
use warmlane_api::node as told;

use super::{
    credentials::Credentials,
    decoder::Counted,
    follow::Lost,
    line::{Connected, Line, Note, Transport},
    trouble,
};

/// A connection that takes longer is given up; so is a name that is looked up.
const DIAL: Duration = Duration::from_secs(2);
/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 4;
/// An answer must come within this time.
const ANSWER: Duration = Duration::from_secs(5);
/// The call, as node.proto has it. It is made by hand: the client that is made of that file counts no parts.
const FOLLOW: &str = "/warmlane.node.v1.Node/Follow";
/// Largest update: a full state has a list of models for each engine.
const MAX_UPDATE_BYTES: usize = 64 << 20;

/// An open stream.
pub(super) struct Stream {
    updates: Streaming<told::Update>,
    note: Note,
}

/// Dials the agent at this address and asks it to be followed.
pub(super) async fn dial(address: &str, credentials: Option<&Credentials>) -> Result<Stream, Lost> {
    let stream = connect(address).await?;
    // Neither end has more to say at once than one message.
    let _ = stream.set_nodelay(true);
    let (scheme, transport) = match credentials {
        None => ("http", Transport::Plain(stream)),
        Some(credentials) => ("https", Transport::Tls(Box::new(credentials.secure(stream, address).await?))),
    };
    let note = Note::default();
    follow(&format!("{scheme}://{address}"), Line::new(transport, note.clone()), &note)
        .await
        .map_err(|lost| note.said().map_or(lost, Lost::Unsecured))
}

async fn connect(address: &str) -> Result<TcpStream, Lost> {
    let late = || io::Error::other(format!("no answer within {DIAL:?}"));
    let found = timeout(DIAL, lookup_host(address)).await.map_err(|_| late()).flatten();
    let mut outcome = Err(io::Error::other("its name has no address"));
    for address in found.map_err(Lost::Unresolved)?.take(MOST_ADDRESSES) {
        outcome = timeout(DIAL, TcpStream::connect(address)).await.map_err(|_| late()).flatten();
        if outcome.is_ok() {
            break;
        }
    }
    outcome.map_err(|error| Lost::Dial(error.to_string()))
}

async fn follow(uri: &str, line: Line, note: &Note) -> Result<Stream, Lost> {
    let failed = |error: tonic::transport::Error| Lost::Dial(trouble::deepest(&error));
    let endpoint = Endpoint::from_shared(uri.to_owned()).map_err(failed)?;
    let channel = timeout(DIAL, endpoint.connect_with_connector(Connected::new(line))).await;
    let channel = channel.map_err(|_| Lost::Dial(format!("no answer within {DIAL:?}")))?.map_err(failed)?;
    let mut client = Grpc::new(channel).max_decoding_message_size(MAX_UPDATE_BYTES);
    let request = Request::new(told::FollowRequest { router: hostname() });
    let answering = async {
        client.ready().await.map_err(|error| Status::from_error(error.into()))?;
        client.server_streaming(request, PathAndQuery::from_static(FOLLOW), Counted).await
    };
    let answer = timeout(ANSWER, answering).await.map_err(|_| Lost::Silent(ANSWER))?;
    // What breaks off before it has answered once is something else than an agent, most likely.
    let answer = answer.map_err(|status| match trouble::broke(&status) {
        Some(cause) => Lost::Foreign(cause),
        None => Lost::Ended(status),
    })?;
    Ok(Stream { updates: answer.into_inner(), note: note.clone() })
}

/// This machine's name, for the agent's log.
fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

// === Stream ===

impl Stream {
    /// The next update, which must come within this time.
    pub(super) async fn next(&mut self, patience: Duration) -> Result<told::Update, Lost> {
        match timeout(patience, self.updates.message()).await {
            Err(_) => Err(Lost::Silent(patience)),
            Ok(Err(status)) => Err(self.ended(status)),
            Ok(Ok(None)) => Err(Lost::Closed),
            Ok(Ok(Some(update))) => Ok(update),
        }
    }

    fn ended(&self, status: Status) -> Lost {
        self.note.said().map_or(Lost::Ended(status), Lost::Unsecured)
    }
}
