//! Decisions written to a file and read again are made again to the last digit.

use std::net::SocketAddr;

use proptest::{collection::vec, option, prelude::*};
use warmlane_api::admin::Decision;
use warmlane_picker::{
    Criticality, Endpoint, Group, Health, Live, Lora, Models, Profile, Reading, Signals, Slot, SlotSet,
    Snapshot, Source, Strategy as Routing, Time, Work,
};
use warmlane_replay::{
    Admit, Asked, Held, Inputs, choice, explain,
    file::{self, Entry, FileError, Writer},
};

const NOW: Time = Time::from_secs(100);

fn number() -> impl Strategy<Value = f32> {
    prop_oneof![0.0_f32..200.0, 0.0_f32..1.0, Just(f32::NAN), Just(f32::INFINITY), Just(1e30)]
}

fn reading() -> impl Strategy<Value = Option<Reading<f32>>> {
    option::of(
        (number(), 80_000_u64..101_000).prop_map(|(value, ms)| Reading { value, at: Time::from_millis(ms) }),
    )
}

fn work() -> impl Strategy<Value = Work> {
    (0_u64..1_000, 0_u64..1_000_000, 0_u64..1_000_000)
        .prop_map(|(requests, prefill_tokens, kv_tokens)| Work { requests, prefill_tokens, kv_tokens })
}

fn signals() -> impl Strategy<Value = Signals> {
    let lora = option::of((vec("[ab]", 0..3), vec("[ab]", 0..2), 0_u32..4));
    (reading(), reading(), reading(), option::of(0_u64..400_000), lora, option::of(any::<bool>()), work())
        .prop_map(|(queue, running, kv_use, kv_capacity_tokens, lora, awake, mark)| Signals {
            queue,
            running,
            kv_use,
            kv_capacity_tokens,
            lora: lora
                .map(|(active, waiting, max)| Reading { value: Lora { active, waiting, max }, at: NOW }),
            awake: awake.map(|value| Reading { value, at: NOW }),
            mark,
        })
}

fn endpoint() -> impl Strategy<Value = (Endpoint, Models)> {
    let health = prop_oneof![
        4 => Just(Health::Healthy),
        1 => Just(Health::Degraded("hot".into())),
        1 => Just(Health::Failed("XID 79".into())),
    ];
    let models = prop_oneof![
        Just(Models::Unknown),
        Just(Models::Known { base: vec!["m".to_owned()], adapters: vec!["a".to_owned(), "b".to_owned()] }),
    ];
    (health, models, signals(), any::<bool>(), option::of(90_u64..100), prop::bool::weighted(0.8)).prop_map(
        |(health, models, signals, local, joined, ready)| {
            let endpoint = Endpoint {
                slot: Slot(0),
                address: "".into(),
                socket: SocketAddr::from(([10, 0, 0, 1], 1)),
                ready,
                health,
                stuck: None,
                local,
                joined: joined.map(Time::from_secs),
                signals,
            };
            (endpoint, models)
        },
    )
}

fn live() -> impl Strategy<Value = Live> {
    ((0_u32..50, 0_u64..90_000, 0_u64..90_000), (0_u64..900_000, 0_u32..3, 0_u32..3), work()).prop_map(
        |((in_flight, pending_prefill, unstreamed_prefill), (reserved_kv, same_adapter, adapters), sent)| {
            Live { in_flight, pending_prefill, unstreamed_prefill, reserved_kv, same_adapter, adapters, sent }
        },
    )
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    vec(endpoint(), 1..12).prop_map(|mut entries| {
        for (at, (endpoint, _)) in entries.iter_mut().enumerate() {
            endpoint.slot = Slot(at as u16 * 3);
            endpoint.address = format!("10.0.0.{at}:8000").into();
        }
        Snapshot::new(entries)
    })
}

