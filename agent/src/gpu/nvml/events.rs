//! Waits for XID events of all cards at once.
//!
//! NVML keeps the last XID of a card only: of two within the same moment, the first is lost. An event names its card
//! by a handle, so the card must still say who it is. One that does not is lost, and its own reader finds that out.
//!
//! A card that hangs while it is registered keeps the events of all waiting until it lets go. Readings go on.

use std::{collections::BTreeSet, time::Duration};

use nvml_wrapper::{
    EventSet, bitmasks::event::EventTypes, enums::event::XidError, error::NvmlError,
    struct_wrappers::event::EventData,
};

use super::Library;
use crate::gpu::watch::Stop;

/// Longest single wait: how late this thread sees that it should stop.
const WAIT: Duration = Duration::from_millis(200);

/// After a wait that failed. A lost card fails every wait of a set that it is in, so the set is made anew without it.
const AGAIN: Duration = Duration::from_secs(1);

/// While no card offers events.
const RARELY: Duration = Duration::from_secs(30);

/// How NVML writes an XID that it does not know itself.
const UNKNOWN: u64 = 999;

/// The driver reported an XID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gpu) struct Xid {
    pub(in crate::gpu) index: Option<u32>,
    pub(in crate::gpu) uuid: Option<String>,
    pub(in crate::gpu) code: u64,
}

/// Tells every XID until it is stopped.
pub(in crate::gpu) fn listen(library: &Library, stop: &Stop, mut tell: impl FnMut(Xid)) {
    let mut told = false;
    while !stop.is_set() {
        let Some(set) = register(library) else {
            if !told {
                tracing::warn!("no card reports XID events: its health is judged by readings alone");
                told = true;
            }
            stop.wait(RARELY);
            continue;
        };
        told = false;
        let error = follow(&set, stop, &mut tell);
        if let Some(error) = error {
            tracing::debug!("waiting for XID events failed and begins anew: {error}");
            stop.wait(AGAIN);
        }
    }
}

/// Tells what comes until it is stopped or the wait fails.
fn follow(set: &EventSet<'_>, stop: &Stop, tell: &mut impl FnMut(Xid)) -> Option<NvmlError> {
    while !stop.is_set() {
        match set.wait(WAIT.as_millis() as u32) {
            Ok(event) => {
                if let Some(xid) = read(&event) {
                    tell(xid);
                }
            }
            Err(NvmlError::Timeout) => {}
            Err(error) => return Some(error),
        }
    }
    None
}

fn read(event: &EventData<'_>) -> Option<Xid> {
    let code = match event.event_data.as_ref()? {
        XidError::Value(code) => *code,
        XidError::Unknown => UNKNOWN,
    };
    Some(Xid { index: event.device.index().ok(), uuid: event.device.uuid().ok(), code })
}

/// A set with every card that takes part. A refusal takes the whole set with it, so each begins it anew without the
/// card that refused.
fn register(library: &Library) -> Option<EventSet<'_>> {
    let mut refused = BTreeSet::new();
    loop {
        match try_register(library, &refused) {
            Ok(set) => return set,
            Err(index) => refused.insert(index),
        };
    }
}

/// The set, if any card is in it, or the index of a card that refused.
fn try_register<'a>(library: &'a Library, refused: &BTreeSet<u32>) -> Result<Option<EventSet<'a>>, u32> {
    let wanted = EventTypes::CRITICAL_XID_ERROR;
    let Ok(mut set) = library.nvml.create_event_set() else { return Ok(None) };
    let mut taking_part = 0;
    for index in (0..library.cards).filter(|index| !refused.contains(index)) {
        let device = library.nvml.device_by_index(index).map_err(|_| index)?;
        if !device.supported_event_types().is_ok_and(|types| types.contains(wanted)) {
            continue;
        }
        set = device.register_events(wanted, set).map_err(|_| index)?;
        taking_part += 1;
    }
    Ok((taking_part > 0).then_some(set))
}
