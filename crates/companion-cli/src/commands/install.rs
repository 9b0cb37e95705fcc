//! `companion install`: records apps as installed and starts their companions.

use std::collections::BTreeSet;

use archipelago_companions::{AppId, Catalog, Companions, Intent};
use clap::Args;
use companion_core::model::companion::CompanionName;
use companion_core::model::desired::Generation;

use super::report;
use crate::config::Config;
use crate::error::{CommandError, CommandResult, Verdict};
use crate::hosts::{IntentIs, Opening};
use crate::output::Output;
use crate::runtime::block_on;

/// Record apps as installed, and start their companions
///
/// Records the intent durably first. While the daemon runs, it does the work, and this command shows
/// its progress and waits; otherwise this command does the work itself. If one app is unknown, nothing
/// is recorded. Installing an installed app again repairs it, without waiting for a back-off.
///
/// Exit status: 0 if all companions of these apps are ready, 1 if one is not, 2 for an unknown app, an
/// invalid catalog, or options that differ from those of the leader, 3 if a prerequisite is missing.
/// Nothing is recorded in the last two cases.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The apps, such as `lnd`; `companion catalog` lists them
    #[arg(required = true, value_name = "APP")]
    apps: Vec<String>,
}

/// Records the intent and waits for the result.
pub(crate) fn run(arguments: &Arguments, config: &Config, output: &Output) -> CommandResult {
    block_on(config, async {
        let opening = Opening::new(config, "companion install").showing(output);
        let inputs = opening.store().await?.inputs().refresh();
        if let Some(problem) = inputs.problem {
            return Err(problem.into());
        }
        let catalog = inputs.catalog.unwrap_or_else(|| Catalog::builtin().into());
        let apps = arguments.apps.iter().map(|app| known_app(&catalog, app));
        let apps = apps.collect::<CommandResult<Vec<_>>>()?;
        let session = opening.open(output).await?;
        let intent = async { Ok(session.companions.record_install(&apps).await?) };
        let (generation, names) = session.unless_interrupted(IntentIs::Pending, intent).await?;
        let work = converge(&session.companions, generation, &names, Intent::Installed, output);
        session.unless_interrupted(IntentIs::Recorded, work).await
    })
}

/// Reconciles until `generation` is done, and prints the result for `names`.
pub(super) async fn converge(
    companions: &Companions,
    generation: Generation,
    names: &BTreeSet<CompanionName>,
    intent: Intent,
    output: &Output,
) -> CommandResult<Verdict> {
    let converged = companions.converge(generation, Some(names)).await?;
    Ok(report::converged(&converged, Some((names, intent)), output))
}

/// Returns the app with the name `text`.
fn known_app(catalog: &Catalog, text: &str) -> CommandResult<AppId> {
    let app = AppId::new(text).ok();
    app.filter(|app| !catalog.companions_for(app).is_empty())
        .ok_or_else(|| unknown_app(catalog, text))
}

/// Returns the error for an unknown app, with a suggestion.
pub(super) fn unknown_app(catalog: &Catalog, text: &str) -> CommandError {
    let error = CommandError::input(format!("unknown app `{}`", text.escape_debug()));
    let of_companion = catalog.apps().find(|(_, names)| names.iter().any(|n| n.as_str() == text));
    if let Some((app, _)) = of_companion {
        return error.hinted(format!("`{text}` is a companion; it belongs to the app `{app}`"));
    }
    match catalog.nearest_app(&text.to_lowercase()) {
        Some(app) => error.hinted(format!("did you mean `{app}`?")),
        None => error.hinted("`companion catalog` lists the apps that have companions"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_app_is_reported_with_a_suggestion() {
        let catalog = Catalog::builtin();
        let hint = |text: &str| known_app(&catalog, text).unwrap_err().hints()[0].clone();
        assert_eq!(hint("lmd"), "did you mean `lnd`?");
        assert_eq!(hint("LND"), "did you mean `lnd`?");
        assert!(hint("archy-lnd-ui").contains("belongs to the app `lnd`"));
        assert!(hint("nextcloud").contains("companion catalog"));
        assert_eq!(known_app(&catalog, "lnd").unwrap().as_str(), "lnd");
    }

    #[test]
    fn a_hostile_name_is_shown_escaped() {
        let error = known_app(&Catalog::builtin(), "\u{1b}[2Jx").unwrap_err();
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }
}
