//! Journal entries as JSON, one per line (journalctl(1), `--output=json`). Pure.

use std::borrow::Cow;

use companion_core::model::companion::CompanionName;
use companion_core::model::log::LogTail;
use serde::Deserialize;
use serde_json::Value;

/// The fields to read.
pub(super) const FIELDS: &str = "MESSAGE,PODMAN_EVENT";

/// The length of a container ID.
const ID_LENGTH: usize = 64;

/// The used fields of an entry.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Entry {
    #[serde(default = "nothing")]
    message: Value,
    /// The container's event, which Podman logs in addition to its messages (podman-events(1)).
    podman_event: Option<Value>,
}

/// The message of an entry without a message.
fn nothing() -> Value {
    Value::String(String::new())
}

/// Returns the last lines of the program and of Podman in `output`; an invalid line was truncated.
pub(super) fn tail(output: &[u8], name: &CompanionName) -> LogTail {
    let lines = output.split(|byte| *byte == b'\n');
    let entries = lines.filter_map(|line| serde_json::from_slice::<Entry>(line).ok());
    let said = entries.filter(|entry| entry.podman_event.is_none());
    let messages: Vec<String> = said.map(|entry| text(&entry.message)).collect();
    LogTail::of(messages.iter().map(String::as_str).filter(|text| !is_noise(text, name)))
}

/// Returns a message: text, bytes that are not UTF-8, or several messages; `null` if longer than journalctl shows.
fn text(message: &Value) -> String {
    match message {
        Value::String(text) => text.clone(),
        Value::Null => "(a line of more than 4096 bytes)".to_owned(),
        Value::Array(items) if items.iter().all(Value::is_u64) => bytes(items).into_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

fn bytes(items: &[Value]) -> Cow<'static, str> {
    let byte = |item: &Value| item.as_u64().and_then(|byte| u8::try_from(byte).ok());
    let bytes: Vec<u8> = items.iter().filter_map(byte).collect();
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns whether the line is only the ID or name of a container that Podman started or removed, or a warning of conmon
/// about a control group.
fn is_noise(text: &str, name: &CompanionName) -> bool {
    let text = text.trim();
    let id = text.len() == ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    id || text == name.as_str() || is_conmon_warning(text)
}

/// conmon warns of each container's `memory.events` on a host without a memory controller, the default of Raspberry Pi OS.
/// Its other messages may be the cause of a failure, and stay (conmon's `src/utils.h`).
fn is_conmon_warning(text: &str) -> bool {
    let warning = text.strip_prefix("conmon ").and_then(|rest| rest.split_once(" <nwarn>: "));
    warning.is_some_and(|(id, message)| {
        id.bytes().all(|byte| byte.is_ascii_hexdigit()) && message.contains("cgroup")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(output: &str) -> Vec<String> {
        tail(output.as_bytes(), &CompanionName::new("web").unwrap()).lines().to_vec()
    }

    #[test]
    fn messages_of_the_program_and_podman_keep_their_order() {
        let id = "ab".repeat(32);
        let output = format!(
            r#"{{"MESSAGE":"starting","PRIORITY":"6"}}
{{"MESSAGE":"{id}"}}
{{"MESSAGE":"2026 container died {id}","PODMAN_EVENT":"died"}}
{{"MESSAGE":"Error: bind: address already in use"}}
{{"MESSAGE":"web"}}
{{"MESSAGE":"cut o"#
        );
        assert_eq!(lines(&output), ["starting", "Error: bind: address already in use"]);
    }

    #[test]
    fn conmon_warnings_about_control_groups_are_dropped_and_others_stay() {
        let output = r#"{"MESSAGE":"conmon 7048e2916f3a40d33290 <nwarn>: Failed to open cgroups file: /sys/fs/cgroup/memory.events"}
{"MESSAGE":"conmon 7048e2916f3a40d33290 <nwarn>: Failed to add inotify watch for /sys/fs/cgroup/memory.events"}
{"MESSAGE":"conmon 7048e2916f3a40d33290 <nwarn>: stdio_input read failed"}
{"MESSAGE":"conmon 7048e2916f3a40d33290 <error>: Failed to create container: exit status 1"}
{"MESSAGE":"conmon of the program <nwarn>: cgroup"}"#;
        let expected = [
            "conmon 7048e2916f3a40d33290 <nwarn>: stdio_input read failed",
            "conmon 7048e2916f3a40d33290 <error>: Failed to create container: exit status 1",
            "conmon of the program <nwarn>: cgroup",
        ];
        assert_eq!(lines(output), expected);
    }

    #[test]
    fn a_message_of_another_form_is_shown_as_far_as_it_can_be() {
        let output = r#"{"MESSAGE":[27,91,50,75,255,104,105]}
{"MESSAGE":["one","two"]}
{"MESSAGE":null}
{}
{"MESSAGE":7}
not JSON"#;
        let found = lines(output);
        let expected =
            ["\\u{1b}[2K\u{fffd}hi", "one", "two", "(a line of more than 4096 bytes)", "7"];
        assert_eq!(found, expected);
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(lines("").is_empty());
        assert!(lines("\n\n[]\n7\n").is_empty());
    }
}
