//! The changes of unit files that a plan contains, as unified diffs.
//!
//! Rendered configuration is never shown: it may hold the password of the node.

use companion_core::model::companion::CompanionName;
use companion_core::plan::{Action, Plan, Step};
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
        diffs.extend(of_step(step, config).await?);
    }
    Ok(diffs)
}

async fn of_step(step: &Step, config: &Config) -> CommandResult<Option<FileDiff>> {
    let Some(companion) = step.companion().cloned() else { return Ok(None) };
    let file = format!("{companion}.container");
    let new = match &step.action {
        Action::WriteUnit(unit) => {
            config.host.render(unit, config.host.rendered_for().await?)?.text
        }
        Action::RemoveUnit => String::new(),
        Action::RunHook { hook, .. } | Action::RemoveConfig(hook) => {
            let file = hook.output.as_str().to_owned();
            return Ok(Some(FileDiff { companion, file, diff: None }));
        }
        _ => return Ok(None),
    };
    let old = config.host.unit_text(&companion)?.unwrap_or_default();
    let diff = Some(unified(&old, &new, &file));
    Ok(Some(FileDiff { companion, file, diff }))
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
            output.line(output.styled(Style::Faint, &text));
            return;
        };
        for line in diff.lines() {
            let shown: String = line.chars().flat_map(escaped).collect();
            let style = match line.as_bytes().first() {
                Some(b'+') => Style::Good,
                Some(b'-') => Style::Bad,
                _ => Style::Faint,
            };
            output.line(output.styled(style, &shown));
        }
    }
}

fn escaped(c: char) -> Vec<char> {
    match c.is_control() && c != '\t' {
        true => c.escape_debug().collect(),
        false => vec![c],
    }
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
        let shown: String = "\u{1b}[2J\ta".chars().flat_map(escaped).collect();
        assert_eq!(shown, "\\u{1b}[2J\ta");
    }
}
