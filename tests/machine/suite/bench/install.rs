//! An installation of 20 containers whose image is there.

use std::thread;
use std::time::Duration;

use super::fleet::{Fleet, timestamp};
use super::{Table, ratio, shown, took};
use crate::guest::{archy_reading, property};
use crate::node::{UNITS, installed};

/// As the replaced algorithm installs: one after the other, each with a separate reload.
const ONE_BY_ONE: &str = r#"for name in $(cat); do
    cp "/tmp/bench/$name.container" "$0/"
    systemctl --user daemon-reload
    systemctl --user start "$name.service"
done"#;

pub(super) fn all(table: &mut Table) {
    installed();
    let fleet = Fleet::described("real", 20);
    let names = fleet.names.join(" ");
    let reloads = || property("", "UnitsLoadTimestampMonotonic");
    let (before, started) = (reloads(), now());
    let ready = took(|| fleet.install());
    let loaded = reloads();
    let active = |number| timestamp(&fleet.service(number), "ActiveEnterTimestampMonotonic");
    let last = (0..20).map(active).max().unwrap();
    let ours = Duration::from_micros(last - started);
    assert_ne!(before, loaded);
    let keep = format!("mkdir -p /tmp/bench; cp {UNITS}/real-*.container /tmp/bench/");
    archy_reading(&["bash", "-c", &keep], "").good();
    fleet.remove();
    thread::sleep(Duration::from_secs(2));
    let others = took(|| drop(archy_reading(&["bash", "-c", ONE_BY_ONE, UNITS], &names).good()));
    fleet.remove();
    let row = format!(
        "{} until all are active ({} until all stayed up for 3 s); one after the other {}; ratio {}",
        shown(ours),
        shown(ready),
        shown(others),
        ratio(others, ours)
    );
    table.row("install of 20 containers, image present", &row);
}

fn now() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = text.split(' ').next().unwrap().parse().unwrap();
    // Both clocks are the same on a machine that never slept.
    u64::try_from(Duration::from_secs_f64(seconds).as_micros()).unwrap()
}
