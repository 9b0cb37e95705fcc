//! One leader: while the daemon runs, a change of its inputs holds, commands wait for it, and no process undoes the
//! work of another.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::daemon::Daemon;
use crate::guest::{
    archy, log_value, measured, number, podman, root, spawn_archy, systemctl, throughout, until,
    write,
};
use crate::node::{
    ALL, APPS, CATALOG, COMPANION, CONFIG, Companion, ELECTRS, LND, Moment, STATE, clean,
    companion, containers, image_id, install_all, installed, is_recorded,
};
use crate::random::Random;

/// Maximum seconds from saving a change until it is live.
const SOON: u64 = 2;

/// A companion of the test's catalog, on the base image, with its variable fields.
const MY_UI: Companion = Companion { name: "my-ui", port: 18099, base: "my-ui" };

fn my_ui(port: u16, tag: &str, page: &str) -> String {
    format!(
        "\n[[companion]]\nname = \"my-ui\"\napps = [\"my-app\"]\n\
         image = {{ pull = \"localhost/my-ui:{tag}\" }}\n\
         container.ports = [{{ host = {port}, container = 80 }}]\n\
         container.environment = {{ PAGE = \"{page}\" }}\n"
    )
}

/// Saves the catalog as most editors do: a new file replaces the old one.
fn save(text: &str) {
    let new = format!("{CATALOG}.new");
    write(&new, text);
    archy(&["mv", &new, CATALOG]).good();
}

fn catalog() -> String {
    fs::read_to_string(CATALOG).unwrap()
}

/// The events of `companion history` after `last`; only the newest are kept.
pub(crate) fn events_after(last: Option<&Value>) -> Vec<Value> {
    let history = companion(&["--json", "history", "-n", "100000"]).exits(0);
    let history: Value = serde_json::from_str(&history.stdout).unwrap();
    let events = history["events"].as_array().unwrap();
    let after = last.and_then(|last| events.iter().rposition(|event| event == last));
    events[after.map_or(0, |place| place + 1)..].to_vec()
}

/// The newest event.
pub(crate) fn last_event() -> Option<Value> {
    events_after(None).pop()
}

fn count(events: &[Value], kind: &str, action: &str, name: &str) -> usize {
    let is = |event: &&Value| {
        event["kind"] == kind && event["action"] == action && event["companion"] == name
    };
    events.iter().filter(is).count()
}

/// The app of the test's companion, with two images for it; removed at the end of the test.
struct MyApp;

impl MyApp {
    fn with_two_tags() -> Self {
        for (image, tag) in [(LND.tag().as_str(), "1"), ("localhost/companion-base:latest", "2")] {
            podman(&["tag", image, &format!("localhost/my-ui:{tag}")]).good();
        }
        Self
    }
}

impl Drop for MyApp {
    fn drop(&mut self) {
        let _removed = companion(&["remove", "my-app"]);
        for name in ["localhost/my-ui:1", "localhost/my-ui:2"] {
            let _untagged = podman(&["untag", name, name]);
        }
    }
}

