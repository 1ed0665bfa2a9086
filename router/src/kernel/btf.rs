//! Where the running kernel keeps the fields that the programs read of sockets, out of the type information (BTF) that it
//! publishes.
//!
//! Read here as aya offers no offsets of members. Kinds and sizes stand in the kernel's `uapi/linux/btf.h`; what is cut
//! short or unknown reads as "not found", never as another offset.

use std::fs;

use warmlane_abi::Layout;

use super::LoadError;

const PUBLISHED: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;

const KIND_INT: u32 = 1;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_ENUM64: u32 = 19;

/// Structs in structs: no kernel comes near.
const DEEPEST: u32 = 16;

/// The layout of the running kernel.
pub(super) fn layout() -> Result<Layout, LoadError> {
    let bytes = fs::read(PUBLISHED).map_err(|error| LoadError::Types(format!("{PUBLISHED}: {error}")))?;
    let types = Types::read(&bytes).ok_or_else(|| LoadError::Types(format!("{PUBLISHED} cannot be read")))?;
    let offset = |of: &str, member: &str| {
        types.offset(of, member).ok_or_else(|| LoadError::Types(format!("{PUBLISHED} lacks {of}.{member}")))
    };
    Ok(Layout {
        write_seq: offset("tcp_sock", "write_seq")?,
        wmem_queued: offset("sock", "sk_wmem_queued")?,
        sndbuf: offset("sock", "sk_sndbuf")?,
        cookie: offset("sock_common", "skc_cookie")?,
        state: offset("sock_common", "skc_state")?,
        protocol: offset("sock_common", "skc_prot")?,
        memory_pressure: offset("proto", "memory_pressure")?,
        packet_sequence: offset("sk_buff", "cb")? + offset("tcp_skb_cb", "seq")?,
    })
}

/// Type information as it is published.
struct Types<'b> {
    strings: &'b [u8],
    /// Each type with what follows its head; ids count from 1.
    types: Vec<Type<'b>>,
}

struct Type<'b> {
    name: u32,
    kind: u32,
    /// Offsets hold a bit field's size too.
    packed: bool,
    members: &'b [u8],
}

// === Types ===

impl<'b> Types<'b> {
    fn read(bytes: &'b [u8]) -> Option<Self> {
        let magic = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
        if magic != MAGIC {
            return None;
        }
        let body = bytes.get(word(bytes, 4)? as usize..)?;
        let section = |at: usize| {
            let (start, length) = (word(bytes, at)? as usize, word(bytes, at + 4)? as usize);
            body.get(start..start.checked_add(length)?)
        };
        let (mut rest, strings) = (section(8)?, section(16)?);
        let mut types = Vec::new();
        while !rest.is_empty() {
            let info = word(rest, 4)?;
            let (kind, count) = (info >> 24 & 0x1f, info as usize & 0xffff);
            let end = 12 + following(kind, count);
            let packed = info >> 31 != 0;
            types.push(Type { name: word(rest, 0)?, kind, packed, members: rest.get(12..end)? });
            rest = &rest[end..];
        }
        Some(Self { strings, types })
    }

    fn offset(&self, of: &str, member: &str) -> Option<u32> {
        let holds = |kind: &Type<'_>| kind.kind == KIND_STRUCT && !kind.members.is_empty();
        let found = self.types.iter().find(|kind| holds(kind) && self.is(kind.name, of))?;
        self.within(found, member, DEEPEST)
    }

    /// A member's offset, also if it is one of a struct without a name inside.
    fn within(&self, of: &Type<'_>, member: &str, depth: u32) -> Option<u32> {
        of.members.chunks_exact(12).find_map(|entry| {
            let (name, kind, bits) = (word(entry, 0)?, word(entry, 4)?, word(entry, 8)?);
            let offset = if of.packed { bits & 0x00ff_ffff } else { bits } / 8;
            if self.is(name, member) {
                return Some(offset);
            }
            let inner = self.types.get((kind as usize).checked_sub(1)?)?;
            let nameless = self.is(name, "") && [KIND_STRUCT, KIND_UNION].contains(&inner.kind);
            let inner = (nameless && depth > 0).then(|| self.within(inner, member, depth - 1))??;
            Some(offset + inner)
        })
    }

    fn is(&self, name: u32, wanted: &str) -> bool {
        let bytes = self.strings.get(name as usize..).unwrap_or_default();
        bytes.strip_prefix(wanted.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
    }
}

/// Bytes behind the head of a type.
fn following(kind: u32, count: usize) -> usize {
    match kind {
        KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => count * 12,
        KIND_ENUM | KIND_FUNC_PROTO => count * 8,
        _ => 0,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct outer { int a; struct { int b; }; int c: 3 at bit 96; }`, the last packed.
    fn made() -> Vec<u8> {
        let strings = b"\0outer\0a\0b\0c\0";
        let word = |value: u32| value.to_ne_bytes();
        let kind = |kind: u32, count: u32, packed: u32| packed << 31 | kind << 24 | count;
        let types = [
            [0, kind(KIND_INT, 0, 0), 4, 32].map(word).concat(),
            [0, kind(KIND_STRUCT, 1, 0), 4, 9, 1, 32].map(word).concat(),
            [1, kind(KIND_STRUCT, 3, 1), 16, 7, 1, 0, 0, 2, 32, 11, 1, 3 << 24 | 96].map(word).concat(),
        ]
        .concat();
        let lengths =
            [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32].map(word).concat();
        [&MAGIC.to_ne_bytes()[..], &[1, 0], &lengths, &types, strings].concat()
    }

    #[test]
    fn members_are_found_also_in_nameless_structs_and_beside_bit_fields() {
        let bytes = made();
        let types = Types::read(&bytes).unwrap();
        let offset = |member| types.offset("outer", member);
        assert_eq!([offset("a"), offset("b"), offset("c"), offset("d")], [Some(0), Some(8), Some(12), None]);
        assert_eq!(types.offset("out", "a"), None);
    }

    #[test]
    fn what_is_cut_short_is_not_read() {
        let bytes = made();
        for end in 0..bytes.len() {
            let found = Types::read(&bytes[..end]).and_then(|types| types.offset("outer", "d"));
            assert_eq!(found, None);
        }
        assert!(Types::read(&bytes[1..]).is_none());
    }
}
