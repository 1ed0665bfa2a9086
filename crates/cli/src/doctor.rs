//! `doctor`: whether this machine, and what runs on it, is as Warmlane needs it; each finding with a fix.
//!
//! *Fail* is what keeps requests from being served well, *warn* what costs speed or knowledge. [`machine`] looks, [`asked`] asks;
//! what that means is said by pure functions of both.

use serde::Serialize;

use crate::{
    clean::clean,
    screen::{Screen, Tone},
    views::{View, hang},
};

pub(crate) mod asked;
mod judgement;
pub(crate) mod machine;
mod ports;

pub(crate) use asked::Asked;
pub(crate) use machine::Machine;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Checkup {
    findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    what: &'static str,
    grade: Grade,
    said: String,
    /// What to do.
    fix: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Ok,
    /// It costs speed or knowledge.
    Warn,
    /// It keeps requests from being served well.
    Fail,
}

// === Checkup ===

impl Checkup {
    /// What follows from what was seen and heard.
    pub(crate) fn of(machine: &Machine, asked: &Asked) -> Self {
        Self { findings: judgement::findings(machine, asked) }
    }
}

impl View for Checkup {
    fn draw(&self, screen: Screen, _wide: bool) -> String {
        let mut text = String::new();
        for Finding { what, grade, said, fix } in &self.findings {
            text += &hang(screen, &format!("{:<5} {what:<15} ", grade.name()), grade.tone(), &clean(said));
            if let Some(fix) = fix {
                text += &hang(screen, "      fix:            ", Tone::Plain, &clean(fix));
            }
        }
        text
    }

    fn is_yes(&self) -> bool {
        self.findings.iter().all(|finding| finding.grade != Grade::Fail)
    }
}

// === Finding ===

impl Finding {
    fn ok(what: &'static str, said: impl Into<String>) -> Self {
        Self { what, grade: Grade::Ok, said: said.into(), fix: None }
    }

    fn warn(what: &'static str, said: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what, grade: Grade::Warn, said: said.into(), fix: Some(fix.into()) }
    }

    fn fail(what: &'static str, said: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what, grade: Grade::Fail, said: said.into(), fix: Some(fix.into()) }
    }
}

// === Grade ===

impl Grade {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Plain,
            Self::Warn => Tone::Warn,
            Self::Fail => Tone::Bad,
        }
    }
}

#[cfg(test)]
mod tests;
