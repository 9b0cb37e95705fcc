use std::time::Duration;

use adapter_fake::{FakeHost, Fault, Method, Mode, Port};
use companion_core::model::hook::HookName;
use companion_core::model::observed::Work;
use companion_core::ports::{Leadership as _, PortErrorKind};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::catalog::BITCOIN_UI_HOOK;
use crate::manifest::BackendManifest;

/// A host that has all that the built-in companions need, with a record in a directory of its own.
struct Bench {
    host: FakeHost,
    state: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let host = FakeHost::default();
        host.register_hook(&HookName::new(BITCOIN_UI_HOOK).unwrap(), "what it renders");
        for companion in Catalog::builtin().companions() {
            let context = &companion.image.build.as_ref().unwrap().contexts[0];
            host.put_context(context, "a Dockerfile");
        }
        Self { host, state: tempfile::tempdir().unwrap() }
    }

    /// What a process with `catalog` has.
    fn process(&self, catalog: Catalog) -> Companions {
        let store = Arc::new(RecordStore::new(self.state.path(), Arc::new(catalog)));
        Companions::on(store, self.host.ports())
    }

    fn companions(&self) -> Companions {
        self.process(Catalog::builtin())
    }
}

fn app(id: &str) -> AppId {
    AppId::new(id).unwrap()
}

fn name(name: &str) -> CompanionName {
    CompanionName::new(name).unwrap()
}

