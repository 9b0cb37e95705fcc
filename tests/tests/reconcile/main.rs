//! Scenarios of the reconciler on the fake host.

mod bare_host;
mod causes;
mod daemon;
mod faults;
mod hints;
mod install;
mod reloads;
mod removal;
mod repair;