fn inputs() -> impl Strategy<Value = Inputs> {
    let model = option::of(prop_oneof![Just("m"), Just("a"), Just("nobody's")]);
    let sizes = (0_u64..20_000, 0_u64..2_000, any::<u64>(), 0.5_f32..40.0);
    let criticality =
        prop_oneof![Just(Criticality::Sheddable), Just(Criticality::Standard), Just(Criticality::Critical)];
    let slot = || (0_u16..12).prop_map(|at| Slot(at * 3));
    let held = vec((slot(), 1_u32..200, any::<bool>()), 0..6);
    let group = option::of((any::<u64>(), 1_u32..99, vec(slot(), 0..5)));
    let offered = option::weighted(0.3, vec(0_usize..12, 0..12));
    (model, sizes, criticality, held, option::of(slot()), group, offered, (vec(live(), 0..12), any::<bool>()))
        .prop_map(|(model, sizes, criticality, held, session, group, offered, (live, shed))| Inputs {
            at: NOW,
            seed: sizes.2,
            model: model.map(str::to_owned),
            prompt_tokens: sizes.0,
            output_tokens: sizes.1,
            criticality,
            held: held
                .into_iter()
                .map(|(slot, blocks, told)| {
                    let source = if told { Source::Events } else { Source::History };
                    Held { slot, blocks, source }
                })
                .collect(),
            tokens_per_block: sizes.3,
            session,
            group: group.map(|(id, blocks, pinned)| Group::seen(id, blocks, pinned)),
            offered: offered.map(|offered| offered.into_iter().collect()),
            live,
            shed,
        })
}

proptest! {
    #[test]
    fn what_is_read_again_is_decided_and_explained_alike(
        snapshot in snapshot(),
        mut inputs in vec(inputs(), 1..4),
        reuse in any::<bool>(),
    ) {
        let here = |position: &usize| *position < snapshot.endpoints().len();
        for offered in inputs.iter_mut().filter_map(|inputs| inputs.offered.as_mut()) {
            *offered = offered.positions().filter(here).collect();
        }
        let profile = Profile::of(if reuse { Routing::PrefixCache } else { Routing::Default });
        let mut writer = Writer::default();
        for inputs in &inputs {
            writer.add(Decision::default(), inputs, &profile, Some((7, &snapshot)));
        }
        let text = writer.finish();
        let entries = file::read(text.as_bytes()).expect("it was just written");
        prop_assert_eq!(entries.len(), inputs.len());
        for (entry, inputs) in entries.iter().zip(&inputs) {
            prop_assert_eq!(&entry.inputs, inputs);
            for admission in [Admit::AsThen, Admit::Anew] {
                let here = Asked { profile: &profile, snapshot: &snapshot, inputs, admission };
                let there = entry.asked(&entry.profile, admission).expect("its state is there");
                let decided = |asked| format!("{:?}", explain(asked, &asked.inputs.matches()));
                prop_assert_eq!(decided(here), decided(there));
                // Numbers that are none differ from themselves, so as text.
                prop_assert_eq!(format!("{:?}", choice(here)), format!("{:?}", choice(there)));
            }
        }
    }
}

#[test]
fn a_decision_without_its_state_is_shown_and_not_made_again() {
    let mut writer = Writer::default();
    let shown = Decision { request_id: "abc".to_owned(), ..Decision::default() };
    writer.add(shown, &Inputs::default(), &Profile::default(), None);
    let entries = file::read(writer.finish().as_bytes()).expect("readable");
    assert_eq!(entries[0].decision.request_id, "abc");
    assert!(entries[0].asked(&Profile::default(), Admit::Anew).is_none());
}

#[test]
fn states_and_profiles_stand_once() {
    let (mut writer, snapshot) = (Writer::default(), Snapshot::default());
    for profile in [Profile::default(), Profile::of(Routing::PrefixCache), Profile::default()] {
        writer.add(Decision::default(), &Inputs::default(), &profile, Some((1, &snapshot)));
    }
    let text = writer.finish();
    assert_eq!(text.lines().filter(|line| line.starts_with("{\"state\"")).count(), 1);
    assert_eq!(text.lines().filter(|line| line.starts_with("{\"profile\"")).count(), 2);
}

