//! Invariants of a fault: the other companions' processes, unmanaged objects, and the password.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::guest::{podman, write};
use crate::node::{ALL, Companion, Moment, PASSWORD, UNITS, USER_UNITS, installed};

/// An unmanaged container, unit and service.
const UNMANAGED: &str = "unmanaged";

/// The bytes and metadata of a file.
type Identity = (Vec<u8>, u64, u32, u32, i64, i64);

/// The state before a fault.
#[derive(Debug)]
pub(super) struct Witness {
    bystanders: Vec<(Companion, String)>,
    files: BTreeMap<String, Identity>,
    container: String,
    /// The journal cursor at the start of the fault.
    pub(super) since: Moment,
}

fn unmanaged() -> [String; 2] {
    [format!("{UNITS}/{UNMANAGED}.container"), format!("{USER_UNITS}/{UNMANAGED}.service")]
}

fn identity(path: &str) -> Identity {
    let data = fs::symlink_metadata(path).unwrap();
    let bytes = fs::read(path).unwrap();
    (bytes, data.ino(), data.mode(), data.uid(), data.mtime(), data.ctime())
}

/// The unmanaged container, as Podman reports it.
fn container() -> String {
    podman(&["container", "inspect", "--format", "{{.Id}} {{.State.Status}}", UNMANAGED]).good()
}

impl Witness {
    /// Three installed and running companions, of which `affected` will be affected, and the unmanaged objects.
    pub(super) fn excluding(affected: &[Companion]) -> Self {
        installed();
        let [unit, service] = unmanaged();
        write(&unit, "[Container]\nImage=localhost/companion-base:latest\n");
        write(&service, "[Service]\nExecStart=/bin/true\n");
        podman(&["create", "--replace", "--name", UNMANAGED, "localhost/companion-base:latest"])
            .good();
        let bystanders = ALL.into_iter().filter(|one| !affected.contains(one));
        Self {
            bystanders: bystanders.map(|one| (one, one.run())).collect(),
            files: unmanaged().map(|path| (path.clone(), identity(&path))).into(),
            container: container(),
            since: Moment::now(),
        }
    }

    /// Fails unless the unaffected companions kept their processes.
    pub(super) fn bystanders_run_on(&self) {
        for (one, run) in &self.bystanders {
            assert_eq!(&one.run(), run, "{}", one.name);
            assert!(one.is_up(), "{}", one.name);
        }
    }

    /// Fails unless, in addition, the unmanaged objects are unchanged and the password was not logged.
    pub(super) fn nothing_else_happened(&self) {
        self.bystanders_run_on();
        for (path, before) in &self.files {
            assert_eq!(&identity(path), before, "{path}");
        }
        assert_eq!(container(), self.container);
        let password = fs::read_to_string(PASSWORD).unwrap();
        let password = password.trim();
        let pair = STANDARD.encode(format!("archipelago:{password}"));
        let said = self.since.said(&[]);
        for secret in [password, pair.trim_end_matches('=')] {
            assert!(!said.contains(secret), "the journal holds the password");
        }
    }

    /// The number of reloads of archy's manager since the fault.
    pub(super) fn reloads(&self) -> usize {
        let of_manager = ["_SYSTEMD_UNIT=user@1000.service", "CODE_FUNC=invoke_main_loop"];
        let said = self.since.said(&of_manager);
        said.lines().filter(|line| *line == "Reloading...").count()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _removed = podman(&["rm", "--force", "--ignore", UNMANAGED]);
        unmanaged().iter().for_each(|path| drop(fs::remove_file(path)));
    }
}
