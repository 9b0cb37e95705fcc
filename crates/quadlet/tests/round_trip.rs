//! An independent model of Quadlet and systemd restores every rendered value; other values are rejected.

#[path = "model/model.rs"]
mod model;

use std::collections::BTreeMap;

use model::{
    units::{Field, VERSIONS, case, unit_of, unit_with},
    vectors::{oversized, vectors},
};
use proptest::{prelude::*, test_runner::FileFailurePersistence};
use quadlet::{ContainerUnit, PodmanVersion, key};

/// Renders a unit and checks the text with the model: `Ok(false)` if the renderer rejected it.
fn round_trip(unit: &ContainerUnit, version: PodmanVersion) -> Result<bool, String> {
    let Ok(text) = unit.render(version) else {
        return Ok(false);
    };
    let service =
        model::quadlet::generate(&text, version).map_err(|error| format!("{error}\n{text}"))?;
    model::check_service(unit, &service).map_err(|error| format!("{error}\n{text}\n{service}"))?;
    Ok(true)
}

#[test]
fn every_known_vector_in_every_field_comes_back_or_is_refused() {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for version in VERSIONS {
        for field in Field::ALL {
            for text in vectors() {
                let accepted = round_trip(&unit_with(field, &text), version)
                    .unwrap_or_else(|error| panic!("{field:?} {text:?} for {version}: {error}"));
                let count = counts.entry(format!("{field:?}")).or_default();
                *(if accepted { &mut count.0 } else { &mut count.1 }) += 1;
            }
        }
    }
    for (field, (accepted, refused)) in &counts {
        println!("{field}: {accepted} accepted, {refused} refused");
        assert!(
            *accepted >= VERSIONS.len() && *refused >= VERSIONS.len(),
            "{field}: {accepted} and {refused}"
        );
    }
}

#[test]
fn values_beyond_an_argument_or_a_line_are_refused() {
    for version in VERSIONS {
        for field in Field::ALL {
            for text in oversized() {
                assert!(
                    unit_with(field, &text).render(version).is_err(),
                    "{field:?} of {} bytes",
                    text.len()
                );
            }
        }
    }
}

#[test]
fn ten_thousand_labels_come_back() {
    let mut unit = unit_of(&[]);
    (0..10_000)
        .for_each(|n| unit.add_pair(key::LABEL, &format!("label-{n}"), &format!("value {n}")));
    for version in VERSIONS {
        assert_eq!(round_trip(&unit, version), Ok(true));
    }
}

#[test]
fn more_words_than_a_line_of_systemd_holds_are_refused() {
    let unit = |count| {
        let mut unit = unit_of(&[]);
        // Blanks take four bytes each in the generated service.
        unit.add_words(key::EXEC, vec![" ".repeat(100_000); count]);
        unit
    };
    let version = PodmanVersion::new(5, 8, 6);
    assert_eq!(unit(3).render(version).expect_err("1.2 MB").key(), "Exec");
    assert_eq!(round_trip(&unit(2), version), Ok(true));
}

#[test]
fn versions_of_keys_are_those_of_the_generators_tables() {
    let of_container =
        Field::ALL.iter().map(|field| field.key).filter(|key| key.section == "Container");
    for key in
        of_container.chain([key::NO_NEW_PRIVILEGES, key::READ_ONLY, key::GROUP, key::PUBLISH_PORT])
    {
        assert_eq!(model::quadlet::KNOWN_KEYS.get(key.name), Some(&key.since), "{}", key.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/round_trip.proptest-regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_units_come_back_or_are_refused_at_every_version(case in case()) {
        for version in VERSIONS {
            let outcome = round_trip(&case.unit, version);
            prop_assert!(outcome.is_ok(), "{version}: {}", outcome.unwrap_err());
        }
    }

    #[test]
    fn a_refusal_is_one_short_line_and_never_shows_a_variable(case in case()) {
        for version in VERSIONS {
            let Err(error) = case.unit.render(version) else { continue };
            let message = error.to_string();
            prop_assert!(message.chars().count() < 400 && !message.contains(char::is_control), "{message}");
            // The value of a variable or a label.
            let is_secret = |field: &Field| field.form.ends_with("={}") && field.key != key::PODMAN_ARGS;
            for (_, text) in case.hostile.iter().filter(|(field, text)| is_secret(field) && text.len() > 3) {
                let named = case.hostile.iter().any(|(field, other)| !is_secret(field) && other.contains(text.as_str()));
                prop_assert!(named || !message.contains(&text.escape_debug().to_string()), "{message}");
            }
        }
    }
}
