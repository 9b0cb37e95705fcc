//! What cases assert with. Each failure has a reason, and shows a difference instead of two values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::pin::Pin;
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::ports::{PortErrorKind, PortResult};

/// Fails unless both values are equal: the value that was found first, the expected one second. The reason is the
/// expression of the first, unless another one says more than the name of the case.
macro_rules! same {
    ($found:expr, $expected:expr $(,)?) => {
        $crate::assertions::same!($found, $expected, "`{}`", stringify!($found))
    };
    ($found:expr, $expected:expr, $($reason:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => {
                let is_same = *found == *expected;
                $crate::assertions::must_be(is_same, found, expected, &format!($($reason)+));
            }
        }
    };
}
pub(crate) use same;

#[track_caller]
pub(crate) fn must_be(
    is_same: bool,
    found: &dyn fmt::Debug,
    expected: &dyn fmt::Debug,
    reason: &str,
) {
    assert!(is_same, "{reason}: {}", difference(found, expected));
}

/// What differs between two values, by the lines of their debug output.
fn difference(found: &dyn fmt::Debug, expected: &dyn fmt::Debug) -> String {
    // The lines of a text are compared, too.
    let lines = |value: &dyn fmt::Debug| -> Vec<String> {
        format!("{value:#?}")
            .replace("\\n", "\n")
            .lines()
            .map(|line| line.trim().to_owned())
            .collect()
    };
    let (found, expected) = (lines(found), lines(expected));
    if let ([found], [expected]) = (&found[..], &expected[..]) {
        return format!("found {found}, expected {expected}");
    }
    let pairs = || found.iter().zip(&expected);
    let before = pairs().take_while(|(one, other)| one == other).count();
    let rest = found.len().min(expected.len()) - before;
    let ends = found.iter().rev().zip(expected.iter().rev());
    let after = ends.take_while(|(one, other)| one == other).count().min(rest);
    let (found, expected) =
        (&found[before..found.len() - after], &expected[before..expected.len() - after]);
    let differing = |one: &[String], other: &[String]| -> Vec<String> {
        let is_other = |at: usize| one.len() != other.len() || one[at] != other[at];
        (0..one.len()).filter(|at| is_other(*at)).map(|at| one[at].clone()).collect()
    };
    let mut text = String::new();
    for (word, lines) in
        [("found", differing(found, expected)), ("expected", differing(expected, found))]
    {
        let lines = if lines.is_empty() { "nothing there".to_owned() } else { lines.join(" ") };
        let _a_string_takes_all = write!(text, "\n      {word:8} {lines}");
    }
    text
}

/// The success of a call that must succeed.
pub(crate) trait Done<T> {
    /// Returns the value.
    fn done(self) -> T;
}

impl<T> Done<T> for PortResult<T> {
    #[track_caller]
    fn done(self) -> T {
        match self {
            Ok(value) => value,
            Err(error) => {
                panic!("the call must succeed, but failed as `{}`: {}", error.kind(), error.chain())
            }
        }
    }
}

/// Fails unless `result` is an error of `kind`.
#[track_caller]
pub(crate) fn refused<T>(result: PortResult<T>, kind: PortErrorKind) {
    match result {
        Ok(_) => panic!("the call must fail as `{kind}`, but succeeded"),
        Err(error) if error.kind() == kind => {}
        Err(error) => {
            panic!(
                "the call must fail as `{kind}`, but failed as `{}`: {}",
                error.kind(),
                error.chain()
            )
        }
    }
}

/// Unwraps all entries of a read.
#[track_caller]
pub(crate) fn all_read<T>(
    answer: BTreeMap<CompanionName, PortResult<T>>,
) -> BTreeMap<CompanionName, T> {
    let mut values = BTreeMap::new();
    for (name, entry) in answer {
        match entry {
            Ok(value) => values.insert(name, value),
            Err(error) => panic!("`{name}` must be readable: {}", error.chain()),
        };
    }
    values
}

/// Returns the only entry of a read about `name`.
#[track_caller]
pub(crate) fn only<T>(mut answer: BTreeMap<CompanionName, T>, name: &CompanionName) -> T {
    assert!(answer.len() == 1, "the answer has {} entries instead of one", answer.len());
    answer.remove(name).unwrap_or_else(|| panic!("the answer has no entry for `{name}`"))
}

/// Fails unless `answer` has exactly `names` and each entry is an error of `kind`.
#[track_caller]
pub(crate) fn each_refused<T>(
    answer: BTreeMap<CompanionName, PortResult<T>>,
    names: &BTreeSet<CompanionName>,
    kind: PortErrorKind,
) {
    assert!(answer.keys().eq(names), "the answer must have an entry for each name");
    for entry in answer.into_values() {
        refused(entry, kind);
    }
}

/// A poll of a condition that may not hold yet.
pub(crate) type Looking<'a, T> = Pin<Box<dyn Future<Output = Option<T>> + Send + 'a>>;

/// Polls `look` until it returns a value, for at most a minute.
pub(crate) async fn eventually<'a, T>(what: &str, look: impl Fn() -> Looking<'a, T> + Send) -> T {
    for _ in 0..600 {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("waited for a minute in vain: {what}")
}

/// Starts `call` and drops it at its first await that is pending.
pub(crate) async fn begin_and_drop<T>(call: impl Future<Output = T>) {
    let mut call = std::pin::pin!(call);
    std::future::poll_fn(|context| {
        let _started = call.as_mut().poll(context);
        std::task::Poll::Ready(())
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_shows_only_the_lines_that_differ() {
        let found = ("same", "inode 1\nbytes one\nmode 600", 3);
        let expected = ("same", "inode 1\nbytes two\nmode 600", 3);
        let text = difference(&found, &expected);
        assert!(
            text.contains("found    bytes one") && text.contains("expected bytes two"),
            "{text}"
        );
        assert!(!text.contains("same") && !text.contains("inode"), "{text}");
        let longer = difference(&vec![1, 2], &vec![1]);
        assert!(longer.contains("found    2,") && longer.contains("nothing there"), "{longer}");
        assert_eq!(difference(&1, &2), "found 1, expected 2");
    }
}
