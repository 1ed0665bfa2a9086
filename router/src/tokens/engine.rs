//! Asks an engine what a prompt is in tokens: `POST /tokenize`, as vLLM has it.
//!
//! For models without a tokenizer of our own. Never on a request's way; one question at a time, a connection for each; an
//! engine that failed one is left alone for [`REST`].
//!
//! The answer does not say which text a token stands for, so what a beginning of the text settles is reckoned: all but
//! [`TAIL`] tokens by all of it, and by a shorter one its share, less a margin.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::SocketAddr,
    pin::pin,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    net::TcpStream,
    runtime::{Builder, Runtime},
    time::timeout,
};
use warmlane_engine::body::Api;

/// A question that takes longer is given up.
const LIMIT: Duration = Duration::from_secs(2);
/// How long an engine that failed one is left alone.
const REST: Duration = Duration::from_secs(30);
/// Longest body that is sent on, and longest answer.
const MOST: usize = 4 << 20;
const MOST_ANSWER: usize = 32 << 20;
/// What a block of text, which is the last to be known, may come to at most in most languages.
const TAIL: usize = 64;
/// What a template may have put before a text, or a denser part of it may have come to: a share, and so many tokens.
const MARGIN: usize = 16;

/// What the question is made of: the fields that both it and the request have.
const FIELDS: [&str; 5] = ["prompt", "messages", "tools", "add_generation_prompt", "continue_final_message"];
/// What makes other tokens of the same text, for which the answer would then be taken.
const OTHERWISE: [&str; 9] = [
    "add_special_tokens",
    "chat_template",
    "chat_template_kwargs",
    "documents",
    "kv_transfer_params",
    "prompt_embeds",
    "reasoning_effort",
    "suffix",
    "truncate_prompt_tokens",
];
/// Parts of messages that are no text: an engine would fetch and decode them to answer. In quotes, as no text has them.
const MEDIA: [&str; 8] = [
    r#""audio_url""#,
    r#""image_embeds""#,
    r#""image_pil""#,
    r#""image_url""#,
    r#""input_audio""#,
    r#""input_image""#,
    r#""file""#,
    r#""video_url""#,
];

/// See the module's header.
pub(super) struct Engines {
    runtime: Runtime,
    /// Until when these are left alone.
    resting: HashMap<SocketAddr, Instant>,
}

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTokens {
    #[error(
        "only completions with one text, and chats of texts without a template of their own, can be asked about"
    )]
    Shape,
    #[error("its body of {0} bytes is too long to be sent on")]
    TooLarge(usize),
    #[error("the engine failed a question a moment ago")]
    Resting,
    #[error("the engine does not answer: {0}")]
    Unreachable(String),
    #[error("the engine answers with status {0}: does it have /tokenize?")]
    Status(StatusCode),
    #[error("the engine's answer is no list of tokens")]
    Answer,
}

#[derive(Deserialize)]
struct Answer {
    tokens: Vec<u32>,
}

// === Engines ===

impl Engines {
    pub(super) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, resting: HashMap::new() })
    }

    /// The tokens of a body, as the engine at this address makes them for `model`.
    pub(super) fn tokens(
        &mut self,
        at: SocketAddr,
        model: &str,
        api: Api,
        body: &[u8],
    ) -> Result<Vec<u32>, NoTokens> {
        let question = question(model, api, body)?;
        let now = Instant::now();
        self.resting.retain(|_, until| *until > now);
        if self.resting.contains_key(&at) {
            return Err(NoTokens::Resting);
        }
        let asked = self.runtime.block_on(async { timeout(LIMIT, ask(at, question)).await });
        let answer =
            asked.unwrap_or_else(|_| Err(NoTokens::Unreachable(format!("nothing within {LIMIT:?}"))));
        answer.inspect_err(|why| {
            if why.is_of_engine() {
                self.resting.insert(at, now + REST);
            }
        })
    }
}

async fn ask(at: SocketAddr, question: Vec<u8>) -> Result<Vec<u32>, NoTokens> {
    let broken = |error: hyper::Error| NoTokens::Unreachable(error.to_string());
    let stream = TcpStream::connect(at).await.map_err(|error| NoTokens::Unreachable(error.to_string()))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = Request::builder()
        .method(Method::POST)
        .uri("/tokenize")
        .header(header::HOST, at.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(question)))
        .map_err(|error| NoTokens::Unreachable(error.to_string()))?;
    let mut exchange = pin!(async {
        let response = sender.send_request(request).await.map_err(broken)?;
        if response.status() != StatusCode::OK {
            return Err(NoTokens::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MOST_ANSWER).collect().await;
        let body = body.map_err(|error| NoTokens::Unreachable(error.to_string()))?.to_bytes();
        serde_json::from_slice(&body).map(|answer: Answer| answer.tokens).map_err(|_| NoTokens::Answer)
    });
    tokio::select! {
        answer = &mut exchange => answer,
        // What has come by then is read all the same.
        _ = connection => exchange.await,
    }
}

