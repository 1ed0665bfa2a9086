//! The page for people: `/` in a browser, and the files that it is made of. It shows what the pages below `/debug/` say, asks
//! nobody else, and changes nothing.

use hyper::{
    HeaderMap, StatusCode,
    header::{
        ACCEPT, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, VARY, X_FRAME_OPTIONS,
    },
};
use warmlane_api::admin::{
    answer::{Answer, TEXT, page},
    route,
};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Nothing but this port's own files, no script in the text, in nobody's frame, and no word to others of where it was.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        ),
    ),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

macro_rules! asset {
    ($name:literal, $kind:ident) => {
        ($name, $kind, include_str!(concat!("../../assets/page/", $name)))
    };
}

/// Below `/page/`.
const FILES: &[(&str, &str, &str)] = &[
    asset!("page.css", CSS),
    asset!("icon.svg", SVG),
    asset!("page.js", SCRIPT),
    asset!("decisions.js", SCRIPT),
    asset!("dom.js", SCRIPT),
    asset!("explain.js", SCRIPT),
    asset!("feed.js", SCRIPT),
    asset!("overview.js", SCRIPT),
    asset!("replicas.js", SCRIPT),
    asset!("table.js", SCRIPT),
    asset!("units.js", SCRIPT),
];
const INDEX: &str = include_str!("../../assets/page/index.html");

/// `/`: the page for who reads HTML, else a list of what can be asked for.
pub(super) fn front(headers: &HeaderMap) -> Answer {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|accepted| accepted.to_str().ok());
    let mut answer = if accepted.into_iter().any(|accepted| accepted.contains("text/html")) {
        shown(HTML, INDEX)
    } else {
        let lines = route::ROUTER.iter().map(|route| format!("{:<44} {}\n", route.path, route.methods));
        let text: String = lines.collect();
        page(
            StatusCode::OK,
            TEXT,
            format!("A router of Warmlane. In a browser this is a page. Elsewhere:\n\n{text}"),
        )
    };
    answer.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    answer
}

/// One of the files; `None`: there is none of this name.
pub(super) fn file(name: &str) -> Option<Answer> {
    let (_, kind, text) = FILES.iter().find(|(known, ..)| *known == name)?;
    Some(shown(kind, text))
}

fn shown(kind: &'static str, text: &'static str) -> Answer {
    let mut answer = page(StatusCode::OK, kind, text);
    answer.headers_mut().extend(HEADERS);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a phone on a slow tunnel has to load.
    const MOST_BYTES: usize = 60_000;

    #[test]
    fn it_is_small_and_names_nobody_else() {
        let files = FILES.iter().map(|(name, _, text)| (*name, *text)).chain([("index.html", INDEX)]);
        let mut size = 0;
        for (name, text) in files {
            size += text.len();
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for word in ["http://", "https://", "innerHTML", "eval(", "onclick", "onload", "style=\""] {
                assert!(!text.contains(word), "{name} has {word}");
            }
        }
        assert!(size < MOST_BYTES, "{size} bytes");
    }

    #[test]
    fn every_file_that_one_names_is_there() {
        let texts = FILES.iter().map(|(_, _, text)| *text).chain([INDEX]);
        let mut named = 0;
        for text in texts {
            for rest in text.split("\"/page/").skip(1) {
                let name = rest.split('"').next().unwrap_or_default();
                assert!(file(name).is_some(), "{name}");
                named += 1;
            }
        }
        assert!(named > FILES.len(), "{named}");
        assert!(file("../Cargo.toml").is_none() && file("index.html").is_none());
    }

    #[test]
    fn a_browser_gets_the_page_and_others_a_list() {
        let kind = |accepted: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.extend(accepted.map(|accepted| (ACCEPT, HeaderValue::from_static(accepted))));
            let answer = front(&headers);
            let has_policy = answer.headers().contains_key(CONTENT_SECURITY_POLICY);
            let kind = answer.headers()["content-type"].to_str().expect("text").to_owned();
            assert_eq!(answer.headers()[VARY], "accept");
            assert_eq!(has_policy, kind == HTML);
            kind
        };
        assert_eq!(kind(Some("text/html,application/xhtml+xml,*/*;q=0.8")), HTML);
        assert_eq!(kind(Some("*/*")), TEXT);
        assert_eq!(kind(None), TEXT);
    }
}
