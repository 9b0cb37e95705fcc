//! The node under test: archy's three companions, their installation, and queries about them. Tests of companions
//! start with one of the two functions here, which reset the node.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use crate::guest::{
    Ran, archy, archy_reading, podman, property, root, root_reading, systemctl, until, write,
};
use crate::http;

/// The program under test.
pub(crate) const COMPANION: &str = "/home/archy/.local/bin/companion";
pub(crate) const APPS: [&str; 3] = ["bitcoin-knots", "lnd", "electrumx"];
pub(crate) const UNITS: &str = "/home/archy/.config/containers/systemd";
pub(crate) const USER_UNITS: &str = "/home/archy/.config/systemd/user";
pub(crate) const STATE: &str = "/home/archy/.local/state/companion";
pub(crate) const CATALOG: &str = "/home/archy/.config/companion/catalog.toml";
/// The link to the latest rendered configuration.
pub(crate) const CONFIG: &str = "/var/lib/archipelago/bitcoin-ui/nginx.conf";
pub(crate) const PASSWORD: &str = "/var/lib/archipelago/bitcoin/rpc-password";
/// The requests to the stand-in.
pub(crate) const ASKED: &str = "/var/lib/archipelago/bitcoin/rpc-journal.jsonl";
pub(crate) const CONTEXTS: &str = "/opt/archipelago/docker";

/// The message id of systemd for a started unit (`SD_MESSAGE_UNIT_STARTED`, sd-messages.h).
pub(crate) const STARTED: &str = "39f53479d3a045ac8e11786248231fbf";

/// The dependency of a unit without `DefaultDependencies=false`: 90 s on this machine, which never has a network.
/// Stopped before each test, so that a waiting companion would be noticed.
pub(crate) const NETWORK_WAIT: &str = "podman-user-wait-network-online.service";

/// The machine's nginx as the base image, and its registry instead of a real one.
const CATALOG_TEXT: &str = r#"[node]
build_arguments = { BASE_IMAGE = "localhost/companion-base:latest" }
image_repository = "127.0.0.1:5000/lfg2025"
insecure_registries = ["127.0.0.1:5000"]

[node.bitcoin]
password_file = "/var/lib/archipelago/bitcoin/rpc-password"
"#;

/// One of the three companions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Companion {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    /// The name of its build context.
    pub(crate) base: &'static str,
}

pub(crate) const BITCOIN: Companion =
    Companion { name: "archy-bitcoin-ui", port: 18081, base: "bitcoin-ui" };
pub(crate) const LND: Companion = Companion { name: "archy-lnd-ui", port: 18083, base: "lnd-ui" };
pub(crate) const ELECTRS: Companion =
    Companion { name: "archy-electrs-ui", port: 18082, base: "electrs-ui" };
pub(crate) const ALL: [Companion; 3] = [BITCOIN, LND, ELECTRS];

impl Companion {
    pub(crate) fn service(self) -> String {
        format!("{}.service", self.name)
    }

    pub(crate) fn unit(self) -> String {
        format!("{UNITS}/{}.container", self.name)
    }

    /// The text of its unit; empty when it is not a regular file, because reading a pipe would block.
    pub(crate) fn unit_text(self) -> String {
        let is_file = fs::metadata(self.unit()).is_ok_and(|data| data.is_file());
        let text = is_file.then(|| fs::read_to_string(self.unit()).ok());
        text.flatten().unwrap_or_default()
    }

    /// The image of its unit.
    pub(crate) fn unit_image(self) -> String {
        let text = self.unit_text();
        let image = text.lines().find_map(|line| line.strip_prefix("Image="));
        image.unwrap_or_default().to_owned()
    }

    /// Its build tag.
    pub(crate) fn tag(self) -> String {
        format!("localhost/{}:latest", self.base)
    }

    /// The id of the image that its container was started from.
    pub(crate) fn running_image(self) -> String {
        podman(&["container", "inspect", "--format", "{{.Image}}", self.name]).good()
    }

