use super::*;

fn removed(name: &'static str, text: &str) -> (String, usize) {
    let secrets = Secrets { tokens: vec!["s3cret-token".to_owned()] };
    let mut file = File { name, text: text.to_owned() };
    let count = secrets.remove(&mut file);
    (file.text, count)
}

#[test]
fn what_gives_access_does_not_stay() {
    for (text, left) in [
        ("a s3cret-token b", "a [removed] b"),
        ("Authorization: Bearer abcdef123456, x", "Authorization: Bearer [removed], x"),
        ("BEARER abcdefghij", "BEARER [removed]"),
        ("basic dXNlcjpwYXNz=", "basic [removed]"),
        ("to http://me:word@host:80/x", "to http://[removed]@host:80/x"),
    ] {
        assert_eq!(removed("a.txt", text), (left.to_owned(), 1), "{text}");
    }
    for text in ["the bearer of it", "http://host/a@b", "mail a@b", "Größe bearer ü"] {
        assert_eq!(removed("a.txt", text), (text.to_owned(), 0), "{text}");
    }
}

#[test]
fn settings_keep_where_a_secret_lies_and_not_what_it_is() {
    let (text, count) = removed(
        "a.toml",
        "token_file = \"/a\"\napi_key = \"k\"\nmore = 1\ntoken = \"\"\ntokenizer_wait = \"20ms\"\n",
    );
    assert_eq!(
        text,
        "token_file = \"/a\"\napi_key = \"[removed]\"\nmore = 1\ntoken = \"\"\ntokenizer_wait = \"20ms\"\n"
    );
    assert_eq!(count, 1);
}

#[test]
fn a_prompt_on_a_page_does_not_stay() {
    let (text, count) =
        removed("a.json", r#"{"a":[{"prompt":"hello","prompt_tokens":3}],"messages":[{"role":"x"}]}"#);
    assert_eq!(count, 2);
    assert!(
        !text.contains("hello") && !text.contains("role") && text.contains("\"prompt_tokens\":3"),
        "{text}"
    );
    let as_it_is = r#"{"a":  {"prompt_tokens":3}}"#;
    assert_eq!(removed("a.json", as_it_is), (as_it_is.to_owned(), 0));
}
#[test]
fn a_name_of_a_secret_counts_in_json_and_within_a_setting_too() {
    let page = r#"{"a":[{"api_key":"k1"},{"X-Api-Token":"k2","max_tokens":3,"token_file":"/a"}],"Passwords":["k3"]}"#;
    let (text, count) = removed("a.json", page);
    assert_eq!(count, 3, "{text}");
    assert!(!["k1", "k2", "k3"].iter().any(|secret| text.contains(secret)), "{text}");
    assert!(text.contains("\"max_tokens\":3") && text.contains("\"token_file\":\"/a\""), "{text}");
    let (text, count) = removed(
        "a.toml",
        "one = [{ name = \"a\", password = \"k=1\" }, { \"api_key\" = 'k2', file = \"/b\" }]\nsecrets = [\"k3\", \"k4\"]  # set\nmax_tokens = 4\n",
    );
    assert_eq!(
        text,
        "one = [{ name = \"a\", password = \"[removed]\" }, { \"api_key\" = \"[removed]\", file = \"/b\" }]\nsecrets = \"[removed]\"  # set\nmax_tokens = 4\n"
    );
    assert_eq!(count, 3);
}

#[test]
fn a_body_that_a_text_quotes_does_not_stay() {
    let page = r#"{"trouble":"400: {\"messages\": [{\"role\":\"user\"}]}","other":"the \"input\" is odd","zen":"{'prompt': 'hi'}"}"#;
    let (text, count) = removed("a.json", page);
    assert_eq!(text, r#"{"other":"the \"input\" is odd","trouble":"[removed]","zen":"[removed]"}"#);
    assert_eq!(count, 2);
    let (text, count) = removed("a.txt", "fine\nx{why=\"{\\\"prompt\\\": \\\"hello\\\"}\"} 1\nprompt: 3\n");
    assert_eq!((text.as_str(), count), ("fine\n[removed]\nprompt: 3\n", 1));
    let mut why = "it said {\"prompt\" : \"hello\"}".to_owned();
    assert_eq!((Secrets::default().remove_from_text(&mut why), why.as_str()), (1, "[removed]"));
}
