//! Whether what the target remembers fits the source that is there now.

use std::fmt;

/// What the target's durable rows say about the source and the place reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<I, P> {
    /// Who the source was: system identifier and timeline, server UUID, file identity.
    pub identity: I,
    /// Identity of the capture: slot name and start snapshot, change table. A slot that was dropped
    /// and made again has another one, and hides a gap.
    pub capture: I,
    /// The target's checkpoint; `None` if none was written yet.
    pub checkpoint: Option<P>,
}

/// What the source says now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live<I, P> {
    /// Who the source is.
    pub identity: I,
    /// Identity of the capture; `None` if it is gone.
    pub capture: Option<I>,
    /// The position that the source believes to be consumed (`confirmed_flush` on PostgreSQL, the
    /// oldest kept log elsewhere). It silently skips to it when asked for less.
    pub confirmed: Option<P>,
    /// The source's durable log end.
    pub end: P,
}

/// How to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResumePlan<P> {
    /// Nothing was stored: make the capture, begin at its start.
    Fresh,
    /// The capture exists, no checkpoint yet: begin at the capture's start.
    FromStart,
    /// Ask for the stream from this checkpoint; skip transactions that
    /// [`crate::checkpoint::already_applied`] names.
    From(P),
}

/// Why a run must not go on. Each needs a person, or a new copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResumeRefusal<I, P> {
    /// Another server, or the same on another timeline.
    DifferentSource {
        /// Who the source was.
        stored: I,
        /// Who the source is.
        live: I,
    },
    /// The slot or change table is gone; changes since the checkpoint cannot be had.
    CaptureGone,
    /// The slot or change table was made again; changes in between cannot be had.
    DifferentCapture {
        /// Which capture the rows came from.
        stored: I,
        /// Which is there.
        live: I,
    },
    /// The source would start after the checkpoint, so changes between would be lost.
    SkippedAhead {
        /// Where the source would start.
        confirmed: P,
        /// Where the target is; `None` means before everything.
        checkpoint: Option<P>,
    },
    /// The source's log ends before the checkpoint: it was set back, and histories differ.
    SourceSetBack {
        /// The source's log end.
        end: P,
        /// Where the target is.
        checkpoint: P,
    },
}

impl<I, P> fmt::Display for ResumeRefusal<I, P>
where
    I: fmt::Display,
    P: fmt::Display,
{
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DifferentSource { stored, live } => {
                write!(
                    out,
                    "the source is {live}, but the target was copied from {stored}"
                )
            }
            Self::CaptureGone => write!(
                out,
                "the source no longer keeps the changes since the checkpoint (slot or change table is gone)"
            ),
            Self::DifferentCapture { stored, live } => write!(
                out,
                "the source's capture is {live}, but the target follows {stored}: it was made again, and changes in between are missing"
            ),
            Self::SkippedAhead {
                confirmed,
                checkpoint: Some(checkpoint),
            } => write!(
                out,
                "the source would continue at {confirmed}, after the checkpoint {checkpoint}: changes in between would be lost"
            ),
            Self::SkippedAhead {
                confirmed,
                checkpoint: None,
            } => write!(
                out,
                "the source would continue at {confirmed}, but the target holds no checkpoint: changes before it would be lost"
            ),
            Self::SourceSetBack { end, checkpoint } => write!(
                out,
                "the source's log ends at {end}, before the checkpoint {checkpoint}: the source was set back"
            ),
        }
    }
}

impl<I, P> std::error::Error for ResumeRefusal<I, P>
where
    I: fmt::Display + fmt::Debug,
    P: fmt::Display + fmt::Debug,
{
}

