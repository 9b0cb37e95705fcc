//! The fuzz targets without a fuzzer: their committed seeds and a short random walk around them. `fuzz/run` continues
//! from there.

use std::fs;

use companion_tests::random::Random;

use crate::targets;

/// Mutations of each seed; `COMPANION_WALK` sets another number, and selects another walk.
const WALK: usize = 60;

/// Fragments that a mutation inserts, separated by blanks; each is special to one of the parsers.
const WORDS: &[u8] =
    b"\n \r\n \0 \xff \\ \" ' % $ ; # [ ] { } = ../ -- {{ }} |nginx_quote \xe2\x80\xa8 \x1b[2K \
    [Service]\nExecStartPre=/x\n";

/// The same walk in each run.
struct Dice(Random);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0.index(bound)
    }

    fn mutated(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 => {
                    let words: Vec<_> = WORDS.split(|byte| *byte == b' ').collect();
                    bytes.splice(at..at, words[self.below(words.len())].iter().copied());
                }
                1 if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                2 => bytes.truncate(at),
                3 => {
                    let end = (at + self.below(16)).min(bytes.len());
                    bytes.drain(at..end);
                }
                _ => {
                    let from = self.below(other.len());
                    let until = (from + self.below(32)).min(other.len());
                    bytes.splice(at..at, other[from..until].iter().copied());
                }
            }
        }
        bytes
    }
}

fn walk(target: fn(&[u8]), name: &str) {
    let folder = format!("{}/../fuzz/seeds/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(seeds.len() >= 4, "{name}: {} seeds", seeds.len());
    seeds.iter().for_each(|seed| target(seed));
    let asked = std::env::var("COMPANION_WALK").ok().and_then(|text| text.parse().ok());
    let length = asked.unwrap_or(WALK);
    let mut dice = Dice(Random::new(length as u64));
    for seed in &seeds {
        for _ in 0..length {
            let other = &seeds[dice.below(seeds.len())];
            target(&dice.mutated(seed, other));
        }
    }
}

#[test]
fn mutated_catalog_seeds_are_parsed_or_refused() {
    walk(targets::catalog, "catalog");
}

#[test]
fn mutated_unit_seeds_round_trip_or_are_refused() {
    walk(targets::unit, "unit");
}

#[test]
fn mutated_template_seeds_keep_their_structure() {
    walk(targets::template, "template");
}

#[test]
fn mutated_podman_output_forges_no_line() {
    walk(targets::podman, "podman");
}

#[test]
fn mutated_systemd_output_forges_no_line() {
    walk(targets::systemd, "systemd");
}

#[test]
fn mutated_record_seeds_reach_no_unmanaged_file() {
    walk(targets::record, "record");
}
