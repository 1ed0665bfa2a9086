//! Request bodies: what is read does not depend on how bytes were split, and nothing is taken that is no JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use warmlane_engine::body::{Api, BodyReader, Limits, RequestBody};

const APIS: [Api; 7] = [
    Api::Completions,
    Api::ChatCompletions,
    Api::Responses,
    Api::Messages,
    Api::Embeddings,
    Api::Score,
    Api::Rerank,
];

/// What was read; `None` where the body was refused.
fn read(api: Api, bytes: &[u8], piece: usize) -> Option<RequestBody> {
    let mut reader = BodyReader::new(api, Limits { block_bytes: 16, max_blocks: 64 });
    for piece in bytes.chunks(piece.max(1)) {
        let _ = reader.push(piece);
    }
    reader.finish().ok()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let api = APIS[usize::from(choice) % APIS.len()];
    let whole = read(api, bytes, bytes.len());
    let split = read(api, bytes, usize::from(choice / 8) + 1);
    let told = |body: &Option<RequestBody>| {
        body.as_ref().map(|body| {
            (
                body.model.clone(),
                body.stream,
                body.max_tokens,
                body.model_span.clone(),
                body.prompt.blocks.clone(),
            )
        })
    };
    assert_eq!(told(&split), told(&whole), "split");
    if let Some(body) = whole {
        assert!(serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok(), "taken, and no JSON");
        let span = body.model_span.start as usize..body.model_span.end as usize;
        // Half a surrogate pair is taken, as Python takes it; only this reader cannot tell what it says.
        if let Ok(model) = serde_json::from_slice::<String>(&bytes[span]) {
            assert_eq!(model, body.model);
        }
    }
});
