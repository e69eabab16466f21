//! Who answers under both addresses: a side that was failed over, restored or replaced beside a run is noticed before anything changes
//! hands. What the run itself holds open may still lead to the one before.

use crossfade_store::{ErrorKind, Store, StoreError};

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
    let begun = &session.incarnations;
    let now = Incarnations::read(sides).await?;
    let other = |known: &Option<String>, found: &Option<String>| known.is_some() && known != found;
    let (source, target): (&dyn crossfade_store::Source, &dyn crossfade_store::Source) =
        (sides.source.as_ref(), sides.target.as_ref());
    Ok(if other(&begun.source, &now.source) {
        Some(source.label().to_owned())
    } else if other(&begun.target, &now.target) {
        Some(target.label().to_owned())
    } else {
        None
    })
}

/// Both sides must be who they were; for a switch they must also say who they are.
///
/// # Errors
/// A refusal; the stores'.
pub(crate) async fn same(session: &Session, sides: &Sides) -> Result<(), EngineError> {
    // a role that may not ask is told what it needs
    tokio::try_join!(sides.source.incarnation(), sides.target.incarnation())?;
    let begun = &session.incarnations;
    if begun.source.is_none() || begun.target.is_none() {
        return Err(refused(
            "switch.incarnation",
            "a side did not say who it is when this run began: a failover could not be noticed",
            "end `crossfade run` and begin it again",
        ));
    }
    unchanged(session, sides).await
}

/// Both sides must be who they were when the attempt began.
///
/// # Errors
/// A refusal; the stores'.
pub(crate) async fn unchanged(session: &Session, sides: &Sides) -> Result<(), EngineError> {
    match changed(session, sides).await? {
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
