//! What a fault came to, beside what was expected: lines for people, an object for programs.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use super::{
    Fault,
    course::{Course, LEAVING, RETURNING},
};

/// See the module's header.
#[derive(Debug)]
pub(in crate::demo) struct Findings {
    fault: Fault,
    node: String,
    left_after: Option<Duration>,
    sent_meanwhile: Option<u64>,
    requests: u64,
    failed: u64,
    well_after: Option<Duration>,
    serves: bool,
    given_up: Option<&'static str>,
}

/// One expectation.
struct Line {
    what: &'static str,
    found: String,
    expected: String,
    met: bool,
}

// === Findings ===

impl Findings {
    pub(super) fn new(fault: Fault, node: &str, course: &Course, requests: u64, failed: u64) -> Self {
        Self {
            fault,
            node: node.to_owned(),
            left_after: course.leaving(),
            sent_meanwhile: course.sent_meanwhile(),
            requests,
            failed,
            well_after: course.returning(),
            serves: course.serves(),
            given_up: course.given_up(),
        }
    }

    /// Whether all is as expected.
    pub(in crate::demo) fn met(&self) -> bool {
        self.lines().iter().all(|line| line.met)
    }

    /// One line per expectation, plain text.
    pub(in crate::demo) fn text(&self) -> String {
        let mut text = format!("\n{} on {}, under load:\n", self.fault.title(), self.node);
        for Line { what, found, expected, met } in self.lines() {
            let met = if met { "ok" } else { "FAILED" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {what:<36} {found:<12} {met:<6}  expected: {expected}");
        }
        if let Some(what) = self.given_up {
            let _ = writeln!(text, "given up: {what}");
        }
        text
    }

    pub(in crate::demo) fn json(&self) -> Value {
        json!({
            "fault": self.fault.key(),
            "node": self.node,
            "left_after_s": self.left_after.map(|time| time.as_secs_f64()),
            "sent_meanwhile": self.sent_meanwhile,
            "requests": self.requests,
            "errors": self.failed,
            "well_after_s": self.well_after.map(|time| time.as_secs_f64()),
            "serves": self.serves,
            "met": self.met(),
        })
    }

    fn lines(&self) -> [Line; 5] {
        let is_none = |count: Option<u64>| count == Some(0);
        [
            Line {
                what: "the replica is out after",
                found: seconds(self.left_after),
                expected: format!("at most {} s", LEAVING.as_secs()),
                met: self.left_after.is_some_and(|time| time <= LEAVING),
            },
            Line {
                what: "new requests sent there meanwhile",
                found: self.sent_meanwhile.map_or_else(|| "unknown".to_owned(), |count| count.to_string()),
                expected: "none".to_owned(),
                met: is_none(self.sent_meanwhile),
            },
            Line {
                what: "requests that failed",
                found: format!("{} of {}", self.failed, self.requests),
                expected: "none".to_owned(),
                met: self.failed == 0 && self.requests > 0,
            },
            Line {
                what: "a candidate again after the reset in",
                found: seconds(self.well_after),
                expected: format!("at most {} s", RETURNING.as_secs()),
                met: self.well_after.is_some_and(|time| time <= RETURNING),
            },
            Line {
                what: "it serves again",
                found: if self.serves { "yes" } else { "no" }.to_owned(),
                expected: "yes".to_owned(),
                met: self.serves,
            },
        ]
    }
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Findings {
        Findings {
            fault: Fault::Xid,
            node: "node-3".to_owned(),
            left_after: Some(Duration::from_millis(120)),
            sent_meanwhile: Some(0),
            requests: 900,
            failed: 0,
            well_after: Some(Duration::from_secs(61)),
            serves: true,
            given_up: None,
        }
    }

    #[test]
    fn what_is_as_expected_is_said_so() {
        let (text, json) = (good().text(), good().json());
        assert!(good().met() && !text.contains("FAILED"), "{text}");
        assert!(text.contains("0.12 s") && text.contains("0 of 900") && text.contains("node-3"), "{text}");
        assert!(!text.contains('\u{1b}'), "no colour codes");
        assert_eq!((&json["met"], &json["fault"]), (&json!(true), &json!("xid")));
    }

    #[test]
    fn each_expectation_fails_alone() {
        let breaches: [fn(&mut Findings); 7] = [
            |found| found.left_after = None,
            |found| found.left_after = Some(LEAVING * 2),
            |found| found.sent_meanwhile = Some(1),
            |found| found.failed = 1,
            |found| found.requests = 0,
            |found| found.well_after = None,
            |found| found.serves = false,
        ];
        for breach in breaches {
            let mut found = good();
            breach(&mut found);
            assert!(!found.met());
            assert_eq!(found.text().matches("FAILED").count(), 1, "{found:?}");
        }
    }
}
