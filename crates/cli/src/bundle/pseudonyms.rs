//! Other names for addresses, models, nodes, pods, pools and requests: the same name gets the same one everywhere. Pure.
//!
//! First every file is looked through for names, by the keys that they stand at; then each is replaced, at those keys and
//! wherever else it is a word. Addresses of IP are known by their looks: 240.0.0.0/4 and 2001:db8::/32, which nobody has,
//! take their place, so that a file of decisions can still be replayed. Ports stay, and so do addresses that mean the machine itself.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde_json::Value;

use super::File;

/// Names that are no single word are looked for letter by letter: so many of them.
const MOST_PHRASES: usize = 256;
/// What ends a word of any text. Addresses, paths and names of models have none of it.
const ENDS: &str = "\"'`,;(){}<>|";
/// Where a word can be cut, the outermost first.
const CUTS: [char; 4] = ['=', '/', '@', ':'];

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Host,
    Model,
    Node,
    Pod,
    Pool,
    Request,
}

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Pseudonyms {
    names: HashMap<String, String>,
    /// Those of `names` that are no single word.
    phrases: Vec<String>,
    counts: BTreeMap<Kind, u32>,
}

/// What stands at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A word of ours, which means the same everywhere.
    Ours,
    Name(Kind),
    /// Anything.
    Text,
}

// === Pseudonyms ===

impl Pseudonyms {
    /// Looks for names in a file.
    pub(super) fn learn(&mut self, file: &File) {
        for document in documents(file).into_iter().flatten() {
            self.look(&document, "", "");
        }
        if file.name.ends_with(".txt") {
            self.labels(&file.text);
        }
        self.phrases.sort_by_key(|phrase| std::cmp::Reverse(phrase.len()));
    }

    /// The file's text with other names.
    pub(super) fn hide(&self, file: &File) -> String {
        let Some(mut pages) = documents(file) else { return self.text(&file.text) };
        pages.iter_mut().for_each(|page| self.replace(page, "", ""));
        match file.name.ends_with(".jsonl") {
            true => pages.iter().map(|page| format!("{page}\n")).collect(),
            false => pages.iter().map(|page| format!("{page:#}\n")).collect(),
        }
    }

