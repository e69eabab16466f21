//! crossfade-sqlite
