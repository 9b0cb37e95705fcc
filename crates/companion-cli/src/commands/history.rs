//! `companion history`: past actions with their time, reason and requester.

use std::time::{Duration, UNIX_EPOCH};

use archipelago_companions::published::{EventKind, EventRecord, read_events};
use clap::Args;
use serde_json::json;

use super::report::VERSION;
use crate::config::Config;
use crate::error::{CommandResult, Verdict};
use crate::hosts::store;
use crate::names;
use crate::output::{Output, Style, words};

/// Print past actions on companions, with their time, reason and requester
///
/// Reads the events that the leader process writes to its state directory. At least the newest 512 KiB
/// are kept.
///
/// With --json: {"version", "events": [{"at" (milliseconds since 1970), "kind": "started" | "done" |
/// "not-needed" | "failed" | "state" | "leader", "companion", "action", "message",
/// "reason", "took" (milliseconds), "intent"}]}; absent values are omitted.
///
/// Exit status: 0, 1 if the events cannot be read, or 2 for an unknown name.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  companion history                              the newest 50 events
  companion history --lines 10 lnd               the newest 10 of the companions of lnd
  companion history --json                       with start, end and reason of each step")]
pub(crate) struct Arguments {
    /// Only events of this companion, or of the companions of this app
    #[arg(value_name = "NAME", add = names::completions())]
    name: Option<String>,
    /// Print only the newest N events
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    lines: usize,
}

/// Prints the history.
pub(crate) async fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    let store = store(config).await?;
    let mut events = read_events(store.dir()).await?;
    if let Some(text) = &arguments.name {
        store.inputs().refresh();
        // Also a companion that the catalog no longer has.
        let has_events =
            |name: &_| events.iter().any(|event| event.companion.as_ref() == Some(name));
        let named = names::companions(&store.inputs().catalog(), text, has_events)?;
        events.retain(|event| event.companion.as_ref().is_some_and(|it| named.contains(it)));
    }
    if !output.is_json() {
        // Print only the end of each step.
        events.retain(|event| !matches!(event.kind, EventKind::Started));
    }
    let newest = events.split_off(events.len().saturating_sub(arguments.lines));
    if output.is_json() {
        output.json(&json!({ "version": VERSION, "events": newest }));
    } else {
        newest.iter().for_each(|event| output.line(line(event)));
    }
    Ok(Verdict::Done)
}

fn line(event: &EventRecord) -> String {
    let (style, word) = match event.kind {
        EventKind::Started => (Style::Busy, "started"),
        EventKind::Done => (Style::Good, "done"),
        EventKind::NotNeeded => (Style::Faint, "not needed"),
        EventKind::Failed => (Style::Bad, "failed"),
        EventKind::State => (Style::Strong, "state"),
        EventKind::Leader => (Style::Strong, "leader"),
    };
    let mut text = words::timestamp(UNIX_EPOCH + Duration::from_millis(event.at));
    text.push_str(&format!("  {}", style.paint(word)));
    text.extend(event.companion.iter().map(|name| format!(" {name}")));
    text.push_str(&format!(" {}", event.action));
    text.extend(event.message.iter().map(|message| format!(": {}", message.escape_debug())));
    text.extend(event.took.map(|took| format!(" [{}]", words::milliseconds(took))));
    text.extend(event.intent.iter().map(|intent| format!(" — {}", intent.escape_debug())));
    text
}
