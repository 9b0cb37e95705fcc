//! A compromised container: what it can change and see.

use std::fs;

use crate::guest::{Ran, podman};
use crate::node::{ALL, BITCOIN, CONFIG, Companion, companion, installed};

fn inside(one: Companion, script: &str) -> Ran {
    podman(&["exec", "--user", "0:0", one.name, "/bin/busybox", "sh", "-c", script])
}

/// CHOWN, DAC_OVERRIDE, SETGID, SETUID and NET_BIND_SERVICE (linux/capability.h).
const CAPABILITIES: &str = "00000000000004c3";

#[test]
fn container_cannot_change_its_configuration() {
    installed();
    let before = fs::read(CONFIG).unwrap();
    let file = "/etc/nginx/conf.d/default.conf";
    inside(BITCOIN, &format!("[ -s {file} ]")).good();
    for script in [
        format!("echo x >>{file}"),
        format!("rm -f {file} && [ ! -e {file} ]"),
        format!("mv {file} /tmp/x"),
        format!("chmod 666 {file}"),
        format!("mount -o remount,rw,bind {file}"),
        format!("umount {file}"),
        format!("mount -t tmpfs none {}", "/etc/nginx/conf.d"),
    ] {
        let ran = inside(BITCOIN, &script);
        assert_ne!(ran.status, Some(0), "{script}: {ran}");
    }
    assert_eq!(fs::read(CONFIG).unwrap(), before);
    companion(&["status"]).exits(0);
}

#[test]
fn container_has_only_the_five_capabilities_of_nginx() {
    installed();
    for one in ALL {
        for set in ["CapEff", "CapPrm", "CapBnd"] {
            let held = inside(one, &format!("sed -n 's/^{set}:[ \\t]*//p' /proc/1/status")).good();
            assert_eq!(held, CAPABILITIES, "{} {set}", one.name);
        }
        let inherited =
            inside(one, "sed -n 's/^Cap\\(Inh\\|Amb\\):[ \\t]*//p' /proc/1/status").good();
        assert_eq!(inherited.replace('0', "").trim(), "", "{}", one.name);
    }
}

#[test]
fn container_sees_no_host_socket_and_no_node_file() {
    installed();
    for one in ALL {
        let sockets = inside(
            one,
            "find / -xdev -type s 2>/dev/null; find /run /tmp /var -type s 2>/dev/null; true",
        );
        assert_eq!(sockets.good(), "", "{}", one.name);
        let mounts = inside(one, "cat /proc/self/mountinfo").good();
        for word in [
            "podman.sock",
            "docker.sock",
            "/user/1000/bus",
            "rpc-password",
            "host-key",
            "/home/archy ",
        ] {
            assert!(!mounts.contains(word), "{}: {word} in\n{mounts}", one.name);
        }
        // A container in the host's network shares its abstract sockets; the flag marks a listening one.
        let listening = inside(one, "awk '/@/ && $4 == \"00010000\"' /proc/net/unix").good();
        for word in ["bus", "podman", "containerd", "systemd/private"] {
            assert!(!listening.contains(word), "{}: {word} in\n{listening}", one.name);
        }
        for path in ["/var/lib/archipelago", "/home/archy", "/run/user/1000", "/opt/archipelago"] {
            assert_ne!(inside(one, &format!("ls {path}")).status, Some(0), "{}: {path}", one.name);
        }
        let environment = inside(one, "tr '\\0' '\\n' </proc/1/environ").good();
        for word in ["PASSWORD", "DBUS", "XDG_RUNTIME_DIR=/run/user", "NOTIFY_SOCKET", "usual"] {
            assert!(!environment.contains(word), "{}: {word} in\n{environment}", one.name);
        }
    }
}

/// A container whose log contains terminal control sequences.
#[test]
fn container_log_contains_no_terminal_control_sequence() {
    installed();
    let forged = "printf '\\033]0;owned\\007\\033[2Kall is well\\r\\n<3>forged\\n' >/proc/1/fd/1";
    inside(BITCOIN, forged).good();
    crate::guest::until("the line is in the journal", 20, || {
        let words = companion(&["logs", "--lines=50", BITCOIN.name]).good();
        let started = words.contains("blob data") || words.contains("all is well");
        let commands = words.contains(|c: char| c.is_control() && c != '\n' && c != '\t');
        assert!(!commands, "{words:?}");
        started.then_some(())
    });
}
