use super::*;

const NOW: Time = Time::from_secs(1);

fn prompt(seed: u64, blocks: usize) -> Vec<u64> {
    let spread = |n: u64| (seed << 32 | n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (1..=blocks as u64).map(spread).collect()
}

/// What an agent says of an engine that held `before` and holds `after`.
fn news(before: &[u64], after: &[u64], reset: bool) -> told::Blocks {
    let Digest { count, sum } = after.iter().copied().collect();
    told::Blocks {
        address: "a:8000".to_owned(),
        reset,
        added: after.iter().filter(|block| !before.contains(block)).copied().collect(),
        removed: before.iter().filter(|block| !after.contains(block)).copied().collect(),
        count,
        sum,
        block_size: 16,
        whole: true,
    }
}

fn held(blocks: &Blocks, prompt: &[u64], slot: u16) -> u64 {
    let (mut chain, mut matches) = (Chain::default(), Matches::default());
    chain.follow(&Chain::marked(prompt), prompt.len());
    matches.reset(16.0);
    blocks.find(&chain, &mut matches);
    matches.tokens(Slot(slot))
}

#[tokio::test]
async fn changes_add_up_to_what_an_engine_holds_and_a_reset_begins_anew() {
    let blocks = Blocks::new(3, 64 << 20);
    let (one, other) = (prompt(1, 8), prompt(2, 8));
    assert_eq!(blocks.tellers().block_size, 0);
    blocks.take(Slot(1), news(&[], &one, true), NOW).await.expect("a first word");
    assert_eq!((held(&blocks, &one, 1), held(&blocks, &one, 0)), (128, 0));
    assert_eq!(blocks.tellers().block_size, 16);
    let both = [&one[..4], &other[..]].concat();
    blocks.take(Slot(1), news(&one, &both, false), NOW).await.expect("a change");
    assert_eq!((held(&blocks, &one, 1), held(&blocks, &other, 1), blocks.count(Slot(1))), (64, 128, 12));
    blocks.take(Slot(1), news(&[], &one[..2], true), NOW).await.expect("another beginning");
    assert_eq!((held(&blocks, &one, 1), held(&blocks, &other, 1), blocks.count(Slot(1))), (32, 0, 2));
    blocks.take(Slot(9), news(&[], &one, true), NOW).await.expect("nobody's slot");
}

#[tokio::test]
async fn what_does_not_add_up_is_said_and_not_believed_until_it_does() {
    let blocks = Blocks::new(1, 64 << 20);
    let one = prompt(1, 4);
    blocks.take(Slot(0), news(&[], &one, true), NOW).await.expect("a first word");
    // A change that goes out from another state than the one that was told.
    let lost = news(&one[..2], &[&one[..2], &prompt(2, 1)].concat(), false);
    let diverged = blocks.take(Slot(0), lost, NOW).await.expect_err("two blocks too many");
    assert_eq!((diverged.told, diverged.held), (3, 5));
    assert_eq!(blocks.tellers().block_size, 0, "nobody's word counts");
    blocks.take(Slot(0), news(&[], &one, true), NOW).await.expect("everything again");
    assert!(blocks.tellers().wholly.contains(0));
    blocks.leave(&[Slot(0), Slot(7)]).await;
    assert!(!blocks.tellers().wholly.contains(0), "its agent is gone");
}

#[tokio::test]
async fn the_table_grows_with_what_is_told_and_not_over_its_limit() {
    for (limit, all_fit) in [(64 << 20, true), (2 << 20, false)] {
        let blocks = Blocks::new(1, limit);
        let many = prompt(3, 200_000);
        blocks.take(Slot(0), news(&[], &many, true), NOW).await.expect("many");
        assert!(blocks.bytes() as u64 <= limit, "{} bytes", blocks.bytes());
        let index = blocks.index.load();
        assert_eq!(index.capacity() >= many.len(), all_fit, "{} blocks", index.capacity());
        let is_whole = || (blocks.tellers().wholly.contains(0), blocks.tellers().partly.contains(0));
        assert_eq!(is_whole(), (all_fit, !all_fit));
        blocks.take(Slot(0), news(&many, &many[..9], false), NOW).await.expect("most is gone");
        assert_eq!(is_whole(), (all_fit, !all_fit), "what was lost is not told again");
        blocks.take(Slot(0), news(&[], &many[..9], true), NOW).await.expect("everything again");
        assert_eq!(is_whole(), (true, false));
    }
}