/// A port, an image, the environment and a host name are changed one after the other: each is live soon, causes one
/// restart, and is still live a minute later. Concurrent commands do not revert it.
#[test]
fn catalog_change_is_applied_with_one_restart() {
    installed();
    let before = catalog();
    let _daemon = Daemon::start();
    let _removed = MyApp::with_two_tags();
    save(&format!("{before}{}", my_ui(18099, "1", "one")));
    companion(&["install", "my-app"]).exits(0);
    assert_eq!(MY_UI.status().0["health"], "ready");
    measured("unit of a companion that was added later", MY_UI.loses_its_unit());
    let change = |what: &str, text: &str, holds: &str| {
        let since = Moment::now();
        let started = Instant::now();
        save(&format!("{before}{text}"));
        until(&format!("the new {what} is in the unit"), SOON, || {
            MY_UI.unit_text().contains(holds).then_some(())
        });
        measured(&format!("new {what} in the unit"), started);
        companion(&["reconcile"]).exits(0);
        until("it is up", 30, || MY_UI.is_active().then_some(()));
        companion(&["wait", "my-app"]).exits(0);
        assert_eq!(MY_UI.starts(&since), 1, "a new {what} costs one restart");
    };
    change("port", &my_ui(18100, "1", "one"), "PublishPort=18100:80");
    let image = format!("Image={}\n", image_id("localhost/my-ui:2").unwrap());
    change("image", &my_ui(18100, "2", "one"), &image);
    change("environment", &my_ui(18100, "2", "two"), "PAGE=two");
    let named = before.replace("[node]\n", "[node]\nhost_names = [\"node.example\"]\n");
    let started = Instant::now();
    save(&format!("{named}{}", my_ui(18100, "2", "two")));
    until("the host name is rendered", SOON, || {
        fs::read_to_string(CONFIG).unwrap().contains("node.example").then_some(())
    });
    measured("new host name in the rendered file", started);
    companion(&["reconcile"]).exits(0);
    let (units, ids) = (ALL.map(Companion::unit_text), containers());
    throughout("all of it holds", 60, || {
        let text = MY_UI.unit_text();
        text.contains("PublishPort=18100:80") && text.contains("PAGE=two") && MY_UI.is_active()
    });
    assert_eq!((ALL.map(Companion::unit_text), containers()), (units, ids));
    companion(&["remove", "my-app"]).exits(0);
}

/// Without a daemon, a pull or tag by the operator changes no start; the next reconcile adopts it.
#[test]
fn moved_tag_of_a_pulled_image_causes_one_restart() {
    installed();
    let _removed = MyApp::with_two_tags();
    save(&format!("{}{}", catalog(), my_ui(18099, "1", "one")));
    companion(&["install", "my-app"]).exits(0);
    let [one, two] = ["1", "2"].map(|tag| image_id(&format!("localhost/my-ui:{tag}")).unwrap());
    assert!(one != two && MY_UI.unit_image() == one);
    let old = MY_UI.container();
    podman(&["tag", &two, "localhost/my-ui:1"]).good();
    podman(&["kill", "--signal=KILL", MY_UI.name]).good();
    until("systemd started it again", 40, || {
        (MY_UI.is_active() && MY_UI.container().is_some_and(|id| Some(id) != old)).then_some(())
    });
    assert_eq!(MY_UI.running_image(), one);

    let since = Moment::now();
    companion(&["reconcile"]).exits(0);
    assert_eq!((MY_UI.unit_image(), MY_UI.running_image()), (two.clone(), two));
    assert_eq!(MY_UI.starts(&since), 1);

    // The same image by another name is the same image.
    let (text, container) = (MY_UI.unit_text(), MY_UI.container());
    save(&catalog().replace("my-ui:1", "my-ui:2"));
    companion(&["reconcile"]).exits(0);
    assert_eq!((MY_UI.unit_text(), MY_UI.container()), (text, container));
    companion(&["remove", "my-app"]).exits(0);
}

#[test]
fn changed_build_argument_is_built_once_and_restarts_once() {
    installed();
    let base = "localhost/companion-base:other";
    podman(&["tag", "localhost/companion-base:latest", base]).good();
    let _daemon = Daemon::start();
    let (before, since) = (last_event(), Moment::now());
    save(&catalog().replace("localhost/companion-base:latest", base));
    let built = || {
        let events = events_after(before.as_ref());
        let done = ALL.iter().all(|one| count(&events, "done", "ensure-image", one.name) == 1);
        done.then_some(events)
    };
    let events = until("each image is built again", 120, built);
    companion(&["wait", "--timeout=60", "bitcoin-knots", "lnd", "electrumx"]).exits(0);
    for one in ALL {
        assert_eq!(count(&events, "started", "ensure-image", one.name), 1);
        // The same contents give the same image, which restarts nothing.
        assert!(one.starts(&since) <= 1, "{}", one.name);
    }
}

