//! crossfade-postgres
