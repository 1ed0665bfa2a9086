//! /tokenize and /detokenize: the simulated engine's own tokenizer, see `model::tokens`.

use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::{
    ask::{Fields, token_ids},
    conversation, refusal,
    replica::Replica,
    stream::Reply,
};
use crate::{error::Error, model::tokens};

pub(super) fn tokenize(replica: &Replica, fields: &Fields) -> Result<Response<Reply>, Error> {
    check_model(replica, fields)?;
    let text = match fields.text("prompt")? {
        Some(prompt) => prompt.to_owned(),
        None => conversation::chat(fields)?,
    };
    let ids = tokens::encode(&text);
    let words = fields
        .flag("return_token_strs")?
        .then(|| ids.iter().map(|&id| tokens::decode(&[id])).collect::<Vec<String>>());
    let (count, limit) = (ids.len(), replica.options().engine.max_model_len);
    let (ids, words) = (Value::from(ids), Value::from(words));
    let body = format!(r#"{{"count":{count},"max_model_len":{limit},"tokens":{ids},"token_strs":{words}}}"#);
    Ok(refusal::json_response(StatusCode::OK, body))
}

pub(super) fn detokenize(replica: &Replica, fields: &Fields) -> Result<Response<Reply>, Error> {
    check_model(replica, fields)?;
    let wrong = || Error::WrongType {
        kind: "int_type",
        field: "tokens",
        what: "Input should be a list of token ids below 2^32",
        input: "'tokens'".to_owned(),
    };
    let ids = token_ids(fields.list("tokens")?).ok_or_else(wrong)?;
    Ok(refusal::json_response(StatusCode::OK, json!({ "prompt": tokens::decode(&ids) }).to_string()))
}

fn check_model(replica: &Replica, fields: &Fields) -> Result<(), Error> {
    fields.text("model")?.map_or(Ok(()), |model| replica.adapter(model).map(drop))
}