fn reasons(failures: &Failures) -> Vec<(&str, &str)> {
    failures.iter().map(|(name, error)| (name.as_str(), error.why.as_str())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_companion_that_no_installed_app_has_is_not_reported_as_installed() {
    let bench = Bench::new();
    let companions = bench.companions();
    let failures = companions.install_one(&name("no-such")).await.unwrap();
    assert_eq!(reasons(&failures), [("no-such", "no installed app has it")]);
    let failures = companions.ensure_running(&app("lnd")).await.unwrap();
    assert_eq!(reasons(&failures), [("archy-lnd-ui", "no installed app has it")]);
    assert_eq!(bench.host.counts().starts, 0);
}

#[tokio::test(start_paused = true)]
async fn an_install_that_a_removal_overtook_is_a_failure_and_the_removal_is_not() {
    let bench = Bench::new();
    let (one, other) = (bench.companions(), bench.companions());
    let names = one.wish_installed(&[app("lnd")]).await.unwrap();
    assert_eq!(other.remove_for(&app("lnd")).await.unwrap(), Failures::new());
    let failures = one.converge(&names, Wish::Installed).await.unwrap();
    assert_eq!(reasons(&failures), [("archy-lnd-ui", "no installed app has it")]);
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_an_install_overtook_is_a_failure() {
    let bench = Bench::new();
    let companions = bench.companions();
    let names = companions.wish_removed(&[app("lnd")]).await.unwrap();
    assert_eq!(companions.install_for(&app("lnd")).await.unwrap(), Failures::new());
    let failures = companions.converge(&names, Wish::Removed).await.unwrap();
    assert_eq!(reasons(&failures), [("archy-lnd-ui", "an installed app has it")]);
}

#[tokio::test(start_paused = true)]
async fn what_is_installed_runs_and_what_is_removed_is_not_missed() {
    let bench = Bench::new();
    let companions = bench.companions();
    for id in ["lnd", "bitcoin-knots"] {
        assert_eq!(companions.install_for(&app(id)).await.unwrap(), Failures::new());
        assert_eq!(companions.ensure_running(&app(id)).await.unwrap(), Failures::new());
    }
    assert_eq!(companions.remove_for(&app("lnd")).await.unwrap(), Failures::new());
    assert_eq!(companions.remove_for(&app("lnd")).await.unwrap(), Failures::new());
}

#[tokio::test(start_paused = true)]
async fn an_app_that_was_removed_stays_so_although_an_older_list_names_it() {
    let bench = Bench::new();
    let companions = bench.companions();
    let listed = [app("lnd"), app("bitcoin-knots")];
    assert_eq!(companions.reconcile(&listed).await.unwrap(), Failures::new());
    assert_eq!(companions.remove_for(&app("lnd")).await.unwrap(), Failures::new());
    assert_eq!(companions.reconcile(&listed).await.unwrap(), Failures::new());
    assert_eq!(companions.installed().await.unwrap(), [app("bitcoin-knots")].into());
    assert_eq!(companions.reconcile(&[]).await.unwrap(), Failures::new());
    assert_eq!(companions.installed().await.unwrap(), [app("bitcoin-knots")].into());
}

/// The built-in catalog, with `my-ui` for `my-app` and its rendered file besides.
fn larger_catalog(dir: &std::path::Path) -> Catalog {
    let file = dir.join("catalog.toml");
    let text = r#"
        [[companion]]
        name = "my-ui"
        apps = ["my-app"]
        image = { base = "my-ui" }
        hook.output = "/var/lib/archipelago/my-ui/nginx.conf"
        hook.program.registered = "bitcoin-ui"
    "#;
    std::fs::write(&file, text).unwrap();
    Catalog::with_files(&[file]).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_failed_is_repeated_by_a_process_whose_catalog_lacks_the_app() {
    let bench = Bench::new();
    let with_file = larger_catalog(bench.state.path());
    let spec = with_file.companion(&name("my-ui")).unwrap().clone();
    let output = spec.hook.unwrap().output;
    bench.host.put_context(&spec.image.build.unwrap().contexts[0], "a Dockerfile");
    let installed = bench.process(with_file).install_for(&app("my-app")).await.unwrap();
    assert_eq!(installed, Failures::new());
    assert!(bench.host.world().files.rendered(&output).is_some());

    let down = Mode::Error(PortErrorKind::Unavailable);
    bench.host.inject(Fault::always(Port::Services, Method::Observe, down));
    let first = bench.companions().remove_for(&app("my-app")).await.unwrap();
    assert_eq!(first.len(), 1, "{first:?}");
    bench.host.clear_faults();
    let again = bench.companions();
    assert_eq!(again.remove_for(&app("my-app")).await.unwrap(), Failures::new());
    let left = again.status().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    assert!(bench.host.world().files.rendered(&output).is_none());
    assert_eq!(again.remove_for(&app("my-app")).await.unwrap(), Failures::new());
}

#[tokio::test(start_paused = true)]
async fn a_backend_runs_with_its_apps_companion_and_goes_with_it() {
    let bench = Bench::new();
    let text = "name = \"lnd\"\nimage = \"registry.example/lnd:1\"\n";
    let manifest = BackendManifest::parse(text).unwrap();
    bench.host.publish(&manifest.image, "lnd");
    let mut catalog = Catalog::builtin();
    catalog.add_backend(app("lnd"), manifest).unwrap();
    let companions = bench.process(catalog);
    assert_eq!(companions.install_for(&app("lnd")).await.unwrap(), Failures::new());
    let ready = companions.status().await.unwrap();
    let ready: Vec<_> = ready.iter().map(|it| (it.name.as_str(), it.health)).collect();
    assert_eq!(ready, [("archy-lnd-ui", Health::Ready), ("lnd", Health::Ready)]);
    assert_eq!(companions.remove_for(&app("lnd")).await.unwrap(), Failures::new());
    assert!(companions.status().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn supervisor_beside_a_leader_ends_when_it_is_stopped() {
    let bench = Bench::new();
    let _leads = bench.host.as_actor(1).acquire().await.unwrap();
    let shutdown = CancellationToken::new();
    let supervisor = bench.companions().supervisor();
    let running = tokio::spawn(supervisor.run(shutdown.clone(), |round| {
        assert!(matches!(round, Err(ReconcileError::Led { .. })));
    }));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!running.is_finished());
    shutdown.cancel();
    running.await.unwrap();
    assert_eq!(bench.host.violations(), []);
}

#[tokio::test(start_paused = true)]
async fn a_reload_is_no_attempt_of_a_companion_whose_unit_could_not_be_written() {
    let bench = Bench::new();
    let companions = bench.companions();
    companions.wish_installed(&[app("lnd"), app("electrs")]).await.unwrap();
    let refused = Mode::Error(PortErrorKind::Transient);
    let fault = Fault::always(Port::Units, Method::Write, refused);
    bench.host.inject(Fault { companion: Some(name("archy-lnd-ui")), ..fault });
    let pass = companions.reconciler().reconcile().await.unwrap();
    let failures = &pass.last.observed.history.failures[&name("archy-lnd-ui")];
    assert!(failures.contains_key(&Work::Unit) && !failures.contains_key(&Work::Load));
}

#[tokio::test(start_paused = true)]
async fn a_pass_for_one_app_counts_no_attempt_of_others() {
    let bench = Bench::new();
    let companions = bench.companions();
    for id in ["lnd", "electrs"] {
        assert_eq!(companions.install_for(&app(id)).await.unwrap(), Failures::new());
    }
    for unit in ["archy-lnd-ui", "archy-electrs-ui"] {
        bench.host.delete_unit(&name(unit));
    }
    let later = bench.companions();
    assert_eq!(later.ensure_running(&app("lnd")).await.unwrap(), Failures::new());
    let round = later.reconciler().dry_run().await.unwrap();
    assert_eq!(round.observed.history.failures.get(&name("archy-electrs-ui")), None);
}
