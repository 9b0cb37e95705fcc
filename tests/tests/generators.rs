//! Podman's generators read every rendered unit as requested, or the renderer has refused it.
//!
//! Needs the generators: see `tests/generators/README.md`.

#[path = "generators/generator.rs"]
mod generator;
#[path = "manifests/units.rs"]
mod manifests;
#[path = "../../crates/quadlet/tests/model/model.rs"]
mod model;
#[path = "generators/places.rs"]
mod places;

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
};

use generator::Generator;
use model::{
    intended::Command,
    systemd,
    units::{Case, Field, VERSIONS, case, unit_with},
    vectors::{oversized, vectors},
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

/// Units in one run of a generator.
const BATCH: usize = 500;

/// Random units from each seed.
const UNITS_PER_SEED: usize = 600;

/// Renders the units, runs the generator over those that were not refused, and compares. Returns for each whether it
/// was accepted.
fn check(generator: &Generator, cases: &[Case]) -> Result<Vec<bool>, String> {
    let mut accepted = Vec::new();
    for batch in cases.chunks(BATCH) {
        let texts: Vec<_> =
            batch.iter().map(|case| case.unit.render(generator.version).ok()).collect();
        accepted.extend(texts.iter().map(Option::is_some));
        let rendered = texts.iter().enumerate().filter_map(|(n, text)| Some((n, text.as_deref()?)));
        let services = generator.run(rendered)?;
        if let Some(line) = services.complaints().next() {
            return Err(format!("generator {} complains: {line}", generator.version));
        }
        if !services.success {
            return Err(format!("generator {} failed without a message", generator.version));
        }
        for (n, (case, text)) in batch.iter().zip(&texts).enumerate() {
            let Some(text) = text else { continue };
            let context = || format!("generator {}, {:?}\n{text}", generator.version, case.hostile);
            let service = services.of(n).ok_or_else(|| format!("no service: {}", context()))?;
            model::check_service(&case.unit, service)
                .map_err(|difference| format!("{difference}\n{}\n{service}", context()))?;
        }
    }
    Ok(accepted)
}

fn cases(texts: &[String]) -> Vec<Case> {
    let case = |field: Field, text: &String| {
        let (unit, hostile) = (unit_with(field, text), vec![(field, text.clone())]);
        Case { unit, hostile }
    };
    Field::ALL
        .into_iter()
        .flat_map(|field| texts.iter().map(move |text| case(field, text)))
        .collect()
}

#[test]
fn generators_read_every_known_vector_in_every_field() {
    let texts: Vec<_> = vectors().into_iter().chain(oversized()).collect();
    let cases = cases(&texts);
    for generator in generator::all().unwrap() {
        let mut counts: BTreeMap<String, [usize; 2]> = BTreeMap::new();
        for (case, accepted) in cases.iter().zip(check(&generator, &cases).unwrap()) {
            counts.entry(format!("{:?}", case.hostile[0].0)).or_default()[usize::from(accepted)] +=
                1;
        }
        for (field, [refused, accepted]) in counts {
            println!("{}: {field} accepted {accepted}, refused {refused}", generator.version);
            assert!(
                accepted >= 6 && refused >= 4,
                "{field} is not tried both ways: {accepted} and {refused}"
            );
        }
    }
}

#[test]
fn generators_read_every_byte_in_every_field() {
    let bytes: Vec<char> = (0..=255_u8).map(char::from).collect();
    let texts = bytes.iter().flat_map(|c| [format!("a{c}b"), format!("/a{c}b"), format!("x{c}")]);
    let texts: Vec<_> = texts.collect();
    let cases = cases(&texts);
    for generator in generator::all().unwrap() {
        let accepted = check(&generator, &cases).unwrap();
        let count = accepted.iter().filter(|accepted| **accepted).count();
        println!("{}: {count} of {} accepted", generator.version, cases.len());
        assert!(count > 2_000 && cases.len() - count > 2_000, "{count} of {}", cases.len());
    }
}

#[test]
fn generators_read_random_units() {
    let fresh = std::env::var("QUADLET_SEED").ok().and_then(|seed| seed.parse().ok());
    let fresh = fresh.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("QUADLET_SEED={fresh}");
    let known = include_str!("generators/seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let known = known.map(|line| line.trim().parse().expect("a number on each line of seeds.txt"));
    let seeds: Vec<u64> = known.chain([fresh]).collect();
    for generator in generator::all().unwrap() {
        let (mut accepted, mut refused) = (0, 0);
        for seed in &seeds {
            println!("{} from seed {seed}", generator.version);
            let outcome = check(&generator, &random_cases(*seed).unwrap()).unwrap();
            accepted += outcome.iter().filter(|accepted| **accepted).count();
            refused += outcome.iter().filter(|accepted| !**accepted).count();
        }
        println!("{}: accepted {accepted}, refused {refused}", generator.version);
        let enough = seeds.len() * UNITS_PER_SEED / 5;
        assert!(accepted >= enough && refused >= enough, "accepted {accepted}, refused {refused}");
    }
}

fn random_cases(seed: u64) -> Result<Vec<Case>, String> {
    let bytes: Vec<u8> = seed.to_le_bytes().repeat(4);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = case();
    let mut one = || strategy.new_tree(&mut runner).map(|tree| tree.current());
    (0..UNITS_PER_SEED).map(|_| one().map_err(|reason| reason.to_string())).collect()
}

/// Keys of each class with unescaped values: where the model reads a command, the generator reads the same.
#[test]
fn model_and_generators_agree_on_unescaped_text() {
    let keys = "HostName Entrypoint Network AddHost Tmpfs AddDevice Label Environment Exec PodmanArgs=--label";
    for generator in generator::all().unwrap() {
        assert!(
            VERSIONS.contains(&generator.version) || generator.version > VERSIONS[3],
            "{}",
            generator.version
        );
        let mut compared = BTreeMap::new();
        for key in keys.split(' ') {
            let text = |value| {
                format!("[Container]\nImage=localhost/x:latest\n{key}={value}\nReadOnly=true\n")
            };
            // Units that the model cannot parse are omitted, because one unparsable file invalidates the whole
            // directory.
            let read: Vec<_> = vectors()
                .into_iter()
                .map(text)
                .filter_map(|text| {
                    let service = model::quadlet::generate(&text, generator.version).ok()?;
                    Some((text, command(&service).ok()?))
                })
                .collect();
            let services =
                generator.run(read.iter().map(|(text, _)| text.as_str()).enumerate()).unwrap();
            for (n, (text, ours)) in read.iter().enumerate() {
                let theirs = services.of(n).unwrap_or_else(|| panic!("no service for\n{text}"));
                assert_eq!(
                    command(theirs).as_ref(),
                    Ok(ours),
                    "generator {}\n{text}\n{theirs}",
                    generator.version
                );
                *compared.entry(key).or_insert(0) += 1;
            }
        }
        println!("{}: {compared:?}", generator.version);
        assert!(
            keys.split(' ').all(|key| compared.get(key).is_some_and(|count| *count >= 20)),
            "{compared:?}"
        );
    }
}

fn command(service: &str) -> Result<Command, String> {
    Command::of_argv(&systemd::command(service)?)
}

#[test]
fn generators_have_the_keys_of_the_table() {
    let table = &*model::quadlet::KNOWN_KEYS;
    let text = |key| format!("[Container]\nImage=localhost/x:latest\n{key}=1\n");
    let texts: Vec<_> = table.keys().map(|key| text(*key)).collect();
    for generator in generator::all().unwrap() {
        let services = generator.run(texts.iter().map(String::as_str).enumerate()).unwrap();
        for (key, since) in table {
            let refused = format!("unsupported key '{key}' in group");
            let is_known = !services.complaints().any(|line| line.contains(&refused));
            assert_eq!(is_known, generator.version >= *since, "{key} in {}", generator.version);
        }
    }
}

#[test]
fn generators_accept_the_examples_without_a_message() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/adapter-systemd/src/unit_text");
    let files = std::fs::read_dir(directory).expect("the examples");
    let paths = files.map(|file| file.expect("an example").path());
    let texts: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "container"))
        .map(|path| std::fs::read_to_string(path).expect("a text"))
        .collect();
    assert!(texts.len() >= 3, "{} examples", texts.len());
    for generator in generator::all().unwrap() {
        let services = generator.run(texts.iter().map(String::as_str).enumerate()).unwrap();
        assert_eq!(services.complaints().next(), None, "generator {}", generator.version);
        assert!(
            (0..texts.len()).all(|n| services.of(n).is_some()),
            "generator {}",
            generator.version
        );
    }
}

