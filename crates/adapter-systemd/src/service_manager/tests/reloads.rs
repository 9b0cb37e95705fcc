//! Reloads: one at a time, and none that would lose managed units.

use std::sync::Arc;

use super::fake::Fake;
use super::*;

#[tokio::test]
async fn reloads_run_one_at_a_time() {
    let fake = Fake::new();
    let manager = Arc::new(fake.manager());
    let others: Vec<_> = (0..4)
        .map(|_| {
            let manager = manager.clone();
            tokio::spawn(async move { manager.reload().await })
        })
        .collect();
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert_eq!((fake.count("Reload"), fake.world().concurrent_reloads), (4, 1));
}

#[tokio::test]
async fn a_reload_that_would_lose_units_is_not_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let units = place.path().join("units");
    std::fs::create_dir(&units).unwrap();
    std::fs::write(units.join("a.container"), "[X-Companion]\nCompanion=a\n").unwrap();
    let units = QuadletDir::at(units, Scope::User, quadlet::PodmanVersion::new(5, 4, 2));
    let fake = Fake::new();
    let missing = units.clone().with_generator(place.path().join("nothing"));
    let refused = fake.manager().with_units(missing).reload().await.unwrap_err();
    assert_eq!((refused.kind(), fake.count("Reload")), (PortErrorKind::Unavailable, 0));
    fake.manager().with_units(units.with_generator("/bin/true")).reload().await.unwrap();
    assert_eq!(fake.count("Reload"), 1);
}