#[test]
fn invalid_catalog_is_reported_with_its_line_and_changes_nothing() {
    installed();
    let good = catalog();
    let daemon = Daemon::start();
    let (ids, pid) = (containers(), daemon.pid());
    for (broken, words) in [("broken\n", "catalog.toml:"), ("[node]\ncolour = 3\n", "colour")] {
        save(broken);
        let reload = companion(&["reload"]).exits(2);
        assert!(reload.stderr.contains(words), "{reload}");
        assert_ne!(systemctl(&["reload", "companion.service"]).status, Some(0));
        let status = companion(&["status"]).exits(1);
        assert!(status.stderr.contains(words), "{status}");
        assert!(status.stdout.lines().all(|line| line.contains("ready")), "{status}");
        companion(&["install", "lnd"]).exits(2);
        companion(&["remove", "electrumx"]).exits(0);
        until("it is removed", 20, || (!ELECTRS.is_active()).then_some(()));
        assert_eq!(companion(&["logs", LND.name]).status, Some(0));
        assert!(companion(&["doctor"]).words().contains(words));
        save(&good);
        companion(&["reload"]).exits(0);
        companion(&["install", "electrumx"]).exits(0);
    }
    // A daemon that starts with an invalid catalog uses the last valid one.
    save("broken\n");
    daemon.restart();
    assert_ne!(daemon.pid(), pid);
    let ready = || companion(&["status"]).stdout.lines().all(|line| line.contains("ready"));
    throughout("all stay ready", 3, ready);
    let now = containers();
    assert_eq!(
        [&now[LND.name], &now["archy-bitcoin-ui"]],
        [&ids[LND.name], &ids["archy-bitcoin-ui"]]
    );
    save(&good);
}

#[test]
fn concurrent_installs_of_three_apps_build_each_image_once() {
    clean();
    let _daemon = Daemon::start();
    let installed = install_all().exits(0);
    for one in ALL {
        let events = events_after(None);
        assert_eq!(count(&events, "started", "ensure-image", one.name), 1, "{installed}");
        let images = podman(&["images", "--all", "--quiet", &format!("localhost/{}", one.base)]);
        assert_eq!(images.good().lines().count(), 1);
    }
    assert!(installed.stderr.contains("done ensure-image archy-lnd-ui"), "{installed}");
}