/// Decides how a run goes on. `stored` is `None` only if the target holds nothing of this migration;
/// `start` is where the capture began (its first legal checkpoint), needed when no checkpoint was
/// written yet.
///
/// # Errors
/// [`ResumeRefusal`] when going on could lose a change.
pub fn check_resume<I, P>(
    stored: Option<&Stored<I, P>>,
    start: Option<&P>,
    live: &Live<I, P>,
) -> Result<ResumePlan<P>, ResumeRefusal<I, P>>
where
    I: PartialEq + Clone,
    P: Ord + Clone,
{
    let Some(stored) = stored else {
        return Ok(ResumePlan::Fresh);
    };
    if stored.identity != live.identity {
        return Err(ResumeRefusal::DifferentSource {
            stored: stored.identity.clone(),
            live: live.identity.clone(),
        });
    }
    match &live.capture {
        None => return Err(ResumeRefusal::CaptureGone),
        Some(capture) if *capture != stored.capture => {
            return Err(ResumeRefusal::DifferentCapture {
                stored: stored.capture.clone(),
                live: capture.clone(),
            });
        }
        Some(_) => {}
    }
    let reached = stored.checkpoint.as_ref().or(start);
    if let Some(confirmed) = &live.confirmed
        && reached.is_none_or(|reached| confirmed > reached)
    {
        return Err(ResumeRefusal::SkippedAhead {
            confirmed: confirmed.clone(),
            checkpoint: stored.checkpoint.clone(),
        });
    }
    match &stored.checkpoint {
        None => Ok(ResumePlan::FromStart),
        Some(checkpoint) if live.end < *checkpoint => Err(ResumeRefusal::SourceSetBack {
            end: live.end.clone(),
            checkpoint: checkpoint.clone(),
        }),
        Some(checkpoint) => Ok(ResumePlan::From(checkpoint.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(checkpoint: Option<u64>) -> Stored<&'static str, u64> {
        Stored {
            identity: "a/1",
            capture: "slot@7",
            checkpoint,
        }
    }

    fn live() -> Live<&'static str, u64> {
        Live {
            identity: "a/1",
            capture: Some("slot@7"),
            confirmed: Some(10),
            end: 99,
        }
    }

    #[test]
    fn goes_on_where_nothing_is_missing() {
        assert_eq!(check_resume(None, None, &live()), Ok(ResumePlan::Fresh));
        assert_eq!(
            check_resume(Some(&stored(Some(10))), None, &live()),
            Ok(ResumePlan::From(10))
        );
        assert_eq!(
            check_resume(Some(&stored(Some(99))), None, &live()),
            Ok(ResumePlan::From(99))
        );
        assert_eq!(
            check_resume(Some(&stored(None)), Some(&10), &live()),
            Ok(ResumePlan::FromStart)
        );
    }

    #[test]
    fn refuses_what_would_lose_changes() {
        let ahead = Live {
            confirmed: Some(11),
            ..live()
        };
        assert_eq!(
            check_resume(Some(&stored(Some(10))), None, &ahead),
            Err(ResumeRefusal::SkippedAhead {
                confirmed: 11,
                checkpoint: Some(10)
            })
        );
        assert!(check_resume(Some(&stored(None)), Some(&10), &ahead).is_err());
        assert!(check_resume(Some(&stored(None)), None, &live()).is_err());
        let other = Live {
            identity: "a/2",
            ..live()
        };
        assert!(matches!(
            check_resume(Some(&stored(Some(10))), None, &other),
            Err(ResumeRefusal::DifferentSource { .. })
        ));
        let gone = Live {
            capture: None,
            ..live()
        };
        assert_eq!(
            check_resume(Some(&stored(Some(10))), None, &gone),
            Err(ResumeRefusal::CaptureGone)
        );
        let again = Live {
            capture: Some("slot@8"),
            ..live()
        };
        assert!(matches!(
            check_resume(Some(&stored(Some(10))), None, &again),
            Err(ResumeRefusal::DifferentCapture { .. })
        ));
        let back = Live { end: 49, ..live() };
        let refusal = check_resume(Some(&stored(Some(50))), None, &back);
        assert_eq!(
            refusal,
            Err(ResumeRefusal::SourceSetBack {
                end: 49,
                checkpoint: 50
            })
        );
    }
}
