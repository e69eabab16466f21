//! crossfade-store
