//! What to try next, by what happened. Lines begin with two spaces and have no end.

use std::io;

use warmlane_api::admin::path;

use super::Side;
use crate::address::Address;

pub(super) fn unreachable(who: Side, address: &Address, error: &io::Error) -> String {
    if matches!(address, Address::Unix(_)) {
        return match error.kind() {
            io::ErrorKind::PermissionDenied => "  The socket is another user's: try sudo.".to_owned(),
            _ => format!("  Is {who} running, and is this its socket?"),
        };
    }
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return format!("  Nothing listens there. {}", start(who));
    }
    format!("  Is the address right, and is there a way to it? {}", start(who))
}

pub(super) fn silent(who: Side) -> String {
    let others = match who {
        Side::Router => "Look at its log; --timeout gives it longer.",
        Side::Agent => {
            "Is a firewall between? Its admin port is for its own node; --timeout gives it longer."
        }
    };
    format!("  It is overloaded or stuck, or something in between drops packets. {others}")
}

pub(super) fn foreign(who: Side) -> String {
    let port = match who {
        Side::Router => "its --admin, 9091 unless set otherwise",
        Side::Agent => "its --admin, 9012 unless set otherwise",
    };
    format!("  {} takes the admin port: {port}. Ports for requests and for gRPC are others.", flag(who))
}

pub(super) fn missing(who: Side, theirs: &str, paths: &[String]) -> String {
    let ours = env!("CARGO_PKG_VERSION");
    if let Some(there) = who_has(paths).filter(|there| *there != who) {
        return format!("  It is {there} that answers there: ask it by {} ADDRESS.", flag(there));
    }
    if is_elsewhere(who, paths) {
        return format!(
            "  It has {}: is this a port for metrics? {}",
            paths.join(", "),
            foreign(who).trim_start()
        );
    }
    if theirs == ours {
        return format!(
            "  It is of the same version as this program, so it may be another part: is it {who}?"
        );
    }
    format!(
        "  This program is of version {ours}: use the one that came with {who}, or bring {who} up to date."
    )
}

/// Whether these are the pages of another side, or of another port.
pub(super) fn is_elsewhere(who: Side, paths: &[String]) -> bool {
    let has_pages = paths.iter().any(|path| path.starts_with("/debug/"));
    match who_has(paths) {
        Some(there) => there != who,
        None => !has_pages && !paths.is_empty(),
    }
}

/// Whose pages they are.
fn who_has(paths: &[String]) -> Option<Side> {
    let has = |page| paths.iter().any(|path| path == page);
    match (has(path::ENDPOINTS), has(path::NODE)) {
        (true, false) => Some(Side::Router),
        (false, true) => Some(Side::Agent),
        _ => None,
    }
}

fn flag(who: Side) -> &'static str {
    match who {
        Side::Router => "--router",
        Side::Agent => "--agent",
    }
}

pub(super) fn unreadable(who: Side, theirs: &str) -> String {
    match env!("CARGO_PKG_VERSION") {
        ours if ours == theirs => "  Both are of the same version: please report this.".to_owned(),
        ours => format!("  This program is of version {ours}: use the one that came with {who}."),
    }
}

/// With the end of the line before it: most refusals say themselves what to do.
pub(super) fn refused(status: u16, showed_token: bool) -> &'static str {
    match status {
        401 if !showed_token => "\n  Give the token by --token-file FILE or WARMLANE_TOKEN.",
        _ => "",
    }
}

fn start(who: Side) -> &'static str {
    match who {
        Side::Router => {
            "Start one:\n    warmlane-router --endpoint HOST:PORT\n  or bring one of the cluster's here:\n    \
             kubectl -n warmlane-system port-forward deployment/warmlane-router 9091"
        }
        Side::Agent => {
            "Start one:\n    warmlane-agent --node NAME --engine HOST:PORT\n  or bring one of the cluster's here:\n    \
             kubectl -n warmlane-system port-forward pod/WARMLANE-AGENT-OF-THE-NODE 9012"
        }
    }
}
