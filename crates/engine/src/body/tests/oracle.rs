//! Random bodies, written with random spacing, escapes and cuts, must read as `serde_json` reads them.

use proptest::{collection::vec, option, prelude::*};
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::super::{Api, BodyError, BodyReader, Limits, RequestBody};

const LIMITS: Limits = Limits { block_bytes: 32, max_blocks: 40 };

/// The keys of the three sections, in chain order.
const SECTIONS: [(Api, [&str; 3]); 7] = [
    (Api::Completions, ["", "", "prompt"]),
    (Api::ChatCompletions, ["tools", "functions", "messages"]),
    (Api::Responses, ["tools", "instructions", "input"]),
    (Api::Messages, ["tools", "system", "messages"]),
    (Api::Embeddings, ["", "", "input"]),
    (Api::Score, ["", "queries", "documents"]),
    (Api::Rerank, ["", "query", "documents"]),
];

/// A small generator for the writer's choices, so that one number names all of them.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn value() -> impl Strategy<Value = Value> {
    let text = "([a-z \u{0}-\u{1f}\"\\\\/é€😀]{0,90}|[ -~]{0,40}|.{0,20})";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Eighths print and parse exactly.
        any::<i32>().prop_map(|eighths| json!(f64::from(eighths) / 8.0)),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((text, inner), 0..6).prop_map(|pairs| Value::Object(Map::from_iter(pairs))),
            vec(0..200_000_u32, 0..30).prop_map(Value::from),
        ]
    })
}

/// A request: its shape, and the top-level fields in the order they are written.
fn request() -> impl Strategy<Value = (Api, Vec<(String, Value)>)> {
    let sections = (option::of(value()), option::of(value()), option::of(value()));
    let facts = (value_or("[^\u{0}]{0,40}"), value(), value(), value(), value_or("[a-zé]{0,40}"));
    let others = vec(("[a-z_\"é]{0,12}", value()), 0..4);
    (0..SECTIONS.len(), sections, facts, others).prop_flat_map(|(shape, sections, facts, others)| {
        let (api, keys) = SECTIONS[shape];
        let mut fields: Vec<_> = keys.iter().zip([sections.0, sections.1, sections.2]).collect();
        fields.retain(|(key, _)| !key.is_empty());
        let mut fields: Vec<_> =
            fields.into_iter().filter_map(|(key, value)| Some(((*key).to_owned(), value?))).collect();
        let (model, stream, max_tokens, max_completion_tokens, cache_salt) = facts;
        fields.extend([
            ("model".to_owned(), model),
            ("stream".to_owned(), stream),
            ("max_tokens".to_owned(), max_tokens),
            ("max_completion_tokens".to_owned(), max_completion_tokens),
            ("cache_salt".to_owned(), cache_salt),
        ]);
        fields.extend(others);
        (Just(api), Just(fields).prop_shuffle())
    })
}

/// Mostly a string, now and then anything.
fn value_or(text: &'static str) -> impl Strategy<Value = Value> {
    prop_oneof![9 => text.prop_map(Value::from), 1 => value()]
}

fn write_space(out: &mut String, dice: &mut Dice) {
    if dice.below(3) == 0 {
        out.push_str([" ", "\n", "\t ", "\r\n  "][dice.below(4) as usize]);
    }
}

fn write_text(text: &str, out: &mut String, dice: &mut Dice) {
    out.push('"');
    for character in text.chars() {
        let short = match character {
            '"' => Some('"'),
            '\\' => Some('\\'),
            '/' => Some('/'),
            '\n' => Some('n'),
            '\r' => Some('r'),
            '\t' => Some('t'),
            '\u{8}' => Some('b'),
            '\u{c}' => Some('f'),
            _ => None,
        };
        let must = character < ' ' || matches!(character, '"' | '\\');
        match (short, dice.below(8)) {
            (Some(short), 1..) if must || dice.below(2) == 0 => out.extend(['\\', short]),
            (_, 1..) if !must => out.push(character),
            (_, roll) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let hex = format!("{unit:04x}");
                    out.push_str("\\u");
                    out.push_str(&if roll % 2 == 0 { hex } else { hex.to_uppercase() });
                }
            }
        }
    }
    out.push('"');
}

fn write_fields<'a>(
    fields: impl Iterator<Item = (&'a String, &'a Value)>,
    out: &mut String,
    dice: &mut Dice,
) {
    out.push('{');
    for (index, (key, value)) in fields.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_space(out, dice);
        write_text(key, out, dice);
        write_space(out, dice);
        out.push(':');
        write(value, out, dice);
    }
    write_space(out, dice);
    out.push('}');
}

fn write(value: &Value, out: &mut String, dice: &mut Dice) {
    write_space(out, dice);
    match value {
        Value::String(text) => write_text(text, out, dice),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out, dice);
            }
            write_space(out, dice);
            out.push(']');
        }
        Value::Object(fields) => write_fields(fields.iter(), out, dice),
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
    write_space(out, dice);
}

