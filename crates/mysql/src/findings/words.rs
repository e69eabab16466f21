//! What statements of the other flavor ask of a target that it does not have.

use crossfade_model::{Finding, TableMapping};
use crossfade_store::Result;

use crate::connect::Client;
use crate::design::flavor;
use crate::server::{Flavor, Server};

/// Where these are found.
const PLACE: &str = "target";

/// Collations that the tables' statements name and the server does not have (the other flavor's).
pub(super) async fn collations(
    client: &mut Client,
    server: &Server,
    tables: &[TableMapping],
) -> Result<Vec<Finding>> {
    // MariaDB lists newer collations without their character set
    let column = match server.flavor {
        Flavor::Mariadb if server.version >= 101_001 => "FULL_COLLATION_NAME",
        _ => "COLLATION_NAME",
    };
    let rows = client
        .texts(
            "reading the collations",
            &format!(
                "SELECT {column} FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY"
            ),
        )
        .await?;
    let known: Vec<&str> = rows.iter().map(|row| row.text(0)).collect();
    let mut out = Vec::new();
    for mapping in tables {
        let Some(definition) = &mapping.target.definition else {
            continue;
        };
        let definition = &flavor::translated(definition, server);
        let mut unknown: Vec<&str> = named_collations(definition)
            .filter(|name| !known.contains(name))
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            out.push(
                Finding::blocks(
                    "mysql.collation",
                    PLACE,
                    format!("the server has no collation {}", unknown.join(", ")),
                )
                .table(&mapping.target.name.name)
                .fix("Make the table on the target with a collation that tells apart what the source's does"),
            );
        }
    }
    Ok(out)
}

/// Types of the source's flavor that the server does not have.
pub(super) fn types(server: &Server, tables: &[TableMapping]) -> Vec<Finding> {
    let mut out = Vec::new();
    for mapping in tables {
        let definition = mapping.target.definition.as_deref().unwrap_or_default();
        for column in flavor::unknown_types(definition, server) {
            out.push(
                Finding::blocks(
                    "mysql.type",
                    PLACE,
                    format!("{} has no such type: {column}", server.name()),
                )
                .table(&mapping.target.name.name)
                .fix("Make the table on the target with char(36) for uuid, varchar(45) for inet4 and inet6; leave a vector out with `drop`"),
            );
        }
    }
    out
}

fn named_collations(definition: &str) -> impl Iterator<Item = &str> {
    definition.split("COLLATE").skip(1).filter_map(|rest| {
        rest.trim_start_matches(['=', ' '])
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .next()
            .filter(|name| !name.is_empty())
    })
}
