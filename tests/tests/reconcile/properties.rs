//! From every state of the host, however reached, a host without faults converges within three passes
//! and is then left alone.

use adapter_fake::world::conditions::{Disk, Generator};
use adapter_fake::{Fault, Method, Mode, Port};
use companion_core::model::companion::CompanionName;
use companion_core::ports::PortErrorKind;
use companion_tests::node::{Node, REGISTRY, companions, config, context, name, password};
use proptest::prelude::*;

/// Something that happens to a host.
#[derive(Debug, Clone)]
enum Happening {
    Install(usize),
    Remove(usize),
    EditUnit(usize),
    DeleteUnit(usize),
    TruncateUnit(usize),
    KillContainer(usize),
    RemoveContainer(usize),
    PauseContainer(usize),
    StopService(usize),
    LeaveContainer(usize),
    CrashLoop(usize, bool),
    ReloadByOthers,
    RotateCredentials,
    LoseInput,
    DeleteConfig,
    EditConfig,
    ExposeConfig,
    ChangeContext(usize),
    RemoveImage(usize),
    Registry(bool),
    Bus(bool),
    DiskBecomes(Disk),
    GeneratorBecomes(Generator),
    Fail(Port, Method, Failing),
    Reboot,
    PowerLoss,
    ManagerCrash,
    Pass,
    PassCutOff(u64),
    Sleep(u64),
}

#[derive(Debug, Clone, Copy)]
enum Failing {
    Before,
    After,
    Hang,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let one = || 0..3_usize;
    let calls = vec![
        (Port::Units, Method::Observe),
        (Port::Units, Method::List),
        (Port::Units, Method::Write),
        (Port::Units, Method::Remove),
        (Port::Services, Method::Observe),
        (Port::Services, Method::Reload),
        (Port::Services, Method::Start),
        (Port::Services, Method::Stop),
        (Port::Services, Method::Restart),
        (Port::Services, Method::Wait),
        (Port::Services, Method::ResetFailed),
        (Port::Images, Method::Observe),
        (Port::Images, Method::Ensure),
        (Port::Hooks, Method::Observe),
        (Port::Hooks, Method::Render),
        (Port::Hooks, Method::Commit),
        (Port::Hooks, Method::Remove),
        (Port::Containers, Method::Observe),
        (Port::Containers, Method::Remove),
    ];
    let fails = prop_oneof![Just(Failing::Before), Just(Failing::After), Just(Failing::Hang)];
    let tampering = prop_oneof![
        one().prop_map(EditUnit),
        one().prop_map(DeleteUnit),
        one().prop_map(TruncateUnit),
        one().prop_map(KillContainer),
        one().prop_map(RemoveContainer),
        one().prop_map(PauseContainer),
        one().prop_map(StopService),
        one().prop_map(LeaveContainer),
        (one(), any::<bool>()).prop_map(|(at, on)| CrashLoop(at, on)),
        Just(ReloadByOthers),
    ];
    let inputs = prop_oneof![
        Just(RotateCredentials),
        Just(LoseInput),
        Just(DeleteConfig),
        Just(EditConfig),
        Just(ExposeConfig),
        one().prop_map(ChangeContext),
        one().prop_map(RemoveImage),
    ];
    let conditions = prop_oneof![
        any::<bool>().prop_map(Registry),
        any::<bool>().prop_map(Bus),
        prop_oneof![Just(Disk::Writable), Just(Disk::Full), Just(Disk::ReadOnly)]
            .prop_map(DiskBecomes),
        prop_oneof![
            Just(Generator::Works),
            Just(Generator::Missing),
            Just(Generator::CorruptsOnce)
        ]
        .prop_map(GeneratorBecomes),
        (prop::sample::select(calls), fails)
            .prop_map(|((port, method), fail)| Fail(port, method, fail)),
    ];
    prop_oneof![
        3 => one().prop_map(Install),
        1 => one().prop_map(Remove),
        4 => tampering,
        3 => inputs,
        3 => conditions,
        1 => prop_oneof![Just(Reboot), Just(PowerLoss), Just(ManagerCrash)],
        4 => prop_oneof![Just(Pass), (0..60_u64).prop_map(PassCutOff)],
        2 => prop::sample::select(vec![1_u64, 7, 30, 120, 1000]).prop_map(Sleep),
    ]
}

fn named(at: usize) -> CompanionName {
    companions().swap_remove(at).name
}