    /// Any text with other names.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = Cow::Borrowed(text);
        for phrase in self.phrases.iter().filter(|phrase| text.contains(&***phrase)).collect::<Vec<_>>() {
            text = Cow::Owned(text.replace(phrase, &self.names[phrase]));
        }
        let is_end = |c: char| c.is_whitespace() || ENDS.contains(c);
        let words = text.split_inclusive(is_end).map(|part| {
            let word = part.trim_end_matches(is_end);
            self.sentence(word) + &part[word.len()..]
        });
        words.collect()
    }

    /// A word with what a sentence puts behind it.
    fn sentence<'w>(&self, word: &'w str) -> Cow<'w, str> {
        let bare = word.trim_end_matches(['.', ':', '!', '?']);
        if self.names.contains_key(word) || bare.len() == word.len() {
            return self.word(word);
        }
        Cow::Owned(self.word(bare).into_owned() + &word[bare.len()..])
    }

    fn word<'w>(&self, word: &'w str) -> Cow<'w, str> {
        if let Some(other) = self.names.get(word) {
            return Cow::Owned(other.clone());
        }
        if word.parse::<IpAddr>().is_ok() {
            return Cow::Borrowed(word);
        }
        let inner = word.strip_prefix('[').and_then(|word| word.split_once(']'));
        if let Some((inner, rest)) = inner {
            return Cow::Owned(format!("[{}]{rest}", self.word(inner)));
        }
        let Some(cut) = CUTS.into_iter().find(|cut| word.contains(*cut)) else { return Cow::Borrowed(word) };
        let parts: Vec<Cow<'_, str>> = word.split(cut).map(|part| self.word(part)).collect();
        Cow::Owned(parts.join(&cut.to_string()))
    }

    fn look(&mut self, value: &Value, key: &str, above: &str) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(field, value)| self.look(value, field, key)),
            Value::Array(items) => items.iter().for_each(|item| self.look(item, key, above)),
            Value::String(text) => match place(key, above) {
                Place::Name(kind) => self.name(kind, text),
                Place::Text => self.addresses(text),
                Place::Ours => {}
            },
            _ => {}
        }
    }

    /// Of metrics, by their labels.
    fn labels(&mut self, page: &str) {
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            for part in line.split("\",").filter_map(|part| part.split_once("=\"")) {
                let label = part.0.rsplit(['{', ',']).next().unwrap_or_default();
                let value = part.1.split('"').next().unwrap_or_default();
                if let Place::Name(kind) = place(label, "") {
                    self.name(kind, value);
                }
            }
        }
        self.addresses(page);
    }

    /// Those of IP in any text.
    fn addresses(&mut self, text: &str) {
        let is_end = |c: char| c.is_whitespace() || ENDS.contains(c) || "=/@".contains(c);
        for word in text.split(is_end) {
            let word = word.trim_end_matches(['.', ':']);
            let host = word.strip_prefix('[').and_then(|word| word.split(']').next()).unwrap_or(word);
            let short = host.split(':').next().unwrap_or(host);
            if let Ok(address) = host.parse::<IpAddr>().or_else(|_| short.parse()) {
                self.address(address);
            }
        }
    }

    fn name(&mut self, kind: Kind, text: &str) {
        if kind != Kind::Host {
            // Without a cluster there is one pool, whose name is a word of ours.
            if !text.is_empty() && (kind != Kind::Pool || text.contains('/')) {
                self.add(kind, text);
            }
            return;
        }
        self.addresses(text);
        let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
        if host.parse::<IpAddr>().is_err()
            && !host.starts_with('[')
            && !host.is_empty()
            && host != "localhost"
        {
            self.add(kind, host);
        }
    }

    fn add(&mut self, kind: Kind, name: &str) {
        if self.names.contains_key(name) {
            return;
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        self.names.insert(name.to_owned(), format!("{}-{count}", kind.word()));
        let is_word = !name.chars().any(|c| c.is_whitespace() || ENDS.contains(c));
        if !is_word && kind != Kind::Request && self.phrases.len() < MOST_PHRASES {
            self.phrases.push(name.to_owned());
        }
    }

    fn address(&mut self, address: IpAddr) {
        let text = address.to_string();
        if address.is_loopback() || address.is_unspecified() || self.names.contains_key(&text) {
            return;
        }
        let count = self.counts.entry(Kind::Host).or_default();
        *count += 1;
        let other = match address {
            IpAddr::V4(_) => IpAddr::from(Ipv4Addr::from(0xf000_0000 | *count)),
            IpAddr::V6(_) => IpAddr::from(Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(*count))),
        };
        self.names.insert(text, other.to_string());
    }

    fn replace(&self, value: &mut Value, key: &str, above: &str) {
        match value {
            Value::Object(fields) => {
                fields.iter_mut().for_each(|(field, value)| self.replace(value, field, key));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.replace(item, key, above)),
            Value::String(text) => match place(key, above) {
                Place::Ours => {}
                Place::Name(_) if let Some(other) = self.names.get(&**text) => text.clone_from(other),
                Place::Name(_) | Place::Text => *text = self.text(text),
            },
            _ => {}
        }
    }
}

/// A file of JSON, or each of its lines; `None`: it is none.
fn documents(file: &File) -> Option<Vec<Value>> {
    if file.name.ends_with(".jsonl") {
        return file.text.lines().map(|line| serde_json::from_str(line).ok()).collect();
    }
    file.name.ends_with(".json").then(|| serde_json::from_str(&file.text).ok().map(|page| vec![page]))?
}

/// By a key and the one above it.
fn place(key: &str, above: &str) -> Place {
    match (key, above) {
        ("name", "pools") => Place::Name(Kind::Pool),
        ("name", "models" | "targets") => Place::Name(Kind::Model),
        (
            "model" | "asked_model" | "models" | "serves" | "base" | "adapters" | "active" | "waiting"
            | "model_name" | "target_model_name",
            _,
        ) => Place::Name(Kind::Model),
        (
            "address" | "socket" | "endpoint" | "endpoints" | "router" | "agents" | "fallbacks" | "agent",
            _,
        ) => Place::Name(Kind::Host),
        ("node", _) => Place::Name(Kind::Node),
        ("pod" | "pods", _) => Place::Name(Kind::Pod),
        ("pool" | "pools", _) => Place::Name(Kind::Pool),
        ("request_id", _) => Place::Name(Kind::Request),
        (
            "format" | "version" | "listener" | "verdict" | "strategy" | "criticality" | "end" | "mode"
            | "matched_by" | "contact" | "cursor" | "session" | "group" | "seed" | "id" | "generation"
            | "what" | "grade" | "relaxed",
            _,
        ) => Place::Ours,
        _ => Place::Text,
    }
}

