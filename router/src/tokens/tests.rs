use std::{path::Path, time::Duration};

use tokio::time::timeout;
use warmlane_engine::{
    body::{BodyReader, Limits},
    kv_events,
};

use super::*;

fn tokenizer() -> Tokenizer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/tokens/tests/fixtures");
    Tokenizer::load(&folder).expect("a tokenizer")
}

fn tokens() -> Tokens {
    Tokens::new(vec![("m".to_owned(), tokenizer())])
}

struct Request {
    content: String,
    body: RequestBody,
    chain: Chain,
}

fn completion(prompt: &str) -> Request {
    let content = serde_json::json!({ "model": "m", "prompt": prompt }).to_string();
    let mut reader = BodyReader::new(Api::Completions, Limits::default());
    reader.push(content.as_bytes()).expect("JSON");
    let body = reader.finish().expect("a body");
    let chain = Chain::new(Chain::seed(1, "m", None, None), &body.prompt.blocks);
    Request { content, body, chain }
}

impl Request {
    fn asked(&self) -> Asked<'_> {
        Asked {
            api: Api::Completions,
            body: &self.body,
            model: &self.body.model,
            adapter: None,
            chain: &self.chain,
            block_size: 16,
            engine: &|| None,
            now: Time::from_secs(1),
        }
    }

    fn ask(&self, tokens: &Tokens) -> Answer {
        tokens.ask(&self.asked(), || self.content.clone().into_bytes())
    }

    async fn learn(&self, tokens: &Tokens) {
        let Answer::Coming { mut done, is_new: true } = self.ask(tokens) else { panic!("it is new") };
        let _ = timeout(Duration::from_secs(30), done.changed()).await.expect("in time");
    }
}

fn text(words: usize) -> String {
    (0..words).map(|n| format!("word{n} of a text that goes on. ")).collect()
}

#[tokio::test]
async fn a_prompt_is_made_tokens_of_once_and_known_up_to_where_others_part_from_it() {
    let (tokens, first) = (tokens(), completion(&text(200)));
    assert!(tokens.find(&first.chain, 16).is_none());
    first.learn(&tokens).await;
    let known = tokens.find(&first.chain, 16).expect("it is known");
    // What an engine would say that it holds.
    let ids = tokenizer().prompt(Api::Completions, first.content.as_bytes(), 64).expect("tokens").ids;
    let blocks = kv_events::chained(kv_events::root(None, None), &ids, 16);
    assert_eq!(*known.prompt.links, *Chain::marked(&blocks));
    assert!(known.blocks <= blocks.len() && known.blocks + 8 > blocks.len(), "{}", known.blocks);
    assert!(matches!(first.ask(&tokens), Answer::Settled), "asked for once");
    let other = completion(&(text(100) + "and now for something else. " + &text(100)));
    let shared = tokens.find(&other.chain, 16).expect("its first half is known");
    assert!(shared.blocks * 2 <= known.blocks + 1 && shared.blocks * 3 > known.blocks, "{}", shared.blocks);
    assert!(tokens.find(&first.chain, 32).is_none(), "blocks of another size are others");
}

#[tokio::test]
async fn a_conversation_is_asked_for_again_when_it_has_grown_and_waited_for_when_most_is_new() {
    let tokens = tokens();
    completion(&text(200)).learn(&tokens).await;
    assert!(matches!(completion(&text(205)).ask(&tokens), Answer::Settled), "a little more");
    let Answer::Coming { is_new, .. } = completion(&text(260)).ask(&tokens) else { panic!("a quarter more") };
    assert!(!is_new, "most of it is known");
    let Answer::Coming { is_new, .. } = completion(&text(900)).ask(&tokens) else { panic!("far more") };
    assert!(is_new);
    assert!(matches!(completion("short").ask(&tokens), Answer::Settled), "not worth it");
}

#[test]
fn who_waits_beyond_the_bound_goes_without() {
    // No thread takes anything.
    let (near, _jobs) = sync_channel::<Job>(QUEUE);
    let (far, _) = sync_channel::<Job>(QUEUE);
    let mut tokens = Tokens::with(Known::new(true), vec![("m".to_owned(), tokenizer())]);
    tokens.queues = Some(Queues { near, far });
    let request = |number: usize| completion(&format!("{number} {}", text(30)));
    for number in 0..QUEUE {
        assert!(matches!(request(number).ask(&tokens), Answer::Coming { .. }));
    }
    assert!(
        matches!(request(0).ask(&tokens), Answer::Coming { .. }),
        "the same again has no place of its own"
    );
    assert!(matches!(request(QUEUE).ask(&tokens), Answer::Settled));
    assert_eq!(tokens.pending().len(), QUEUE, "it left nothing behind");
    let long = completion(&text(10_000));
    tokens.waiting_bytes.fetch_add(QUEUE_BYTES, Relaxed);
    assert!(matches!(long.ask(&tokens), Answer::Settled), "too many bytes wait");
}

#[tokio::test]
async fn a_prompt_without_tokens_is_asked_for_again_and_harms_nobody() {
    let tokens = tokens();
    let odd = completion(&text(30));
    let rerank = Asked { api: Api::Rerank, ..odd.asked() };
    assert!(matches!(tokens.ask(&rerank, || unreachable!("no copy is made")), Answer::Settled));
    let Answer::Coming { mut done, .. } = tokens.ask(&odd.asked(), || b"no JSON".to_vec()) else {
        panic!("it is tried")
    };
    let _ = timeout(Duration::from_secs(30), done.changed()).await.expect("in time");
    assert!(tokens.find(&odd.chain, 16).is_none());
    completion(&text(40)).learn(&tokens).await;
    let nameless = Asked { model: "other", ..odd.asked() };
    assert!(matches!(tokens.ask(&nameless, Vec::new), Answer::Settled), "no tokenizer and no engine");
}

#[tokio::test]
async fn a_thread_outlives_a_prompt_that_makes_it_panic() {
    let tokens = tokens();
    let odd = completion(&text(30));
    // Blocks of no tokens: nobody asks so, and the library below may fail as badly.
    let asked = Asked { block_size: 0, ..odd.asked() };
    let Answer::Coming { mut done, .. } = tokens.ask(&asked, || odd.content.clone().into_bytes()) else {
        panic!("it is tried")
    };
    let _ = timeout(Duration::from_secs(30), done.changed()).await.expect("in time");
    completion(&text(40)).learn(&tokens).await;
}
