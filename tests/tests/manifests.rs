//! Manifests of backends of different shapes, as units. `tests/manifests` has both.
//!
//! Write the units again with `WRITE_UNITS=1 cargo test -p companion-tests --test manifests`.

#[path = "manifests/units.rs"]
mod units;

use quadlet::PodmanVersion;

#[test]
fn manifests_become_the_units_next_to_them() {
    let all = units::all();
    assert_eq!(all.len(), 11);
    for (stem, spec) in all {
        let text = units::rendered(&spec, PodmanVersion::new(5, 4, 2)).unwrap();
        let path = units::folder().join(format!("{stem}.container"));
        if std::env::var_os("WRITE_UNITS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, expected, "{stem}");
    }
}

/// Archipelago's commits 44f275ed and 2dad64b2.
#[test]
fn limits_of_systemd_are_above_those_of_podman() {
    for (stem, spec) in units::all() {
        let text = units::rendered(&spec, PodmanVersion::new(5, 4, 2)).unwrap();
        let seconds = |key: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
            line.map(|value| value.trim_end_matches('s').parse().expect(key))
        };
        if let (Some(inner), Some(outer)) = (seconds("StopTimeout"), seconds("TimeoutStopSec")) {
            assert!(outer > inner, "{stem}: {outer} and {inner}");
        }
        assert_eq!(seconds("StopTimeout").is_some(), seconds("TimeoutStopSec").is_some(), "{stem}");
        let start = seconds("TimeoutStartSec").expect("always");
        if let Some(period) = seconds("HealthStartPeriod") {
            let each = seconds("HealthInterval").unwrap() + seconds("HealthTimeout").unwrap();
            assert!(start > period + each * seconds("HealthRetries").unwrap(), "{stem}: {start}");
        }
    }
}

#[test]
fn a_health_check_is_refused_for_a_podman_without_it() {
    for (stem, spec) in units::all() {
        let refused = units::rendered(&spec, PodmanVersion::new(4, 9, 5)).err();
        let keys = refused.as_ref().map(quadlet::RenderError::key);
        assert_eq!(keys, spec.container.health.as_ref().map(|_| "Notify"), "{stem}");
    }
}
