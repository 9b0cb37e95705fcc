//! The life-cycle logic of companions and the ports it is run through.
