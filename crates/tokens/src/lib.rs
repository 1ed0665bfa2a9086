//! Turns a request's body into the token ids that its engine makes of it.
//!
//! A tokenizer is loaded once, from the files of a model; then [`Tokenizer::prompt`] takes bodies and gives tokens, as
//! vLLM 0.32 does it: the conversation through the chat template, the text through the tokenizer. Beside each token
//! stands how much of the prompt's canonical text ([`warmlane_engine::body`]) settles it, so that what is known of one
//! prompt's head holds for others that share the head.
//!
//! Not a copy of the engine: what it makes of images, of APIs other than completions and chats, of templates that ask
//! for the time, and of requests with templates of their own is left open ([`Unresolved`]). No sockets, no threads, no
//! clock, no logs; files only while loading.
//!
//! Bounds: a body of [`MOST_BODY`], a rendered conversation of [`MOST_TEXT`], and what a template may do with them.

#![forbid(unsafe_code)]

mod canonical;
mod chat;
mod completion;
mod load;
mod settled;
mod template;
mod trouble;

use std::path::Path;

use warmlane_engine::body::Api;

pub use trouble::{LoadError, Unresolved};

use completion::Prompt;
use settled::{Reach, Rendered};
use template::Templates;

/// Most bytes of a body that is looked at.
pub const MOST_BODY: usize = 4 << 20;
/// Most bytes of a rendered conversation.
pub const MOST_TEXT: usize = 8 << 20;

/// A model's tokenizer and chat template, as its engine has them.
#[derive(Debug)]
pub struct Tokenizer {
    tokenizer: tokenizers::Tokenizer,
    templates: Option<Templates>,
    /// Special tokens by the names that templates know them by.
    named: Vec<(String, String)>,
    reach: Reach,
}

/// The tokens of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Their ids.
    pub ids: Vec<u32>,
    /// For each token, how many leading text blocks of the prompt (as `body::Prompt::blocks` counts them, all sections
    /// together) must be known for it to be settled. Never falls. One more than the prompt has: settled by nothing less
    /// than the whole.
    pub blocks: Vec<u32>,
}

/// The tokens of a completion whose prompt is token ids already: needs no tokenizer.
///
/// # Errors
/// If the prompt is something else.
pub fn given(body: &[u8], block_bytes: u32) -> Result<Tokens, Unresolved> {
    match read(body, block_bytes)? {
        Prompt::Given(tokens) => Ok(tokens),
        Prompt::Text(..) => Err(Unresolved::Shape),
    }
}

fn read(body: &[u8], block_bytes: u32) -> Result<Prompt, Unresolved> {
    if body.len() > MOST_BODY { Err(Unresolved::TooLarge) } else { Prompt::read(body, block_bytes) }
}

// === Tokenizer ===

impl Tokenizer {
    /// Loads the tokenizer at `path`: a tokenizer.json, or a folder that has one. What lies beside it counts too:
    /// tokenizer_config.json, and chat_template.jinja, which wins over the template in the former.
    ///
    /// # Errors
    /// If a file cannot be read, or is not what its name says.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        // Prompts come one by one; threads would only be in the way of those that serve requests.
        tokenizers::utils::parallelism::set_parallelism(false);
        let load::Files { tokenizer, mut templates, named } = load::Files::read(path)?;
        if let Some(templates) = &mut templates {
            templates.note_steady(|templates, template| chat::try_out(templates, template, &named));
        }
        let reach = Reach::of(&tokenizer);
        Ok(Self { tokenizer, templates, named, reach })
    }

    /// Tokens of a body of shape `api`; `block_bytes` is that of the body's reader.
    ///
    /// # Errors
    /// If the tokens cannot be told here; the engine may know better.
    pub fn prompt(&self, api: Api, body: &[u8], block_bytes: u32) -> Result<Tokens, Unresolved> {
        match api {
            Api::Completions => match read(body, block_bytes)? {
                Prompt::Given(tokens) => Ok(tokens),
                Prompt::Text(text, special) => self.tokens(&text, special, block_bytes),
            },
            Api::ChatCompletions if body.len() > MOST_BODY => Err(Unresolved::TooLarge),
            Api::ChatCompletions => {
                let templates = self.templates.as_ref().ok_or(Unresolved::NoTemplate)?;
                let (text, special) = chat::read(templates, &self.named, body)?;
                self.tokens(&text, special, block_bytes)
            }
            Api::Responses | Api::Messages | Api::Embeddings | Api::Score | Api::Rerank => {
                Err(Unresolved::Shape)
            }
        }
    }

    fn tokens(&self, rendered: &Rendered, special: bool, block_bytes: u32) -> Result<Tokens, Unresolved> {
        let encoding =
            self.tokenizer.encode(rendered.text.as_str(), special).map_err(|_| Unresolved::Tokenizer)?;
        let blocks = rendered.settled(&encoding, self.reach, block_bytes);
        Ok(Tokens { ids: encoding.get_ids().to_vec(), blocks })
    }
}
