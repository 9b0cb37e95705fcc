//! A few virtual days of a supervisor with one event per hour; the year is `cargo run --release -p companion-tests
//! --bin soak`.

use std::time::Duration;

use companion_tests::soak::soak;

#[test]
fn every_hourly_fault_is_repaired_before_the_next() {
    let report = soak(1, 72).unwrap();
    println!("{report}");
    assert_eq!(report.findings, Vec::<String>::new());
    assert!(
        report.reconciles > 72 * 100,
        "the supervisor looked every 30 s: {}",
        report.reconciles
    );
    let (momentary, outages) = (report.all(false), report.all(true));
    let recovered = momentary.took.len() + outages.took.len();
    assert_eq!(recovered + momentary.harmless + outages.harmless, 72, "every hour had an event");
    assert!(recovered >= 55, "most events require a repair: {recovered}");
    // A resync, a restart delay, a build and the delay of a failing call.
    assert!(momentary.quantile(0.5) <= Duration::from_secs(60), "{:?}", momentary.took);
}

#[test]
fn same_seed_gives_the_same_report() {
    let story = |seed| soak(seed, 6).unwrap().to_string();
    assert_eq!(story(3), story(3));
    assert_ne!(story(3), story(4));
}