    /// Deletes its unit and waits until it is back; returns the time of the deletion.
    pub(crate) fn loses_its_unit(self) -> Instant {
        let started = Instant::now();
        fs::remove_file(self.unit()).unwrap();
        until("its unit is back", 60, || fs::metadata(self.unit()).ok());
        started
    }

    /// Changes its unit, as an operator would.
    pub(crate) fn edit_unit(self) -> Ran {
        archy(&["sed", "-i", "s/^RestartSec=.*/RestartSec=77/", &self.unit()])
    }

    /// Whether its unit is restored after an edit.
    pub(crate) fn unit_is_restored(self) -> Option<()> {
        self.unit_text().contains("\nRestartSec=10\n").then_some(())
    }

    /// A property of its service.
    pub(crate) fn property(self, name: &str) -> String {
        property(&self.service(), name)
    }

    /// The run of its service: its invocation, its main process and its state.
    pub(crate) fn run(self) -> String {
        let properties = "--property=InvocationID,MainPID,ActiveState";
        systemctl(&["show", properties, &self.service()]).good()
    }

    pub(crate) fn is_active(self) -> bool {
        self.property("ActiveState") == "active"
    }

    /// The id of its container, if there is one.
    pub(crate) fn container(self) -> Option<String> {
        let ran = podman(&["container", "inspect", "--format", "{{.Id}}", self.name]);
        (ran.status == Some(0)).then(|| ran.good())
    }

    /// Whether its service is active and its page answers.
    pub(crate) fn is_up(self) -> bool {
        let answers = || http::get(self.port, "/", &[]).is_ok_and(|answer| answer.status == 200);
        self.is_active() && answers()
    }

    pub(crate) fn comes_up(self, seconds: u64) {
        until(&format!("{} is up", self.name), seconds, || self.is_up().then_some(()));
    }

    /// Waits until `companion status` finds it ready.
    pub(crate) fn becomes_ready(self, seconds: u64) {
        until("it is ready", seconds, || (self.status().1 == Some(0)).then_some(()));
    }

    /// Whether no object of it is left.
    pub(crate) fn is_absent(self) -> bool {
        !fs::exists(self.unit()).unwrap()
            && self.property("LoadState") == "not-found"
            && self.property("ActiveState") == "inactive"
            && self.container().is_none()
    }

    /// Its row of `companion status`, and the command's exit status.
    pub(crate) fn status(self) -> (Value, Option<i32>) {
        let ran = companion(&["--json", "status", self.name]);
        let value: Value = serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("status of {}: {error}: {ran}", self.name));
        (value["companions"][0].clone(), ran.status)
    }

    /// The number of starts since `since`.
    pub(crate) fn starts(self, since: &Moment) -> usize {
        since.count(&format!("USER_UNIT={}", self.service()), STARTED)
    }
}

/// A cursor in the guest's journal.
#[derive(Debug)]
pub(crate) struct Moment(String);

impl Moment {
    pub(crate) fn now() -> Self {
        root(&["journalctl", "--sync"]).good();
        let text = root(&["journalctl", "--quiet", "--lines=0", "--show-cursor"]).good();
        let cursor = text.lines().find_map(|line| line.strip_prefix("-- cursor: "));
        Self(cursor.unwrap_or_else(|| panic!("no cursor: {text}")).to_owned())
    }

    /// The number of messages with this message id and field since then (systemd.journal-fields(7)).
    fn count(&self, field: &str, message_id: &str) -> usize {
        self.said(&[field, &format!("MESSAGE_ID={message_id}")]).lines().count()
    }

    /// The messages since then that match all these fields.
    pub(crate) fn said(&self, fields: &[&str]) -> String {
        root(&["journalctl", "--sync"]).good();
        let after = format!("--after-cursor={}", self.0);
        let journal = ["journalctl", "--quiet", "--all", "--output=cat", &after];
        // It exits with 1 when there are none.
        root(&[&journal, fields].concat()).stdout
    }
}

/// Runs the program under test as archy.
pub(crate) fn companion(arguments: &[&str]) -> Ran {
    archy(&[&[COMPANION], arguments].concat())
}

