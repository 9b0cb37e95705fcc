//! What is observed: current, stale, not ready, or an error.

use super::*;

#[tokio::test]
async fn a_hook_is_stale_until_it_is_committed_and_current_after() {
    let place = Place::new();
    for hook in [place.template(), place.command()] {
        assert_eq!(cause(&place.observe(&hook).await), StaleCause::Missing);
        let config = place.apply(&hook).await;
        assert_eq!(place.observe(&hook).await, HookState::Current { config });
        place.hooks.remove(&hook).await.unwrap();
    }
}

#[tokio::test]
async fn rendering_changes_nothing_until_it_is_committed() {
    let place = Place::new();
    let rendered = place.hooks.render(&place.template()).await.unwrap();
    assert_eq!(rendered.bytes(), format!("auth \"{CANARY}\";\n").as_bytes());
    assert!(!place.output().exists());
}

#[tokio::test]
async fn a_rotated_password_is_stale_and_then_current_again() {
    let place = Place::new();
    for hook in [place.template(), place.command()] {
        let mut last = place.apply(&hook).await;
        for round in 0..10 {
            place.rotate(&format!("password-{round}"));
            assert_eq!(cause(&place.observe(&hook).await), StaleCause::Changed);
            let config = place.apply(&hook).await;
            assert_ne!(config, last);
            assert_eq!(place.observe(&hook).await, HookState::Current { config });
            last = config;
        }
        place.hooks.remove(&hook).await.unwrap();
    }
}

#[tokio::test]
async fn the_input_names_what_rendering_depends_on() {
    let place = Place::new();
    for hook in [place.template(), place.command()] {
        let input = async || match place.observe(&hook).await {
            HookState::Stale { input, .. } => input,
            other => panic!("{other:?}"),
        };
        place.rotate("one");
        let one = input().await;
        assert_eq!(input().await, one);
        place.rotate("two");
        let two = input().await;
        assert_ne!(two, one);
        place.rotate("one");
        assert_eq!(input().await, one);
    }
}

