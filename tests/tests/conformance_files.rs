//! The conformance suites on the adapters that are files: units, rendered configuration, and the record of wishes, each case in a
//! directory of its own.

#![expect(clippy::unwrap_used, reason = "a world that cannot be arranged fails its case")]

#[path = "conformance_files/hooks.rs"]
mod hooks;
#[path = "conformance_files/units.rs"]
mod units;
#[path = "conformance_files/wishes.rs"]
mod wishes;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use companion_core::model::container::AbsolutePath;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// Makes a test of each case of a suite, in a new world of `$world`.
macro_rules! on_files {
    ($suite:ident, $world:path, $test:meta: $($case:ident,)*) => {
        mod $suite {
            use companion_conformance::{$suite, run};

            $(
                #[$test]
                async fn $case() {
                    run($suite::CASES, stringify!($case), &$world()).await;
                }
            )*
        }
    };
}

macro_rules! units_on_files {
    ($suite:ident: $($case:ident,)*) => {
        on_files! { $suite, crate::units::Units::new, tokio::test: $($case,)* }
    };
}

macro_rules! hooks_on_files {
    ($suite:ident: $($case:ident,)*) => {
        on_files! { $suite, crate::hooks::Hooks::new, tokio::test: $($case,)* }
    };
}

// The clock stands still, and leaps to the next deadline when nobody is at work: the lock is waited for without waiting.
macro_rules! wishes_on_files {
    ($suite:ident: $($case:ident,)*) => {
        on_files! { $suite, crate::wishes::Wishes::new, tokio::test(start_paused = true): $($case,)* }
    };
}

companion_conformance::unit_store_cases!(units_on_files);
companion_conformance::hook_runner_cases!(hooks_on_files);
companion_conformance::desired_store_cases!(wishes_on_files);

/// Lets this test be refused by a file's mode, as every user but root is: the thread that it runs on, and those that come of it, lose
/// what lifts root above modes (capabilities(7)).
fn obey_modes() {
    let mut held = capabilities(None).unwrap();
    held.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
    set_capabilities(None, held).unwrap();
}

fn absolute(path: &Path) -> AbsolutePath {
    AbsolutePath::new(path.to_str().unwrap()).unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}
