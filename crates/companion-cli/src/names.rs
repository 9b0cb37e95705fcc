//! Names on the command line: every command accepts an app as well as a companion. Accesses no host.

use std::collections::BTreeSet;

use archipelago_companions::{AppId, Catalog};
use clap_complete::{ArgValueCandidates, CompletionCandidate};
use companion_core::error_chain::chain;
use companion_core::model::companion::CompanionName;

use crate::backend::{self, AUTO};
use crate::error::{CommandError, CommandResult};
use crate::output::Output;

/// Returns the companions that `text` names: itself, if `catalog` has it or it `is_known` otherwise, or those of the app with
/// this name.
///
/// # Errors
/// Bad input for an unknown name, with a suggestion.
pub(crate) fn companions(
    catalog: &Catalog,
    text: &str,
    is_known: impl Fn(&CompanionName) -> bool,
) -> CommandResult<BTreeSet<CompanionName>> {
    let exists = |name: &CompanionName| catalog.companion(name).is_some() || is_known(name);
    let known = CompanionName::new(text).ok().filter(exists);
    if let Some(name) = known {
        return Ok([name].into());
    }
    let of_app = AppId::new(text).ok().map(|app| catalog.companions_for(&app)).unwrap_or_default();
    if !of_app.is_empty() {
        return Ok(of_app);
    }
    let message = match CompanionName::new(text) {
        Ok(name) => format!("unknown app or companion `{name}`"),
        Err(error) => chain(&error),
    };
    Err(CommandError::input(message).hinted(suggestion(catalog, text)))
}

/// Returns the one companion that `text` names in `catalog`.
///
/// # Errors
/// As [`companions`]; also for an app with several.
pub(crate) fn companion(catalog: &Catalog, text: &str) -> CommandResult<CompanionName> {
    let names = companions(catalog, text, |_| false)?;
    match names.first().filter(|_| names.len() == 1) {
        Some(name) => Ok(name.clone()),
        None => {
            let names = quoted(names.iter().map(CompanionName::as_str));
            Err(CommandError::input(format!("the app `{text}` has several companions"))
                .hinted(format!("name one of them: {names}")))
        }
    }
}

/// Returns the apps that `texts` name, and notes which app a companion belongs to.
///
/// # Errors
/// As [`app`].
pub(crate) fn apps<'t>(
    catalog: &Catalog,
    texts: impl IntoIterator<Item = &'t str>,
    is_known: impl Fn(&AppId) -> bool,
    is_candidate: impl Fn(&AppId) -> bool,
    output: &Output,
) -> CommandResult<Vec<AppId>> {
    let mut apps = Vec::new();
    let mut notes = Vec::new();
    for text in texts {
        let app = app(catalog, text, &is_known, &is_candidate)?;
        if app.as_str() != text {
            notes.push(format!("`{text}` is the companion of the app `{app}`"));
        }
        apps.push(app);
    }
    notes.iter().for_each(|note| output.note(note));
    Ok(apps)
}

/// Returns the app that `text` names: itself if `is_known`, or the one app of the companion with this name that is
/// `is_candidate`; of several candidates none is guessed.
///
/// # Errors
/// Bad input for an unknown name, and for a companion of several apps.
fn app(
    catalog: &Catalog,
    text: &str,
    is_known: impl Fn(&AppId) -> bool,
    is_candidate: impl Fn(&AppId) -> bool,
) -> CommandResult<AppId> {
    if let Some(app) = AppId::new(text).ok().filter(|app| is_known(app)) {
        return Ok(app);
    }
    let all: Vec<_> = catalog
        .apps()
        .filter(|(_, names)| names.iter().any(|name| name.as_str() == text))
        .map(|(app, _)| app)
        .collect();
    let candidates: Vec<_> = all.iter().copied().filter(|app| is_candidate(app)).collect();
    match (&candidates[..], &all[..]) {
        ([one], _) | ([], [one]) => Ok((*one).clone()),
        (_, []) => {
            let message = format!("unknown app `{}`", text.escape_debug());
            Err(CommandError::input(message).hinted(suggestion(catalog, text)))
        }
        (_, several) => {
            let apps = quoted(several.iter().map(|app| app.as_str()));
            let message = format!("`{text}` is a companion of several apps");
            Err(CommandError::input(message).hinted(format!("name the app: {apps}")))
        }
    }
}

