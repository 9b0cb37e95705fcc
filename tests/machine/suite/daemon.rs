//! The release daemon: `companion.service` of archy's manager.

use std::fs;

use crate::guest::{property, root, systemctl, until, write};
use crate::node::USER_UNITS;

const SERVICE: &str = "companion.service";

/// A daemon that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Daemon;

impl Daemon {
    /// Starts it with its default resync of 30 s.
    pub(crate) fn start() -> Self {
        // It is of type `notify`: this returns after its first reconcile.
        systemctl(&["start", SERVICE]).good();
        Self
    }

    /// The same with another resync, in seconds.
    pub(crate) fn resyncing(seconds: u64) -> Self {
        Self::with(seconds, "")
    }

    /// The same with more lines in the section `[Service]` of its unit.
    pub(crate) fn with(seconds: u64, lines: &str) -> Self {
        Self::configure(seconds, lines);
        Self::start()
    }

    /// Writes the unit without starting it.
    pub(crate) fn configure(seconds: u64, lines: &str) {
        let text = format!(
            "[Service]\nExecStart=\nExecStart=%h/.local/bin/companion run --resync {seconds}\n{lines}\n"
        );
        write(&format!("{USER_UNITS}/{SERVICE}.d/resync.conf"), &text);
        systemctl(&["daemon-reload"]).good();
    }

    /// The process, if it runs.
    pub(crate) fn find() -> Option<u32> {
        if property(SERVICE, "ActiveState") != "active" {
            return None;
        }
        property(SERVICE, "MainPID").parse().ok().filter(|pid| *pid != 0)
    }

    pub(crate) fn pid(&self) -> u32 {
        until("the daemon runs", 30, Self::find)
    }

    pub(crate) fn restart(&self) {
        systemctl(&["restart", SERVICE]).good();
    }

    /// Kills it like a crash, and waits for the next one.
    pub(crate) fn crash(&self) {
        let pid = self.pid();
        root(&["kill", "-KILL", &pid.to_string()]).good();
        until("another daemon runs", 30, || Self::find().filter(|next| *next != pid));
    }

    /// A line of its `/proc/<pid>/status`, with the unit of the file.
    pub(crate) fn status(&self, field: &str) -> String {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("no {field} in {text}")).trim().to_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The next test stops it, too.
        let _stopped = systemctl(&["stop", SERVICE]);
    }
}
