use std::time::Duration;

use proptest::prelude::*;
use warmlane_picker::{Criticality, Decision, Group, Live, Slot, Source, Strategy as Weighing, Work};
use warmlane_replay::Inputs;

use super::{
    super::{Record, Served, kept_id, sample::Sample},
    *,
};
use crate::metrics::{Label, Listener};

/// What a decision is made of, as far as it differs from others.
#[derive(Clone, Debug)]
struct Asked {
    id: Vec<u8>,
    model: Option<String>,
    blocks: Vec<u64>,
    holders: Vec<(u16, u32)>,
    live: Vec<Live>,
    offered: Option<Vec<usize>>,
    fallbacks: usize,
    chosen: Result<String, NoEndpoint>,
    own: Own,
    outcome: Option<Outcome>,
}

/// What is mostly as it was, and plain numbers.
#[derive(Clone, Debug)]
struct Own {
    pool: String,
    edition: u64,
    listener: Listener,
    criticality: Criticality,
    session_key: u64,
    session: Option<Slot>,
    group: Option<Group>,
    seed: u64,
    tokens: u64,
    per_block: f32,
    source: Option<Source>,
}

fn own() -> impl Strategy<Value = Own> {
    let standing =
        ("[a-j]", 0..3_u64, prop::sample::select(Listener::ALL), prop::sample::select(vec![0.0, 16.0, 0.25]));
    let session = (any::<u64>(), prop::option::of((0..9_u16).prop_map(Slot)), prop::option::of(any::<u64>()));
    let source = prop::sample::select(vec![None, Some(Source::History), Some(Source::Events)]);
    let levels = vec![Criticality::Sheddable, Criticality::Standard, Criticality::Critical];
    let rest = (prop::sample::select(levels), source, any::<u64>(), any::<u64>());
    (standing, session, rest).prop_map(|(standing, session, rest)| Own {
        pool: standing.0,
        edition: standing.1,
        listener: standing.2,
        per_block: standing.3,
        session_key: session.0,
        session: session.1,
        group: session.2.map(|id| Group::seen(id, 3, [Slot(1)])),
        criticality: rest.0,
        source: rest.1,
        seed: rest.2,
        tokens: rest.3,
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let ends = prop::sample::select(vec!["complete", "client_gone", "timeout"]);
    let served = prop::option::of("[a-z]{0,9}:80");
    (ends, served, prop::option::of(any::<u16>()), prop::option::of(0..u64::MAX), any::<[u64; 6]>()).prop_map(
        |(end, served, status, bytes, spent)| Outcome {
            status,
            end,
            served: served.map_or(Served::Nobody, |address| Served::By(address.into())),
            first_byte: bytes.map(Duration::from_nanos),
            bytes,
            lane_bytes: spent[0],
            spent: spent.map(Duration::from_nanos),
        },
    )
}

fn under_way() -> impl Strategy<Value = Vec<Live>> {
    let live = (0..3_u32, 0..2_u64, 0..2_u64).prop_map(|(in_flight, pending_prefill, requests)| Live {
        in_flight,
        pending_prefill,
        sent: Work { requests, ..Work::default() },
        ..Live::default()
    });
    prop::collection::vec(live, 0..6)
}

fn asked() -> impl Strategy<Value = Asked> {
    let chosen = prop_oneof![
        "[a-z]{0,9}:80".prop_map(Ok),
        Just(Err(NoEndpoint::EmptyPool)),
        "[a-z]{1,9}".prop_map(|model| Err(NoEndpoint::UnknownModel { model })),
    ];
    (
        prop::collection::vec(any::<u8>(), 0..200),
        prop::option::of("[a-z]{0,5}"),
        prop::collection::vec(any::<u64>(), 0..20),
        prop::collection::vec((0..6_u16, 1..9_u32), 0..6),
        under_way(),
        prop::option::of(prop::collection::vec(0..6_usize, 0..3)),
        0..3_usize,
        chosen,
        own(),
        prop::option::of(outcome()),
    )
        .prop_map(|(id, model, blocks, holders, live, offered, fallbacks, chosen, own, outcome)| Asked {
            own,
            outcome,
            id,
            model,
            blocks,
            holders,
            live,
            offered,
            fallbacks,
            chosen,
        })
}

/// Keeps it, and says what a reader has to find.
fn push(segment: &mut Segment, newest: &mut Newest, number: u64, asked: &Asked) -> Inputs {
    let own = &asked.own;
    let mut sample = Sample { id: asked.id.clone(), live: asked.live.clone(), ..Sample::default() };
    sample.chain.set(number, &asked.blocks);
    sample.matches.reset(own.per_block);
    for (slot, blocks) in &asked.holders {
        sample.matches.hold(Slot(*slot), *blocks, Source::History);
    }
    sample.profile.fallbacks = asked.fallbacks;
    let offered: Option<SlotSet> = asked.offered.clone().map(|offered| offered.into_iter().collect());
    let mut request = sample.request();
    (request.model, request.offered) = (asked.model.as_deref(), offered.as_ref());
    (request.prompt_tokens, request.output_tokens) = (own.tokens, own.tokens / 2);
    (request.criticality, request.session, request.group) =
        (own.criticality, own.session, own.group.as_ref());
    let decision = Decision {
        endpoint: Slot(1),
        fallbacks: Vec::new(),
        tied: 1,
        relaxed: Vec::new(),
        strategy: Weighing::default(),
        matched_tokens: own.tokens / 3,
        source: own.source,
    };
    let chosen = match &asked.chosen {
        Ok(address) => Ok((&decision, &**address)),
        Err(none) => Err(Refused::NoEndpoint(none.clone())),
    };
    let at = Duration::from_nanos(number / 2);
    let made = Made {
        chosen,
        id_hash: own.seed / 5,
        listener: own.listener,
        pool: &own.pool,
        asked: asked.model.as_deref().unwrap_or("asked"),
        edition: own.edition,
        session: own.session_key,
        tokens_per_block: own.per_block * 2.0,
        at,
        seed: own.seed,
        ..sample.made(&request)
    };
    segment.push(newest, number, made);
    Inputs::of(&request, at, own.seed)
}

/// Whether a reader finds all that is of no use to the picker.
fn is_found(record: &Record, asked: &Asked, number: u64) -> Result<(), TestCaseError> {
    let own = &asked.own;
    prop_assert_eq!(&record.request_id, kept_id(&asked.id));
    prop_assert_eq!(
        (record.id_hash, record.session, record.edition),
        (own.seed / 5, own.session_key, own.edition)
    );
    prop_assert_eq!((&*record.pool, &*record.asked), (&*own.pool, asked.model.as_deref().unwrap_or("asked")));
    prop_assert_eq!((record.listener, record.tokens_per_block), (own.listener, own.per_block * 2.0));
    prop_assert_eq!(record.profile.fallbacks, asked.fallbacks);
    let chain = warmlane_picker::Chain::new(number, &asked.blocks);
    prop_assert_eq!(&*record.links, chain.links());
    let found = (&*record.endpoint, record.refusal.clone(), record.matched_tokens, record.source);
    match &asked.chosen {
        Ok(address) => prop_assert_eq!(found, (&**address, None, own.tokens / 3, own.source)),
        Err(none) => prop_assert_eq!(found, ("", Some(Refused::NoEndpoint(none.clone())), 0, None)),
    }
    Ok(())
}

proptest! {
    /// Also in buffers that had others before.
    #[test]
    fn what_is_read_is_what_was_written(
        before in prop::collection::vec(asked(), 0..4),
        all in prop::collection::vec(asked(), 1..20),
    ) {
        let (mut segment, mut newest) = (Segment::default(), Newest::default());
        before.iter().enumerate().for_each(|(at, asked)| drop(push(&mut segment, &mut newest, at as u64, asked)));
        segment.clear();
        newest.clear();
        let inputs: Vec<Inputs> =
            all.iter().enumerate().map(|(at, asked)| push(&mut segment, &mut newest, at as u64, asked)).collect();
        // They end in another order than they began.
        for (at, asked) in all.iter().enumerate().rev() {
            asked.outcome.iter().for_each(|outcome| segment.end(at, outcome));
        }
        let records: Vec<Record> = segment.records().collect();
        prop_assert_eq!((records.len(), segment.outcomes().len()), (all.len(), all.len()));
        for (at, (((mut record, ended), asked), inputs)) in
            records.into_iter().zip(segment.outcomes()).zip(&all).zip(inputs).enumerate()
        {
            is_found(&record, asked, at as u64)?;
            record.inputs.live = segment.under_way(at);
            prop_assert_eq!(&record.inputs, &inputs);
            prop_assert_eq!(&ended, &asked.outcome);
        }
    }
}

#[test]
fn a_request_that_was_shed_is_told_from_others() {
    let (mut segment, mut newest) = (Segment::default(), Newest::default());
    let sample = Sample::of("x");
    segment.push(&mut newest, 1, sample.made(&sample.request()));
    let record = segment.records().next().expect("one");
    assert!(record.inputs.shed && record.refusal == Some(Refused::Shed));
}

#[test]
fn of_what_is_under_way_only_changes_are_kept() {
    let (mut segment, mut newest) = (Segment::default(), Newest::default());
    let mut sample = Sample { live: vec![Live::default(); 100], ..Sample::default() };
    segment.push(&mut newest, 1, sample.made(&sample.request()));
    let first = segment.written();
    sample.live[7].in_flight = 1;
    segment.push(&mut newest, 2, sample.made(&sample.request()));
    assert!(segment.written() - first < first + 20, "{first} {}", segment.written());
    assert_eq!((segment.under_way(0)[7].in_flight, segment.under_way(1)[7].in_flight), (0, 1));
}

#[test]
fn a_usual_decision_takes_some_two_hundred_bytes() {
    let (mut segment, mut newest) = (Segment::default(), Newest::default());
    let mut asked = Asked {
        id: b"0123456789abcdef0123456789abcdef0123".to_vec(),
        model: Some("Qwen/Qwen2.5-7B-Instruct".to_owned()),
        blocks: (0..4).collect(),
        holders: vec![(1, 2), (5, 3)],
        live: vec![Live::default(); 64],
        offered: None,
        fallbacks: 2,
        chosen: Ok("10.0.12.34:8000".to_owned()),
        own: Own {
            pool: "llm/qwen".to_owned(),
            edition: 7,
            listener: Listener::Aware,
            criticality: Criticality::Standard,
            session_key: 0,
            session: None,
            group: None,
            seed: 1,
            tokens: 1_200,
            per_block: 16.0,
            source: Some(Source::Events),
        },
        outcome: None,
    };
    let outcome = Outcome {
        status: Some(200),
        end: "complete",
        served: Served::By("10.0.12.34:8000".into()),
        first_byte: Some(Duration::from_millis(40)),
        bytes: Some(9_000),
        lane_bytes: 0,
        spent: [Duration::from_micros(300); 6],
    };
    let before = {
        push(&mut segment, &mut newest, 1 << 50, &asked);
        segment.written()
    };
    for at in 1..64 {
        for endpoint in [at % 64, (at + 1) % 64, (at + 2) % 64] {
            let live = &mut asked.live[endpoint];
            (live.in_flight, live.pending_prefill, live.sent.kv_tokens) =
                (1, 1_200, live.sent.kv_tokens + 1_500);
        }
        push(&mut segment, &mut newest, (1 << 50) + at as u64 * 20_000_000, &asked);
        segment.end(at, &outcome);
    }
    let each = (segment.written() - before) / 63;
    assert!((150..250).contains(&each), "{each}");
}
