//! Protobuf on the wire: what is read is what a slow and simple reader finds, what nobody touches keeps its bytes, an edit
//! changes its own field alone, and hooks answer with messages whatever they are sent.

#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use warmlane_api::extension::{
    ExtensionResource, PostClusterExtensionContext, PostClusterModifyRequest, PostTranslateModifyRequest,
};
use warmlane_router::extension::{
    Hooks,
    wire::{Malformed, Message},
};

/// A field by the book: its number, its integer or its bytes, and all of it.
struct Field<'b> {
    number: u32,
    integer: Option<u64>,
    bytes: Option<&'b [u8]>,
    raw: &'b [u8],
}

/// Of a pool, and a cluster that is marked as its own.
static POOL: &str = r#"{"apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool",
    "metadata": {"name": "qwen", "namespace": "default"},
    "spec": {"selector": {"matchLabels": {"app": "qwen"}}, "targetPorts": [{"number": 8000}],
        "endpointPickerRef": {"name": "picker", "port": {"number": 9002}}}}"#;
static HOOKS: LazyLock<Hooks> = LazyLock::new(|| Hooks::new(Default::default(), Default::default()));
static MARKED: LazyLock<Bytes> = LazyLock::new(|| {
    // Its name is what routes of the seeds lead to.
    cluster(Message::default().with(1, "pool").encode()).expect("a pool's cluster")
});

fn cluster(bytes: Bytes) -> Option<Bytes> {
    let resource = ExtensionResource { unstructured_bytes: Bytes::from_static(POOL.as_bytes()) };
    let context = PostClusterExtensionContext { backend_extension_resources: vec![resource] };
    HOOKS.cluster(PostClusterModifyRequest { cluster: bytes, post_cluster_context: Some(context) }).ok()
}

/// A number of at most ten bytes, and what follows.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if at == 9 && *byte > 1 {
            return None;
        }
        value |= bits << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

/// All fields; `None` where it is no message, or has groups.
fn simple(whole: &[u8]) -> Option<Vec<Field<'_>>> {
    let (mut fields, mut rest) = (Vec::new(), whole);
    while !rest.is_empty() {
        let begin = rest;
        let (key, behind) = varint(rest)?;
        let key = u32::try_from(key).ok().filter(|key| key >> 3 > 0)?;
        let (integer, bytes, behind) = match key & 7 {
            0 => varint(behind).map(|(integer, behind)| (Some(integer), None, behind))?,
            1 => (None, None, behind.get(8..)?),
            2 => {
                let (length, behind) = varint(behind)?;
                let length = usize::try_from(length).ok()?;
                (None, Some(behind.get(..length)?), &behind[length..])
            }
            5 => (None, None, behind.get(4..)?),
            _ => return None,
        };
        rest = behind;
        fields.push(Field { number: key >> 3, integer, bytes, raw: &begin[..begin.len() - rest.len()] });
    }
    Some(fields)
}

fn of(fields: &[Field<'_>], keeps: impl Fn(&Field<'_>) -> bool) -> Vec<u8> {
    fields.iter().filter(|field| keeps(field)).flat_map(|field| field.raw).copied().collect()
}

/// What is read by field number.
fn is_read(message: &Message, fields: &[Field<'_>]) {
    for Field { number, .. } in fields {
        let same = || fields.iter().filter(|field| field.number == *number);
        assert!(message.has(*number));
        assert!(message.each(*number).map(|bytes| &bytes[..]).eq(same().filter_map(|field| field.bytes)));
        assert_eq!(message.number(*number), same().filter_map(|field| field.integer).next_back());
        let last = same().filter_map(|field| field.bytes).next_back();
        assert_eq!(message.bytes(*number).map(|bytes| &bytes[..]), last);
    }
}

/// Each edit leaves a message, of which all other fields have their bytes.
fn is_edited(message: &Message, fields: &[Field<'_>], number: u32, place: usize) {
    let edits: [&dyn Fn(&mut Message); 6] = [
        &|message| message.set(number, "text"),
        &|message| message.set_number(number, u64::MAX),
        &|message| message.insert(number, place, "text"),
        &|message| message.remove(number),
        &|message| message.retain(number, |bytes| bytes.len() > place),
        &|message| {
            // Where it is no message it stays as it is.
            let _ = message.change("", number, |inner: &mut Message| {
                inner.set_number(1, 7);
                Ok::<_, Malformed>(true)
            });
        },
    ];
    for edit in edits {
        let mut edited = message.clone();
        edit(&mut edited);
        let bytes = edited.encode();
        assert_eq!(Message::parse("", &bytes).as_ref(), Ok(&edited), "it is a message");
        let after = simple(&bytes).expect("by the book too");
        let others = |fields: &[Field<'_>]| of(fields, |field| field.number != number);
        assert_eq!(others(&after), others(fields), "other fields stay");
    }
}

/// At any depth: a change that says that it is none.
fn is_kept(message: &mut Message, number: u32, depth: u8) -> Result<bool, Malformed> {
    let looked = |inner: &mut Message| if depth > 0 { is_kept(inner, number, depth - 1) } else { Ok(false) };
    message.change("", number, looked)
}

fn is_message(bytes: &Bytes) {
    assert!(simple(bytes).is_some(), "a hook answers with no message");
}

fuzz_target!(|input: &[u8]| {
    let (choice, bytes) = input.split_at(input.len().min(2));
    let [number, place] = [0, 1].map(|at| choice.get(at).copied().unwrap_or_default());
    let (number, whole) = (u32::from(number) + 1, Bytes::copy_from_slice(bytes));
    let (read, fields) = (Message::parse("", &whole), simple(bytes));
    assert_eq!(read.is_ok(), fields.is_some());
    if let (Ok(mut message), Some(fields)) = (read, fields) {
        assert_eq!(message.encode(), whole);
        is_read(&message, &fields);
        is_edited(&message, &fields, number, place.into());
        if let Ok(changed) = is_kept(&mut message, number, 3) {
            assert!(!changed);
            assert_eq!(message.encode(), whole, "what is not changed keeps its bytes");
        }
    }
    if let Some(cluster) = cluster(whole.clone()) {
        is_message(&cluster);
    }
    let sent = PostTranslateModifyRequest {
        clusters: vec![MARKED.clone()],
        secrets: vec![whole.clone()],
        listeners: vec![whole.clone()],
        routes: vec![whole.clone()],
    };
    if let Ok(answer) = HOOKS.translate(sent) {
        answer.clusters.iter().chain(&answer.listeners).chain(&answer.routes).for_each(is_message);
        assert_eq!(answer.secrets, [whole], "nobody reads it");
    }
});
