//! Typed Quadlet .container units rendered to text, for Podman 4.4 to 6.0.
