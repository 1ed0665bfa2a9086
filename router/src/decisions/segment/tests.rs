use std::time::Duration;

use proptest::prelude::*;
use warmlane_picker::{Decision, Matches, Strategy as Weighing, Work};

use warmlane_replay::Inputs;

use super::{super::sample::Sample, *};

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
    )
        .prop_map(|(id, model, blocks, holders, live, offered, fallbacks, chosen)| Asked {
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
fn push(segment: &mut Segment, number: u64, asked: &Asked) -> Inputs {
    let mut sample = Sample { id: asked.id.clone(), live: asked.live.clone(), ..Sample::default() };
    sample.chain.set(number, &asked.blocks);
    sample.matches.reset(number as f32);
    asked
        .holders
        .iter()
        .for_each(|(slot, blocks)| sample.matches.hold(Slot(*slot), *blocks, Source::History));
    sample.profile.fallbacks = asked.fallbacks;
    let offered: Option<SlotSet> = asked.offered.clone().map(|offered| offered.into_iter().collect());
    let mut request = sample.request();
    (request.model, request.offered) = (asked.model.as_deref(), offered.as_ref());
    request.prompt_tokens = number * 3;
    let decision = Decision {
        endpoint: Slot(1),
        fallbacks: Vec::new(),
        tied: 1,
        relaxed: Vec::new(),
        strategy: Weighing::default(),
        matched_tokens: number * 7,
        source: Some(Source::Events),
    };
    let made = sample.made(&request);
    let chosen = match &asked.chosen {
        Ok(address) => Ok((&decision, &**address)),
        Err(none) => Err(Refused::NoEndpoint(none.clone())),
    };
    segment.push(
        number,
        Made { chosen, pool: "pool", asked: "asked", at: Duration::from_nanos(number), ..made },
    );
    Inputs::of(&request, Duration::from_nanos(number), 0)
}

proptest! {
    /// Also in buffers that had others before.
    #[test]
    fn what_is_read_is_what_was_written(
        before in prop::collection::vec(asked(), 0..4),
        all in prop::collection::vec(asked(), 1..20),
    ) {
        let mut segment = Segment::default();
        before.iter().enumerate().for_each(|(at, asked)| drop(push(&mut segment, at as u64, asked)));
        segment.clear();
        let inputs: Vec<Inputs> =
            all.iter().enumerate().map(|(at, asked)| push(&mut segment, at as u64, asked)).collect();
        for (at, (asked, inputs)) in all.iter().zip(inputs).enumerate() {
            let mut record = segment.record(at);
            record.inputs.live = segment.under_way(at);
            prop_assert_eq!(&record.inputs, &inputs);
            prop_assert_eq!(&record.request_id, kept_id(&asked.id));
            prop_assert_eq!((&*record.pool, &*record.asked), ("pool", "asked"));
            prop_assert_eq!(record.profile.fallbacks, asked.fallbacks);
            let chain = warmlane_picker::Chain::new(at as u64, &asked.blocks);
            prop_assert_eq!(&*record.links, chain.links());
            match &asked.chosen {
                Ok(address) => prop_assert_eq!((&record.endpoint, record.refusal, record.matched_tokens), (address, None, at as u64 * 7)),
                Err(none) => prop_assert_eq!((&*record.endpoint, record.refusal, record.matched_tokens), ("", Some(Refused::NoEndpoint(none.clone())), 0)),
            }
        }
    }
}

#[test]
fn a_request_that_was_shed_is_told_from_others() {
    let mut segment = Segment::default();
    let sample = Sample::of("x");
    segment.push(1, sample.made(&sample.request()));
    let record = segment.record(0);
    assert!(record.inputs.shed && record.refusal == Some(Refused::Shed));
}

#[test]
fn of_what_is_under_way_only_changes_are_kept() {
    let mut segment = Segment::default();
    let mut sample = Sample { live: vec![Live::default(); 100], ..Sample::default() };
    segment.push(1, sample.made(&sample.request()));
    let first = segment.written();
    sample.live[7].in_flight = 1;
    segment.push(2, sample.made(&sample.request()));
    assert_eq!(segment.written() - first, first + size_of::<Change>());
    assert_eq!((segment.under_way(0)[7].in_flight, segment.under_way(1)[7].in_flight), (0, 1));
    assert_eq!(Matches::default().tokens_per_block(), 0.0, "nobody holds anything");
}
