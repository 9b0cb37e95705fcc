//! Stops every workload at every boundary of its effects, and again at every boundary of the recovery; `cargo run
//! --release -p companion-tests --bin crashes` adds third crashes.

use std::time::Duration;

use companion_tests::crashes::{Row, explore};

/// The recorded coverage: a workload with fewer points would pass without testing as much.
const RECORDED: Row = Row {
    workload: "all",
    boundaries: 354,
    points: 829,
    singles: 1899,
    doubles: 33032,
    hosts: 5298,
};

/// The most converges and the longest virtual time until the host matched the desired state, as recorded.
const CONVERGES: usize = 2;
const TOOK: Duration = Duration::from_secs(51);

#[test]
fn host_recovers_from_every_crash_and_every_second_crash() {
    let report = explore(2, "");
    println!("{report}");
    assert_eq!(report.findings, Vec::<String>::new());
    let total = report.total();
    let is_enough = |tried: u64, recorded: u64| tried * 5 >= recorded * 4;
    assert!(report.rows.len() >= 85, "{} workloads", report.rows.len());
    assert!(is_enough(total.boundaries as u64, RECORDED.boundaries as u64), "{total:?}");
    assert!(is_enough(total.points as u64, RECORDED.points as u64), "{total:?}");
    assert!(is_enough(total.singles, RECORDED.singles), "{total:?}");
    assert!(is_enough(total.doubles, RECORDED.doubles), "{total:?}");
    assert!(is_enough(total.hosts as u64, RECORDED.hosts as u64), "{total:?}");
    assert_eq!(report.depth, 2);
    assert!(report.converges <= CONVERGES && report.took <= TOOK, "{report}");
    for row in report.rows {
        assert!(row.boundaries > 0, "`{}` has no boundary", row.workload);
    }
}