#[test]
fn the_oldest_are_left_out_where_the_file_would_be_too_large() {
    let mut writer = Writer::default();
    let inputs = Inputs { live: vec![Live::default(); 50_000], ..Inputs::default() };
    for request_id in 0..90 {
        let shown = Decision { request_id: request_id.to_string(), ..Decision::default() };
        writer.add(shown, &inputs, &Profile::default(), Some((1, &Snapshot::default())));
    }
    let text = writer.finish();
    assert!(text.len() < file::MOST_BYTES + 100, "{}", text.len());
    let entries = file::read(text.as_bytes()).expect("whole lines only");
    let left_out = 90 - entries.len();
    assert!(left_out > 0 && entries.len() > 5, "{left_out}");
    assert_eq!(file::left_out(text.as_bytes()), left_out as u64);
    assert_eq!(file::left_out(Writer::default().finish().as_bytes()), 0);
    assert_eq!(entries.last().map(|entry| &*entry.decision.request_id), Some("89"));
}

#[test]
fn other_files_are_named_for_what_they_are() {
    let read = |text: &str| file::read(text.as_bytes()).map(|_| ()).expect_err("no file of ours");
    assert!(matches!(read(""), FileError::Foreign));
    assert!(matches!(read("{\"a\":1}\n"), FileError::Foreign));
    assert!(matches!(read("{\"format\":\"warmlane-decisions\",\"version\":2}\n"), FileError::Version(2)));
    let head = "{\"format\":\"warmlane-decisions\",\"version\":1}\n";
    let cut = read(&format!("{head}\n{{\"state\":"));
    assert_eq!(cut.to_string(), "line 3: EOF while parsing a value at column 9");
    let line = serde_json::json!({"decision": {
        "shown": Decision::default(), "state": 9, "profile": 0,
        "inputs": {
            "at_ns": 0, "seed": "0", "model": null, "prompt_tokens": 0, "output_tokens": 0, "criticality": "Standard",
            "tokens_per_block": 0.0, "held": [], "session": null, "group": null, "offered": null, "live": [], "shed": false,
        },
    }});
    assert!(
        read(&format!("{head}{line}")).to_string().contains("no state 9"),
        "{}",
        read(&format!("{head}{line}"))
    );
}

/// A file of one decision among one endpoint, in which one thing is changed.
fn forged(state: bool, was: &str, is: &str) -> Result<Vec<Entry>, FileError> {
    let endpoint = Endpoint::ready(Slot(0), "10.0.0.1:8000", SocketAddr::from(([10, 0, 0, 1], 8000)));
    let snapshot = Snapshot::new(vec![(endpoint, Models::Unknown)]);
    let inputs = Inputs { offered: Some([0].into_iter().collect()), ..Inputs::default() };
    let mut writer = Writer::default();
    writer.add(Decision::default(), &inputs, &Profile::default(), state.then_some((1, &snapshot)));
    let text = writer.finish();
    assert_eq!(text.matches(was).count(), 1, "{was} in {text}");
    file::read(text.replace(was, is).as_bytes())
}

#[test]
fn a_position_that_no_endpoint_has_makes_no_set_of_that_size() {
    let huge = format!("\"offered\":[{}]", 1_u64 << 62);
    let refused = forged(true, "\"offered\":[0]", &huge).expect_err("its state has one endpoint");
    assert!(refused.to_string().contains("and its state has 1"), "{refused}");
    let stateless = forged(false, "\"offered\":[0]", &huge).expect("nothing is made of it");
    assert_eq!(stateless[0].inputs.offered, Some(SlotSet::default()));
}

#[test]
fn a_strategy_that_is_not_known_is_named() {
    let refused =
        forged(true, "\"strategy\":\"DEFAULT\"", "\"strategy\":\"FASTEST\"").expect_err("another version's");
    assert!(refused.to_string().starts_with("line 3: unknown routing strategy \"FASTEST\""), "{refused}");
}

#[test]
fn more_fallbacks_than_endpoints_take_no_room() {
    let was = format!("\"fallbacks\":{}", Profile::default().fallbacks);
    for many in [1 << 63, u64::MAX] {
        let entries = forged(true, &was, &format!("\"fallbacks\":{many}")).expect("a number");
        let asked = entries[0].asked(&entries[0].profile, Admit::AsThen).expect("its state is there");
        let made = choice(asked);
        assert_eq!((made.endpoint.as_deref(), made.fallbacks.len()), (Some("10.0.0.1:8000"), 0));
    }
}
