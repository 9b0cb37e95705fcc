//! The changes of unit files that a plan contains, as unified diffs.
//!
//! Rendered configuration is never shown: it may hold the password of the node.

use companion_core::model::companion::CompanionName;
use companion_core::plan::{Action, Plan};
use diffy::DiffOptions;
use serde::Serialize;

use crate::config::Config;
use crate::error::CommandResult;
use crate::output::{Output, Style};

/// The change of one file.
#[derive(Debug, Serialize)]
pub(super) struct FileDiff {
    companion: CompanionName,
    file: String,
    /// The unified diff; `None` for rendered configuration.
    diff: Option<String>,
}

/// Returns the changes of `plan`.
pub(super) async fn of(plan: &Plan, config: &Config) -> CommandResult<Vec<FileDiff>> {
    let mut diffs = Vec::new();
    for step in &plan.steps {
        let Some(companion) = step.companion().cloned() else { continue };
        let file = format!("{companion}.container");
        let new = match &step.action {
            Action::WriteUnit(unit) => {
                config.host.render(unit, config.host.rendered_for().await?)?.text
            }
            Action::RemoveUnit => String::new(),
            Action::RunHook { hook, .. } | Action::RemoveConfig(hook) => {
                let file = hook.output.as_str().to_owned();
                diffs.push(FileDiff { companion, file, diff: None });
                continue;
            }
            _ => continue,
        };
        let old = config.host.unit_text(&companion)?.unwrap_or_default();
        let diff = Some(unified(&old, &new, &file));
        diffs.push(FileDiff { companion, file, diff });
    }
    Ok(diffs)
}

fn unified(old: &str, new: &str, file: &str) -> String {
    let name = |text: &str, side: &str| match text.is_empty() {
        true => "/dev/null".to_owned(),
        false => format!("{side}/{file}"),
    };
    if old == new {
        return String::new();
    }
    let mut options = DiffOptions::new();
    options.set_original_filename(name(old, "a")).set_modified_filename(name(new, "b"));
    options.create_patch(old, new).to_string()
}

impl FileDiff {
    /// Prints the diff, with control characters escaped: anyone may have edited the file.
    pub(super) fn print(&self, output: &Output) {
        let Some(diff) = &self.diff else {
            let text = format!("configuration {}: contents are not shown", self.file);
            output.line(Style::Faint.paint(&text));
            return;
        };
        for line in escaped(diff).lines() {
            let style = match line.as_bytes().first() {
                Some(b'+') => Style::Good,
                Some(b'-') => Style::Bad,
                _ => Style::Faint,
            };
            output.line(style.paint(line));
        }
    }
}

/// Escapes control characters, except those of lines and columns.
fn escaped(text: &str) -> String {
    let escape = |c: char| match c.is_control() && !matches!(c, '\t' | '\n') {
        true => c.escape_debug().collect(),
        false => c.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_an_edited_and_a_removed_unit_have_a_unified_diff() {
        assert_eq!(unified("", "a\n", "x"), "--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n");
        assert_eq!(
            unified("a\nb\n", "a\nc\n", "x"),
            "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
        );
        assert_eq!(unified("a\n", "", "x"), "--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n");
        assert_eq!(unified("a\n", "a\n", "x"), "");
    }

    #[test]
    fn a_control_character_of_a_file_is_escaped() {
        assert_eq!(escaped("\u{1b}[2J\ta\r\n"), "\\u{1b}[2J\ta\\r\n");
    }
}
