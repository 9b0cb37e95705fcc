//! An independent model of Quadlet and systemd restores every rendered value; other values are rejected.

#[path = "model/model.rs"]
mod model;

use std::collections::BTreeMap;

use model::{
    units::{Field, VERSIONS, case},
    vectors::{oversized, vectors},
};
use proptest::{prelude::*, test_runner::FileFailurePersistence};
use quadlet::{Container, ContainerUnit, PodmanVersion};

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

fn unit_with(field: Field, text: &str) -> ContainerUnit {
    let mut unit = ContainerUnit::new(Container::new("localhost/bitcoin-ui:latest"));
    field.set(&mut unit, text);
    unit
}

#[test]
fn every_known_vector_in_every_field_comes_back_or_is_refused() {
    let mut counts: BTreeMap<Field, (usize, usize)> = BTreeMap::new();
    for version in VERSIONS {
        for field in Field::ALL {
            for text in vectors() {
                let accepted = round_trip(&unit_with(field, &text), version)
                    .unwrap_or_else(|error| panic!("{field:?} {text:?} for {version}: {error}"));
                let count = counts.entry(field).or_default();
                *(if accepted { &mut count.0 } else { &mut count.1 }) += 1;
            }
        }
    }
    for (field, (accepted, refused)) in &counts {
        println!("{field:?}: {accepted} accepted, {refused} refused");
        assert!(
            *accepted >= VERSIONS.len() && *refused >= VERSIONS.len(),
            "{field:?}: {accepted} and {refused}"
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
    let mut unit = ContainerUnit::new(Container::new("localhost/bitcoin-ui:latest"));
    unit.container.labels =
        (0..10_000).map(|n| (format!("label-{n}"), format!("value {n}"))).collect();
    for version in VERSIONS {
        assert_eq!(round_trip(&unit, version), Ok(true));
    }
}

#[test]
fn more_words_than_a_line_of_systemd_holds_are_refused() {
    let mut unit = ContainerUnit::new(Container::new("localhost/bitcoin-ui:latest"));
    // Blanks take four bytes each in the generated service.
    unit.container.exec = vec![" ".repeat(100_000); 3];
    let error = unit.render(PodmanVersion::new(5, 8, 6)).expect_err("1.2 MB");
    assert_eq!(error.key(), "Exec");
    unit.container.exec.pop();
    assert_eq!(round_trip(&unit, PodmanVersion::new(5, 8, 6)), Ok(true));
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
    fn the_same_unit_gives_the_same_bytes(case in case()) {
        for version in VERSIONS {
            prop_assert_eq!(case.unit.render(version), case.unit.clone().render(version));
        }
    }

    #[test]
    fn a_refusal_is_one_short_line_and_never_shows_a_variable(case in case()) {
        for version in VERSIONS {
            let Err(error) = case.unit.render(version) else { continue };
            let message = error.to_string();
            prop_assert!(message.chars().count() < 400 && !message.contains(char::is_control), "{message}");
            let secret = |field| matches!(field, Field::VariableValue | Field::ServiceVariable);
            for (_, text) in case.hostile.iter().filter(|(field, text)| secret(*field) && text.len() > 3) {
                let named = case.hostile.iter().any(|(field, other)| !secret(*field) && other.contains(text.as_str()));
                prop_assert!(named || !message.contains(&text.escape_debug().to_string()), "{message}");
            }
        }
    }
}