pub(crate) fn install_all() -> Ran {
    companion(&[&["install"], &APPS[..]].concat())
}

/// Waits until all three are up.
pub(crate) fn all_up(seconds: u64) {
    until("all are up", seconds, || ALL.into_iter().all(Companion::is_up).then_some(()));
}

/// Waits until `companion status` finds all ready, and every page answers.
pub(crate) fn all_ready(seconds: u64) {
    until("all are ready", seconds, || {
        let ready = companion(&["status"]).status == Some(0);
        (ready && ALL.into_iter().all(Companion::is_up)).then_some(())
    });
}

/// The message that the daemon shows in its status: the first warning or error, or that all is well.
pub(crate) fn logged_by_the_daemon(words: &str) -> String {
    until(&format!("the daemon logs: {words}"), 60, || {
        let text = property("companion.service", "StatusText");
        text.contains(words).then_some(text)
    })
}

/// Whether the desired state has this app installed; false while it is missing or unreadable.
pub(crate) fn is_recorded(app: &str) -> bool {
    let record = fs::read(format!("{STATE}/desired.json")).unwrap_or_default();
    let record: Value = serde_json::from_slice(&record).unwrap_or_default();
    record["apps"][app]["installed"] == true
}

/// The container ids of all three.
pub(crate) fn containers() -> BTreeMap<&'static str, String> {
    let id =
        |one: Companion| one.container().unwrap_or_else(|| panic!("{} has no container", one.name));
    ALL.into_iter().map(|one| (one.name, id(one))).collect()
}

/// The id of archy's image of this name, if there is one.
pub(crate) fn image_id(name: &str) -> Option<String> {
    let ran = podman(&["image", "inspect", "--format", "{{.Id}}", name]);
    (ran.status == Some(0)).then(|| ran.good())
}

/// The rendered file behind the link `output`, if it is in the same directory.
pub(crate) fn rendered_file(output: &str) -> Option<String> {
    let target = fs::read_link(output).ok()?;
    let name = target.to_str().filter(|name| !name.contains('/'))?;
    let file = Path::new(output).parent()?.join(name);
    let is_file = fs::symlink_metadata(&file).is_ok_and(|found| found.is_file());
    is_file.then(|| file.display().to_string())
}

/// All rendered files of `output`, including replaced ones.
pub(crate) fn rendered_files(output: &str) -> BTreeSet<String> {
    let (directory, name) = output.rsplit_once('/').unwrap();
    let Ok(entries) = fs::read_dir(directory) else { return BTreeSet::new() };
    let names = entries.flatten().map(|entry| entry.file_name().into_string().unwrap());
    let rendered = names.filter(|other| other.starts_with(&format!("{name}.")));
    rendered.map(|name| format!("{directory}/{name}")).collect()
}

/// Queries the RPC viewer for the chain, as its own page would, and returns the HTTP status.
pub(crate) fn ask_the_node() -> Option<u16> {
    let page = [("X-Requested-With", "companion"), ("Sec-Fetch-Site", "same-origin")];
    http::get(BITCOIN.port, "/api/getblockchaininfo", &page).ok().map(|answer| answer.status)
}

/// Remains of interrupted work: temporary files below these directories, units staged for the generator, and
/// containers without a running service. A directory that cannot be searched is reported, too.
pub(crate) fn stale_files(directories: &[&str]) -> Vec<String> {
    let script = r#"
        find "$@" /run/user/1000/companion -name '.*.tmp' 2>&1 || echo "these cannot be searched: $*"
        for stage in /run/user/1000/companion-stage-*; do
            test ! -d "$stage" || find "$stage" -mindepth 1 2>&1
        done
        names=$(podman ps --all --external --format '{{.Names}}')
        for name in $names; do
            test "$name" = unmanaged || systemctl --user --quiet is-active "$name.service" ||
                echo "container $name"
        done
    "#;
    let found = archy(&[&["sh", "-ec", script, "sh"], directories].concat()).good();
    found.lines().map(str::to_owned).collect()
}