// === Kind ===

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Model => "model",
            Self::Node => "node",
            Self::Pod => "pod",
            Self::Pool => "pool",
            Self::Request => "request",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(files: &[(&'static str, &str)]) -> Vec<String> {
        let files: Vec<File> =
            files.iter().map(|(name, text)| File { name, text: (*text).to_owned() }).collect();
        let mut names = Pseudonyms::default();
        files.iter().for_each(|file| names.learn(file));
        files.iter().map(|file| names.hide(file)).collect()
    }

    #[test]
    fn a_name_is_the_same_other_name_in_every_file() {
        let page = r#"{"endpoints":[{"address":"10.0.0.1:8000","socket":"10.0.0.1:8000","node":"gpu-a","models":["Qwen/Q3"],
            "listener":"aware","health":"failed: 10.0.0.1:8000 of Qwen/Q3 on gpu-a: refused."}]}"#;
        let all = hidden(&[
            ("a.json", page),
            (
                "b.toml",
                "endpoints = [\"10.0.0.1:8000\"]\nmodel = \"x=Qwen/Q3\"\nurl = \"http://10.0.0.1:8000/v1\"\n",
            ),
            ("c.txt", "x{model=\"Qwen/Q3\",endpoint=\"10.0.0.1:8000\"} 1\n"),
        ]);
        for text in &all {
            for name in ["10.0.0.1", "Qwen", "gpu-a"] {
                assert!(!text.contains(name), "{name} in {text}");
            }
        }
        assert!(all[0].contains("failed: 240.0.0.1:8000 of model-1 on node-1: refused."), "{}", all[0]);
        assert!(all[0].contains("\"listener\": \"aware\""), "{}", all[0]);
        assert_eq!(
            all[1],
            "endpoints = [\"240.0.0.1:8000\"]\nmodel = \"x=model-1\"\nurl = \"http://240.0.0.1:8000/v1\"\n"
        );
        assert_eq!(all[2], "x{model=\"model-1\",endpoint=\"240.0.0.1:8000\"} 1\n");
    }

    #[test]
    fn addresses_stay_addresses_and_this_machine_stays_this_machine() {
        let text = |text: &str| hidden(&[("a.txt", text)]).remove(0);
        assert_eq!(
            text("from [fd00::7]:80, fd00::7 or 127.0.0.1:1"),
            "from [2001:db8::1]:80, 2001:db8::1 or 127.0.0.1:1"
        );
        assert_eq!(
            text("at 0.0.0.0:9090 and [::]:1; version 0.1.0"),
            "at 0.0.0.0:9090 and [::]:1; version 0.1.0"
        );
    }

    #[test]
    fn hosts_and_names_with_spaces_are_names_too() {
        let page = r#"{"agents":[{"address":"gpu-7.example:9010","trouble":"gpu-7.example: a \"my model\" b"}],"models":["my model"]}"#;
        let text = hidden(&[("a.json", page)]).remove(0);
        assert!(!text.contains("example") && !text.contains("my model"), "{text}");
        assert!(text.contains("host-1:9010") && text.contains("a \\\"model-1\\\" b"), "{text}");
    }

    #[test]
    fn what_is_a_word_of_ours_stays_whatever_models_are_called() {
        let page = r#"{"decisions":[{"model":"aware","listener":"aware","strategy":"DEFAULT"}]}"#;
        let text = hidden(&[("a.jsonl", page)]).remove(0);
        assert_eq!(
            text,
            "{\"decisions\":[{\"listener\":\"aware\",\"model\":\"model-1\",\"strategy\":\"DEFAULT\"}]}\n"
        );
    }
}
