//! What the log says of the kubelet: when it begins to fail, when the cause is another one, and when it works again.

use std::{mem, path::PathBuf, time::Duration};

use super::{Pod, Trouble};

/// Says each piece of news once.
#[derive(Debug)]
pub(super) struct Teller {
    socket: PathBuf,
    keep: Duration,
    said: Option<Said>,
    worked: bool,
}

/// What was said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Works,
    /// By the trouble's name.
    Fails(&'static str),
}

/// News, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    First,
    Recovered,
    /// It never worked, and there is no socket: an agent outside Kubernetes is no event.
    Outside,
    Fails,
}

// === Teller ===

impl Teller {
    pub(super) fn new(socket: PathBuf, keep: Duration) -> Self {
        Self { socket, keep, said: None, worked: false }
    }

    pub(super) fn tell(&mut self, answer: Result<&Vec<Pod>, &Trouble>) {
        let news = self.note(answer.map(|_| ()).map_err(Trouble::name));
        let (socket, keep) = (self.socket.display(), self.keep);
        match (news, answer) {
            (Some(News::First), Ok(pods)) => {
                tracing::info!(%socket, pods = pods.len(), "the kubelet tells which pod has which GPU");
            }
            (Some(News::Recovered), Ok(pods)) => {
                tracing::info!(%socket, pods = pods.len(), "the kubelet tells again which pod has which GPU");
            }
            (Some(News::Outside), Err(trouble)) => tracing::info!(
                %socket,
                "which pod has which GPU is unknown: {trouble}. Engines and GPUs are read all the same; \
                 --kubelet-socket none says that it is meant so"
            ),
            (Some(News::Fails), Err(trouble)) => tracing::warn!(
                %socket,
                "the kubelet does not tell which pod has which GPU: {trouble}. What it told last counts for {keep:?}"
            ),
            _ => {}
        }
    }

    pub(super) fn tell_forgotten(&self) {
        tracing::warn!(
            socket = %self.socket.display(),
            "the kubelet has not answered for {:?}: which pod has which GPU is unknown from now on", self.keep
        );
    }

    fn note(&mut self, answer: Result<(), &'static str>) -> Option<News> {
        let now = answer.map_or_else(Said::Fails, |()| Said::Works);
        let before = self.said.replace(now);
        if before == Some(now) {
            return None;
        }
        Some(match now {
            Said::Works if mem::replace(&mut self.worked, true) => News::Recovered,
            Said::Works => News::First,
            Said::Fails("missing") if !self.worked => News::Outside,
            Said::Fails(_) => News::Fails,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_of_news_is_said_once() {
        let mut teller = Teller::new(PathBuf::from("/socket"), Duration::ZERO);
        for (answer, news) in [
            (Err("missing"), Some(News::Outside)),
            (Err("missing"), None),
            (Ok(()), Some(News::First)),
            (Ok(()), None),
            (Err("refused"), Some(News::Fails)),
            (Err("refused"), None),
            (Err("timeout"), Some(News::Fails)),
            (Err("missing"), Some(News::Fails)),
            (Ok(()), Some(News::Recovered)),
        ] {
            assert_eq!(teller.note(answer), news, "{answer:?}");
        }
    }
}
