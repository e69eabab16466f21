//! Bad input of a switch.
