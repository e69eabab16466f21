//! Who answers under both addresses: a side that was failed over, restored or replaced beside a run is noticed before anything changes
//! hands. What the run itself holds open may still lead to the one before.

use crossfade_store::{ErrorKind, Source, Store, StoreError};

use crate::error::EngineError;
use crate::session::Session;
use crate::switch::Sides;
use crate::switch::prepare::refused;

/// Who answered when an attempt began, before it took or opened anything: what it then found is of these, or of later ones, which a
/// comparison shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Incarnations {
    source: Option<String>,
    target: Option<String>,
}

impl Incarnations {
    /// Asks both sides.
    ///
    /// # Errors
    /// The stores'.
    pub async fn read(sides: &Sides) -> Result<Incarnations, StoreError> {
        let (source, target) =
            tokio::try_join!(of(sides.source.as_ref()), of(sides.target.as_ref()))?;
        Ok(Incarnations { source, target })
    }

    /// Asks again where nothing was there yet: this attempt has made it since.
    ///
    /// # Errors
    /// The stores'.
    pub async fn completed(self, sides: &Sides) -> Result<Incarnations, StoreError> {
        let target = match self.target {
            None => of(sides.target.as_ref()).await?,
            known => known,
        };
        Ok(Incarnations { target, ..self })
    }

    /// The label of the first side that was known and is another `now`.
    fn other(&self, now: &Incarnations, sides: &Sides) -> Option<String> {
        let (source, target): (&dyn Source, &dyn Source) =
            (sides.source.as_ref(), sides.target.as_ref());
        let both = [
            (&self.source, &now.source, source),
            (&self.target, &now.target, target),
        ];
        both.into_iter()
            .find(|(known, found, _)| known.is_some() && known != found)
            .map(|(_, _, store)| store.label().to_owned())
    }
}

/// `None` also where the role may not ask: whoever only copies need not be allowed to.
async fn of(store: &dyn Store) -> Result<Option<String>, StoreError> {
    match store.incarnation().await {
        Err(error) if error.kind == ErrorKind::Permission => Ok(None),
        asked => asked,
    }
}

/// The first side under whose address another answers than when the attempt began; `Ok(None)` where both are who they were.
///
/// # Errors
/// The stores'.
pub(crate) async fn changed(
    session: &Session,
    sides: &Sides,
) -> Result<Option<String>, StoreError> {
    let now = Incarnations::read(sides).await?;
    Ok(session.incarnations.other(&now, sides))
}

/// Both sides must be who they were; for a switch they must also say who they are.
///
/// # Errors
/// A refusal; the stores'.
pub(crate) async fn same(session: &Session, sides: &Sides) -> Result<(), EngineError> {
    // a role that may not ask is told what it needs
    let (source, target) =
        tokio::try_join!(sides.source.incarnation(), sides.target.incarnation())?;
    let begun = &session.incarnations;
    if begun.source.is_none() || begun.target.is_none() {
        return Err(refused(
            "switch.incarnation",
            "a side did not say who it is when this run began: a failover could not be noticed",
            "end `crossfade run` and begin it again",
        ));
    }
    refuse_other(begun.other(&Incarnations { source, target }, sides))
}

/// Both sides must be who they were when the attempt began.
///
/// # Errors
/// A refusal; the stores'.
pub(crate) async fn unchanged(session: &Session, sides: &Sides) -> Result<(), EngineError> {
    refuse_other(changed(session, sides).await?)
}

fn refuse_other(other: Option<String>) -> Result<(), EngineError> {
    match other {
        None => Ok(()),
        Some(store) => Err(refused(
            "switch.failed_over",
            format!(
                "{store}: another server or file answers under this address than the one that this run works with: it was failed over, \
                 restored or replaced. Nothing changes hands"
            ),
            "See which of them is right, and let the address lead there; `crossfade status` shows what both stores say",
        )),
    }
}
