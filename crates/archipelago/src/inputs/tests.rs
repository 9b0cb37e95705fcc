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
fn invalid_catalog_is_reported_and_the_last_valid_one_is_used() {
    let bench = Bench::new();
    bench.save(&companion("one-ui"));
    let inputs = bench.process();
    let good = inputs.refresh();
    bench.save("[[companion]]\nname = ");
    let broken = inputs.refresh();
    assert!(has(&broken, "one-ui"));
    assert_eq!(broken.digest, good.digest);
    let problem = broken.problem.unwrap();
    assert_eq!(problem.reason, "invalid");
    assert!(problem.message.contains("catalog.toml"), "{problem:?}");
    bench.save(&companion("two-ui"));
    assert!(inputs.refresh().problem.is_none());
}

#[test]
fn deleted_catalog_is_not_replaced_by_the_built_in_one() {
    let bench = Bench::new();
    bench.save(&companion("one-ui"));
    let inputs = bench.process();
    inputs.refresh();
    inputs.persist().unwrap();
    fs::remove_file(bench.file()).unwrap();
    for inputs in [inputs, bench.process()] {
        let current = inputs.refresh();
        assert!(has(&current, "one-ui"));
        assert_eq!(current.problem.unwrap().reason, "missing");
    }
}

#[test]
fn process_that_starts_with_an_invalid_catalog_uses_the_last_valid_one() {
    let bench = Bench::new();
    bench.save(&companion("one-ui"));
    let first = bench.process();
    let good = first.refresh();
    first.persist().unwrap();
    bench.save("broken");
    let current = bench.process().refresh();
    assert!(has(&current, "one-ui") && current.problem.is_some());
    assert_eq!(current.digest, good.digest);
}

#[test]
fn invalid_catalog_without_an_earlier_valid_one_gives_none() {
    let bench = Bench::new();
    bench.save("broken");
    let current = bench.process().refresh();
    assert!(current.catalog.is_none() && current.problem.is_some());
}

#[test]
fn last_valid_catalog_of_other_files_is_not_used() {
    let bench = Bench::new();
    bench.save(&companion("one-ui"));
    let first = bench.process();
    first.refresh();
    first.persist().unwrap();
    let other = bench.place.path().join("other.toml");
    fs::write(&other, "broken").unwrap();
    let settings = Settings { catalogs: vec![other], ..Settings::default() };
    assert!(bench.with(settings).refresh().catalog.is_none());
}

#[test]
fn named_catalog_that_is_missing_is_an_error() {
    let bench = Bench::new();
    let settings = Settings { catalogs: vec![bench.file()], ..Settings::default() };
    let current = bench.with(settings).refresh();
    assert_eq!(current.problem.unwrap().reason, "unreadable");
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