#[tokio::test]
async fn a_file_or_directory_that_others_can_read_is_exposed_until_it_is_committed_again() {
    let place = Place::new();
    let directory = place.root.join("ui");
    for hook in [place.template(), place.command()] {
        place.apply(&hook).await;
        for (path, mode) in [
            (place.output(), 0o644),
            (place.output(), 0o640),
            (place.output(), 0o604),
            (directory.clone(), 0o755),
        ] {
            set_mode(&path, mode);
            let state = place.observe(&hook).await;
            assert_eq!(cause(&state), StaleCause::Exposed, "{mode:o}");
            let config = place.apply(&hook).await;
            assert_eq!(place.observe(&hook).await, HookState::Current { config });
            assert_eq!(mode_of(&place.output()), 0o600);
            assert_eq!(mode_of(&directory), 0o700);
        }
        place.hooks.remove(&hook).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_others_can_write_is_told_from_one_that_they_can_read() {
    let place = Place::new();
    for hook in [place.template(), place.command()] {
        place.apply(&hook).await;
        for mode in [0o602, 0o606, 0o666] {
            set_mode(&place.output(), mode);
            let state = place.observe(&hook).await;
            assert_eq!(cause(&state), StaleCause::Writable, "{mode:o}");
            place.apply(&hook).await;
        }
        set_mode(&place.output(), 0o666);
        fs::write(place.output(), "edited").unwrap();
        assert_eq!(cause(&place.observe(&hook).await), StaleCause::Changed);
        set_mode(&place.output(), 0o644);
        assert_eq!(cause(&place.observe(&hook).await), StaleCause::Changed);
        place.hooks.remove(&hook).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_someone_edited_is_stale() {
    let place = Place::new();
    let large = vec![b'x'; OUTPUT_LIMIT + 1];
    for hook in [place.template(), place.command()] {
        place.apply(&hook).await;
        for tampered in [b"".as_slice(), b"edited", &large] {
            fs::write(place.output(), tampered).unwrap();
            let state = place.observe(&hook).await;
            assert!(matches!(state, HookState::Stale { .. }), "{state:?}");
            let config = place.apply(&hook).await;
            assert_eq!(place.observe(&hook).await, HookState::Current { config });
        }
        place.hooks.remove(&hook).await.unwrap();
    }
}

#[tokio::test]
async fn a_touched_file_stays_current() {
    let place = Place::new();
    let hook = place.template();
    let config = place.apply(&hook).await;
    let file = fs::File::options().write(true).open(place.output()).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(place.observe(&hook).await, HookState::Current { config });
}

#[tokio::test]
async fn an_input_that_is_missing_or_empty_is_waited_for() {
    let place = Place::new();
    let hook = place.template();
    let config = place.apply(&hook).await;
    for withdraw in
        [|path: &Path| fs::write(path, "\n").unwrap(), |path: &Path| fs::remove_file(path).unwrap()]
    {
        withdraw(&place.root.join("password"));
        match place.observe(&hook).await {
            HookState::NotReady { waiting_for, config: left } => {
                assert!(waiting_for.contains("/password`"), "{waiting_for}");
                assert_eq!(left, Some(config));
            }
            other => panic!("{other:?}"),
        }
        let error = place.hooks.render(&hook).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::NotFound);
    }
    set_mode(&place.output(), 0o644);
    let state = place.observe(&hook).await;
    assert!(matches!(state, HookState::NotReady { config: None, .. }), "{state:?}");
}

#[tokio::test]
async fn a_missing_template_and_a_missing_input_of_a_program_are_waited_for() {
    let place = Place::new();
    fs::remove_file(place.root.join("password")).unwrap();
    let state = place.observe(&place.command()).await;
    assert!(matches!(state, HookState::NotReady { config: None, .. }), "{state:?}");
    fs::remove_file(place.root.join("template")).unwrap();
    let state = place.observe(&place.template()).await;
    assert!(matches!(state, HookState::NotReady { .. }), "{state:?}");
}

#[tokio::test]
async fn what_is_refused_is_invalid_and_quotes_no_secret() {
    let place = Place::new();
    let hook = place.template();
    for ending in ["$x", "\nmore", "\u{1}"] {
        place.rotate(&format!("{CANARY}{ending}"));
        for error in [
            place.hooks.observe(&hook).await.unwrap_err(),
            place.hooks.render(&hook).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), PortErrorKind::Invalid, "{}", error.chain());
            assert!(error.chain().contains("line 1"), "{}", error.chain());
            Place::assert_withheld(&error);
        }
    }
    place.rotate(&format!("{CANARY};"));
    for template in
        ["{{ password }}", "{{ passwort }} canary", "{% canary %}", "{{ password | x }}"]
    {
        fs::write(place.root.join("template"), template).unwrap();
        let error = place.hooks.observe(&hook).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Invalid);
        Place::assert_withheld(&error);
    }
    fs::write(place.root.join("password"), [b"canary".as_slice(), &[0xff]].concat()).unwrap();
    let error = place.hooks.observe(&hook).await.unwrap_err();
    assert!(error.chain().contains("not UTF-8"), "{}", error.chain());
    Place::assert_withheld(&error);
}

#[tokio::test]
async fn an_empty_rendering_is_refused() {
    let place = Place::new();
    fs::write(place.root.join("template"), "{# nothing #}").unwrap();
    let hook = place.template();
    let error = place.hooks.render(&hook).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Invalid);
    let nothing = Rendered::new(Vec::new());
    let error = place.hooks.commit(&hook, nothing).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Invalid);
    assert!(!place.output().exists());
}

#[tokio::test]
async fn an_input_that_is_a_fifo_or_a_directory_keeps_nobody_waiting() {
    let place = Place::new();
    let hook = place.template();
    let path = place.root.join("password");
    fs::remove_file(&path).unwrap();
    make_fifo(&path);
    let error = place.hooks.observe(&hook).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Invalid, "{}", error.chain());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(place.hooks.observe(&hook).await.is_err());
}

fn named(name: &str) -> HookName {
    HookName::new(name).unwrap()
}

#[tokio::test]
async fn a_hook_in_rust_is_asked_by_its_name() {
    let mut place = Place::new();
    let file = place.root.join("password");
    let render = move || {
        let secret = crate::read_secret(&file)?;
        Ok(Readiness::Ready(Rendered::new(format!("v {}", *secret).into_bytes())))
    };
    place.hooks.register(named("bitcoin-ui"), render).unwrap();
    let hook = place.hook(HookProgram::Registered(named("bitcoin-ui")));
    assert_eq!(cause(&place.observe(&hook).await), StaleCause::Missing);
    let config = place.apply(&hook).await;
    assert_eq!(place.observe(&hook).await, HookState::Current { config });
    let text = fs::read_to_string(place.output()).unwrap();
    assert_eq!(text, format!("v {CANARY}"));
    place.rotate("other");
    assert_eq!(cause(&place.observe(&hook).await), StaleCause::Changed);
    fs::remove_file(place.root.join("password")).unwrap();
    let state = place.observe(&hook).await;
    assert!(matches!(state, HookState::NotReady { config: Some(_), .. }), "{state:?}");
}

