//! Reading a tokenizer and what lies beside it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use crate::LoadError;
use crate::template::{DEFAULT, Templates};

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";
const MODEL: &str = "config.json";
/// How Qwen cuts words.
const QWEN_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The special tokens that templates know by name.
const NAMED: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What was read.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) templates: Option<Templates>,
    /// Special tokens by the names that templates know them by.
    pub(crate) named: Vec<(String, String)>,
}

/// `tokenizer_config.json`.
#[derive(Debug, Default, Deserialize)]
struct Config {
    tokenizer_class: Option<String>,
    chat_template: Option<ChatTemplate>,
    add_bos_token: Option<bool>,
    add_eos_token: Option<bool>,
    #[serde(flatten)]
    more: BTreeMap<String, serde_json::Value>,
}

/// `config.json`: of which kind the model is.
#[derive(Debug, Default, Deserialize)]
struct Model {
    model_type: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ChatTemplate {
    One(String),
    Several(Vec<NamedTemplate>),
}

#[derive(Debug, Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

// === Files ===

impl Files {
    /// `path` is a tokenizer.json or the folder that has it.
    pub(crate) fn read(path: &Path) -> Result<Self, LoadError> {
        let path = if path.is_dir() { path.join(TOKENIZER) } else { path.to_owned() };
        let text = fs::read(&path).map_err(|source| LoadError::Unreadable { path: path.clone(), source })?;
        let wrong = |what: String| LoadError::Tokenizer { path: path.clone(), what };
        let mut tokenizer = Tokenizer::from_bytes(text).map_err(|error| wrong(error.to_string()))?;
        let config: Config = optional_json(&path.with_file_name(CONFIG))?;
        let model: Model = optional_json(&path.with_file_name(MODEL))?;
        if model.model_type.as_deref() == Some("qwen2") || config.is_of_class("Qwen2Tokenizer") {
            cut_as_qwen(&mut tokenizer).map_err(wrong)?;
        }
        let named = config.named();
        config.set_up(&mut tokenizer, &named).map_err(wrong)?;
        let templates = config.templates(&path)?;
        Ok(Self { tokenizer, templates, named })
    }
}

/// A file that need not be there.
fn optional(path: &Path) -> Result<Option<String>, LoadError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LoadError::Unreadable { path: path.to_owned(), source }),
    }
}

fn optional_json<T: DeserializeOwned + Default>(path: &Path) -> Result<T, LoadError> {
    let Some(text) = optional(path)? else { return Ok(T::default()) };
    serde_json::from_str(&text)
        .map_err(|error| LoadError::Config { path: path.to_owned(), what: error.to_string() })
}

/// Of these models transformers 5 takes the vocabulary alone, and cuts words in its own way, whatever the file says.
fn cut_as_qwen(tokenizer: &mut Tokenizer) -> Result<(), String> {
    let pattern = SplitPattern::Regex(QWEN_WORDS.to_owned());
    let split =
        Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(|error| error.to_string())?;
    let words = Sequence::new(vec![split.into(), ByteLevel::new(false, true, false).into()]);
    tokenizer.with_normalizer(Some(NFC)).map_err(|error| error.to_string())?;
    tokenizer.with_pre_tokenizer(Some(words));
    Ok(())
}

// === Config ===

impl Config {
    fn is_of_class(&self, class: &str) -> bool {
        self.tokenizer_class.as_ref().is_some_and(|named| named.trim_end_matches("Fast") == class)
    }

    /// Special tokens by name; each is a string, or an object that has it as `content`.
    fn named(&self) -> Vec<(String, String)> {
        let token =
            |name: &str| self.more.get(name).and_then(|value| value.get("content").unwrap_or(value).as_str());
        NAMED.iter().filter_map(|name| Some(((*name).to_owned(), token(name)?.to_owned()))).collect()
    }

    /// Makes of the tokenizer what transformers makes of it: nothing is cut or padded, special tokens are special even
    /// where tokenizer.json does not say so, and the configuration decides on begin and end where it speaks of them.
    fn set_up(&self, tokenizer: &mut Tokenizer, named: &[(String, String)]) -> Result<(), String> {
        let _ = tokenizer.with_truncation(None);
        tokenizer.with_padding(None);
        let tokens = named.iter().map(|(_, token)| AddedToken::from(token.clone(), true));
        tokenizer.add_special_tokens(tokens.collect::<Vec<_>>()).map_err(|error| error.to_string())?;
        if self.add_bos_token.is_none() && self.add_eos_token.is_none() {
            return Ok(());
        }
        let wanted = |flag: Option<bool>, name: &str| {
            let token = named.iter().find(|(named, _)| named == name).map(|(_, token)| token.clone());
            token.filter(|_| flag == Some(true))
        };
        let ends = [wanted(self.add_bos_token, "bos_token"), wanted(self.add_eos_token, "eos_token")];
        let processor = around(tokenizer, &ends)?;
        tokenizer.with_post_processor(Some(processor));
        Ok(())
    }

    fn templates(&self, tokenizer: &Path) -> Result<Option<Templates>, LoadError> {
        let file = tokenizer.with_file_name(TEMPLATE);
        let (path, sources) = match (optional(&file)?, &self.chat_template) {
            (Some(source), _) => (file, vec![(DEFAULT.to_owned(), source)]),
            (None, Some(template)) => (tokenizer.with_file_name(CONFIG), template.sources()),
            (None, None) => return Ok(None),
        };
        Templates::new(sources).map(Some).map_err(|what| LoadError::Template { path, what })
    }
}

/// Puts one token before a text and one behind it, where they are given.
fn around(tokenizer: &Tokenizer, ends: &[Option<String>; 2]) -> Result<TemplateProcessing, String> {
    let [begin, end] = ends;
    let mut pieces: Vec<String> = begin.iter().cloned().collect();
    pieces.push("$A".to_owned());
    pieces.extend(end.clone());
    let id = |token: &String| tokenizer.token_to_id(token).map(|id| (token.clone(), id));
    let special: Vec<(String, u32)> = ends.iter().flatten().filter_map(id).collect();
    let mut builder = TemplateProcessing::builder();
    builder.try_single(pieces)?.special_tokens(special);
    builder.build().map_err(|error| error.to_string())
}

// === ChatTemplate ===

impl ChatTemplate {
    fn sources(&self) -> Vec<(String, String)> {
        match self {
            Self::One(source) => vec![(DEFAULT.to_owned(), source.clone())],
            Self::Several(several) => {
                several.iter().map(|one| (one.name.clone(), one.template.clone())).collect()
            }
        }
    }
}
