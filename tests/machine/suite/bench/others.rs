//! Other tools on the same 20 containers: what a run costs that finds nothing to do.

use std::fmt::Write as _;

use super::fleet::{Fleet, IMAGE};
use super::{Table, Times, converged, ratio, shown, took};
use crate::guest::{archy, undo, write};
use crate::node::{COMPANION, NETWORK_WAIT, UNITS, USER_UNITS, installed};

const COUNT: usize = 20;
const COMPOSE: [&str; 4] = ["podman-compose", "--file", "/home/archy/compose.yml", "up"];
const PLAYBOOK: &str = "/home/archy/playbook.yml";

pub(super) fn all(table: &mut Table) {
    installed();
    let fleet = Fleet::installed("real", COUNT);
    let process = Times::of(5, || took(|| drop(archy(&[COMPANION, "reconcile"]).good())));
    let (daemon, _) = converged::in_daemon();
    fleet.remove();
    let compose = compose(&fleet.names);
    let ansible = ansible(&fleet.names);
    let row = format!(
        "ours in the daemon {}, as a process {}; `podman-compose up` {} ({} times ours as a process); Ansible {} ({} times)",
        shown(daemon),
        shown(process.median()),
        shown(compose.median()),
        ratio(compose.median(), process.median()),
        shown(ansible.median()),
        ratio(ansible.median(), process.median()),
    );
    table.row(&format!("a run without changes, {COUNT} containers"), &row);
}

/// Runs of podman-compose after the one that makes the containers.
fn compose(names: &[String]) -> Times {
    let mut text = "services:\n".to_owned();
    for name in names {
        let service =
            format!("    image: {IMAGE}\n    container_name: {name}\n    network_mode: bridge\n");
        writeln!(text, "  {name}:\n{service}").unwrap();
    }
    write(COMPOSE[2], &text);
    let up = [&COMPOSE[..], &["--detach"]].concat();
    archy(&up).good();
    let times = Times::of(3, || took(|| drop(archy(&up).good())));
    archy(&[&["podman", "rm", "--force", "--time=0"], &strs(names)[..]].concat()).good();
    times
}

/// Runs of Ansible after the one that writes the Quadlet files and starts the services.
fn ansible(names: &[String]) -> Times {
    let list = names.join(", ");
    let text = format!(
        "- hosts: localhost\n  connection: local\n  gather_facts: false\n  vars:\n    names: [{list}]\n  tasks:\n\
         \x20   - containers.podman.podman_container:\n        name: '{{{{ item }}}}'\n        image: {IMAGE}\n\
         \x20       network: bridge\n        state: quadlet\n      loop: '{{{{ names }}}}'\n      register: written\n\
         \x20   - ansible.builtin.systemd_service:\n        scope: user\n        daemon_reload: true\n      when: written is changed\n\
         \x20   - ansible.builtin.systemd_service:\n        scope: user\n        name: '{{{{ item }}}}.service'\n        state: started\n\
         \x20     loop: '{{{{ names }}}}'\n"
    );
    write(PLAYBOOK, &text);
    // The playbook's units wait for it, 90 s without a network; ours do not.
    let _undo = undo(format!("rm -r {USER_UNITS}/{NETWORK_WAIT}.d"));
    write(
        &format!("{USER_UNITS}/{NETWORK_WAIT}.d/at-once.conf"),
        "[Service]\nExecStart=\nExecStart=true\n",
    );
    archy(&["systemctl", "--user", "daemon-reload"]).good();
    let play = ["ansible-playbook", PLAYBOOK];
    archy(&play).good();
    let times = Times::of(3, || {
        took(|| {
            let said = archy(&play).good();
            assert!(said.contains("changed=0"), "{said}");
        })
    });
    for name in names {
        archy(&["systemctl", "--user", "stop", name]).good();
        archy(&["rm", &format!("{}/{name}.container", UNITS)]).good();
    }
    archy(&["systemctl", "--user", "daemon-reload"]).good();
    times
}

fn strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