/// JSON without space, with strings as they are.
fn canonical(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{text}\""),
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("\"{key}\":{}", canonical(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Bytes and blocks of the prompt, from the canonical text of each section.
fn expected_prompt(api: Api, body: &Value) -> (u64, Vec<u64>) {
    let (_, keys) = SECTIONS.into_iter().find(|(other, _)| *other == api).expect("every shape is listed");
    let (mut bytes, mut blocks) = (0, Vec::new());
    for (index, key) in keys.into_iter().enumerate() {
        let Some(value) = body.get(key).filter(|value| !key.is_empty() && !value.is_null()) else { continue };
        let mut text = canonical(value).into_bytes();
        if value.is_string() || value.is_array() || value.is_object() {
            text.pop();
        }
        bytes += text.len() as u64;
        let (whole, rest) = text.split_at(text.len() / 32 * 32);
        blocks.extend(whole.chunks(32).map(xxh3_64));
        if index < 2 && !rest.is_empty() {
            blocks.push(xxh3_64_with_seed(rest, text.len() as u64));
        }
    }
    blocks.truncate(LIMITS.max_blocks as usize);
    (bytes, blocks)
}

fn token_ids(value: &Value) -> u64 {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().map(|item| if item.is_number() { 1 } else { token_ids(item) }).sum()
}

fn whole(value: &Value) -> Option<u64> {
    let float = |float: &f64| *float >= 0.0 && float.fract() == 0.0;
    value.as_u64().or_else(|| value.as_f64().filter(float).map(|float| float as u64))
}

fn expected(api: Api, body: &Value) -> Result<RequestBody, BodyError> {
    let model = match &body["model"] {
        Value::Null => return Err(BodyError::NoModel),
        Value::String(model) => model.clone(),
        _ => return Err(BodyError::ModelNotString),
    };
    let (bytes, blocks) = expected_prompt(api, body);
    let mut facts =
        RequestBody { model, stream: body["stream"] == Value::Bool(true), ..RequestBody::default() };
    facts.max_tokens = whole(&body["max_completion_tokens"]).or_else(|| whole(&body["max_tokens"]));
    facts.cache_salt = body["cache_salt"].as_str().map(str::to_owned);
    facts.prompt.blocks = blocks;
    facts.prompt.bytes = bytes;
    facts.prompt.block_bytes = 32;
    facts.prompt.token_ids = match api {
        Api::Completions => token_ids(&body["prompt"]),
        Api::Embeddings => token_ids(&body["input"]),
        _ => 0,
    };
    Ok(facts)
}

fn read(api: Api, body: &[u8], dice: &mut Dice) -> Result<RequestBody, BodyError> {
    let mut reader = BodyReader::new(api, LIMITS);
    let most = 1 + dice.below(body.len() as u64 + 8);
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.len().min(dice.below(most + 1) as usize));
        reader.push(chunk)?;
        rest = after;
    }
    reader.finish()
}

/// What damage is done with: bytes that mean something to the grammar, or may not stand where they fall.
const DAMAGE: &[u8] = b"\"\\{}[]:,u0-.e tn\n\x00\xc3\xff";

/// Refusals of `serde_json` that are taken here on purpose: half surrogate pairs, numbers beyond any float.
const TAKEN: [&str; 3] = ["surrogate", "hex escape", "out of range"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_body_reads_as_serde_json_reads_it((api, fields) in request(), seed: u64) {
        let mut dice = Dice(seed);
        let mut body = String::new();
        write_fields(fields.iter().map(|(key, value)| (key, value)), &mut body, &mut dice);
        let oracle: Value = serde_json::from_str(&body).expect("the writer writes JSON");
        let mut facts = read(api, body.as_bytes(), &mut dice);
        if let Ok(facts) = &mut facts {
            let span = std::mem::take(&mut facts.model_span);
            let model: Value = serde_json::from_str(&body[span.start as usize..span.end as usize])?;
            prop_assert_eq!(&model, &oracle["model"]);
        }
        prop_assert_eq!(facts, expected(api, &oracle), "{}", body);
    }

    #[test]
    fn a_damaged_body_is_refused_where_serde_json_refuses_it(
        (api, fields) in request(),
        seed: u64,
        damage in vec((any::<prop::sample::Index>(), prop::sample::select(DAMAGE)), 1..3),
    ) {
        let mut dice = Dice(seed);
        let mut body = String::new();
        write_fields(fields.iter().map(|(key, value)| (key, value)), &mut body, &mut dice);
        let mut body = body.into_bytes();
        for (index, byte) in damage {
            let index = index.index(body.len());
            body[index] = byte;
        }
        let ours = match read(api, &body, &mut dice) {
            Err(BodyError::NoModel | BodyError::ModelNotString | BodyError::ModelTooLong) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        match serde_json::from_slice::<Map<String, Value>>(&body) {
            Ok(_) => prop_assert_eq!(ours, Ok(())),
            Err(error) if TAKEN.iter().any(|known| error.to_string().contains(known)) => {}
            Err(error) => prop_assert!(ours.is_err(), "{}: {}", error, String::from_utf8_lossy(&body)),
        }
    }

    #[test]
    fn no_bytes_make_it_panic(body in vec(any::<u8>(), 0..300), seed: u64) {
        let _ = read(Api::ChatCompletions, &body, &mut Dice(seed));
        let _ = read(Api::Completions, &[b"{\"prompt\":\"", &body[..]].concat(), &mut Dice(seed));
    }
}
