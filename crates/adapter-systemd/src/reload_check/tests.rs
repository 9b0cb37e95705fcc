use std::fs;
use std::path::PathBuf;

use super::*;
use crate::process::tests::write_program;

/// Reads all unit files as Podman since 4.6 does: a file without a section drops the whole directory.
const LIKE_PODMAN: &str = r#"echo "$*" >>"${0%/*}/runs"
    for f in "${0%/*}"/units/*.container; do
        grep -q '^\[' "$f" || { echo "quadlet-generator[$$]: error loading \"$f\", key file does not start with a group" >&2; exit 1; }
    done
    for f in "${0%/*}"/units/*.container; do n=${f##*/}; printf -- '---%s.service---\n' "${n%.container}"; done"#;

struct Place {
    root: tempfile::TempDir,
    units: QuadletDir,
}

impl Place {
    fn with_generator(body: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let generator = root.path().join("podman-user-generator");
        write_program(&generator, body);
        fs::create_dir(root.path().join("units")).unwrap();
        let version = PodmanVersion::new(5, 4, 2);
        let units = QuadletDir::at(root.path().join("units"), Scope::User, version);
        Self { units: units.with_generator(generator), root }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join("units").join(name)
    }

    fn put_ours(&self, name: &str) {
        let text = format!("[Container]\nImage=localhost/x\n[X-Companion]\nCompanion={name}\n");
        fs::write(self.file(&format!("{name}.container")), text).unwrap();
    }

    /// Returns how often the generator ran.
    fn runs(&self) -> usize {
        fs::read_to_string(self.root.path().join("runs")).map_or(0, |runs| runs.lines().count())
    }
}

#[tokio::test]
async fn a_sound_directory_holds_nothing_back() {
    let place = Place::with_generator(LIKE_PODMAN);
    place.put_ours("web");
    hold_back_a_loss(&place.units).await.unwrap();
    let asked = fs::read_to_string(place.root.path().join("runs")).unwrap();
    assert_eq!(asked, "--user --dryrun --no-kmsg-log\n");
}

#[tokio::test]
async fn a_broken_unmanaged_file_prevents_reloads_until_it_is_removed() {
    let place = Place::with_generator(LIKE_PODMAN);
    place.put_ours("web");
    fs::write(place.file("strange.container"), "no section\n").unwrap();
    let error = hold_back_a_loss(&place.units).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Conflict);
    let chain = error.chain();
    for expected in
        ["`web`", "strange.container", "key file does not start with a group", "removed"]
    {
        assert!(chain.contains(expected), "{chain}");
    }
    fs::remove_file(place.file("strange.container")).unwrap();
    hold_back_a_loss(&place.units).await.unwrap();
}

#[tokio::test]
async fn without_managed_units_the_generator_is_not_run() {
    let place = Place::with_generator(LIKE_PODMAN);
    fs::write(place.file("strange.container"), "no section\n").unwrap();
    hold_back_a_loss(&place.units).await.unwrap();
    assert_eq!(place.runs(), 0);
    fs::remove_dir_all(place.file("")).unwrap();
    hold_back_a_loss(&place.units).await.unwrap();
}

#[tokio::test]
async fn without_a_generator_that_works_every_unit_would_be_lost() {
    for body in ["exit 127", "kill -9 $$", "echo 'panic: oh' >&2; exit 2"] {
        let place = Place::with_generator(body);
        place.put_ours("web");
        let error = hold_back_a_loss(&place.units).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Unavailable, "{body}: {}", error.chain());
    }
    let place = Place::with_generator(LIKE_PODMAN);
    place.put_ours("web");
    fs::remove_file(place.root.path().join("podman-user-generator")).unwrap();
    let error = hold_back_a_loss(&place.units).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Unavailable, "{}", error.chain());
    assert!(error.chain().contains("podman-user-generator"), "{}", error.chain());
}

#[tokio::test]
async fn a_directory_that_cannot_be_trusted_is_not_loaded() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::with_generator(LIKE_PODMAN);
    fs::set_permissions(place.file(""), fs::Permissions::from_mode(0o777)).unwrap();
    let error = hold_back_a_loss(&place.units).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Denied, "{}", error.chain());
}

#[test]
fn long_lists_are_cut() {
    let name = |n| CompanionName::new(format!("web-{n}")).unwrap();
    let file = |n| UnloadableFile { file: format!("/u/{n}.container"), why: "w".repeat(2048) };
    let found = UnloadableUnits {
        files: (0..100).map(file).collect(),
        lost: (0..100).map(name).collect(),
        ..UnloadableUnits::default()
    };
    let text = held_back(&found);
    assert!(text.len() < 2200 && text.contains("and 95 more"), "{text}");
}

#[tokio::test]
async fn a_blocking_pipe_is_reported_without_running_the_generator() {
    let place = Place::with_generator(LIKE_PODMAN);
    place.put_ours("web");
    let pipe = place.file("stuck.network");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    std::os::unix::fs::symlink(&pipe, place.file("also-stuck.container")).unwrap();
    std::os::unix::fs::symlink("nowhere", place.file("not-stuck.container")).unwrap();
    let error = hold_back_a_loss(&place.units).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Conflict);
    let words = error.to_string();
    assert!(words.contains("/stuck.network`: it is a named pipe"), "{words}");
    assert!(words.contains("/also-stuck.container`"), "{words}");
    assert!(!words.contains("not-stuck"), "{words}");
    assert_eq!(place.runs(), 0);
}
