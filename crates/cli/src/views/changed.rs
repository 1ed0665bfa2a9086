//! `drain`, `undrain`, `unpin`, `set`: what holds now.

use warmlane_api::admin::Changed;

use super::{View, hang};
use crate::{
    clean::clean,
    screen::{Screen, Tone},
};

impl View for Changed {
    fn draw(&self, screen: Screen, _: bool) -> String {
        let tone = if self.changed { Tone::Good } else { Tone::Plain };
        hang(screen, "", tone, &clean(&self.to_string()))
    }
}
