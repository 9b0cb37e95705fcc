use std::sync::Arc;

use super::*;
use crate::companions::tests::Bench;
use crate::inputs::Inputs;

/// The calls on a host without the build contexts of the companions `missing`.
fn bench(missing: &[&str]) -> (Bench, DropIn) {
    let bench = Bench::without(missing);
    let calls = DropIn::new(bench.companions());
    (bench, calls)
}

fn words(apps: &[&str]) -> Vec<String> {
    apps.iter().map(|app| (*app).to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn app_is_installed_kept_and_removed_by_the_old_calls() {
    let (bench, calls) = bench(&[]);
    assert!(calls.install_for("bitcoin-knots").await.is_empty());
    assert!(calls.reconcile(&words(&["bitcoin-knots", "lnd"])).await.is_empty());
    assert_eq!(bench.host.counts().starts, 2);
    calls.remove_for("lnd").await;
    // The list of installed apps may be older than the removal.
    assert!(calls.reconcile(&words(&["bitcoin-knots", "lnd"])).await.is_empty());
    assert_eq!(bench.host.counts().starts, 2);
    let left = calls.companions.status().await.unwrap();
    let left: Vec<_> = left.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(left, ["archy-bitcoin-ui"]);
}

#[tokio::test(start_paused = true)]
async fn unknown_apps_and_texts_that_are_no_id_have_no_companions() {
    let (bench, calls) = bench(&[]);
    for app in ["nextcloud", "", "Lnd", "../lnd", "lnd\n", "a b", "-lnd", "ünicode"] {
        assert!(calls.install_for(app).await.is_empty(), "{app:?}");
        calls.remove_for(app).await;
        assert!(calls.reconcile(&words(&[app])).await.is_empty(), "{app:?}");
    }
    assert_eq!(bench.host.counts().unit_writes, 0);
}

#[tokio::test(start_paused = true)]
async fn one_failing_companion_is_named_and_stops_no_other() {
    let (bench, calls) = bench(&["archy-lnd-ui"]);
    let failed = calls.reconcile(&words(&["lnd", "electrs"])).await;
    let names: Vec<_> = failed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["archy-lnd-ui"]);
    assert!(format!("{:#}", failed[0].1).contains("archy-lnd-ui"), "{:#}", failed[0].1);
    assert_eq!(bench.host.counts().starts, 1);
}

/// The failures of three apps of an unreachable host with this catalog file.
async fn unreachable_with(catalog: &str) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("catalog.toml");
    std::fs::write(&file, catalog).unwrap();
    let state = root.path().join("state");
    let inputs = Inputs::new(Settings::default(), Some(file), &state);
    let store = RecordStore::with_inputs(state, Arc::new(inputs));
    let error = std::io::Error::other("no such bus");
    let failed = all_failed(Some(&store), &words(&["lnd", "mempool", "no such app"]), &error).await;
    failed.iter().map(|(name, error)| format!("{name}: {error}")).collect()
}

#[tokio::test]
async fn companions_of_an_unreachable_host_have_failed_with_the_cause() {
    assert_eq!(unreachable_with("").await, ["archy-lnd-ui: no such bus"]);
    let own = "[[companion]]\nname = \"mempool-page\"\napps = [\"mempool\"]\n\
               image = { pull = \"registry.example/page:1\" }\n";
    let both = ["archy-lnd-ui: no such bus", "mempool-page: no such bus"];
    assert_eq!(unreachable_with(own).await, both);
    let apps = ["lnd: no such bus", "mempool: no such bus"];
    assert_eq!(unreachable_with("companion = 1").await, apps);
}
