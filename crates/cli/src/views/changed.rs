//! `drain`, `undrain`, `unpin`, `set`: what holds now.

use warmlane_api::admin::{Changed, Now};

use super::{View, hang};
use crate::{
    clean::clean,
    screen::{Screen, Tone},
};

impl View for Changed {
    fn draw(&self, screen: Screen, _: bool) -> String {
        let tone = match &self.now {
            Now::Endpoint { emptied, .. } if !emptied.is_empty() => Tone::Bad,
            _ if self.changed => Tone::Good,
            _ => Tone::Plain,
        };
        hang(screen, "", tone, &clean(&self.to_string()))
    }
}
