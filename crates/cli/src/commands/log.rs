//! `log`: what was intended, done, said and overridden, when and by whom; and whether the log is whole.

use crossfade_control::{AuditCheck, AuditId, ControlStore as _, SqliteControl};

use crate::args::{self, File};
use crate::failure::{FAILED, Failure};
use crate::load::{control_path, read_public};
use crate::show::{Output, log as show};

/// Records that are read at once.
const PAGE: u32 = 1000;

/// Shows the audit log, or checks its chain. No database is asked.
///
/// # Errors
/// A migration file or a control store that cannot be read.
pub async fn log(asked: &args::Log, output: &Output) -> Result<u8, Failure> {
    let control = existing(&asked.file)?;
    if asked.check {
        return check(control, output).await;
    }
    let Some(control) = control else {
        output.say("The migration has not begun: nothing is recorded.");
        return Ok(0);
    };
    let mut after = asked.since.map(AuditId);
    let mut shown = 0;
    loop {
        let page = control.audit_log(after, PAGE).await?;
        for record in &page {
            output.say(show::record(record));
            output.tell(record);
        }
        shown += page.len();
        match page.last() {
            Some(last) if page.len() == PAGE as usize => after = Some(last.id),
            _ => break,
        }
    }
    if shown == 0 {
        output.say("Nothing is recorded that was asked for.");
    }
    Ok(0)
}

async fn check(control: Option<SqliteControl>, output: &Output) -> Result<u8, Failure> {
    let check = match control {
        Some(control) => control.verify_audit().await?,
        None => AuditCheck::default(),
    };
    output.say(show::check(&check));
    output.tell(&check);
    Ok(if check.broken.is_some() { FAILED } else { 0 })
}

/// The control store where there is one. Passwords need not be set: no database is asked.
fn existing(named: &File) -> Result<Option<SqliteControl>, Failure> {
    let file = read_public(&named.file)?;
    Ok(SqliteControl::open_existing(
        &control_path(named),
        &file.name,
    )?)
}
