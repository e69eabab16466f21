//! Users' types: enums, domains and composites, in an order in which they can be made.

use std::collections::{BTreeMap, BTreeSet};

use crossfade_model::{Omission, UserType};
use crossfade_store::Result;

use super::sql;
use crate::connect::Client;
use crate::names::{quote_ident, quote_literal};

struct Found {
    type_: UserType,
    needs: Vec<u32>,
}

/// Reads the types; those that cannot be carried become omissions.
pub async fn read(client: &Client, omissions: &mut Vec<Omission>) -> Result<Vec<UserType>> {
    let mut found: BTreeMap<u32, Found> = BTreeMap::new();
    let doing = "reading the users' types";
    for row in client.query(doing, &sql::types(), &[]).await? {
        let (schema, name): (String, String) = (row.get("schema"), row.get("name"));
        let qualified = format!("{}.{}", quote_ident(&schema), quote_ident(&name));
        let kind: String = row.get("kind");
        let parts: Vec<String> = row.get::<_, Option<_>>("parts").unwrap_or_default();
        let definition = match kind.as_str() {
            "e" => {
                let labels: Vec<String> = parts.iter().map(|l| quote_literal(l)).collect();
                format!("CREATE TYPE {qualified} AS ENUM ({})", labels.join(", "))
            }
            "c" => format!("CREATE TYPE {qualified} AS ({})", parts.join(", ")),
            "d" => {
                let base: String = row.get("base");
                let mut text = format!("CREATE DOMAIN {qualified} AS {base}");
                for part in parts {
                    text.push(' ');
                    text.push_str(&part);
                }
                text
            }
            _ => {
                omissions.push(Omission {
                    kind: "type".into(),
                    name: format!("{schema}.{name}"),
                    why: "only enums, domains and composites are made on the target; make this type there before".into(),
                });
                continue;
            }
        };
        let needs = row.get::<_, Option<Vec<u32>>>("needs").unwrap_or_default();
        found.insert(
            row.get("oid"),
            Found {
                type_: UserType {
                    name: qualified,
                    definition,
                    schema,
                },
                needs,
            },
        );
    }
    Ok(ordered(&found))
}

/// Depth first: what a type needs comes before it. Types cannot need each other in a circle.
fn ordered(found: &BTreeMap<u32, Found>) -> Vec<UserType> {
    let mut out = Vec::with_capacity(found.len());
    let mut done = BTreeSet::new();
    let mut stack: Vec<(u32, bool)> = found.keys().rev().map(|oid| (*oid, false)).collect();
    while let Some((oid, needs_done)) = stack.pop() {
        let Some(entry) = found.get(&oid) else {
            continue;
        };
        if needs_done {
            out.push(entry.type_.clone());
        } else if done.insert(oid) {
            stack.push((oid, true));
            stack.extend(entry.needs.iter().map(|need| (*need, false)));
        }
    }
    out
}
