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
use crate::{address::Address, kube::Wanted};

mod place;
mod settings;

use place::{Kind, Place, place};

/// Names that are no single word are looked for letter by letter: so many of them.
const MOST_PHRASES: usize = 256;
/// What ends a word of any text. Addresses, paths and names of models have none of it.
const ENDS: &str = "\"'`,;(){}<>|";
/// Where a word can be cut, the outermost first.
const CUTS: [char; 4] = ['=', '/', '@', ':'];

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Pseudonyms {
    names: HashMap<String, String>,
    /// Those of `names` that are no single word.
    phrases: Vec<String>,
    counts: BTreeMap<Kind, u32>,
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
        if file.name.ends_with(".toml") {
            settings::names(&file.text).into_iter().for_each(|(kind, name)| self.name(kind, name));
            self.addresses(&file.text);
        }
        self.phrases.sort_by_key(|phrase| std::cmp::Reverse(phrase.len()));
    }

    /// Looks for addresses in a text that is no file.
    pub(super) fn learn_text(&mut self, text: &str) {
        self.addresses(text);
    }

    /// Names that were asked by: where, and what was chosen of a cluster.
    pub(super) fn own(&mut self, address: &Address, pod: Option<&Wanted>) {
        if let Address::Tcp(address) = address {
            self.name(Kind::Host, address);
        }
        if let Some(pod) = pod {
            let names = [(Kind::Pod, &pod.pod), (Kind::Node, &pod.node)];
            names.into_iter().for_each(|(kind, name)| self.name(kind, name.as_deref().unwrap_or_default()));
        }
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
        // However it is written.
        if let Ok(address) = word.parse::<IpAddr>() {
            return match self.names.get(&address.to_string()) {
                Some(other) => Cow::Owned(other.clone()),
                None if stays(address) => Cow::Borrowed(word),
                None => Cow::Owned(numbered(address, 0).to_string()),
            };
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

    /// Hosts of URLs, and addresses of IP, in any text.
    fn addresses(&mut self, text: &str) {
        for (at, scheme) in text.match_indices("://") {
            let rest = &text[at + scheme.len()..];
            let end = rest.find(|c: char| c.is_whitespace() || ENDS.contains(c) || "/?#".contains(c));
            let authority = &rest[..end.unwrap_or(rest.len())];
            let host = authority.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
            // `HOST` stands for one.
            if host.chars().any(|c| c.is_ascii_lowercase())
                && host.parse::<IpAddr>().is_err()
                && host != "localhost"
            {
                self.add(Kind::Host, host);
            }
        }
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
        if stays(address) || self.names.contains_key(&text) {
            return;
        }
        let count = self.counts.entry(Kind::Host).or_default();
        *count += 1;
        let other = numbered(address, *count);
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

/// It means the machine itself.
fn stays(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified()
}

/// One that nobody has.
fn numbered(address: IpAddr, number: u32) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::from(0xf000_0000 | number).into(),
        IpAddr::V6(_) => Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(number)).into(),
    }
}

/// A file of JSON, or each of its lines; `None`: it is none.
fn documents(file: &File) -> Option<Vec<Value>> {
    if file.name.ends_with(".jsonl") {
        return file.text.lines().map(|line| serde_json::from_str(line).ok()).collect();
    }
    file.name.ends_with(".json").then(|| serde_json::from_str(&file.text).ok().map(|page| vec![page]))?
}

#[cfg(test)]
mod tests;
