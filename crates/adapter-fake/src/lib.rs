//! One strict in-memory host behind every port.
