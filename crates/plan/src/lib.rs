//! crossfade-plan