/// What is sent for a body of this shape.
fn question(model: &str, api: Api, body: &[u8]) -> Result<Vec<u8>, NoTokens> {
    let needed = match api {
        Api::Completions => "prompt",
        Api::ChatCompletions => "messages",
        Api::Responses | Api::Messages | Api::Embeddings | Api::Score | Api::Rerank => {
            return Err(NoTokens::Shape);
        }
    };
    if body.len() > MOST {
        return Err(NoTokens::TooLarge(body.len()));
    }
    let mut fields: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(body).map_err(|_| NoTokens::Shape)?;
    let is_there = |name: &&str| fields.get(*name).is_some_and(|value| value.get() != "null");
    let has_media = |value: &RawValue| MEDIA.iter().any(|part| value.get().contains(part));
    if OTHERWISE.iter().any(is_there) || fields.get("messages").is_some_and(|all| has_media(all)) {
        return Err(NoTokens::Shape);
    }
    fields.retain(|name, _| FIELDS.contains(&name.as_str()));
    let is_text = |value: &RawValue| value.get().starts_with('"');
    let fits = |value: &RawValue| api == Api::ChatCompletions || is_text(value);
    if !fields.get(needed).is_some_and(|value| fits(value)) {
        return Err(NoTokens::Shape);
    }
    let model = serde_json::value::to_raw_value(model).map_err(|_| NoTokens::Shape)?;
    fields.insert("model".to_owned(), model);
    serde_json::to_vec(&fields).map_err(|_| NoTokens::Shape)
}

/// How many of so many tokens are settled by `part` of `whole` blocks of text.
pub(super) fn settled(tokens: usize, part: usize, whole: usize) -> usize {
    if part >= whole {
        return tokens.saturating_sub(TAIL);
    }
    let share = tokens * part / whole.max(1);
    share.saturating_sub(share / 8 + MARGIN).min(tokens.saturating_sub(TAIL))
}

// === NoTokens ===

impl NoTokens {
    /// Whether it is the engine's: one that refuses a prompt may well answer for the next one. Whoever sends what it
    /// refuses must not leave all others without tokens.
    fn is_of_engine(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Answer => true,
            Self::Status(status) => {
                !matches!(*status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY)
            }
            Self::Shape | Self::TooLarge(_) | Self::Resting => false,
        }
    }

    /// For metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Shape => "shape",
            Self::TooLarge(_) => "too_large",
            Self::Resting => "engine_resting",
            Self::Unreachable(_) => "engine_unreachable",
            Self::Status(_) => "engine_status",
            Self::Answer => "engine_answer",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_question_has_what_makes_the_tokens_and_the_model_that_serves() {
        let body =
            br#"{"model":"alias","stream":true,"messages":[{"role":"user","content":"a  b"}],"tools":[],
            "chat_template":null,"user":"u","add_generation_prompt":false}"#;
        let question = question("m", Api::ChatCompletions, body).expect("a question");
        assert_eq!(
            String::from_utf8(question).expect("text"),
            r#"{"add_generation_prompt":false,"messages":[{"role":"user","content":"a  b"}],"model":"m","tools":[]}"#
        );
    }

    #[test]
    fn an_engine_that_refuses_a_prompt_is_asked_about_the_next_one() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = listener.local_addr().expect("an address");
        let answers = std::thread::spawn(move || {
            for status in ["400 Bad Request", "200 OK", "500 Internal Server Error"] {
                let (mut stream, _) = listener.accept().expect("a question");
                let mut question = [0; 4_096];
                let _ = stream.read(&mut question).expect("a question");
                let body = r#"{"tokens":[1,2]}"#;
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).expect("an answer");
            }
        });
        let mut engines = Engines::new().expect("a runtime");
        let mut ask = || engines.tokens(at, "m", Api::Completions, br#"{"prompt":"a"}"#);
        assert!(matches!(ask(), Err(NoTokens::Status(StatusCode::BAD_REQUEST))));
        assert_eq!(ask().expect("tokens"), [1, 2]);
        assert!(matches!(ask(), Err(NoTokens::Status(StatusCode::INTERNAL_SERVER_ERROR))));
        assert!(matches!(ask(), Err(NoTokens::Resting)));
        answers.join().expect("all were asked");
    }

    #[test]
    fn what_cannot_be_asked_about_is_not() {
        for (api, body) in [
            (Api::Completions, r#"{"prompt":["a","b"]}"#),
            (Api::Completions, r#"{"prompt":[1,2]}"#),
            (Api::Completions, r#"{"messages":[]}"#),
            (Api::ChatCompletions, r#"{"prompt":"a"}"#),
            (Api::Responses, r#"{"input":"a"}"#),
            (Api::Completions, "{"),
            (Api::Completions, r#"{"prompt":"a","add_special_tokens":false}"#),
            (
                Api::ChatCompletions,
                r#"{"messages":[{"role":"user","content":"a"}],"chat_template":"{{ x }}"}"#,
            ),
            (
                Api::ChatCompletions,
                r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://x/"}}]}]}"#,
            ),
        ] {
            assert!(matches!(question("m", api, body.as_bytes()), Err(NoTokens::Shape)), "{body}");
        }
        let long = format!(r#"{{"prompt":"{}"}}"#, "x".repeat(MOST));
        assert!(matches!(question("m", Api::Completions, long.as_bytes()), Err(NoTokens::TooLarge(_))));
    }

    #[test]
    fn more_text_settles_more_tokens_and_never_all() {
        for tokens in [0, 10, 100, 5_000] {
            let mut before = 0;
            for part in 0..=80 {
                let settled = settled(tokens, part, 80);
                assert!(settled >= before && settled * 80 <= tokens * part, "{settled} by {part}");
                before = settled;
            }
            assert_eq!(before, tokens.saturating_sub(TAIL));
        }
    }
}