/// Four processes install and remove at random while the daemon runs. In the end the host matches the last intents,
/// and no unit was written more often than requested.
#[test]
fn concurrent_processes_end_at_the_last_intents_without_flapping() {
    installed();
    let seconds = number("COMPANION_RACE_SECONDS", 20);
    let _daemon = Daemon::start();
    let before = last_event();
    let until_then = Instant::now() + Duration::from_secs(seconds);
    let racers: Vec<_> = (0..4_u64)
        .map(|seed| {
            thread::spawn(move || {
                let mut random = Random::seeded(number("COMPANION_SEED", 1) * 10 + seed);
                let mut asked = 0;
                while Instant::now() < until_then {
                    let app = random.one_of(&APPS);
                    let verb = random.one_of(&["install", "remove"]);
                    let mut child = spawn_archy(&[COMPANION, verb, app]);
                    if random.below(4) == 0 {
                        thread::sleep(Duration::from_millis(random.below(300)));
                        let _ended = child.kill();
                    }
                    child.wait().unwrap();
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    let asked: usize = racers.into_iter().map(|racer| racer.join().unwrap()).sum();
    companion(&["reload"]).exits(0);
    for (app, one) in APPS.into_iter().zip(ALL) {
        let wanted = is_recorded(app);
        until(&format!("{app} is as recorded: {wanted}"), 60, || {
            let as_recorded = (one.is_active(), fs::exists(one.unit()).unwrap());
            (as_recorded == (wanted, wanted)).then_some(())
        });
    }
    let events = events_after(before.as_ref());
    for one in ALL {
        let written = count(&events, "done", "write-unit", one.name);
        assert!(written <= asked, "{written} writes of {} for {asked} intents", one.name);
        let removed = count(&events, "done", "remove-unit", one.name);
        assert!(
            written <= removed + 1,
            "a unit is written once after each removal: {written} {removed}"
        );
    }
    log_value("processes that installed or removed", &asked.to_string());
    let quiet = events.last();
    throughout("nothing is done when nothing is asked", 5, || {
        events_after(quiet).iter().all(|event| event["kind"] == "state")
    });
}

#[test]
fn hanging_leader_is_reported_and_replaced() {
    installed();
    let daemon = Daemon::start();
    let pid = daemon.pid();
    root(&["kill", "-STOP", &pid.to_string()]).good();
    let ran = companion(&["install", "lnd"]).exits(1);
    assert!(ran.stderr.contains("hangs") && ran.stderr.contains("--take-over"), "{ran}");
    let status = companion(&["status"]).exits(1);
    assert!(status.stderr.contains("does not respond"), "{status}");
    companion(&["--take-over", "install", "lnd"]).exits(0);
    assert!(LND.is_up());
    until("another daemon runs", 30, || Daemon::find().filter(|next| *next != pid));
    let refused = companion(&["--take-over", "reconcile"]);
    assert!(refused.stderr.contains("responds"), "a leader that works is left alone: {refused}");
}

#[test]
fn take_over_keeps_the_state_directory_of_the_killed_leader() {
    let other = "/home/archy/other-state";
    for options in [&[][..], &["--contexts", "/opt/archipelago/docker"]] {
        clean();
        let mut leader = spawn_archy(&[COMPANION, "--state-dir", other, "run"]);
        let published = format!("{other}/status.json");
        until("it leads", 30, || fs::exists(&published).unwrap().then_some(()));
        root(&["kill", "-STOP", &leader.id().to_string()]).good();
        let install = companion(&[options, &["--take-over", "install", "lnd"]].concat());
        let _killed = leader.kill();
        leader.wait().unwrap();
        install.exits(0);
        assert!(LND.is_up());
        assert!(!is_recorded("lnd"), "the default state directory stays unused");
        companion(&["--state-dir", other, "remove", "--all"]).exits(0);
        root(&["rm", "-r", other]).good();
    }
}

#[test]
fn leader_killed_while_a_command_waits_loses_no_intent() {
    clean();
    let daemon = Daemon::start();
    let install = thread::spawn(|| companion(&["install", "lnd"]));
    until("it is recorded", 20, || is_recorded("lnd").then_some(()));
    root(&["kill", "-KILL", &daemon.pid().to_string()]).good();
    install.join().unwrap().exits(0);
    assert!(LND.is_up());
}

#[test]
fn options_that_differ_from_the_daemon_are_refused() {
    installed();
    let _daemon = Daemon::start();
    for options in [["--build-arg", "X=1"], ["--contexts", "/opt"], ["--state-dir", "/tmp/other"]] {
        let ran = companion(&[&options[..], &["install", "lnd"]].concat()).exits(2);
        assert!(ran.stderr.contains("leads with"), "{ran}");
        assert!(ran.stderr.contains("catalog file"), "{ran}");
    }
    let second = companion(&["--state-dir", "/tmp/other", "run"]).exits(1);
    assert!(second.stderr.contains("another daemon is the leader of this host"), "{second}");
    assert!(!fs::exists("/tmp/other/desired.json").unwrap());
}

#[test]
fn damaged_or_unmanaged_published_files_stop_nothing() {
    installed();
    let daemon = Daemon::start();
    for file in ["status.json", "events.jsonl"] {
        let path = format!("{STATE}/{file}");
        write(&path, "half a rec");
        companion(&["status"]);
        companion(&["install", "lnd"]).exits(0);
        root(&["chown", "root:root", &path]).good();
        LND.loses_its_unit();
        root(&["rm", &path]).good();
        daemon.restart();
        companion(&["wait", "lnd"]).exits(0);
    }
}
