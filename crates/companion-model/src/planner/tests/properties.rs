//! What holds for every plan, whatever was seen.

use proptest::prelude::*;

use super::*;

fn revision() -> impl Strategy<Value = Option<Revision>> {
    let base = Setup::converged().revision;
    prop_oneof![
        3 => Just(Some(base)),
        1 => Just(Some(base.with_restart_epoch(1))),
        1 => Just(Some(base.with_rendering(Some(Fingerprint::of(b"other"))))),
        1 => Just(Some(base.with_rendering(None))),
        1 => Just(Some(Revision { config: None, ..base })),
        1 => Just(Some(Revision { image: Fingerprint::of(b"other"), ..base })),
        1 => Just(None),
    ]
}

fn unit_file() -> impl Strategy<Value = UnitFileState> {
    let unmanaged = UnitFileState::Unmanaged { what: "a file".to_owned() };
    prop_oneof![
        Just(UnitFileState::Absent),
        Just(unmanaged),
        revision().prop_map(|revision| UnitFileState::Drifted { revision }),
        revision().prop_filter_map("an outdated file has a revision", |revision| {
            Some(UnitFileState::Outdated { revision: revision? })
        }),
        revision().prop_filter_map("a file with a wrong mode has a revision", |revision| {
            Some(UnitFileState::WrongMode { revision: revision? })
        }),
        revision().prop_filter_map("a current file has a revision", |revision| {
            Some(UnitFileState::Current { revision: revision? })
        }),
    ]
}

fn service() -> impl Strategy<Value = ServiceState> {
    let unit = prop_oneof![
        6 => revision().prop_map(|revision| LoadedUnit::FromStore { revision }),
        1 => Just(LoadedUnit::Absent),
        1 => Just(LoadedUnit::Elsewhere { place: "/elsewhere".to_owned() }),
        1 => Just(LoadedUnit::Held { message: "masked".to_owned() }),
        1 => Just(LoadedUnit::Unusable {
            message: "bad setting".to_owned(),
            revision: None,
        }),
    ];
    let run = prop::sample::select(vec![
        RunState::Up,
        RunState::Down,
        RunState::Failed,
        RunState::Starting,
        RunState::BetweenRestarts,
        RunState::Stopping,
        RunState::Other,
    ]);
    let flags = (any::<bool>(), any::<bool>(), 0..10_u64);
    (unit, run, revision(), flags).prop_map(|(unit, run, running, (busy, frozen, seconds))| {
        let up_for = Duration::from_secs(seconds);
        ServiceState { unit, run, running, busy, frozen, up_for, ..ServiceState::absent() }
    })
}

fn hook_state() -> impl Strategy<Value = HookState> {
    let input = Fingerprint::of(b"input");
    let rendering = prop_oneof![
        3 => Just(Rendering::Known(config().digest)),
        1 => Just(Rendering::Outdated { input }),
        1 => Just(Rendering::NotReady { waiting_for: "it".to_owned() }),
    ];
    let next = ConfigId { epoch: 1, ..config() };
    let file = prop::sample::select(vec![
        ConfigFile::Intact,
        ConfigFile::Intact,
        ConfigFile::ReadableByOthers,
        ConfigFile::WritableByOthers,
        ConfigFile::Modified,
    ]);
    let id = prop::sample::select(vec![config(), config(), next]);
    let links = vec![Link::To(config()), Link::To(config()), Link::To(next), Link::Absent];
    let files = prop::collection::btree_map(id, file, 0..=2);
    (rendering, files, prop::sample::select(links)).prop_map(|(rendering, files, link)| HookState {
        rendering,
        files,
        link,
    })
}

fn image_state() -> impl Strategy<Value = ImageState> {
    let context = prop::option::of(prop::sample::select(vec![
        Fingerprint::of(b"context"),
        Fingerprint::of(b"other"),
    ]));
    let dangling = prop_oneof![
        3 => Just(vec![]),
        1 => Just(vec![ImageId::new(&"3".repeat(64)).unwrap()]),
    ];
    let present = prop_oneof![
        2 => Just((Some(image()), false)),
        1 => Just((None, false)),
        1 => Just((None, true)),
    ];
    (context, present, dangling).prop_map(|(context, (present, damaged), dangling)| ImageState {
        context,
        present,
        damaged,
        dangling,
    })
}

