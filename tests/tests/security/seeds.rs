//! The fuzz targets without a fuzzer: their committed seeds, and a short walk at random around them. `fuzz/run` goes on from there.

use std::fs;

use companion_tests::random::Random;

use crate::targets;

/// Mutations of each seed; `COMPANION_WALK` asks for another number, and for another walk.
const WALK: usize = 60;

/// What a mutation puts in: what means something to one of the readers.
const WORDS: [&[u8]; 24] = [
    b"\n",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\\",
    b"\"",
    b"'",
    b"%",
    b"$",
    b";",
    b"#",
    b"[",
    b"]",
    b"{",
    b"}",
    b"=",
    b"../",
    b"--",
    b"{{",
    b"}}",
    b"| nginx_quote",
    b"\xe2\x80\xa8",
    b"\x1b[2K",
    b"[Service]\nExecStartPre=/x\n",
];

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
                0 => drop(bytes.splice(at..at, WORDS[self.below(WORDS.len())].iter().copied())),
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
fn catalogs_around_the_seeds_are_read_or_refused() {
    walk(targets::catalog, "catalog");
}

#[test]
fn units_around_the_seeds_come_back_or_are_refused() {
    walk(targets::unit, "unit");
}

#[test]
fn templates_around_the_seeds_keep_their_shape() {
    walk(targets::template, "template");
}

#[test]
fn answers_of_podman_around_the_seeds_forge_no_line() {
    walk(targets::podman, "podman");
}

#[test]
fn words_of_systemd_around_the_seeds_forge_no_line() {
    walk(targets::systemd, "systemd");
}

#[test]
fn records_around_the_seeds_reach_no_file_of_others() {
    walk(targets::record, "record");
}
