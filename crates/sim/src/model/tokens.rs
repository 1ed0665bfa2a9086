//! Text and tokens: a small, reversible tokenizer, and the filler words the engine says.
//!
//! A token is one to four bytes; every space and line feed begins a new one. So English text has
//! three to four bytes per token, text without spaces has four, a prefix of a text is a prefix of its
//! tokens up to the last one, and output appended to a prompt gives the same tokens again (each
//! output word begins with a space). It is not the tokenizer of any model.
//!
//! The id is the bytes as a number in bijective base 248 (no byte of UTF-8 is 248 or more), so it fits
//! in 32 bits and decodes without a vocabulary.

/// Longest token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 4;

const BASE: u32 = 248;

/// Words of three letters: with the space before them each is one token.
const WORDS: [&str; 64] = [
    " the", " and", " for", " are", " but", " not", " you", " all", " any", " can", " had", " her", " was",
    " one", " our", " out", " day", " get", " has", " him", " his", " how", " man", " new", " now", " old",
    " see", " two", " way", " who", " boy", " did", " its", " let", " put", " say", " she", " too", " use",
    " far", " sea", " sky", " sun", " map", " bus", " car", " air", " bag", " bay", " eat", " fly", " inn",
    " ice", " key", " lot", " may", " run", " sit", " ten", " top", " try", " via", " win", " yes",
];

/// Splits `text` into tokens.
pub fn encode(text: &str) -> Vec<u32> {
    let mut out = Vec::with_capacity(text.len() / 3 + 1);
    encode_into(text, &mut out);
    out
}

/// Splits `text` into tokens, appended to `out`. The text begins a token of its own.
pub fn encode_into(text: &str, out: &mut Vec<u32>) {
    let bytes = text.as_bytes();
    let mut start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let full = at - start == MAX_TOKEN_BYTES;
        if at > start && (full || byte == b' ' || byte == b'\n') {
            out.push(id(&bytes[start..at]));
            start = at;
        }
    }
    if start < bytes.len() {
        out.push(id(&bytes[start..]));
    }
}

/// The text of `tokens`; bytes that are no text become the replacement character.
pub fn decode(tokens: &[u32]) -> String {
    let mut bytes = Vec::with_capacity(tokens.len() * MAX_TOKEN_BYTES);
    for &token in tokens {
        let mut rest = token;
        while rest > 0 {
            let digit = (rest - 1) % BASE;
            bytes.push(digit as u8);
            rest = (rest - 1 - digit) / BASE;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Token `index` of the filler text number `stream`, as text.
pub fn word(stream: u64, index: u32) -> &'static str {
    WORDS[(mix(stream ^ u64::from(index).wrapping_mul(0x9E37_79B9_7F4A_7C15), WORD_KEY) >> 58) as usize]
}

/// Token `index` of the filler text number `stream`.
pub fn filler(stream: u64, index: u32) -> u32 {
    id(word(stream, index).as_bytes())
}

/// Appends the first `count` tokens of the filler text number `stream`.
///
/// Two prompts that begin with the same streams share their prefix; what the engine answers is a
/// stream too (`Prompt::output_stream`), so the next turn of a conversation can be put together.
pub fn extend_filler(out: &mut Vec<u32>, stream: u64, count: u32) {
    out.extend((0..count).map(|index| filler(stream, index)));
}

const WORD_KEY: u64 = 0xE703_7ED1_A0B4_28DB;

/// Folded multiply: both halves of the 128-bit product, xored.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0xA076_1D64_78BD_642F) * u128::from(b ^ 0x8EBC_6AF0_9C88_C6E3);
    (product >> 64) as u64 ^ product as u64
}

fn id(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |value, &byte| value * BASE + u32::from(byte) + 1)
}
