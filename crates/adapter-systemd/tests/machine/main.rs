//! Both adapters against a real systemd, generator and Podman. The tests change the user's units and containers, hence
//! the feature `machine`: build outside, copy to a throwaway machine, and run there with `--test-threads=1`, as an
//! ordinary user for the user's manager or as root for the system manager. The image must be in that user's storage.
#![expect(clippy::unwrap_used, reason = "a failed setup fails its test")]

mod guest;
mod services;