#[tokio::test]
async fn a_hook_in_rust_may_wait_fail_or_panic() {
    let mut place = Place::new();
    let register = |place: &mut Place, name: &str, hook: fn() -> Result<Readiness, HookError>| {
        place.hooks.register(named(name), hook).unwrap();
        place.hook(HookProgram::Registered(named(name)))
    };
    let waits = register(&mut place, "waits", || {
        let waiting_for = "the node".to_owned();
        Ok(Readiness::NotReady { waiting_for })
    });
    let fails = register(&mut place, "fails", || {
        Err(HookError::failed(PortErrorKind::Denied, "no access"))
    });
    let panics = register(&mut place, "panics", || panic!("canary"));
    let floods = register(&mut place, "floods", || {
        Ok(Readiness::Ready(Rendered::new(vec![b'x'; OUTPUT_LIMIT + 1])))
    });
    let state = place.observe(&waits).await;
    assert!(matches!(state, HookState::NotReady { .. }), "{state:?}");
    for (hook, kind) in [
        (&fails, PortErrorKind::Denied),
        (&panics, PortErrorKind::Transient),
        (&floods, PortErrorKind::Invalid),
    ] {
        let error = place.hooks.observe(hook).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        Place::assert_withheld(&error);
    }
}

#[tokio::test]
async fn an_unknown_name_is_invalid_but_can_still_be_removed() {
    let mut place = Place::new();
    let hook = place.hook(HookProgram::Registered(named("unknown")));
    let error = place.hooks.observe(&hook).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Invalid);
    place.hooks.remove(&hook).await.unwrap();
    let never = || Err(HookError::failed(PortErrorKind::Invalid, "never asked"));
    place.hooks.register(named("taken"), never).unwrap();
    let twice = place.hooks.register(named("taken"), never).unwrap_err();
    assert!(matches!(twice, HookError::RegisteredTwice(_)));
}

#[tokio::test]
async fn digests_depend_on_the_key_of_the_host() {
    let place = Place::new();
    let config = place.apply(&place.template()).await;
    let other = FileHooks::new(HostKey::from_bytes([8; 32]));
    match other.observe(&place.template()).await.unwrap() {
        HookState::Current { config: differs } => assert_ne!(config, differs),
        state => panic!("{state:?}"),
    }
}

#[test]
fn the_hooks_themselves_print_no_key() {
    let shown = format!("{:?}", FileHooks::new(HostKey::from_bytes([7; 32])));
    assert_eq!(shown, "FileHooks { registered: [], .. }");
}

#[tokio::test]
async fn a_template_that_others_may_change_is_refused() {
    let place = Place::new();
    set_mode(&place.root.join("template"), 0o666);
    let error = place.hooks.observe(&place.template()).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Denied, "{}", error.chain());
}

#[tokio::test]
async fn a_file_system_that_does_not_answer_holds_up_its_own_hook_only() {
    let mut place = Place::new();
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Mutex::new(blocked);
    let stuck = move || {
        // Ends when the sender is dropped, as a network file system that comes back.
        let _ended = blocked.lock().unwrap().recv();
        Ok(Readiness::Ready(Rendered::new(b"late".to_vec())))
    };
    place.hooks.register(named("stuck"), stuck).unwrap();
    place.hooks.patience = Duration::from_millis(50);
    let hook = HookSpec {
        program: HookProgram::Registered(named("stuck")),
        output: place.path("stuck/file"),
    };
    for _ in 0..3 {
        let error = place.hooks.observe(&hook).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Transient, "{}", error.chain());
    }
    place.hooks.patience = PATIENCE;
    place.apply(&place.template()).await;
    drop(release);
    assert_eq!(cause(&place.observe(&hook).await), StaleCause::Missing);
}

#[tokio::test]
async fn outputs_at_which_nobody_is_at_work_are_forgotten() {
    let place = Place::new();
    for number in 0..MAX_TURNS * 2 {
        let output = place.path(&format!("ui/{number}"));
        let hook = HookSpec { output, ..place.template() };
        place.observe(&hook).await;
    }
    assert!(place.hooks.turns.lock().unwrap().len() <= MAX_TURNS + 1);
}