fn observation<T: std::fmt::Debug>(
    known: impl Strategy<Value = T>,
) -> impl Strategy<Value = Observation<T>> {
    prop_oneof![
        6 => known.prop_map(Observation::Known),
        1 => Just("unreadable").prop_map(|error| Observation::Unknown(error.to_owned())),
    ]
}

fn container() -> impl Strategy<Value = ContainerState> {
    prop_oneof![
        Just(ContainerState::Absent),
        Just(ContainerState::Ours { status: "exited".to_owned() }),
        Just(ContainerState::Unmanaged { what: "x".to_owned() }),
    ]
}

/// The state as a store reports it, which compares the file with the unit that mounts the usable file.
fn compared(state: UnitFileState, hook: &Observation<HookState>) -> UnitFileState {
    let config = hook.known().and_then(|hook| hook.usable(&[]).ok());
    match (state, config) {
        (UnitFileState::Current { revision }, Some(_)) => {
            UnitFileState::Current { revision: Revision { config, ..revision } }
        }
        (UnitFileState::WrongMode { revision }, Some(_)) => {
            UnitFileState::WrongMode { revision: Revision { config, ..revision } }
        }
        (UnitFileState::Current { revision } | UnitFileState::WrongMode { revision }, None) => {
            UnitFileState::Outdated { revision }
        }
        (other, _) => other,
    }
}

fn works() -> impl Strategy<Value = BTreeSet<Work>> {
    let all = vec![Work::Hook, Work::Image, Work::Service, Work::Removal];
    prop_oneof![3 => Just(BTreeSet::new()), 1 => prop::sample::subsequence(all, 1..=2)
        .prop_map(BTreeSet::from_iter)]
}

prop_compose! {
    fn setup()(
        removed: bool,
        hook in observation(hook_state()),
        image in observation(image_state()),
        file in observation(unit_file()),
        service in observation(service()),
        container in prop::option::of(observation(container())),
        running in works(),
        failing in works(),
        seconds in 0..2000_u64,
        traits in prop::sample::select(vec![HostTraits::ALL, HostTraits::ALL, HostTraits::NONE]),
    ) -> Setup {
        let mut setup = if removed { Setup::removed() } else { Setup::converged() };
        setup.seen = ObservedCompanion {
            unit: match file {
                Observation::Known(state) => Observation::Known(file_of(compared(state, &hook))),
                Observation::Unknown(error) => Observation::Unknown(error),
            },
            hook: Some(hook),
            image: (!removed).then_some(image),
            service,
            container,
            log: None,
        };
        setup.traits = traits;
        let attempt = Attempt { generation: Generation(1), input: Fingerprint::of(b"started") };
        let running = running.into_iter().map(|work| (work, attempt)).collect();
        setup.history.running.insert(name(), running);
        setup.now = Monotonic::from_origin(Duration::from_secs(seconds));
        // A failure counts only for the very attempt that failed, so the plan itself is asked.
        let attempts = plan(&setup.desired, &setup.observed(), setup.now);
        for step in &attempts.steps {
            if failing.contains(&step.work) {
                let failure = Failure {
                    input: step.serves[0].1,
                    count: 1,
                    retry_at: setup.now.after(backoff::FIRST),
                    problem: Problem::new(PortErrorKind::Transient, "it failed"),
                };
                let failures = setup.history.failures.entry(name()).or_default();
                failures.insert(step.work, failure);
            }
        }
        setup
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn every_plan_passes_the_checker(setup in setup()) {
        let observed = setup.observed();
        let plan = plan(&setup.desired, &observed, setup.now);
        prop_assert_eq!(check(&plan, &setup.desired, &observed), []);
    }

    #[test]
    fn plan_is_total_and_deterministic(setup in setup()) {
        let observed = setup.observed();
        let first = plan(&setup.desired, &observed, setup.now);
        let second = plan(&setup.desired, &observed, setup.now);
        prop_assert_eq!(first, second);
    }

    #[test]
    fn failed_step_is_not_planned_again_immediately(setup in setup()) {
        for (name, failures) in &setup.history.failures {
            for step in setup.plan().serving(name) {
                if let Some(failure) = failures.get(&step.work) {
                    prop_assert_ne!(failure.input, step.serves[0].1, "{:?}", step);
                }
            }
        }
    }

    #[test]
    fn every_difference_has_a_step_or_a_condition(setup in setup()) {
        let plan = setup.plan();
        if plan.is_converged() && setup.desired.companion(&name()).is_some() {
            let service = setup.seen.service.known().unwrap();
            prop_assert!(service.is_up() && service.loaded() == service.running);
        }
    }
}
