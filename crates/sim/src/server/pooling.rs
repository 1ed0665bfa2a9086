//! /v1/embeddings, /score and /rerank: prefill work in the engine, made-up numbers in the answer.
//!
//! A vector is 64 numbers of length 1 drawn from the prompt's hash: equal text gives an equal vector,
//! other text an unrelated one. A score is the cosine of two vectors, moved to 0..1.

use std::rc::Rc;

use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::{
    ask::{Fields, room, token_ids},
    refusal,
    replica::Replica,
    reply::Names,
    stream::Reply,
};
use crate::{
    error::Error,
    model::{Request, tokens},
};

const DIMENSIONS: usize = 64;

/// What was computed for one text.
struct Pooled {
    vector: Vec<f64>,
    tokens: u32,
}

pub(super) async fn embeddings(
    replica: &Rc<Replica>,
    fields: &Fields,
    names: Names,
) -> Result<Response<Reply>, Error> {
    let (mut data, mut tokens) = (Vec::new(), 0);
    for (index, input) in inputs(fields.require("input")?).into_iter().enumerate() {
        let pooled = pool(replica, fields, &input).await?;
        tokens += pooled.tokens;
        data.push(json!({"index": index, "object": "embedding", "embedding": pooled.vector}));
    }
    let body = json!({
        "id": names.id, "object": "list", "created": names.created, "model": model(replica, fields)?,
        "data": data, "usage": usage(tokens),
    });
    Ok(refusal::json_response(StatusCode::OK, body.to_string()))
}

pub(super) async fn score(
    replica: &Rc<Replica>,
    fields: &Fields,
    names: Names,
) -> Result<Response<Reply>, Error> {
    let left = ["text_1", "queries", "data_1"].into_iter().find_map(|field| fields.get(field));
    let right = ["text_2", "documents", "items", "data_2"].into_iter().find_map(|field| fields.get(field));
    let left = inputs(left.ok_or(Error::Missing { field: "text_1", items: 0 })?);
    let right = inputs(right.ok_or(Error::Missing { field: "text_2", items: 0 })?);
    let (mut data, mut tokens) = (Vec::new(), 0);
    for (index, other) in right.iter().enumerate() {
        let one = left.get(index).or(left.first()).ok_or(Error::NoPrompt)?;
        let (score, used) = compare(replica, fields, one, other).await?;
        tokens += used;
        data.push(json!({"index": index, "object": "score", "score": score}));
    }
    let body = json!({
        "id": names.id, "object": "list", "created": names.created, "model": model(replica, fields)?,
        "data": data, "usage": usage(tokens),
    });
    Ok(refusal::json_response(StatusCode::OK, body.to_string()))
}

pub(super) async fn rerank(
    replica: &Rc<Replica>,
    fields: &Fields,
    names: Names,
) -> Result<Response<Reply>, Error> {
    let query = fields.require("query")?.clone();
    let (mut results, mut tokens) = (Vec::new(), 0);
    for (index, document) in inputs(fields.require("documents")?).into_iter().enumerate() {
        let (score, used) = compare(replica, fields, &query, &document).await?;
        tokens += used;
        results.push((score, index, document));
    }
    results.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = fields.integer("top_n")?.and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
    let told = |(score, index, document): &(f64, usize, Value)| {
        json!({
            "index": index, "document": {"text": document, "multi_modal": null}, "relevance_score": score,
        })
    };
    let results: Vec<Value> = results.iter().take(best.unwrap_or(usize::MAX)).map(told).collect();
    let body = json!({
        "id": names.id, "model": model(replica, fields)?,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens}, "results": results,
    });
    Ok(refusal::json_response(StatusCode::OK, body.to_string()))
}

async fn compare(
    replica: &Rc<Replica>,
    fields: &Fields,
    one: &Value,
    other: &Value,
) -> Result<(f64, u32), Error> {
    let (one, other) = (pool(replica, fields, one).await?, pool(replica, fields, other).await?);
    let cosine: f64 = one.vector.iter().zip(&other.vector).map(|(a, b)| a * b).sum();
    Ok((f64::midpoint(cosine, 1.0).clamp(0.0, 1.0), one.tokens + other.tokens))
}

/// Runs one text through the engine: a prefill, whose one output token is thrown away.
async fn pool(replica: &Rc<Replica>, fields: &Fields, input: &Value) -> Result<Pooled, Error> {
    let name = model(replica, fields)?;
    let adapter = replica.adapter(&name)?;
    let ids = match input {
        Value::Array(ids) => token_ids(ids).ok_or(Error::NoPrompt)?,
        Value::String(text) => tokens::encode(text),
        other => tokens::encode(&other.to_string()),
    };
    if ids.is_empty() {
        return Err(Error::NoPrompt);
    }
    room(ids.len(), replica.options().engine.max_model_len)?;
    let prompt = replica.prompt(&ids, adapter.map(|_| name.as_str()), fields.text("cache_salt")?);
    let vector = vector(prompt.output_stream());
    replica.whole(Request { prompt, max_tokens: 1, stop_after: None, adapter }).await?;
    Ok(Pooled { vector, tokens: ids.len() as u32 })
}

fn vector(seed: u64) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(seed);
    let raw: Vec<f64> = (0..DIMENSIONS).map(|_| random.f64() - 0.5).collect();
    let length = raw.iter().map(|x| x * x).sum::<f64>().sqrt();
    raw.iter().map(|x| x / length).collect()
}

/// One input or several: a list of numbers is one text as token ids.
fn inputs(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(list) if !list.first().is_some_and(Value::is_number) => list.clone(),
        one => vec![one.clone()],
    }
}

fn model(replica: &Replica, fields: &Fields) -> Result<String, Error> {
    Ok(fields.text("model")?.unwrap_or(&replica.options().model).to_owned())
}

fn usage(tokens: u32) -> Value {
    json!({
        "prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0, "prompt_tokens_details": null,
    })
}
