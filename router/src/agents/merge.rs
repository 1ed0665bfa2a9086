//! An agent's words, turned into updates for the writer. Pure.
//!
//! Nothing here trusts an agent further than its engine would be: numbers pass through as an engine's own do, and what
//! cannot be read is left out.

use warmlane_api::node::{self as told, endpoint::Contact, unreachable::Cause, verdict::Grade};
use warmlane_engine::models::{ModelList, ModelsError};
use warmlane_picker::{Health, Lora, Reading, Signals, Slot, Time, Work};

use crate::world::writer::{Failure, Load, Update};

/// The update that a contact makes; `None` of one that says nothing. `sent`: what this router had sent by a moment.
pub(super) fn contact(
    slot: Slot,
    contact: Contact,
    now: Time,
    sent: impl FnOnce(Time) -> Work,
) -> Option<Update> {
    match contact {
        Contact::Load(load) => {
            let at = now.saturating_sub(age(load.age_us));
            Some(Update::Load(Box::new(self::load(slot, load, at, sent(at)))))
        }
        Contact::Alive(told::Alive {}) => Some(Update::Alive { slot }),
        Contact::Unreachable(unreachable) => {
            Some(Update::Unreachable { slot, why: failure(unreachable.cause?) })
        }
    }
}

/// The update that a list of models makes.
pub(super) fn models(slot: Slot, models: &told::ModelList, now: Time) -> Result<Update, ModelsError> {
    let list = ModelList::parse(&models.body)?;
    Ok(Update::Models { slot, at: now.saturating_sub(age(models.age_us)), list })
}

/// What a verdict on its GPUs says of an endpoint.
pub(super) fn health(verdict: Option<&told::Verdict>) -> Health {
    let Some(verdict) = verdict else { return Health::Healthy };
    let why = || format!("its GPU: {}", verdict.why).into();
    match verdict.grade() {
        Grade::Unknown | Grade::Healthy => Health::Healthy,
        Grade::Degraded => Health::Degraded(why()),
        Grade::Failed => Health::Failed(why()),
    }
}

fn load(slot: Slot, load: told::Load, at: Time, mark: Work) -> Load {
    let reading = |value: Option<f32>| value.map(|value| Reading { value, at });
    let lora = load.lora.map(|lora| Lora { active: lora.active, waiting: lora.waiting, max: lora.max });
    let signals = Signals {
        queue: reading(load.queue),
        running: reading(load.running),
        kv_use: reading(load.kv_use),
        kv_capacity_tokens: load.kv_capacity_tokens,
        lora: lora.map(|value| Reading { value, at }),
        awake: load.awake.map(|value| Reading { value, at }),
        mark,
    };
    Load { slot, signals, progress: load.progress }
}

fn failure(cause: Cause) -> Failure {
    match cause {
        Cause::Refused(_) => Failure::Refused,
        Cause::NoRoute(_) => Failure::NoRoute,
        Cause::Unresolved(_) => Failure::Unresolved,
        Cause::TimedOut(_) => Failure::TimedOut,
        Cause::Mute(_) => Failure::Mute,
        Cause::Broken(_) => Failure::Broken,
        Cause::Status(status) => Failure::Status(u16::try_from(status).unwrap_or(u16::MAX)),
        Cause::TooLarge(bytes) => Failure::TooLarge(usize::try_from(bytes).unwrap_or(usize::MAX)),
    }
}

fn age(micros: u64) -> Time {
    Time::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(100);

    #[test]
    fn a_load_is_dated_back_and_counts_what_was_sent_by_then() {
        let load =
            told::Load { age_us: 30_000, queue: Some(3.0), awake: Some(true), ..told::Load::default() };
        let sent = |at: Time| Work { requests: at.as_millis() as u64, ..Work::default() };
        let Some(Update::Load(load)) = contact(Slot(2), Contact::Load(load), NOW, sent) else {
            panic!("a load")
        };
        let at = Time::from_millis(99_970);
        assert_eq!((load.slot, load.signals.queue), (Slot(2), Some(Reading { value: 3.0, at })));
        assert_eq!(load.signals.awake, Some(Reading { value: true, at }));
        assert_eq!(load.signals.mark.requests, 99_970);
        assert_eq!(load.signals.running, None, "what is not said stays unsaid");
    }

    #[test]
    fn an_age_beyond_all_measure_is_a_reading_of_long_ago() {
        let load = told::Load { age_us: u64::MAX, queue: Some(1.0), ..told::Load::default() };
        let Some(Update::Load(load)) = contact(Slot(0), Contact::Load(load), NOW, |_| Work::default()) else {
            panic!("a load")
        };
        assert_eq!(load.signals.queue.map(|reading| reading.at), Some(Time::ZERO));
    }

    #[test]
    fn failures_arrive_as_they_were_seen() {
        let unreachable = |cause| Contact::Unreachable(told::Unreachable { age_us: 0, cause });
        let why = |cause| match contact(Slot(0), unreachable(Some(cause)), NOW, |_| Work::default()) {
            Some(Update::Unreachable { why, .. }) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(why(Cause::Refused(told::Refused {})), Failure::Refused);
        assert_eq!(why(Cause::Status(503)), Failure::Status(503));
        assert_eq!(why(Cause::Status(70_000)), Failure::Status(u16::MAX), "no status, but no success either");
        let silent = contact(Slot(0), unreachable(None), NOW, |_| Work::default());
        assert!(silent.is_none(), "a cause of a version to come");
    }

    #[test]
    fn verdicts_become_health() {
        let verdict = |grade: i32| health(Some(&told::Verdict { grade, why: "XID 79".into() }));
        assert_eq!(health(None), Health::Healthy);
        assert_eq!(verdict(Grade::Healthy.into()), Health::Healthy);
        assert_eq!(verdict(Grade::Degraded.into()), Health::Degraded("its GPU: XID 79".into()));
        assert_eq!(verdict(Grade::Failed.into()), Health::Failed("its GPU: XID 79".into()));
        assert_eq!(verdict(77), Health::Healthy, "a grade of a version to come");
    }

    #[test]
    fn a_list_that_is_none_is_an_error() {
        let list = |body: &'static [u8]| told::ModelList { age_us: 0, body: body.into() };
        assert!(models(Slot(0), &list(b"{"), NOW).is_err());
        assert!(models(Slot(0), &list(br#"{"data":[{"id":"m"}]}"#), NOW).is_ok());
    }
}
