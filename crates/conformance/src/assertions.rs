//! What cases assert with. Each failure has a reason, and shows a difference instead of two values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
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
            (found, expected) => assert!(
                *found == *expected,
                "{}: {}",
                format_args!($($reason)+),
                $crate::assertions::difference(found, expected)
            ),
        }
    };
}
pub(crate) use same;

/// What differs between two values: the lines of their debug output, and of texts in it, that only one has.
pub(crate) fn difference(found: &dyn fmt::Debug, expected: &dyn fmt::Debug) -> String {
    let [found, expected] =
        [found, expected].map(|value| format!("{value:#?}").replace("\\n", "\n"));
    let only_in = |text: &str, other: &str| {
        let lines = text.lines().filter(|line| !other.lines().any(|other| other == *line));
        lines.map(str::trim).collect::<Vec<_>>().join(" ")
    };
    let [only_found, only_expected] = [only_in(&found, &expected), only_in(&expected, &found)];
    match (&*only_found, &*only_expected) {
        ("", "") => format!("found {found}, expected {expected}"),
        (found, expected) => format!("found {found}, expected {expected}"),
    }
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
        assert_eq!(difference(&found, &expected), "found bytes one, expected bytes two");
        assert_eq!(difference(&vec![1, 2], &vec![1]), "found 2,, expected ");
        assert_eq!(difference(&1, &2), "found 1, expected 2");
        let repeated = difference(&vec![1, 1], &vec![1]);
        assert!(repeated.contains("1,\n    1,"), "the whole values: {repeated}");
    }
}
