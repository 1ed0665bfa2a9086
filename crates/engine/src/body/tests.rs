//! Facts, blocks and refusals by example; properties against `serde_json` stand in `oracle`.

mod oracle;

use super::*;

const SMALL: Limits = Limits { block_bytes: 16, max_blocks: 64 };

/// Reads `body` in one piece and byte by byte; both must agree.
fn read_with(api: Api, limits: Limits, body: &[u8]) -> Result<RequestBody, BodyError> {
    let mut reader = BodyReader::new(api, limits);
    let whole = reader.push(body).and_then(|()| {
        let mut facts = RequestBody::default();
        reader.finish_into(&mut facts).map(|()| facts)
    });
    reader.reset(api);
    let pieces = body.chunks(1).try_for_each(|byte| reader.push(byte)).and_then(|()| reader.finish());
    assert_eq!(whole, pieces, "{}", String::from_utf8_lossy(body));
    whole
}

fn read(api: Api, body: &str) -> RequestBody {
    read_with(api, SMALL, body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn blocks(api: Api, body: &str) -> Vec<u64> {
    read(api, body).prompt.blocks
}

fn refused(body: impl AsRef<[u8]>) -> BodyError {
    read_with(Api::Completions, SMALL, body.as_ref()).unwrap_err()
}

#[test]
fn paths_name_the_shape_of_the_body() {
    assert_eq!(Api::of_path("/v1/completions"), Some(Api::Completions));
    assert_eq!(Api::of_path("/v1/chat/completions?beta=1"), Some(Api::ChatCompletions));
    for path in ["/rerank", "/v1/rerank", "/v2/rerank?x"] {
        assert_eq!(Api::of_path(path), Some(Api::Rerank));
    }
    for path in ["/v2/score", "/v1/models", "/v1/completions/", "/v1/messages/count_tokens", "", "?/score"] {
        assert_eq!(Api::of_path(path), None, "{path}");
    }
}

#[test]
fn facts_are_taken_from_top_level_keys_only() {
    let body = r#"{"n":{"model":"no","stream":true,"max_tokens":9},"prompt":"p","model":"yes",
        "x":[{"cache_salt":"no"}],"max_tokens":[7],"stream":[true],"prompt_cache_key":{"prompt_cache_key":"no"}}"#;
    let facts = read(Api::Completions, body);
    assert_eq!(facts.model, "yes");
    assert_eq!((facts.stream, facts.max_tokens), (false, None));
    assert_eq!((facts.cache_salt, facts.prompt_cache_key), (None, None));
    assert_eq!(facts.prompt.bytes, 2);
}

#[test]
fn keys_and_values_may_be_escaped() {
    let body = r#"{"mod\u0065l":"\u002fa\ud83d\ude00\/b","str\u0065am":true,"s\u0065ssion_id":"\ud800x"}"#;
    let facts = read(Api::Completions, body);
    assert_eq!(facts.model, "/a\u{1f600}/b");
    assert_eq!(facts.session_id.as_deref(), Some("\u{fffd}x"));
    assert!(facts.stream);
}

#[test]
fn the_model_span_is_the_value_as_it_stands_in_the_body() {
    let body = r#" {"prompt" : "x", "model" :  "a\"b" , "max_tokens":1}"#;
    let facts = read(Api::Completions, body);
    let span = facts.model_span.start as usize..facts.model_span.end as usize;
    assert_eq!(&body[span], r#""a\"b""#);
}

#[test]
fn the_last_of_repeated_keys_counts() {
    let body = r#"{"model":"a","prompt":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","stream":true,"model":"b",
        "prompt":"bbbbbbbbbbbbbbbbbbbbbbb","max_tokens":5,"stream":false,"max_tokens":null,
        "cache_salt":"x","cache_salt":1}"#;
    let facts = read(Api::Completions, body);
    assert_eq!(
        (facts.model.as_str(), facts.stream, facts.max_tokens, facts.cache_salt),
        ("b", false, None, None)
    );
    let single = read(Api::Completions, r#"{"model":"b","prompt":"bbbbbbbbbbbbbbbbbbbbbbb"}"#);
    assert_eq!(facts.prompt, single.prompt);
    assert_eq!(refused(r#"{"model":"a","model":null}"#), BodyError::NoModel);
}

#[test]
fn the_newer_output_limit_wins_and_must_be_whole() {
    let limit = |fields: &str| read(Api::ChatCompletions, &format!(r#"{{"model":"m",{fields}}}"#)).max_tokens;
    assert_eq!(limit(r#""max_completion_tokens":7,"max_tokens":9"#), Some(7));
    assert_eq!(limit(r#""max_tokens":9,"max_completion_tokens":7"#), Some(7));
    assert_eq!(limit(r#""max_completion_tokens":null,"max_tokens":9"#), Some(9));
    assert_eq!(limit(r#""max_output_tokens":18446744073709551615"#), Some(u64::MAX));
    assert_eq!(limit(r#""max_tokens":1.6e1"#), Some(16));
    for odd in ["-1", "1.5", "\"16\"", "true", "{}", "1000000000000000000000000000000000000000"] {
        assert_eq!(limit(&format!(r#""max_tokens":{odd}"#)), None, "{odd}");
    }
}

#[test]
fn long_strings_are_digested_not_cut() {
    let key = |len: usize, end: char| {
        let text = "k".repeat(len) + &end.to_string();
        read(Api::Completions, &format!(r#"{{"model":"m","prompt_cache_key":"{text}"}}"#)).prompt_cache_key
    };
    assert_eq!(key(1023, 'a'), Some("k".repeat(1023) + "a"));
    let (one, other) = (key(5_000, 'a'), key(5_000, 'b'));
    assert_ne!(one, other);
    assert_eq!(one.map(|key| key.len()), Some("xxh128-".len() + 32));
}

#[test]
fn spacing_and_escapes_do_not_change_the_blocks() {
    let plain =
        r#"{"model":"m","messages":[{"role":"user","content":"Ünïcode / and \n lines, a few of them"}]}"#;
    let odd = "{\"messages\" :\n[ {\"r\\u006fle\":\t\"\\u0075ser\" , \"content\": \
        \"\\u00dcn\\u00efcode \\/ and \\u000a lines, a few of them\"} ] , \"model\":\"m\" }\r\n";
    assert_eq!(blocks(Api::ChatCompletions, plain), blocks(Api::ChatCompletions, odd));
    assert_eq!(blocks(Api::ChatCompletions, plain).len(), 4);
}

#[test]
fn the_order_of_fields_does_not_change_the_blocks() {
    let tools = r#""tools":[{"type":"function","function":{"name":"f"}}]"#;
    let system = r#""system":"You are a travel helper.""#;
    let messages = r#""messages":[{"role":"user","content":"Where shall we go?"}]"#;
    let forth = blocks(Api::Messages, &format!(r#"{{"model":"m",{tools},{system},{messages}}}"#));
    let back = blocks(Api::Messages, &format!(r#"{{{messages},{system},{tools},"model":"m"}}"#));
    assert_eq!(forth, back);
    // 44, 25 and 47 bytes: two blocks and what is left; one and what is left; two, and what is left is
    // dropped.
    assert_eq!(forth.len(), 3 + 2 + 2);
    let other = blocks(
        Api::Messages,
        &format!(r#"{{"model":"m",{tools},"system":"You are a travel agency.",{messages}}}"#),
    );
    let differing: Vec<_> = (0..7).filter(|&index| forth[index] != other[index]).collect();
    assert_eq!(differing, [4], "only the block that ends the system prompt differs");
}

#[test]
fn a_further_turn_shares_every_block_of_the_turns_before() {
    let turn =
        |index: usize| format!(r#"{{"role":"user","content":"turn {index} {}"}}"#, "x".repeat(index % 23));
    let body = |turns: usize| {
        let messages = (0..turns).map(turn).collect::<Vec<_>>().join(",");
        let body = format!(r#"{{"model":"m","tools":[1],"messages":[{messages}]}}"#);
        let limits = Limits { max_blocks: 1000, ..SMALL };
        read_with(Api::ChatCompletions, limits, body.as_bytes()).map(|facts| facts.prompt.blocks).unwrap()
    };
    for turns in 1..30 {
        let (short, long) = (body(turns), body(turns + 1));
        assert!(long.len() > short.len() && long.starts_with(&short), "{turns} turns");
    }
}

#[test]
fn a_longer_prompt_shares_every_block_of_the_shorter() {
    let body =
        |len: usize| blocks(Api::Completions, &format!(r#"{{"prompt":"{}","model":"m"}}"#, "y".repeat(len)));
    assert_eq!((body(14).len(), body(15).len(), body(31).len()), (0, 1, 2));
    assert!(body(200).starts_with(&body(100)));
}

#[test]
fn token_ids_are_counted_exactly() {
    let tokens = |prompt: &str| {
        let prompt = read(Api::Completions, &format!(r#"{{"model":"m","prompt":{prompt}}}"#)).prompt;
        (prompt.token_ids, prompt.estimated_tokens())
    };
    assert_eq!(tokens("[1, 22, 333]"), (3, 3));
    assert_eq!(tokens("[[1,2],[3,4,5]]"), (5, 5));
    assert_eq!(tokens(r#""four""#), (0, 2));
    assert_eq!(tokens(r#"["a","b"]"#), (0, 2));
    assert_eq!(tokens(r#"[{"n":[1,2]}]"#).0, 0);
    let chat = read(Api::ChatCompletions, r#"{"model":"m","messages":[1,2,3]}"#);
    assert_eq!(chat.prompt.token_ids, 0, "only prompts and inputs are token ids");
    let embeddings = read(Api::Embeddings, r#"{"model":"m","input":[[5,6],[7]]}"#);
    assert_eq!(embeddings.prompt.token_ids, 3);
}

#[test]
fn a_null_section_is_no_section() {
    let without = read(Api::ChatCompletions, r#"{"model":"m","messages":["0123456789abcdef"]}"#);
    let with = read(Api::ChatCompletions, r#"{"model":"m","tools":null,"messages":["0123456789abcdef"]}"#);
    assert_eq!(without, RequestBody { model_span: without.model_span.clone(), ..with });
}

#[test]
fn blocks_stop_at_the_cap_and_counting_goes_on() {
    let body = |prompt: &str| format!(r#"{{"model":"m","tools":"{prompt}","messages":"{prompt}"}}"#);
    let facts = read(Api::ChatCompletions, &body(&"z\\n".repeat(100_000)));
    assert_eq!(facts.prompt.blocks.len(), 64);
    assert_eq!(facts.prompt.bytes, 2 * 200_001);
    let capped = read_with(Api::ChatCompletions, Limits { max_blocks: 0, ..SMALL }, body("text").as_bytes());
    assert_eq!(capped.map(|facts| facts.prompt.blocks.len()), Ok(0));
}

#[test]
fn a_reader_is_as_new_after_a_body_that_failed() {
    let good = r#"{"model":"m","prompt":"0123456789abcdef0123456789abcdef"}"#;
    let mut reader = BodyReader::new(Api::Completions, SMALL);
    let mut facts = RequestBody::default();
    let bad =
        r#"{"model":"n","cache_salt":"s","stream":true,"max_tokens":1,"prompt":"fedcba9876543210fedc","#;
    reader.push(bad.as_bytes()).unwrap();
    assert_eq!(reader.finish_into(&mut facts), Err(BodyError::Truncated));
    assert!(reader.push(b"}").is_err() && reader.push(good.as_bytes()).is_err(), "an error stays");
    assert_eq!(reader.finish_into(&mut facts), Err(refused("}")));
    reader.push(good.as_bytes()).unwrap();
    reader.finish_into(&mut facts).unwrap();
    assert_eq!(facts, read(Api::Completions, good));
    reader.reset(Api::ChatCompletions);
    reader.push(br#"{"model":"m"}"#).unwrap();
    reader.finish_into(&mut facts).unwrap();
    assert_eq!(facts, read(Api::ChatCompletions, r#"{"model":"m"}"#));
}

#[test]
fn what_python_takes_beyond_the_rfc_is_taken() {
    for value in [
        "NaN",
        "Infinity",
        "-Infinity",
        r#""\ud800""#,
        r#""\udc00\ud800\ud800\udc00""#,
        "1e999",
        "\"\u{7f}\"",
    ] {
        read(Api::Completions, &format!(r#"{{"model":"m","prompt":[{value}],"x":{value}}}"#));
    }
    let decoded =
        |prompt: &str| blocks(Api::Completions, &format!(r#"{{"model":"m","prompt":"0123456789{prompt}"}}"#));
    assert_eq!(decoded(r"\ud800-\udc00"), decoded("\u{fffd}-\u{fffd}"));
    assert_eq!(decoded(r"\ud83d\ud83d\ude00"), decoded("\u{fffd}\u{1f600}"));
    assert_eq!(decoded(r"\ud83d\n12"), decoded("\u{fffd}\\n12"));
}

#[test]
fn broken_bodies_are_refused_with_the_reason() {
    let at = |at: u64, what: &'static str| BodyError::NotJson { at, what };
    let end = "expected ',' or '}'";
    for (body, expected) in [
        ("", BodyError::Truncated),
        (" \n", BodyError::Truncated),
        (r#"{"model":"m""#, BodyError::Truncated),
        (r#"{"model":"m","prompt":"#, BodyError::Truncated),
        (r#"{"model":"m"#, BodyError::Truncated),
        ("[]", BodyError::NotAnObject),
        ("\"{}\"", BodyError::NotAnObject),
        ("null", BodyError::NotAnObject),
        ("hello", at(0, "expected an object")),
        ("}", at(0, "expected an object")),
        ("\u{feff}{}", at(0, "expected an object")),
        ("{}", BodyError::NoModel),
        (r#"{"model":null}"#, BodyError::NoModel),
        (r#"{"model":7}"#, BodyError::ModelNotString),
        (r#"{"model":["m"]}"#, BodyError::ModelNotString),
        (r#"{"model":"m"}}"#, at(13, "something follows the object")),
        (r#"{"model":"m"} x"#, at(14, "something follows the object")),
        (r#"{"model":"m",}"#, at(13, "expected a key in double quotes")),
        (r#"{,"model":"m"}"#, at(1, "expected a key in double quotes or '}'")),
        (r#"{'model':"m"}"#, at(1, "expected a key in double quotes or '}'")),
        (r#"{"model" "m"}"#, at(9, "expected ':' after a key")),
        (r#"{"model":}"#, at(9, "expected a value")),
        (r#"{"model":"m" "x":1}"#, at(13, end)),
        (r#"{"model":"m"]"#, at(12, end)),
        (r#"{"x":[1,]}"#, at(8, "expected a value")),
        (r#"{"x":[,1]}"#, at(6, "expected a value or ']'")),
        (r#"{"x":[1}"#, at(7, "expected ',' or ']'")),
        (r#"{"x":01}"#, at(6, end)),
        (r#"{"prompt":[1, 07, 1234567],"x":1}"#, at(15, "expected ',' or ']'")),
        (r#"{"prompt":[1,,7, 1234567],"x":1}"#, at(13, "expected a value")),
        (r#"{"x":-}"#, at(6, "an incomplete number")),
        (r#"{"x":1.}"#, at(7, "an incomplete number")),
        (r#"{"x":1e+}"#, at(8, "an incomplete number")),
        (r#"{"x":+1}"#, at(5, "expected a value")),
        (r#"{"x":.5}"#, at(5, "expected a value")),
        (r#"{"x":trUe}"#, at(7, "expected true, false or null")),
        (r#"{"x":-Inf}"#, at(9, "expected true, false or null")),
        (r#"{"x":"\x"}"#, at(7, "an unknown escape in a string")),
        (r#"{"x":"\u12g4"}"#, at(10, "a \\u escape without four hexadecimal digits")),
        ("{\"x\":\"a\tb\"}", at(7, "a control character in a string")),
        ("{\"x\":\"é\u{1}\"}", at(8, "a control character in a string")),
        ("{\"x\":1 /* */}", at(7, end)),
    ] {
        assert_eq!(refused(body), expected, "{body}");
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_wherever_it_is_cut() {
    for bytes in [
        &b"\xff"[..],
        b"\xc3\"",
        b"\xc3\\n",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"\xc0\xaf",
        b"\x80",
    ] {
        for key in ["x", "prompt"] {
            let body = [format!(r#"{{"{key}":"abc"#).as_bytes(), bytes, br#"","model":"m"}"#].concat();
            let error = refused_by_kind(&body);
            assert_eq!(error, "bytes in a string that are not UTF-8", "{bytes:x?}");
        }
    }
}

/// As [`refused`], for errors whose offset depends on where the body was cut.
fn refused_by_kind(body: &[u8]) -> &'static str {
    let kind = |chunk: usize| {
        let mut reader = BodyReader::new(Api::Completions, SMALL);
        match body.chunks(chunk).try_for_each(|chunk| reader.push(chunk)) {
            Err(BodyError::NotJson { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    };
    let whole = kind(body.len());
    assert!((1..body.len()).all(|chunk| kind(chunk) == whole));
    whole
}

#[test]
fn depth_and_lengths_are_bounded() {
    let nested = |depth: usize| format!(r#"{{"model":"m","x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    read(Api::Completions, &nested(lexer::MAX_DEPTH - 1));
    assert_eq!(refused(nested(lexer::MAX_DEPTH)), BodyError::TooDeep);
    let named = |len: usize| format!(r#"{{"model":"{}"}}"#, "m".repeat(len));
    assert_eq!(read(Api::Completions, &named(1024)).model.len(), 1024);
    assert_eq!(refused(named(1025)), BodyError::ModelTooLong);
}

#[test]
fn messages_tell_the_client_what_to_mend() {
    assert_eq!(
        refused(r#"{"model":"m",}"#).to_string(),
        "the request body is not valid JSON: expected a key in double quotes at byte 13"
    );
    assert_eq!(refused("{}").to_string(), "the request names no model: \"model\" is missing or null");
    assert_eq!((refused("{}").param(), refused("").param()), (Some("model"), None));
}
