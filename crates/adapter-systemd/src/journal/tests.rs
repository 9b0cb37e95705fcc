use std::fs;

use super::*;
use crate::process::tests::write_program;

fn name(text: &str) -> CompanionName {
    CompanionName::new(text).unwrap()
}

/// A `journalctl` that is a shell script which logs its calls, and its journal.
struct Scripted {
    place: tempfile::TempDir,
    journal: Journal,
}

impl Scripted {
    fn new(body: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let program = place.path().join("journalctl");
        write_program(&program, &format!("echo \"$*\" >>\"${{0%/*}}/calls\"; {body}"));
        let journal = Journal::by(program, Scope::User, Duration::from_secs(5));
        Self { place, journal }
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.place.path().join("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    async fn tail(&self, state: &ServiceState) -> PortResult<LogTail> {
        let ended = BTreeMap::from([(name("web"), state.clone())]);
        self.journal.tails(&ended).await.remove(&name("web")).unwrap()
    }
}

fn run(invocation: &str, restarts: u32) -> ServiceState {
    let run_id = Some(invocation.to_owned());
    ServiceState { run_id, restarts, ..ServiceState::absent() }
}

const SAYS: &str = r#"echo '{"MESSAGE":"it ends"}'"#;

#[tokio::test]
async fn a_run_is_asked_for_by_its_invocation_and_once() {
    let scripted = Scripted::new(SAYS);
    for _ in 0..3 {
        assert_eq!(scripted.tail(&run("abcd", 1)).await.unwrap().lines(), ["it ends"]);
        // A call about others drops nothing.
        assert!(scripted.journal.tails(&BTreeMap::new()).await.is_empty());
    }
    let calls = scripted.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    let call = &calls[0];
    let uid = rustix::process::getuid().as_raw();
    assert!(call.starts_with(
        "--quiet --no-pager --output=json --output-fields=MESSAGE,PODMAN_EVENT --lines=40 "
    ));
    assert!(call.contains(" _SYSTEMD_INVOCATION_ID=abcd + USER_INVOCATION_ID=abcd MESSAGE_ID="));
    assert!(call.ends_with(&format!(" _UID={uid}")), "{call}");
    scripted.tail(&run("dcba", 2)).await.unwrap();
    assert_eq!(scripted.calls().len(), 2, "another run");
    scripted.tail(&run("dcba", 0)).await.unwrap();
    assert_eq!(scripted.calls().len(), 3, "its counter restarted");
}

#[tokio::test]
async fn an_empty_answer_is_read_again_but_not_without_end() {
    let scripted = Scripted::new("exit 1");
    for _ in 0..10 {
        assert!(scripted.tail(&run("abcd", 0)).await.unwrap().is_empty());
    }
    assert_eq!(scripted.calls().len(), usize::from(READINGS));
}

#[tokio::test]
async fn a_failure_is_an_error_of_its_own_and_remembered() {
    for (body, kind, words) in [
        (
            "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1",
            PortErrorKind::Denied,
            "insufficient",
        ),
        ("echo 'Failed to open files' >&2; exit 1", PortErrorKind::Unavailable, "Failed to open"),
    ] {
        let scripted = Scripted::new(body);
        for _ in 0..10 {
            let error = scripted.tail(&run("abcd", 0)).await.unwrap_err();
            assert_eq!(error.kind(), kind);
            let chain = error.chain();
            assert!(chain.contains(words) && chain.contains("`web.service`"), "{chain}");
        }
        assert_eq!(scripted.calls().len(), usize::from(READINGS));
    }
    let missing = Journal::by("/nowhere/journalctl", Scope::User, LIMIT);
    let tails = missing.tails(&BTreeMap::from([(name("web"), run("abcd", 0))])).await;
    assert_eq!(tails[&name("web")].as_ref().unwrap_err().kind(), PortErrorKind::Unavailable);
}

#[tokio::test]
async fn a_warning_in_addition_to_entries_is_not_a_failure() {
    let scripted = Scripted::new(&format!("{SAYS}; echo 'Journal file is truncated' >&2; exit 1"));
    assert_eq!(scripted.tail(&run("abcd", 0)).await.unwrap().lines(), ["it ends"]);
}

#[tokio::test]
async fn one_log_that_cannot_be_read_in_time_hides_no_other() {
    let body = format!("case \"$*\" in *=bad*) exec sleep 60;; esac; {SAYS}");
    let mut scripted = Scripted::new(&body);
    scripted.journal.limit = Duration::from_millis(300);
    let states = [("a", "bad"), ("b", "good"), ("c", "good")];
    let mut ended: BTreeMap<_, _> =
        states.into_iter().map(|(text, id)| (name(text), run(id, 0))).collect();
    ended.insert(name("d"), ServiceState::absent());
    let tails = scripted.journal.tails(&ended).await;
    let kind = tails[&name("a")].as_ref().map_err(PortError::kind);
    assert_eq!(kind, Err(PortErrorKind::Transient));
    for text in ["b", "c"] {
        assert_eq!(tails[&name(text)].as_ref().unwrap().lines(), ["it ends"]);
    }
    assert!(tails[&name("d")].as_ref().unwrap().is_empty(), "nothing is read without a run");
}

#[tokio::test]
async fn a_flood_of_output_is_cut_and_not_kept() {
    let scripted =
        Scripted::new(&format!("{SAYS}; yes '{{\"MESSAGE\":\"flood\"}}' | head -c 20000000"));
    let log = scripted.tail(&run("abcd", 0)).await.unwrap();
    assert_eq!(log.lines(), ["flood"; 5]);
}
