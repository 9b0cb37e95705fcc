use std::time::Duration;

use companion_core::ports::{Leadership as _, PortErrorKind};

use super::*;

fn info(program: &str) -> LeaderInfo {
    LeaderInfo::of_this_process(program, Role::Command, "1.0.0", "/state", Settings::default())
}

fn lock(dir: &Path, program: &str) -> LeaderLock {
    let heartbeat = Arc::new(Heartbeat::new(Duration::from_secs(30)));
    LeaderLock::new(dir.join("companion"), info(program), heartbeat)
}

async fn lease(lock: &LeaderLock) -> Box<dyn Lease> {
    match lock.acquire().await.unwrap() {
        Acquired::Leading(lease) => lease,
        Acquired::Led { by } => panic!("{by} leads"),
    }
}

/// A lock that is held, in a separate directory.
async fn led() -> (tempfile::TempDir, LeaderLock, Box<dyn Lease>) {
    let dir = tempfile::tempdir().unwrap();
    let lock = lock(dir.path(), "companion run");
    let held = lease(&lock).await;
    (dir, lock, held)
}

/// Lets time pass in which the reconcile loop of the leader does not move.
async fn hang(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn leader_is_named_with_its_process() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (lock(dir.path(), "companion run"), lock(dir.path(), "companion install"));
    assert_eq!(leader(&other.dir).await.unwrap(), None);
    let held = lease(&one).await;
    let Acquired::Led { by } = other.acquire().await.unwrap() else { panic!("two leaders") };
    assert_eq!(by, format!("companion run (pid {})", std::process::id()));
    assert_eq!(leader(&other.dir).await.unwrap().as_ref(), Some(&*one.info));
    drop(held);
    // The task that answers is dropped at the runtime's next turn, and the socket with it.
    tokio::task::yield_now().await;
    assert_eq!(leader(&other.dir).await.unwrap(), None);
}

#[tokio::test]
async fn temporary_file_of_a_crashed_leader_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let lock = lock(dir.path(), "companion run");
    drop(lease(&lock).await);
    let left = lock.dir.join(".leader.json.abcdefgh.tmp");
    fs::write(&left, b"half").unwrap();
    let _held = lease(&lock).await;
    assert!(!left.exists());
}

#[tokio::test]
async fn leader_answers_a_query_wakes_up_and_is_not_killed() {
    let (_dir, lock, _held) = led().await;
    assert_eq!(ask(&lock.dir).await, Answer::Alive);
    lock.wake().notified().await;
    let error = take_over(&lock.dir).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Conflict, "{error}");
}

#[tokio::test]
async fn leader_with_a_hung_loop_is_stuck() {
    let (_dir, lock, _held) = led().await;
    hang(600).await;
    assert!(matches!(ask(&lock.dir).await, Answer::Stuck { seconds } if seconds >= 600));
}

#[tokio::test]
async fn directory_without_a_leader_has_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(ask(dir.path()).await, Answer::NoEvents);
    assert!(take_over(dir.path()).await.unwrap().is_none());
}

#[tokio::test]
async fn process_with_a_reused_leader_pid_is_not_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut info = info("companion run");
    info.started += 1;
    let heartbeat = Arc::new(Heartbeat::new(Duration::ZERO));
    let lock = LeaderLock::new(dir.path().join("companion"), info, heartbeat);
    let _held = lease(&lock).await;
    hang(6000).await;
    let error = take_over(&lock.dir).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn lock_directory_of_another_mode_stays_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_dir, lock, _held) = led().await;
    let mode = |name: &str| {
        let path = lock.dir.join(name);
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!([mode(""), mode(LOCK_FILE), mode(INFO_FILE)], [0o700, 0o600, 0o600]);
}

#[tokio::test]
async fn lease_whose_file_or_directory_was_replaced_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let lock = lock(dir.path(), "companion run");
    for lose in [
        |place: &Path| std::fs::remove_file(place.join(LOCK_FILE)).unwrap(),
        |place: &Path| std::fs::remove_dir_all(place).unwrap(),
        |place: &Path| std::fs::rename(place, place.with_extension("old")).unwrap(),
    ] {
        let held = lease(&lock).await;
        assert!(held.is_held());
        lose(&lock.dir);
        assert!(!held.is_held());
    }
}
