//! Observed states: the rendering, the existing files, or an error.

use super::*;

#[tokio::test]
async fn a_touched_file_stays_usable() {
    let place = Place::new();
    let hook = place.template();
    let id = place.apply(&hook).await;
    let file = fs::File::options().write(true).open(place.file(id)).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(place.usable(&hook).await, id);
}

#[tokio::test]
async fn an_input_that_is_missing_or_empty_is_waited_for() {
    let place = Place::new();
    let hook = place.template();
    let id = place.apply(&hook).await;
    let waiting_for = async |hook: &HookSpec| {
        let state = place.observe(hook).await;
        assert_eq!(state.usable(&[]), Ok(id), "the earlier file stays usable");
        match state.rendering {
            Rendering::NotReady { waiting_for } => waiting_for,
            other => panic!("{other:?}"),
        }
    };
    let path = |name: &str| format!("`{}`", place.root.join(name).display());
    place.rotate("\n");
    assert_eq!(waiting_for(&hook).await, format!("{}, which is empty", path("password")));
    fs::remove_file(place.root.join("password")).unwrap();
    for hook in [&hook, &place.command()] {
        let missing = format!("{}, which does not exist", path("password"));
        assert_eq!(waiting_for(hook).await, missing);
        let error = place.hooks.render(hook).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::NotFound);
    }
    fs::remove_file(place.root.join("template")).unwrap();
    assert!(waiting_for(&hook).await.starts_with(&path("template")));
}

#[tokio::test]
async fn a_rejected_template_is_invalid_and_quotes_no_secret() {
    let place = Place::new();
    let hook = place.template();
    for (secret, why) in [(&b"canary$x"[..], "line 1"), (b"canary\xff", "not UTF-8")] {
        fs::write(place.root.join("password"), secret).unwrap();
        for error in [
            place.hooks.observe(&hook).await.unwrap_err(),
            place.hooks.render(&hook).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), PortErrorKind::Invalid, "{}", error.chain());
            assert!(error.chain().contains(why), "{}", error.chain());
            Place::assert_withheld(&error);
        }
    }
}

#[tokio::test]
async fn an_empty_rendering_is_refused() {
    let place = Place::new();
    fs::write(place.root.join("template"), "{# nothing #}").unwrap();
    let hook = place.template();
    let error = place.hooks.render(&hook).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Invalid);
    let nothing = Rendered::new(Vec::new());
    let error = place.hooks.commit(&hook, nothing, &[]).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Invalid);
    assert!(!place.output().exists());
}

#[tokio::test]
async fn a_fifo_or_a_directory_as_input_does_not_block() {
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
        Ok(Rendered::new(format!("v {}", *secret).into_bytes()))
    };
    place.hooks.register(named("bitcoin-ui"), Arc::new(render)).unwrap();
    let hook = place.hook(HookProgram::Registered(named("bitcoin-ui")));
    let id = place.apply(&hook).await;
    assert_eq!(place.usable(&hook).await, id);
    let text = fs::read_to_string(place.output()).unwrap();
    assert_eq!(text, format!("v {CANARY}"));
    place.rotate("other");
    assert_eq!(place.stale(&hook).await, StaleCause::Changed);
}

#[tokio::test]
async fn a_hook_in_rust_may_wait_fail_or_panic() {
    let mut place = Place::new();
    let register = |place: &mut Place, name: &str, hook: fn() -> Result<Rendered, HookError>| {
        place.hooks.register(named(name), Arc::new(hook)).unwrap();
        place.hook(HookProgram::Registered(named(name)))
    };
    let waits = register(&mut place, "waits", || {
        let waiting_for = "the node".to_owned();
        Err(HookError::NotReady { waiting_for })
    });
    let fails = register(&mut place, "fails", || {
        Err(HookError::failed(PortErrorKind::Denied, "no access"))
    });
    let panics = register(&mut place, "panics", || panic!("canary"));
    let floods = register(&mut place, "floods", || Ok(Rendered::new(vec![b'x'; OUTPUT_LIMIT + 1])));
    let state = place.observe(&waits).await;
    assert!(matches!(state.rendering, Rendering::NotReady { .. }), "{state:?}");
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
    let never: Arc<dyn ConfigHook> = Arc::new(|| Err(HookError::invalid("never asked")));
    place.hooks.register(named("taken"), Arc::clone(&never)).unwrap();
    let twice = place.hooks.register(named("taken"), never).unwrap_err();
    assert_eq!(twice.to_string(), "a hook is already registered as `taken`");
}

#[tokio::test]
async fn digests_depend_on_the_key_of_the_host() {
    let place = Place::new();
    let id = place.apply(&place.template()).await;
    let other = FileHooks::new(HostKey::from_bytes([8; 32]));
    let state = other.observe(&place.template()).await.unwrap();
    assert!(matches!(state.rendering, Rendering::Known(digest) if digest != id.digest));
    assert_eq!(state.files.get(&id), Some(&ConfigFile::Modified), "its name says nothing there");
    assert_eq!(state.usable(&[]), Err(StaleCause::Changed));
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
        // Ends when the sender is dropped, like a network file system that becomes reachable again.
        let _ended = blocked.lock().unwrap().recv();
        Ok(Rendered::new(b"late".to_vec()))
    };
    place.hooks.register(named("stuck"), Arc::new(stuck)).unwrap();
    place.hooks.file_timeout = Duration::from_millis(50);
    let hook = HookSpec {
        program: HookProgram::Registered(named("stuck")),
        output: place.path("stuck/file"),
    };
    for _ in 0..3 {
        let error = place.hooks.observe(&hook).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Transient, "{}", error.chain());
    }
    place.hooks.file_timeout = FILE_TIMEOUT;
    place.apply(&place.template()).await;
    drop(release);
    assert_eq!(place.stale(&hook).await, StaleCause::Missing);
}
