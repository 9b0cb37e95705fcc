use super::*;
use std::os::unix::fs::MetadataExt as _;

struct Bench {
    place: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { place: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.place.path().join("catalog.toml")
    }

    /// Saves a catalog as an editor does, under a new inode.
    fn save(&self, text: &str) {
        let new = self.place.path().join("catalog.toml.new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    /// What a process has that reads the default catalog.
    fn process(&self) -> Inputs {
        self.with(Settings::default())
    }

    fn with(&self, settings: Settings) -> Inputs {
        Inputs::new(settings, Some(self.file()), self.place.path().join("state"))
    }
}

fn companion(name: &str) -> String {
    format!("[[companion]]\nname = \"{name}\"\napps = [\"x\"]\nimage = {{ base = \"x\" }}\n")
}

fn has(current: &Current, name: &str) -> bool {
    let catalog = current.catalog.as_ref().unwrap();
    catalog.companions().any(|spec| spec.name.as_str() == name)
}

#[test]
fn changed_catalog_is_used_at_the_next_refresh() {
    let bench = Bench::new();
    bench.save(&companion("one-ui"));
    let inputs = bench.process();
    let before = inputs.refresh();
    assert!(has(&before, "one-ui"));
    assert_eq!(inputs.refresh().digest, before.digest);
    bench.save(&companion("two-ui"));
    let after = inputs.refresh();
    assert!(has(&after, "two-ui") && !has(&after, "one-ui"));
    assert_ne!(after.digest, before.digest);
}

#[test]
fn unusable_catalog_is_reported_and_the_last_valid_one_is_used() {
    let invalid = |bench: &Bench| bench.save("[[companion]]\nname = ");
    let missing = |bench: &Bench| fs::remove_file(bench.file()).unwrap();
    for (reason, spoil) in [("invalid", &invalid as &dyn Fn(&Bench)), ("missing", &missing)] {
        let bench = Bench::new();
        bench.save(&companion("one-ui"));
        let first = bench.process();
        let good = first.refresh();
        first.persist().unwrap();
        spoil(&bench);
        for inputs in [&first, &bench.process()] {
            let current = inputs.refresh();
            assert!(has(&current, "one-ui"), "{reason}");
            assert_eq!(current.digest, good.digest, "{reason}");
            let problem = current.problem.unwrap();
            assert_eq!(problem.reason, reason);
            assert!(problem.message.contains("catalog.toml"), "{problem:?}");
        }
        bench.save(&companion("two-ui"));
        assert!(first.refresh().problem.is_none(), "{reason}");
    }
}

#[test]
fn unusable_catalog_is_not_replaced_by_the_last_valid_one_of_other_files() {
    let bench = Bench::new();
    bench.save(&companion("one-ui"));
    let first = bench.process();
    first.refresh();
    first.persist().unwrap();
    let other = bench.place.path().join("other.toml");
    let settings = Settings { catalogs: vec![other.clone()], ..Settings::default() };
    let inputs = bench.with(settings);
    let unreadable = inputs.refresh();
    fs::write(&other, "broken").unwrap();
    for (current, reason) in [(unreadable, "unreadable"), (inputs.refresh(), "invalid")] {
        assert!(current.catalog.is_none(), "{reason}");
        assert_eq!(current.problem.unwrap().reason, reason);
    }
}

#[test]
fn unchanged_catalog_is_not_written_again() {
    let bench = Bench::new();
    bench.save(&companion("one-ui"));
    let kept = bench.place.path().join("state").join(LAST_GOOD_FILE);
    let keep = |inputs: &Inputs| {
        inputs.refresh();
        inputs.persist().unwrap();
        fs::metadata(&kept).unwrap().ino()
    };
    let first = bench.process();
    let written = keep(&first);
    assert_eq!((keep(&first), keep(&bench.process())), (written, written));
}

#[test]
fn damaged_file_of_the_last_valid_catalog_is_ignored() {
    let bench = Bench::new();
    let state = bench.place.path().join("state");
    Dir::create(&state, 0o700, Trust::Owned)
        .unwrap()
        .write(LAST_GOOD_FILE, b"{\"version\":2}", 0o600)
        .unwrap();
    let current = bench.process().refresh();
    assert!(has(&current, "archy-lnd-ui") && current.problem.is_none());
}
