//! UnitStore and ServiceManager on Quadlet files and systemd over D-Bus.
