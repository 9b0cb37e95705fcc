//! install, remove, reconcile.

use crate::bench::{Bench, MINE};

#[test]
fn install_prints_the_ready_companions_on_stdout() {
    let ran = Bench::new().sim(&["install", "lnd", "bitcoin-core"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(ran.stdout, "archy-bitcoin-ui  ready\narchy-lnd-ui      ready\n");
    assert!(ran.stderr.contains("write-unit archy-lnd-ui: unit file is missing"), "{ran:?}");
}

#[test]
fn install_is_printed_as_json() {
    let ran = Bench::new().sim(&["install", "lnd", "--json"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let convergence = ran.json();
    assert_eq!((&convergence["version"], &convergence["done"]), (&1.into(), &true.into()));
    let actions: Vec<_> = convergence["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["action"].clone())
        .collect();
    assert_eq!(actions, ["ensure-image", "write-unit", "load-units", "start"]);
    assert_eq!(convergence["steps"][1]["companion"], "archy-lnd-ui");
    assert_eq!(convergence["steps"][1]["reason"], "unit-file-missing");
    assert_eq!(convergence["steps"][1]["outcome"], "done");
    assert_eq!(convergence["companions"][0]["health"], "ready");
}

#[test]
fn intent_of_one_command_is_carried_out_by_another() {
    let bench = Bench::new();
    assert_eq!(bench.sim(&["install", "lnd"]).status, 0);
    // The simulated host starts empty, so everything is done again.
    let ran = bench.sim(&["reconcile"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "archy-lnd-ui  ready\n"), "{ran:?}");
    let ran = bench.sim(&["remove", "lnd"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "archy-lnd-ui  removed\n"), "{ran:?}");
    assert_eq!(bench.sim(&["reconcile"]).stdout, "nothing to do: no companions\n");
}

#[test]
fn app_missing_from_the_catalog_can_be_removed() {
    let bench = Bench::new();
    let catalog = bench.file("catalog.toml", MINE);
    let catalog = ["--catalog", catalog.to_str().unwrap()];
    let ran = bench.sim(&[&catalog[..], &["install", "my-app"]].concat());
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "my-ui  ready\n"), "{ran:?}");
    let ran = bench.sim(&["install", "my-app"]);
    assert_eq!(ran.status, 2, "{ran:?}");
    let ran = bench.sim(&["remove", "my-app"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "my-ui  removed\n"), "{ran:?}");
    assert_eq!(bench.sim(&["remove", "never"]).status, 2);
}
