//! A reconcile that finds nothing to do: ours as a process and within the daemon, the replaced algorithm, and the floor.

use std::fs;
use std::thread;
use std::time::Duration;

use super::fleet::Fleet;
use super::{Table, Times, ratio, shown, took};
use crate::daemon::Daemon;
use crate::guest::{archy, archy_reading, by_root};
use crate::node::{COMPANION, UNITS, installed};

/// The replaced algorithm, which looks at the unit file and asks systemd about one service at a time.
const REPLACED: &str = r#"for name in $(cat); do
    test -f "$0/$name.container" && systemctl --user is-active --quiet "$name.service" || echo "$name"
done"#;

const MANAGER: [&str; 7] = [
    "busctl",
    "--user",
    "--quiet",
    "call",
    "org.freedesktop.systemd1",
    "/org/freedesktop/systemd1",
    "org.freedesktop.systemd1.Manager",
];

pub(super) fn all(table: &mut Table) {
    installed();
    let counts = std::env::var("COMPANION_BENCH_COUNTS").unwrap_or("10 100 1000".to_owned());
    for count in counts.split_whitespace().map(|count| count.parse().unwrap()) {
        let fleet = Fleet::installed("bench", count);
        let process = Times::of(10, || took(|| drop(archy(&[COMPANION, "reconcile"]).good())));
        let (daemon, processor) = in_daemon();
        let names = fleet.names.join(" ");
        let replaced = Times::of(if count > 100 { 2 } else { 5 }, || {
            took(|| {
                let down = archy_reading(&["bash", "-c", REPLACED, UNITS], &names).good();
                assert_eq!(down, "");
            })
        });
        let services: Vec<String> = (0..count).map(|number| fleet.service(number)).collect();
        let length = count.to_string();
        let mut list = [&MANAGER[..], &["ListUnitsByNames", "as", &length]].concat();
        list.extend(services.iter().map(String::as_str));
        let call = Times::of(10, || took(|| drop(archy(&list).good())));
        let nothing = [&MANAGER[..], &["GetUnit", "s", "default.target"]].concat();
        let start = Times::of(10, || took(|| drop(archy(&nothing).good())));
        let stat = Times::of(10, || {
            took(|| assert!((0..count).all(|number| fs::metadata(fleet.unit(number)).is_ok())))
        });
        // The least of each, because a difference of medians of a busy machine says nothing.
        let floor = call.percentile(0).saturating_sub(start.percentile(0)) + stat.median();
        let row = format!(
            "ours in the daemon {} ({processor} of processor time of systemd and bus a reconcile), as a process {}; \
             replaced {}; floor {}; replaced/ours in the daemon {}, ours in the daemon/floor {}",
            shown(daemon),
            shown(process.median()),
            shown(replaced.median()),
            shown(floor),
            ratio(replaced.median(), daemon),
            ratio(daemon, floor),
        );
        table.row(&format!("converged reconcile of {count}"), &row);
        fleet.remove();
    }
}

/// The mean time of a reconcile of a daemon that resyncs each second, and the processor time of the other side.
pub(super) fn in_daemon() -> (Duration, String) {
    const FILE: &str = "/home/archy/bench.prom";
    let line = format!("ExecStart=\nExecStart={COMPANION} run --resync 1 --metrics-file {FILE}");
    let _daemon = Daemon::with(1, &line);
    let counted = || {
        let text = fs::read_to_string(FILE).unwrap();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse().unwrap()
        };
        let sum = value("companion_reconcile_seconds_sum");
        (sum, value("companion_reconcile_seconds_count"), processor_time_of_others())
    };
    thread::sleep(Duration::from_secs(5));
    let before = counted();
    thread::sleep(Duration::from_secs(15));
    let after = counted();
    let count = after.1 - before.1;
    let mean = Duration::from_secs_f64((after.0 - before.0) / count);
    let others = after.2.saturating_sub(before.2).div_f64(count);
    by_root(&format!("rm -f {FILE}"));
    (mean, shown(others))
}

/// The processor time of archy's systemd and bus.
fn processor_time_of_others() -> Duration {
    let list = archy(&["pgrep", "-u", "archy", "-x", "systemd|dbus-daemon"]).good();
    list.lines().map(|pid| super::idle::processor_time(pid.parse().unwrap())).sum()
}
