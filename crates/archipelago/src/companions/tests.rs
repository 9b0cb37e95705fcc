use std::time::Duration;

use adapter_fake::{FakeHost, Fault, Method, Mode, Port};
use companion_core::model::companion::CompanionSpec;
use companion_core::model::hook::HookName;
use companion_core::model::observed::Work;
use companion_core::ports::PortErrorKind;
use tokio_util::sync::CancellationToken;

use companion_core::status::Health;
use companion_core::supervisor::RESYNC;

use super::*;
use crate::catalog::BITCOIN_UI_HOOK;
use crate::leader::Settings;
use crate::manifest::{BackendManifest, Format};
use crate::published::{read_events, read_status};

mod metrics;

/// A host that has all that the built-in companions need, with a record in a separate directory.
pub(crate) struct Bench {
    pub(crate) host: FakeHost,
    state: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::without(&[])
    }

    /// A host without the build contexts of the companions `missing`.
    pub(crate) fn without(missing: &[&str]) -> Self {
        let host = FakeHost::default();
        host.register_hook(&HookName::new(BITCOIN_UI_HOOK).unwrap(), "what it renders");
        let catalog = Catalog::builtin();
        let has_context = |spec: &&CompanionSpec| !missing.contains(&spec.name.as_str());
        for companion in catalog.companions().filter(has_context) {
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

    pub(crate) fn companions(&self) -> Companions {
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
    failures.iter().map(|error| (error.companion.as_str(), error.why.as_str())).collect()
}

#[tokio::test(start_paused = true)]
async fn companion_without_an_installed_app_is_not_reported_as_installed() {
    let bench = Bench::new();
    let companions = bench.companions();
    let failures = companions.ensure_running(&app("lnd")).await.unwrap();
    assert_eq!(reasons(&failures), [("archy-lnd-ui", "no installed app needs it")]);
    assert_eq!(bench.host.counts().starts, 0);
}

#[tokio::test(start_paused = true)]
async fn superseded_intent_fails_and_the_later_one_succeeds() {
    let bench = Bench::new();
    let (one, other) = (bench.companions(), bench.companions());
    let (generation, concerned) = one.record_apps(&[app("lnd")], &[]).await.unwrap();
    assert_eq!(other.remove_for(&app("lnd")).await.unwrap(), Failures::new());
    let failures = one.failures(generation, &concerned).await.unwrap();
    assert_eq!(reasons(&failures), [("archy-lnd-ui", "no installed app needs it")]);
    let (generation, concerned) = one.record_apps(&[], &[app("lnd")]).await.unwrap();
    assert_eq!(other.install_for(&app("lnd")).await.unwrap(), Failures::new());
    let failures = one.failures(generation, &concerned).await.unwrap();
    assert_eq!(reasons(&failures), [("archy-lnd-ui", "an installed app needs it")]);
}

#[tokio::test(start_paused = true)]
async fn removed_app_stays_removed_despite_an_older_list() {
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

/// The built-in catalog, with `my-ui` for `my-app` and its rendered file.
fn larger_catalog() -> Catalog {
    let text = r#"
        [[companion]]
        name = "my-ui"
        apps = ["my-app"]
        image = { base = "my-ui" }
        hook.output = "/var/lib/archipelago/my-ui/nginx.conf"
        hook.program.registered = "bitcoin-ui"
    "#;
    Catalog::from_texts(&[("test.toml".into(), text.to_owned())], &Settings::default()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn failed_removal_is_retried_by_a_process_without_the_app_in_its_catalog() {
    let bench = Bench::new();
    let with_file = larger_catalog();
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
async fn backend_is_installed_and_removed_with_its_app() {
    let bench = Bench::new();
    let text = "app:\n  id: lnd\n  container: { image: registry.example/lnd:1 }\n";
    let manifest = BackendManifest::parse(text, Format::Yaml, "manifest.yml").unwrap();
    bench.host.publish(&"registry.example/lnd:1".to_owned().try_into().unwrap(), "lnd");
    let mut catalog = Catalog::builtin();
    catalog.add_backend(app("lnd"), &manifest).unwrap();
    let companions = bench.process(catalog);
    assert_eq!(companions.install_for(&app("lnd")).await.unwrap(), Failures::new());
    let ready = companions.status().await.unwrap();
    let ready: Vec<_> = ready.iter().map(|it| (it.name.as_str(), it.health)).collect();
    assert_eq!(ready, [("archy-lnd-ui", Health::Ready), ("lnd", Health::Ready)]);
    assert_eq!(companions.remove_for(&app("lnd")).await.unwrap(), Failures::new());
    assert!(companions.status().await.unwrap().is_empty());
}

/// A daemon, until it is stopped.
struct Daemon {
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Daemon {
    async fn start(companions: impl Into<Arc<Companions>>) -> Self {
        let companions = companions.into();
        let shutdown = CancellationToken::new();
        let (stopped, started) = (shutdown.clone(), Arc::new(tokio::sync::Notify::new()));
        let ready = Arc::clone(&started);
        let task = tokio::spawn(async move {
            let resync = Duration::from_secs(1);
            companions.run(resync, stopped, |_round| ready.notify_one()).await.unwrap();
        });
        started.notified().await;
        Self { shutdown, task }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

/// A host with a daemon, and a process with commands.
async fn led() -> (Bench, Daemon, Companions) {
    let bench = Bench::new();
    let daemon = Daemon::start(bench.companions()).await;
    let command = bench.companions();
    (bench, daemon, command)
}

#[tokio::test(start_paused = true)]
async fn call_while_a_daemon_leads_waits_for_it_and_builds_nothing() {
    let (bench, daemon, command) = led().await;
    for id in ["lnd", "electrs", "bitcoin-knots"] {
        assert_eq!(command.install_for(&app(id)).await.unwrap(), Failures::new());
    }
    assert_eq!(bench.host.counts().builds, 3);
    assert_eq!(command.remove_for(&app("lnd")).await.unwrap(), Failures::new());
    let left: Vec<_> = command.status().await.unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(left, [name("archy-bitcoin-ui"), name("archy-electrs-ui")]);
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn call_reports_the_steps_that_the_daemon_took_for_it() {
    let (_bench, daemon, command) = led().await;
    let (generation, concerned) = command.record_apps(&[app("lnd")], &[]).await.unwrap();
    let converged = command.converge(generation, Some(&concerned.names())).await.unwrap();
    let actions: Vec<_> = converged.steps.iter().map(|step| step.action.as_str()).collect();
    assert_eq!(actions, ["ensure-image", "write-unit", "load-units", "start"]);
    let ended = |step: &StepReport| step.outcome == Some("done");
    assert!(converged.steps.iter().all(ended), "{:?}", converged.steps);
    let events = read_events(command.store().dir()).await.unwrap();
    let built = events.iter().find(|event| event.action == "ensure-image").unwrap();
    assert!(built.intent.as_deref().unwrap().starts_with("install lnd (archipelago"), "{built:?}");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn call_takes_the_lead_when_the_daemon_stops() {
    let (bench, daemon, command) = led().await;
    let (generation, concerned) = command.record_apps(&[app("lnd")], &[]).await.unwrap();
    daemon.stop().await;
    let failures = command.failures(generation, &concerned).await.unwrap();
    assert_eq!(failures, Failures::new());
    assert_eq!(bench.host.leader(), None, "it leads for as long as it takes");
}

#[tokio::test(start_paused = true)]
async fn failure_of_the_daemon_is_the_failure_of_the_call() {
    let bench = Bench::new();
    let refused = Mode::Error(PortErrorKind::Transient);
    bench.host.inject(Fault::always(Port::Images, Method::Ensure, refused));
    let daemon = Daemon::start(bench.companions()).await;
    let command = bench.companions();
    let failures = command.install_for(&app("lnd")).await.unwrap();
    let [error] = failures.as_slice() else { panic!("{failures:?}") };
    assert!(error.why.contains("injected fault"), "{error}");
    let report = read_status(command.store().dir()).await.unwrap().unwrap();
    let condition = &report.companions[0].conditions[0];
    assert_eq!((condition.reason.as_str(), condition.attempts), ("back-off", Some(1)));
    assert!(condition.next_attempt > condition.since, "{condition:?}");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn converged_daemon_publishes_nothing_more() {
    let (bench, daemon, command) = led().await;
    assert_eq!(command.install_for(&app("lnd")).await.unwrap(), Failures::new());
    let written = || {
        let changed = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.unwrap();
            (entry.file_name(), entry.metadata().unwrap().modified().unwrap())
        };
        let mut files: Vec<_> =
            std::fs::read_dir(bench.state.path()).unwrap().map(changed).collect();
        files.sort();
        files
    };
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = written();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(written(), before);
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn call_from_the_daemons_process_keeps_it_leading() {
    let bench = Bench::new();
    let companions = Arc::new(bench.companions());
    let daemon = Daemon::start(Arc::clone(&companions)).await;
    assert_eq!(companions.install_for(&app("lnd")).await.unwrap(), Failures::new());
    assert!(bench.host.leader().is_some() && !daemon.task.is_finished());
    daemon.stop().await;
    assert_eq!(bench.host.leader(), None);
}

#[tokio::test(start_paused = true)]
async fn reload_counts_no_attempt_for_a_companion_with_a_failed_unit_write() {
    let bench = Bench::new();
    let companions = bench.companions();
    companions.record_apps(&[app("lnd"), app("electrs")], &[]).await.unwrap();
    let refused = Mode::Error(PortErrorKind::Transient);
    let fault = Fault::always(Port::Units, Method::Write, refused);
    bench.host.inject(Fault { companion: Some(name("archy-lnd-ui")), ..fault });
    let convergence = companions.reconciler().converge().await.unwrap();
    let failures = &convergence.last.observed.history.failures[&name("archy-lnd-ui")];
    assert!(failures.contains_key(&Work::Unit) && !failures.contains_key(&Work::Load));
}

#[tokio::test(start_paused = true)]
async fn converge_for_one_app_counts_no_attempt_of_others() {
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
    let reconcile = later.reconciler().dry_run().await.unwrap();
    assert_eq!(reconcile.observed.history.failures.get(&name("archy-electrs-ui")), None);
}
