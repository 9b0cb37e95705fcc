//! [`Failure`]: where and why a case failed.
//!
//! A case fails by a panic, as a test does. A panic hook notes the place; panics outside of a case reach the hook
//! that was there before.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{self, PanicHookInfo};
use std::sync::Once;
use std::thread;

/// Why a case failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The file and line of the assertion, if one failed.
    pub place: Option<String>,
    /// The reason.
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.reason)
    }
}

thread_local! {
    static IS_CASE: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a part of a case; returns its panic as a failure.
pub(crate) fn recorded<T>(part: impl FnOnce() -> thread::Result<T>) -> Result<T, Failure> {
    note_places();
    IS_CASE.set(true);
    let result = part();
    IS_CASE.set(false);
    result.map_err(|payload| Failure { place: PLACE.take(), reason: message(&*payload) })
}

fn note_places() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if !IS_CASE.get() {
                return before(info);
            }
            let text = info.location().map(|place| format!("{}:{}", place.file(), place.line()));
            PLACE.replace(text);
        }));
    });
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "panicked without a message".to_owned())
}
