//! Names on the command line: every command accepts an app as well as a companion. Accesses no host.

use std::collections::BTreeSet;

use archipelago_companions::{AppId, Catalog};
use clap_complete::{ArgValueCandidates, CompletionCandidate};
use companion_core::error_chain::chain;
use companion_core::model::companion::CompanionName;

use crate::backend::{self, AUTO};
use crate::error::{CommandError, CommandResult};

/// Returns the companions that `text` names in `catalog`: itself, or those of the app with this name.
///
/// # Errors
/// Bad input for an unknown name, with a suggestion.
pub(crate) fn companions(catalog: &Catalog, text: &str) -> CommandResult<BTreeSet<CompanionName>> {
    let known = CompanionName::new(text).ok().filter(|name| catalog.companion(name).is_some());
    if let Some(name) = known {
        return Ok([name].into());
    }
    let of_app = AppId::new(text).ok().map(|app| catalog.companions_for(&app)).unwrap_or_default();
    if of_app.is_empty() { Err(unknown(catalog, text)) } else { Ok(of_app) }
}

/// Returns the one companion that `text` names in `catalog`.
///
/// # Errors
/// As [`companions`]; also for an app with several.
pub(crate) fn companion(catalog: &Catalog, text: &str) -> CommandResult<CompanionName> {
    let names = companions(catalog, text)?;
    match names.first().filter(|_| names.len() == 1) {
        Some(name) => Ok(name.clone()),
        None => {
            let names = quoted(names.iter().map(CompanionName::as_str));
            Err(CommandError::input(format!("the app `{text}` has several companions"))
                .hinted(format!("name one of them: {names}")))
        }
    }
}

/// An app that was named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedApp {
    /// The app.
    pub(crate) app: AppId,
    /// What to report about the name, if it named a companion.
    pub(crate) note: Option<String>,
}

/// Returns the app that `text` names: itself if `is_known`, or the one app of the companion with this name that is
/// `is_candidate`; of several candidates none is guessed.
///
/// # Errors
/// Bad input for an unknown name, and for a companion of several apps.
pub(crate) fn app(
    catalog: &Catalog,
    text: &str,
    is_known: impl Fn(&AppId) -> bool,
    is_candidate: impl Fn(&AppId) -> bool,
) -> CommandResult<NamedApp> {
    if let Some(app) = AppId::new(text).ok().filter(|app| is_known(app)) {
        return Ok(NamedApp { app, note: None });
    }
    let all: Vec<_> = catalog
        .apps()
        .filter(|(_, names)| names.iter().any(|name| name.as_str() == text))
        .map(|(app, _)| app)
        .collect();
    let candidates: Vec<_> = all.iter().copied().filter(|app| is_candidate(app)).collect();
    match (&candidates[..], &all[..]) {
        ([one], _) | ([], [one]) => {
            let note = format!("`{text}` is the companion of the app `{one}`");
            Ok(NamedApp { app: (*one).clone(), note: Some(note) })
        }
        (_, []) => Err(unknown_app(catalog, text)),
        (_, several) => {
            let apps = quoted(several.iter().map(|app| app.as_str()));
            let message = format!("`{text}` is a companion of several apps");
            Err(CommandError::input(message).hinted(format!("name the app: {apps}")))
        }
    }
}

fn unknown_app(catalog: &Catalog, text: &str) -> CommandError {
    let error = CommandError::input(format!("unknown app `{}`", text.escape_debug()));
    error.hinted(suggestion(catalog, text))
}

fn unknown(catalog: &Catalog, text: &str) -> CommandError {
    let message = match CompanionName::new(text) {
        Ok(name) => format!("unknown app or companion `{name}`"),
        Err(error) => chain(&error),
    };
    CommandError::input(message).hinted(suggestion(catalog, text))
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
    use crate::error::Verdict;

    fn install(text: &str) -> CommandResult<NamedApp> {
        let catalog = Catalog::builtin();
        let known = |app: &AppId| !catalog.companions_for(app).is_empty();
        app(&catalog, text, known, known)
    }

    #[test]
    fn an_app_and_its_companion_name_the_same_companion() {
        let catalog = Catalog::builtin();
        for text in ["lnd", "archy-lnd-ui"] {
            assert_eq!(companion(&catalog, text).unwrap().as_str(), "archy-lnd-ui");
        }
        let error = companion(&catalog, "archy-lnd-iu").unwrap_err();
        assert_eq!(
            (error.verdict(), error.hints()),
            (Verdict::Invalid, &["did you mean `archy-lnd-ui`?".into()][..])
        );
        let error = companion(&catalog, "nextcloud").unwrap_err();
        assert!(error.hints()[0].contains("`companion catalog`"), "{error:?}");
    }

    #[test]
    fn unknown_app_is_reported_with_a_suggestion() {
        let hint = |text: &str| install(text).unwrap_err().hints()[0].clone();
        assert_eq!(hint("lmd"), "did you mean `lnd`?");
        assert_eq!(hint("LND"), "did you mean `lnd`?");
        assert!(hint("nextcloud").contains("companion catalog"));
        assert_eq!(install("lnd").unwrap().note, None);
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
    fn companion_of_one_app_names_it_and_of_several_is_refused() {
        let named = install("archy-lnd-ui").unwrap();
        assert_eq!((named.app.as_str(), named.note.is_some()), ("lnd", true));
        let error = install("archy-bitcoin-ui").unwrap_err();
        assert_eq!(error.verdict(), Verdict::Invalid);
        assert!(error.hints()[0].contains("`bitcoin`, `bitcoin-core`, `bitcoin-knots`"));
        let catalog = Catalog::builtin();
        let installed = |app: &AppId| app.as_str() == "bitcoin-core";
        let named = app(&catalog, "archy-bitcoin-ui", |_| false, installed).unwrap();
        assert_eq!(named.app.as_str(), "bitcoin-core");
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