/// Suggests the nearest name, with apps before companions.
fn suggestion(catalog: &Catalog, text: &str) -> String {
    let lower = text.to_lowercase();
    let near = nearest(catalog.apps().map(|(app, _)| app.as_str()), &lower);
    match near.or_else(|| nearest(catalog.companions().map(|spec| spec.name.as_str()), &lower)) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "`companion catalog` lists the apps and their companions".to_owned(),
    }
}

/// Returns the one of `known` that `given` may be a typing error of, or else the beginning.
fn nearest<'k>(known: impl Iterator<Item = &'k str>, given: &str) -> Option<&'k str> {
    let known = known.collect::<Vec<_>>();
    let distance = |name: &&&str| strsim::levenshtein(name, given);
    let near =
        known.iter().min_by_key(distance).filter(|name| distance(name) <= 1 + given.len() / 4);
    let begins = |name: &&&str| given.len() >= 3 && name.starts_with(given);
    near.or_else(|| known.iter().find(begins)).copied()
}

fn quoted<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The completions of an argument that names an app or a companion: those of the default catalog.
pub(crate) fn completions() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(&default_catalog()))
}

fn candidates(catalog: &Catalog) -> Vec<CompletionCandidate> {
    let apps = catalog.apps().map(|(app, names)| {
        let names = names.iter().map(CompanionName::as_str).collect::<Vec<_>>().join(", ");
        CompletionCandidate::new(app.as_str()).help(Some(format!("app with {names}").into()))
    });
    let companions = catalog.companions().map(|spec| {
        let help = Some(spec.description.clone().into());
        CompletionCandidate::new(spec.name.as_str()).help(help)
    });
    apps.chain(companions).collect()
}

/// Reads the default catalog; the built-in one if that fails, because a completion has no place for an error.
fn default_catalog() -> Catalog {
    let host = backend::select(&backend::backends(), AUTO).ok();
    let file = host.and_then(|host| host.default_catalog()).filter(|path| path.exists());
    let read = file.map(|file| Catalog::with_files(&[file]));
    read.and_then(Result::ok).unwrap_or_else(Catalog::builtin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(text: &str) -> CommandResult<AppId> {
        let catalog = Catalog::builtin();
        let known = |app: &AppId| !catalog.companions_for(app).is_empty();
        app(&catalog, text, known, known)
    }

    #[test]
    fn nearest_app_is_suggested_for_a_typo_only() {
        let catalog = Catalog::builtin();
        let nearest = |id| nearest(catalog.apps().map(|(app, _)| app.as_str()), id);
        assert_eq!(nearest("bitcoin-knot"), Some("bitcoin-knots"));
        assert_eq!(nearest("electrmx"), Some("electrumx"));
        assert_eq!(nearest("mempool"), Some("mempool-electrs"));
        assert_eq!(nearest("nextcloud"), None);
        assert_eq!(nearest(""), None);
    }

    #[test]
    fn companion_of_several_apps_names_the_installed_one() {
        let installed = |app: &AppId| app.as_str() == "bitcoin-core";
        let named = app(&Catalog::builtin(), "archy-bitcoin-ui", |_| false, installed).unwrap();
        assert_eq!(named.as_str(), "bitcoin-core");
    }

    #[test]
    fn a_hostile_name_is_shown_escaped() {
        for error in [
            install("\u{1b}[2Jx").unwrap_err(),
            companion(&Catalog::builtin(), "\u{1b}[2Jx").unwrap_err(),
        ] {
            assert!(!error.to_string().contains('\u{1b}'), "{error}");
        }
    }
}
