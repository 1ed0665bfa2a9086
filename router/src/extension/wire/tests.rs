use proptest::prelude::*;

use super::*;

fn parse(bytes: impl Into<Bytes>) -> Result<Message, Malformed> {
    Message::parse("it", &bytes.into())
}

fn texts(message: &Message, number: u32) -> Vec<String> {
    message.each(number).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
}

/// Any message: keys and numbers may be longer than they need to be.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let number =
        (1_u32..3_000, any::<u64>()).prop_map(|(at, n)| Message::default().with_number(at, n).encode());
    let bytes = (1_u32..60, prop::collection::vec(any::<u8>(), 0..20))
        .prop_map(|(at, value)| Message::default().with(at, value).encode());
    let fixed = any::<[u8; 4]>().prop_map(|value| [&[0x0d][..], &value].concat().into());
    let double = any::<[u8; 8]>().prop_map(|value| [&[0x11][..], &value].concat().into());
    let long = Just(Bytes::from_static(&[0x88, 0x00, 0x81, 0x00]));
    let field = prop_oneof![number, bytes, fixed, double, long];
    prop::collection::vec(field, 0..12).prop_map(|fields: Vec<Bytes>| fields.concat())
}

proptest! {
    #[test]
    fn what_nobody_touches_keeps_its_bytes(bytes in message()) {
        let mut read = parse(bytes.clone()).expect("a message");
        prop_assert_eq!(&read.encode()[..], &bytes[..]);
        // Beyond all numbers that are made.
        read.set(5_000, "x");
        read.remove(5_000);
        let unchanged = read.change("it", 5_000, |_| Ok::<_, Malformed>(true)).expect("none");
        prop_assert!(!unchanged);
        prop_assert_eq!(&read.encode()[..], &bytes[..]);
    }

    #[test]
    fn any_bytes_are_a_message_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(read) = parse(bytes.clone()) {
            prop_assert_eq!(&read.encode()[..], &bytes[..]);
        }
    }

    #[test]
    fn what_is_set_is_read_and_the_rest_stays(bytes in message(), number in 1_u32..60, text in ".{0,9}") {
        let mut read = parse(bytes).expect("a message");
        let others = |message: &Message| {
            let mut rest = message.clone();
            rest.remove(number);
            rest
        };
        let before = others(&read);
        read.set(number, text.clone());
        let again = parse(read.encode()).expect("a message");
        prop_assert_eq!(again.bytes(number).map(|bytes| &bytes[..]), Some(text.as_bytes()));
        prop_assert_eq!(again.each(number).count(), 1);
        prop_assert_eq!(others(&again), before);
    }
}

#[test]
fn what_is_cut_off_or_has_groups_is_refused_by_name() {
    let cases: [&[u8]; 7] = [&[0x0a], &[0x0a, 2, 1], &[0x08], &[0x0d, 1, 2], &[0x11, 1], &[0x0b, 0x0c], &[0]];
    for bytes in cases {
        let why = parse(bytes).expect_err("refused").to_string();
        assert!(why.starts_with("it is not a protobuf message: "), "{bytes:?}: {why}");
    }
    let longest = [&[0x0a][..], &[0xff; 9], &[1]].concat();
    assert!(parse(longest).expect_err("refused").to_string().contains("longer than the message"));
}

#[test]
fn a_field_that_stands_there_twice_is_its_last_and_a_message_is_both() {
    let inner = |at: u32, text: &'static str| Message::default().with(at, text);
    let whole = Message::default().with(1, "a").with(1, "b").with(2, inner(1, "c")).with(2, inner(3, "d"));
    let read = parse(whole.encode()).expect("a message");
    assert_eq!(read.bytes(1).map(|bytes| &bytes[..]), Some(&b"b"[..]));
    let joined = read.message("it", 2).expect("a message").expect("is set");
    assert_eq!((texts(&joined, 1), texts(&joined, 3)), (vec!["c".to_owned()], vec!["d".to_owned()]));
    assert_eq!(read.message("it", 9), Ok(None));
}

#[test]
fn values_go_where_they_are_put() {
    let mut list = Message::default().with(5, "a").with(6, "x").with(5, "b");
    list.insert(5, 0, "first");
    list.insert(5, 2, "before b");
    list.insert(5, 9, "last");
    assert_eq!(texts(&list, 5), ["first", "a", "before b", "b", "last"]);
    list.retain(5, |bytes| bytes != "a");
    list.set(6, "y");
    let again = parse(list.encode()).expect("a message");
    assert_eq!(texts(&again, 5), ["first", "before b", "b", "last"]);
    assert_eq!(texts(&again, 6), ["y"]);
}

#[test]
fn only_what_is_changed_gets_new_bytes() {
    // The second one's length is written longer than it need be.
    let bytes: &[u8] = &[0x0a, 2, 0x08, 1, 0x0a, 0x82, 0x00, 0x08, 2];
    let mut read = parse(bytes).expect("a message");
    let changed = read.change("it", 1, |inner: &mut Message| {
        let is_first = inner.number(1) == Some(1);
        if is_first {
            inner.set_number(1, 7);
        }
        Ok::<_, Malformed>(is_first)
    });
    assert_eq!(changed, Ok(true));
    assert_eq!(&read.encode()[..], &[0x0a, 2, 0x08, 7, 0x0a, 0x82, 0x00, 0x08, 2]);
}
