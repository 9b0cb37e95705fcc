//! A counter that survives a power loss: each new value atomically replaces the old one.
//!
//! `cargo run -p durable-dir --example counter`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use durable_dir::{Dir, Trust};

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let path = place.path().join("state");
    for _ in 0..3 {
        // The next run finds the directory as this process left it.
        let dir = Dir::create(&path, 0o700, Trust::Owned)?;
        let count: u32 = match dir.read("count", 64)? {
            Some(file) => String::from_utf8(file.bytes)?.parse()?,
            None => 0,
        };
        dir.write("count", (count + 1).to_string().as_bytes(), 0o600)?;
        println!("{} -> {}", count, count + 1);
    }

    // A symbolic link at a file's name is rejected: it would redirect the write.
    std::os::unix::fs::symlink("/etc/hostname", path.join("link"))?;
    let dir = Dir::create(&path, 0o700, Trust::Owned)?;
    match dir.write("link", b"x", 0o600) {
        Ok(_) => println!("written"),
        Err(refusal) => println!("refused: {refusal}"),
    }
    Ok(())
}