async fn happen(node: &mut Node, happening: Happening) {
    let host = node.host.clone();
    match happening {
        Happening::Install(at) => {
            host.install(&companions().swap_remove(at));
        }
        Happening::Remove(at) => {
            host.remove(&named(at));
        }
        Happening::EditUnit(at) => host.edit_unit(&named(at)),
        Happening::DeleteUnit(at) => host.delete_unit(&named(at)),
        Happening::TruncateUnit(at) => host.truncate_unit(&named(at)),
        Happening::KillContainer(at) => host.kill_container(&named(at)),
        Happening::RemoveContainer(at) => host.remove_container(&named(at)),
        Happening::PauseContainer(at) => host.pause_container(&named(at)),
        Happening::StopService(at) => host.stop_service(&named(at)),
        Happening::LeaveContainer(at) => host.leave_container(&named(at)),
        Happening::CrashLoop(at, on) => host.crash_loop(&named(at), on),
        Happening::ReloadByOthers => host.reload_by_others(),
        Happening::RotateCredentials => host.rotate_credentials(),
        Happening::LoseInput => host.remove_input(&password()),
        Happening::DeleteConfig => host.delete_config(&config()),
        Happening::EditConfig => host.edit_config(&config()),
        Happening::ExposeConfig => host.expose_config(&config(), 0o644),
        Happening::ChangeContext(at) => host.change_context(&context(named(at).as_str())),
        Happening::RemoveImage(at) => remove_image(node, at),
        Happening::Registry(true) => host.registry_up(REGISTRY),
        Happening::Registry(false) => host.registry_down(REGISTRY),
        Happening::Bus(up) => host.change(|world, _| world.conditions.bus = up),
        Happening::DiskBecomes(disk) => host.change(|world, _| world.conditions.disk = disk),
        Happening::GeneratorBecomes(state) => {
            host.change(|world, _| world.conditions.generator = state)
        }
        Happening::Fail(port, method, fail) => host.inject(Fault::once(port, method, mode(fail))),
        Happening::Reboot => host.reboot(),
        Happening::PowerLoss => host.power_loss(),
        Happening::ManagerCrash => crash(node).await,
        // A record that cannot be read, or a lock that is not to be had, is an error of the pass.
        Happening::Pass => drop(node.reconciler.reconcile().await),
        Happening::PassCutOff(seconds) => {
            let limit = std::time::Duration::from_secs(seconds);
            // Whether it was cut off makes no difference to what must hold afterwards.
            drop(tokio::time::timeout(limit, node.reconciler.reconcile()).await);
            crash(node).await;
        }
        Happening::Sleep(seconds) => node.sleep(seconds).await,
    }
}

fn remove_image(node: &Node, at: usize) {
    let source = companions().swap_remove(at).image;
    let built = source.build.map(|build| build.reference);
    if let Some(reference) = built.or(source.pull.map(|pull| pull.reference)) {
        node.host.remove_image(&reference);
    }
}

fn mode(fail: Failing) -> Mode {
    match fail {
        Failing::Before => Mode::Error(PortErrorKind::Transient),
        Failing::After => Mode::ErrorAfterEffect(PortErrorKind::Transient),
        Failing::Hang => Mode::Hang,
    }
}

/// The manager dies; what it was doing ends wherever it is, and a new one remembers nothing.
async fn crash(node: &mut Node) {
    node.reconciler.shut_down().await;
    node.restart_manager();
}

/// The host has no faults any more, and all that companions need is there.
async fn heal(node: &mut Node) {
    node.host.clear_faults();
    node.host.registry_up(REGISTRY);
    node.host.put_input(&password(), "the last password");
    for spec in companions() {
        node.host.crash_loop(&spec.name, false);
    }
    node.host.change(|world, _| {
        world.conditions.bus = true;
        world.conditions.disk = Disk::Writable;
        world.conditions.generator = Generator::Works;
    });
    crash(node).await;
    // What the service manager is doing by itself, a stop or a restart delay, comes to its end.
    node.sleep(100).await;
}

#[expect(clippy::unwrap_used, reason = "a test without a runtime has failed")]
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn from_every_state_it_converges_within_three_passes_and_is_quiet(
        happenings in prop::collection::vec(happening(), 1..40),
    ) {
        runtime().block_on(async {
            let mut node = Node::new();
            for happening in happenings {
                happen(&mut node, happening).await;
                prop_assert_eq!(node.host.violations(), []);
            }
            heal(&mut node).await;
            node.passes_until_true(3).await;
            prop_assert_eq!(node.host.violations(), []);
            node.assert_quiet().await;
            Ok(())
        })?;
    }

    #[test]
    fn a_second_pass_has_nothing_to_do(
        happenings in prop::collection::vec(happening(), 1..20),
    ) {
        runtime().block_on(async {
            let mut node = Node::installed().await;
            for happening in happenings {
                happen(&mut node, happening).await;
            }
            heal(&mut node).await;
            node.passes_until_true(3).await;
            node.assert_quiet().await;
            Ok::<_, TestCaseError>(())
        })?;
    }
}

#[test]
fn every_companion_of_the_node_has_its_own_name() {
    let names: Vec<_> = companions().into_iter().map(|spec| spec.name).collect();
    assert_eq!(names, [name("viewer"), name("wallet"), name("indexer")]);
}
