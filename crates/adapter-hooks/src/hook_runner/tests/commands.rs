//! Programs run only after a change, never for an observation.

use super::*;

#[tokio::test]
async fn asking_never_starts_the_program_and_another_process_trusts_the_stamp() {
    let place = Place::new();
    let hook = place.command();
    place.observe(&hook).await;
    assert_eq!(place.runs(), 0);
    let id = place.apply(&hook).await;
    assert_eq!(place.usable(&hook).await, id);
    let restarted = FileHooks::new(HostKey::from_bytes([7; 32]));
    let state = restarted.observe(&hook).await.unwrap();
    assert_eq!((&state.rendering, state.usable(&[])), (&Rendering::Known(id.digest), Ok(id)));
    assert_eq!(place.runs(), 1);
    let stamp = place.root.join("ui/.nginx.conf.stamp");
    assert_eq!(mode_of(&stamp), 0o600);
    let text = fs::read_to_string(&stamp).unwrap();
    assert!(!text.contains("canary"), "{text}");
}

/// The stamp describes the program's output, and the name describes the file's content.
#[tokio::test]
async fn the_stamp_stays_valid_whatever_happens_to_the_file() {
    let place = Place::new();
    let hook = place.command();
    let first = place.apply(&hook).await;
    let known = Rendering::Known(first.digest);
    fs::write(place.file(first), b"edited").unwrap();
    let state = place.observe(&hook).await;
    assert_eq!((&state.rendering, state.usable(&[])), (&known, Err(StaleCause::Changed)));
    assert_eq!(place.apply(&hook).await, next(first));
    assert_eq!(place.runs(), 2, "its bytes are nowhere else");
    fs::remove_file(place.file(next(first))).unwrap();
    fs::remove_file(place.file(first)).unwrap();
    let state = place.observe(&hook).await;
    assert_eq!((&state.rendering, state.usable(&[])), (&known, Err(StaleCause::Missing)));
    assert_eq!(place.apply(&hook).await, first);
    assert_eq!(place.usable(&hook).await, first);
    assert_eq!(place.runs(), 3);
}

#[tokio::test]
async fn another_key_argument_list_or_stamp_makes_it_outdated() {
    let place = Place::new();
    let hook = place.command();
    place.apply(&hook).await;
    let is_outdated = |state: &HookState| {
        matches!(state.rendering, Rendering::Outdated { .. })
            && state.usable(&[]) == Err(StaleCause::Changed)
    };
    let other = FileHooks::new(HostKey::from_bytes([8; 32]));
    assert!(is_outdated(&other.observe(&hook).await.unwrap()));
    let changed = place.shell("echo other", 20);
    assert!(is_outdated(&place.observe(&changed).await));
    let stamp = place.root.join("ui/.nginx.conf.stamp");
    fs::write(&stamp, b"damaged").unwrap();
    assert!(is_outdated(&place.observe(&hook).await));
    fs::write(&stamp, [b'x'; 1000]).unwrap();
    assert!(is_outdated(&place.observe(&hook).await));
    fs::remove_file(&stamp).unwrap();
    assert!(is_outdated(&place.observe(&hook).await));
    symlink("nginx.conf", &stamp).unwrap();
    assert!(is_outdated(&place.observe(&hook).await));
}

#[tokio::test]
async fn an_input_that_changes_while_the_program_runs_makes_its_output_outdated() {
    let place = Place::new();
    let script = format!("cat {0}/password; echo later > {0}/password", place.root.display());
    let hook = place.shell(&script, 20);
    place.apply(&hook).await;
    assert_eq!(place.stale(&hook).await, StaleCause::Changed);
}

#[tokio::test]
async fn bytes_of_an_unknown_run_are_written_without_a_stamp() {
    let place = Place::new();
    let hook = place.command();
    let first = place.apply(&hook).await;
    let other = Rendered::new(b"other".to_vec());
    let id = place.hooks.commit(&hook, other, &[]).await.unwrap();
    assert_eq!(fs::read(place.output()).unwrap(), b"other");
    assert_eq!(place.names(), expected(&[first, id], &[]), "without a stamp");
    let state = place.observe(&hook).await;
    assert!(matches!(state.rendering, Rendering::Outdated { .. }), "{state:?}");
    assert_eq!((state.link, state.usable(&[])), (Link::To(id), Err(StaleCause::Changed)));
}

#[tokio::test]
async fn a_failing_hanging_or_silent_program_writes_nothing_and_leaks_no_secret() {
    let place = Place::new();
    let good = place.command();
    let id = place.apply(&good).await;
    let print = "cat \"$0\"; cat \"$0\" >&2";
    for (end, timeout, kind, why) in [
        ("exit 1", 20, PortErrorKind::Transient, "exit status: 1"),
        ("exit 126", 20, PortErrorKind::Transient, "exit status: 126"),
        ("kill -9 $$", 20, PortErrorKind::Transient, "signal: 9"),
        ("kill -11 $$", 20, PortErrorKind::Transient, "signal: 11"),
        ("exec /no/such/program", 20, PortErrorKind::Transient, "exit status: 127"),
        ("exec sleep 600", 1, PortErrorKind::Transient, "did not exit within 1 s"),
        ("cat /dev/zero", 20, PortErrorKind::Invalid, "printed more than"),
    ] {
        let mut hook = place.shell(&format!("{print}; {end}"), timeout);
        if let HookProgram::Command { argv, .. } = &mut hook.program {
            argv.push(place.path("password").to_string());
        }
        let error = place.hooks.render(&hook).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{}", error.chain());
        assert!(error.chain().contains(why), "{}", error.chain());
        Place::assert_withheld(&error);
    }
    let silent = place.shell("exit 0", 20);
    let error = place.hooks.render(&silent).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Invalid);
    assert_eq!(place.usable(&good).await, id);
    assert_eq!(place.names(), expected(&[id], &[".nginx.conf.stamp"]));
}

#[tokio::test]
async fn a_program_that_is_untrusted_or_senseless_is_never_run() {
    let place = Place::new();
    let program = place.root.join("hook");
    let script = format!("#!/bin/sh\necho run >> {}/journal\n", place.root.display());
    fs::write(&program, script).unwrap();
    set_mode(&program, 0o777);
    for (argv, kind) in [
        (vec![program.to_str().unwrap().to_owned()], PortErrorKind::Denied),
        (vec![], PortErrorKind::Invalid),
    ] {
        let hook = place.hook(HookProgram::Command { argv, inputs: Vec::new(), timeout: 20 });
        let error = place.hooks.render(&hook).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{}", error.chain());
    }
    assert_eq!(place.runs(), 0);
}
