use super::*;

const REVISION: &str = "00000000000000aa-00000000000000bb-none-2";

/// A host of files: process 42 with `environ`, and a container's groups in `payload`.
struct Files {
    place: tempfile::TempDir,
}

impl Files {
    fn with_environ(environ: &[u8]) -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("proc/42")).unwrap();
        fs::write(place.path().join("proc/42/environ"), environ).unwrap();
        Self { place }
    }

    fn with_group(self, group: &str, events: &str) -> Self {
        let group = self.place.path().join("cgroup").join(group);
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join("cgroup.events"), events).unwrap();
        self
    }

    fn facts(&self, main_pid: u32, control_group: Option<&str>) -> ProcessFacts {
        let files = KernelFiles {
            proc: self.place.path().join("proc"),
            cgroup: self.place.path().join("cgroup"),
        };
        files.facts(&Subject {
            main_pid,
            control_group: control_group.map(str::to_owned),
            invocation: "abcd".to_owned(),
        })
    }

    fn running(&self) -> Option<Revision> {
        self.facts(42, None).running
    }

    fn is_frozen(&self) -> bool {
        self.facts(0, Some("/s/a.service")).frozen
    }
}

#[test]
fn the_revision_of_the_unit_s_own_run_is_read() {
    let environ = format!("A=1\0INVOCATION_ID=abcd\0COMPANION_REVISION={REVISION}\0");
    assert_eq!(Files::with_environ(environ.as_bytes()).running(), Some(REVISION.parse().unwrap()));
    let environ = format!("COMPANION_REVISION={REVISION}\0");
    assert!(Files::with_environ(environ.as_bytes()).running().is_some());
}

#[test]
fn a_process_of_another_run_with_the_same_number_says_nothing() {
    let environ = format!("INVOCATION_ID=ffff\0COMPANION_REVISION={REVISION}\0");
    let facts = Files::with_environ(environ.as_bytes()).facts(42, None);
    assert_eq!((facts.running, facts.superseded), (None, true));
}

#[test]
fn an_invalid_revision_or_a_missing_process_gives_no_revision() {
    for environ in
        [&b""[..], b"\0\0", b"COMPANION_REVISION=\xff\xfe\0", b"COMPANION_REVISION=1-2-3-4"]
    {
        assert_eq!(Files::with_environ(environ).running(), None);
    }
    let files = Files::with_environ(b"");
    assert!(!files.facts(42, None).superseded);
    let nothing = ProcessFacts { event_files: Some(Vec::new()), ..ProcessFacts::default() };
    assert_eq!(files.facts(0, None), nothing);
    assert_eq!(files.facts(43, None), ProcessFacts { superseded: true, ..nothing });
}

#[test]
fn an_environment_without_end_is_read_to_the_limit_only() {
    let mut environ = vec![b'x'; usize::try_from(ENVIRONMENT_LIMIT).unwrap()];
    environ.push(0);
    environ.extend_from_slice(format!("COMPANION_REVISION={REVISION}").as_bytes());
    assert_eq!(Files::with_environ(&environ).running(), None);
}

#[test]
fn a_frozen_payload_is_a_paused_container() {
    let thawed = "populated 1\nfrozen 0\n";
    let frozen = "populated 1\nfrozen 1\n";
    let payload = format!("s/a.service/libpod-payload-{}", "0".repeat(64));
    let files = |payload_events, runtime_events| {
        Files::with_environ(b"")
            .with_group("s/a.service", thawed)
            .with_group(&payload, payload_events)
            .with_group("s/a.service/runtime", runtime_events)
    };
    assert!(files(frozen, thawed).is_frozen());
    assert!(!files(thawed, frozen).is_frozen(), "a frozen conmon group alone is not a pause");
    assert!(!files("frozen 10\n", thawed).is_frozen());
}

#[test]
fn a_missing_or_outside_control_group_is_not_read() {
    let files = Files::with_environ(b"").with_group("x/libpod-payload-0", "frozen 1\n");
    assert!(files.facts(0, Some("/x")).frozen);
    for group in ["", "/", "x", "/s/../x", "/absent", "//x/../x"] {
        assert!(!files.facts(0, Some(group)).frozen, "{group:?}");
    }
}

#[test]
fn a_control_group_that_cannot_be_listed_has_unknown_containers() {
    let files = Files::with_environ(b"").with_group("a.service", "frozen 1\n");
    let file = "/a.service/cgroup.events";
    assert_eq!(files.facts(0, Some(file)).event_files, None);
    assert_eq!(files.facts(0, Some("/absent.service")).event_files, Some(Vec::new()));
}