#[test]
fn generators_accept_the_units_of_manifests() {
    for generator in generator::all().unwrap() {
        let rendered = |spec| manifests::rendered(spec, generator.version).unwrap();
        let texts: Vec<_> = manifests::all().iter().map(|(_, spec)| rendered(spec)).collect();
        let services = generator.run(texts.iter().map(String::as_str).enumerate()).unwrap();
        assert_eq!(services.complaints().next(), None, "generator {}", generator.version);
        for (n, (stem, spec)) in manifests::all().iter().enumerate() {
            let service = services.of(n).unwrap_or_else(|| panic!("{stem}: no service"));
            let argv = systemd::command(service).unwrap();
            let has = |word: &str| argv.iter().any(|argument| argument.contains(word));
            assert_eq!(
                has("sdnotify=healthy"),
                spec.container.health.is_some(),
                "{stem}: {argv:?}"
            );
            let command = argv.iter().rev().take(spec.container.command.len()).rev();
            assert!(command.eq(&spec.container.command), "{stem}: {argv:?}");
        }
    }
}

/// The renderer must never write a line without `=`: it would invalidate every other unit in the directory.
#[test]
fn one_unparsable_file_invalidates_its_whole_directory() {
    for generator in generator::all().unwrap() {
        let good = "[Container]\nImage=localhost/x:latest\n";
        let services =
            generator.run([(0, good), (1, "[Container]\nno assignment\n")].into_iter()).unwrap();
        assert!(!services.success && services.of(0).is_none(), "generator {}", generator.version);
        let services =
            generator.run([(0, good), (1, "[Container]\nNoSuchKey=1\n")].into_iter()).unwrap();
        assert!(!services.success && services.of(0).is_some(), "generator {}", generator.version);
    }
}
