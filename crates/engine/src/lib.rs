//! crossfade-engine