/// A node without companions; only images may be left.
pub(crate) fn clean() {
    as_delivered();
    for one in ALL {
        let _none = systemctl(&["stop", &one.service()]);
        let _none = fs::remove_file(one.unit());
    }
    systemctl(&["daemon-reload"]).good();
    for one in ALL {
        let _none = systemctl(&["reset-failed", &one.service()]);
        podman(&["rm", "--force", "--ignore", "--volumes", one.name]).good();
        podman(&["image", "rm", "--force", "--ignore", &one.tag()]);
    }
    for directory in [STATE, Path::new(CONFIG).parent().unwrap().to_str().unwrap()] {
        root(&["rm", "-rf", directory]).good();
    }
}

/// A node with all three companions ready, no daemon, and everything around them in its initial state.
pub(crate) fn installed() {
    as_delivered();
    if install_all().status != Some(0) {
        clean();
        install_all().exits(0);
    }
    assert!(ALL.into_iter().all(Companion::is_up));
}

/// Resets everything around the companions.
fn as_delivered() {
    assert_eq!(fs::read_to_string("/etc/hostname").unwrap().trim(), "companion-machine");
    root_reading(&["sh", "-e"], ROOTS_ORDER).good();
    until("archy's manager runs", 60, || {
        root(&["systemctl", "is-active", "--quiet", "user@1000.service"]).status.filter(|s| *s == 0)
    });
    for one in ALL.into_iter().filter(|one| !one.unit_text().contains("[X-Companion]")) {
        root(&["rm", "-rf", &one.unit()]).good();
    }
    archy_reading(&["sh", "-e"], ARCHYS_ORDER).good();
    write(CATALOG, CATALOG_TEXT);
    if !fs::read_to_string(PASSWORD).unwrap().starts_with("the-usual") {
        rotate_password("the-usual-password");
    }
}

/// Mounts, system services, drop-ins, and the original build contexts.
const ROOTS_ORDER: &str = "
umount --quiet /home/archy/.config/containers/systemd || true
loginctl enable-linger archy
systemctl start docker-registry stand-in-node
rm -rf /home/archy/.config/systemd/user/*.service.d /home/archy/.config/containers/systemd/*.container.d
rm -f /usr/local/bin/journalctl
cd /opt/archipelago
diff -r pristine docker >/dev/null || { rm -rf docker; cp -a pristine docker; }
";

/// No daemon, no mask, and no wait for a network that an earlier test interrupted.
const ARCHYS_ORDER: &str = "
systemctl --user --quiet stop companion.service podman-user-wait-network-online.service
systemctl --user --quiet unmask archy-bitcoin-ui.service archy-lnd-ui.service archy-electrs-ui.service
systemctl --user --quiet daemon-reload
";

/// Adds a text to the catalog.
pub(crate) fn extend_catalog(text: &str) {
    write(CATALOG, &format!("{}{text}", fs::read_to_string(CATALOG).unwrap()));
}

/// Adds a setting to the node's section of the catalog.
pub(crate) fn set_in_catalog(setting: &str) {
    let text = fs::read_to_string(CATALOG).unwrap();
    write(CATALOG, &text.replacen("[node]\n", &format!("[node]\n{setting}\n"), 1));
}

/// Gives the node another RPC password.
pub(crate) fn rotate_password(password: &str) {
    write(PASSWORD, &format!("{password}\n"));
}

/// Changes the Dockerfile of a companion's build context.
pub(crate) fn edit_dockerfile(one: Companion, edit: impl FnOnce(String) -> String) {
    let file = format!("{}/Dockerfile", one.base);
    edit_context(&file, &edit(fs::read_to_string(format!("{CONTEXTS}/{file}")).unwrap()));
}

/// Resets a companion's build context.
pub(crate) fn restore_context(one: Companion) {
    let base = one.base;
    let script =
        format!("cd /opt/archipelago && rm -rf docker/{base} && cp -a pristine/{base} docker/");
    root(&["sh", "-ec", &script]).good();
}

/// Replaces text in a file of a build context.
pub(crate) fn edit_context(file: &str, text: &str) {
    fs::write(format!("{CONTEXTS}/{file}"), text).unwrap();
}
