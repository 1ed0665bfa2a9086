//! Which decisions are asked for: `?limit=50&since=CURSOR&model=NAME&endpoint=ADDRESS&pool=NAME&format=lines`.

use crate::{
    admin::percent::decoded,
    decisions::{self, Found, Record, Wanted},
    world::World,
};

/// Decisions unless asked otherwise.
const ROWS: usize = 50;
/// Most decisions at once.
const MOST_ROWS: usize = 10_000;

/// See the module's header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Query {
    limit: Option<usize>,
    /// Newer than this one.
    pub(super) since: u64,
    model: Option<String>,
    endpoint: Option<String>,
    pool: Option<String>,
    /// As a file instead of a page.
    pub(in super::super) as_file: bool,
}

// === Query ===

impl Query {
    /// What is asked for, or why that cannot be had and what can.
    pub(in super::super) fn of(query: Option<&str>) -> Result<Self, String> {
        let mut asked = Self::default();
        let parts = query.into_iter().flat_map(|query| query.split('&')).filter(|part| !part.is_empty());
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            // In a query a plus is a space.
            let text = || Some(decoded(&value.replace('+', " "))).filter(|text| !text.is_empty());
            match key {
                "limit" => asked.limit = Some(limit(value)?),
                "since" => asked.since = since(value)?,
                "model" => asked.model = text(),
                "endpoint" => asked.endpoint = text(),
                "pool" => asked.pool = text(),
                "format" if value == "lines" => asked.as_file = true,
                "format" if value == "page" => asked.as_file = false,
                _ => return Err(unknown(part)),
            }
        }
        Ok(asked)
    }

    /// What is asked for, and where to go on: what is decided from now on is newer than that.
    pub(super) fn find(&self, world: &World) -> (Found, u64) {
        // A file is to hold all there is.
        let rows = if self.as_file { MOST_ROWS } else { ROWS };
        let now = world.now();
        // What is yet to come was the cursor of another router: this one was started since.
        let since = if decisions::made_at(self.since) > now { 0 } else { self.since };
        let until = decisions::numbered(now);
        let wanted = Wanted { since, until, limit: self.limit.unwrap_or(rows) };
        let found = world.decisions.find(wanted, |record| self.passes(record));
        (found, since.max(until.saturating_sub(1)))
    }

    fn passes(&self, record: &Record) -> bool {
        let is = |asked: &Option<String>, value: &str| asked.as_ref().is_none_or(|asked| asked == value);
        let sent = record.inputs.model.as_deref().unwrap_or_default();
        (is(&self.model, sent) || is(&self.model, &record.asked))
            && is(&self.endpoint, &record.endpoint)
            && is(&self.pool, &record.pool)
    }
}

fn limit(value: &str) -> Result<usize, String> {
    let limit = value.parse().ok().filter(|limit| *limit <= MOST_ROWS);
    limit.ok_or_else(|| format!("no ?limit={value}: ask for at most {MOST_ROWS} decisions"))
}

fn since(value: &str) -> Result<u64, String> {
    u64::from_str_radix(value, 16)
        .map_err(|_| format!("no ?since={value}: give a cursor as the page shows it, 16 hexadecimal digits"))
}

fn unknown(part: &str) -> String {
    format!(
        "nothing by ?{part}: known are limit, since, model, endpoint, pool and format (page or lines), for instance \
         ?model=qwen&limit=10"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_which_and_how_many() {
        let query =
            Query::of(Some("limit=3&since=00000000000000ff&model=a%2Fb+c&format=lines")).expect("valid");
        assert_eq!((query.limit, query.since, query.as_file), (Some(3), 255, true));
        assert_eq!(query.model.as_deref(), Some("a/b c"));
        assert_eq!(Query::of(None).expect("valid"), Query::default());
        assert_eq!(Query::of(Some("")).expect("valid"), Query::default());
    }

    #[test]
    fn what_cannot_be_asked_for_is_named_with_what_can() {
        for (query, why) in [
            ("limit=10001", "at most 10000"),
            ("limit=x", "at most 10000"),
            ("since=xyz", "16 hexadecimal digits"),
            ("format=xml", "page or lines"),
            ("modle=a", "known are limit"),
        ] {
            let error = Query::of(Some(query)).expect_err(query);
            assert!(error.contains(why), "{query}: {error}");
        }
    }
}
