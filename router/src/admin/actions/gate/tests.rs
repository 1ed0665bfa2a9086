use std::net::{IpAddr, Ipv4Addr};

use super::*;

const TOKEN: &str = "0123456789abcdef";
const OWN: u32 = 65_532;
const CALLER: Caller = Caller::Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 40_000));

fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        headers.append(*name, value.parse().expect("a value"));
    }
    headers
}

fn token() -> Result<Option<Token>, ActionError> {
    Ok(Some(Token::of(TOKEN)))
}

fn ask(caller: Caller, given: &[(&'static str, &str)]) -> Result<(), ActionError> {
    let hosts = ["admin.example.com".to_owned()];
    Gate { hosts: &hosts, own: OWN }.admit(caller, &headers(given), token)
}

#[test]
fn the_token_lets_in_and_nothing_like_it_does() {
    let bearer = format!("Bearer {TOKEN}");
    let host = ("host", "127.0.0.1:9091");
    assert!(ask(CALLER, &[host, ("authorization", &bearer)]).is_ok());
    assert!(ask(CALLER, &[host, ("authorization", &bearer.to_lowercase())]).is_ok(), "schemes have no case");
    let twice = [host, ("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
    assert!(matches!(ask(CALLER, &twice), Err(ActionError::NoTokenShown)), "which one?");
    for wrong in ["Bearer ", "Bearer 0123456789abcdeg"] {
        let said = ask(CALLER, &[host, ("authorization", wrong)]);
        assert!(matches!(said, Err(ActionError::WrongToken)), "{wrong}");
    }
    for none in [TOKEN, "Bearer", "Basic 0123456789abcdef", "Bearer\u{a0}x"] {
        let said = ask(CALLER, &[host, ("authorization", none)]);
        assert!(matches!(said, Err(ActionError::NoTokenShown)), "{none}");
    }
    assert!(matches!(ask(CALLER, &[host]), Err(ActionError::NoTokenShown)));
}

#[test]
fn without_a_token_nobody_may_but_root_and_the_routers_user_on_its_own_machine() {
    let none = |caller| {
        let gate = Gate { hosts: &[], own: OWN };
        gate.admit(caller, &headers(&[("host", "localhost"), ("authorization", "Bearer ")]), || Ok(None))
    };
    assert!(none(Caller::User(0)).is_ok() && none(Caller::User(OWN)).is_ok());
    for caller in [CALLER, Caller::User(1_000)] {
        let said = none(caller).expect_err("refused");
        assert!(matches!(said, ActionError::NoToken), "{said}");
        assert!(said.to_string().contains("--admin-token-file") && said.status() == 403, "{said}");
    }
    assert!(ask(Caller::User(1_000), &[("authorization", &format!("Bearer {TOKEN}"))]).is_ok());
}

#[test]
fn a_name_that_anybody_could_lead_here_is_refused_whatever_is_shown() {
    let bearer = format!("Bearer {TOKEN}");
    let by = |host: &str| ask(CALLER, &[("host", host), ("authorization", &bearer)]);
    for host in [
        "localhost",
        "LOCALHOST:9091",
        "127.0.0.1",
        "10.0.0.9:9091",
        "[::1]:9091",
        "[::1]",
        "Admin.example.com:1",
    ] {
        assert!(by(host).is_ok(), "{host}");
    }
    let wrong = [
        "evil.example.com",
        "evil.example.com:9091",
        "localhost.evil.example.com",
        "127.0.0.1.evil.example.com",
        "admin.example.com.evil.com",
        "localhost:9091:evil.com",
        "localhost@evil.com",
        "",
        ":9091",
    ];
    for host in wrong {
        assert!(matches!(by(host), Err(ActionError::ForeignHost(_))), "{host}");
    }
    let twice = [("host", "localhost"), ("host", "localhost"), ("authorization", bearer.as_str())];
    assert!(matches!(ask(CALLER, &twice), Err(ActionError::ForeignHost(_))), "two of them");
    assert!(matches!(ask(CALLER, &[("authorization", &bearer)]), Err(ActionError::ForeignHost(_))), "none");
}

#[test]
fn a_page_of_another_site_is_refused_by_its_origin_also_over_the_socket() {
    let bearer = format!("Bearer {TOKEN}");
    let from = |caller, origin: &str| {
        ask(caller, &[("host", "127.0.0.1:9091"), ("origin", origin), ("authorization", &bearer)])
    };
    assert!(from(CALLER, "http://127.0.0.1:9091").is_ok(), "the port's own page");
    for origin in [
        "http://evil.example.com",
        "null",
        "",
        "http://127.0.0.1",
        "https://127.0.0.1:9091",
        "127.0.0.1:9091",
    ] {
        for caller in [CALLER, Caller::User(0)] {
            assert!(matches!(from(caller, origin), Err(ActionError::ForeignOrigin(_))), "{origin}");
        }
    }
    let nameless = headers(&[("origin", "http://")]);
    assert!(refuse_foreign_origin(&nameless).is_err(), "nothing is not its own");
}
