//! crossfade-control
