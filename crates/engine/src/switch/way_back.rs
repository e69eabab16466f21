//! The mappings of the way back: those of the migration turned around, or what the plan found to lead back.

use std::collections::BTreeSet;

use crossfade_expression::{CellForm, Expression, Input};
use crossfade_model::{
    Back, Canonical, Column, ColumnMapping, Held, KeyOrder, Limits, LogicalType, Origin, Schema,
    Table, TableId, TableKey, TableMapping, TableName, reverse_lane,
};
use crossfade_plan::Plan;
use crossfade_rules::gates::LossyColumn;
use crossfade_store::Target;
use crossfade_store::target::MADE;

use crate::error::EngineError;
use crate::run::Migration;

/// The plan of the way back: every mapping turned around, nothing to be made.
pub(crate) async fn reversed_plan(home: &Migration) -> Result<Plan, EngineError> {
    let (ours, theirs) = tokio::try_join!(home.target.describe(), home.source.describe())?;
    let way = WayBack {
        target: home.sides.source.as_ref(),
        engine: home.target.engine(),
        ours: &ours,
        theirs: &theirs,
        plan: &home.plan,
    };
    let tables = way.all()?;
    Ok(Plan {
        replanned: None,
        migration: reverse_lane(&home.plan.migration),
        source_engine: home.plan.target_engine.clone(),
        target_engine: home.plan.source_engine.clone(),
        present: tables.iter().map(|t| t.id).collect::<BTreeSet<_>>(),
        tables,
        types: Vec::new(),
        sequences: ours.sequences,
        omissions: Vec::new(),
        findings: Vec::new(),
        statements: Vec::new(),
    })
}

/// The columns that the way back would lose, table by table.
///
/// # Errors
/// A store that cannot be read; a table that is not as planned.
pub(crate) async fn lossy(home: &Migration) -> Result<Vec<LossyColumn>, EngineError> {
    let (ours, theirs) = tokio::try_join!(home.target.describe(), home.source.describe())?;
    let way = WayBack {
        target: home.sides.source.as_ref(),
        engine: home.target.engine(),
        ours: &ours,
        theirs: &theirs,
        plan: &home.plan,
    };
    let mut lossy = Vec::new();
    for mapping in &home.plan.tables {
        let found = lost_columns(mapping, &home.plan.tables, &ours)?;
        if found.is_empty() {
            way.turned(mapping)?;
        }
        lossy.extend(found);
    }
    Ok(lossy)
}

/// Columns of the target's table that have none on the source, and those whose values nothing takes back.
fn lost_columns(
    mapping: &TableMapping,
    all: &[TableMapping],
    ours: &Schema,
) -> Result<Vec<LossyColumn>, EngineError> {
    let table = find(ours, &mapping.target.name)?;
    // another mapping may fill it
    let known: BTreeSet<&str> = sharing(mapping, all)
        .flat_map(|m| m.columns.iter().map(|c| c.target.as_str()))
        .collect();
    let name = mapping.called();
    let one_sided = table
        .captured()
        .filter(|c| !known.contains(c.name.as_str()));
    let mut lost: Vec<LossyColumn> = one_sided
        .map(|column| LossyColumn {
            table: name.clone(),
            column: column.name.clone(),
            loses: "it is on the target only: its values have no place on the source".to_owned(),
            declared: false,
        })
        .collect();
    for column in others_columns(mapping, all, &table) {
        if empty(column).is_none() {
            lost.push(LossyColumn {
                table: name.clone(),
                column: column.name.clone(),
                loses: "only other tables have it, and what it is by default in rows of this one is not known: what is written there has no place on the source"
                    .to_owned(),
                declared: false,
            });
        }
    }
    for column in mapping.back.iter().flat_map(|back| &back.lost) {
        lost.push(LossyColumn {
            table: name.clone(),
            column: column.column.clone(),
            loses: column.why.clone(),
            declared: column.declared,
        });
    }
    Ok(lost)
}

/// All mappings that go to the same table.
fn sharing<'a>(
    mapping: &'a TableMapping,
    all: &'a [TableMapping],
) -> impl Iterator<Item = &'a TableMapping> {
    all.iter().filter(|m| m.target.name == mapping.target.name)
}

/// Columns that only others fill.
fn others_columns<'a>(
    mapping: &'a TableMapping,
    all: &'a [TableMapping],
    table: &'a Table,
) -> impl Iterator<Item = &'a Column> {
    table.captured().filter(|column| {
        let fills = |m: &TableMapping| m.columns.iter().any(|c| c.target == column.name);
        !fills(mapping) && sharing(mapping, all).any(fills)
    })
}

/// What a column is in a row of which nobody has said it: expressions. `None` where that is not known.
fn empty(column: &Column) -> Option<Vec<String>> {
    let mut values = vec!["NULL".to_owned()];
    if let Some(default) = &column.default {
        let constant = Expression::parse(default).ok()?.bind(&[]).ok()?;
        constant.as_constant(CellForm::Text)?;
        values.push(default.clone());
    }
    // a server numbers its rows by itself
    column.identity.is_none().then_some(values)
}

/// What the way back is laid by: `ours` is the migration's target, where rows now come from.
struct WayBack<'a> {
    /// The store that they go to.
    target: &'a dyn Target,
    /// The engine that they come from.
    engine: &'a str,
    ours: &'a Schema,
    theirs: &'a Schema,
    plan: &'a Plan,
}

impl WayBack<'_> {
    /// All mappings turned around.
    fn all(&self) -> Result<Vec<TableMapping>, EngineError> {
        let mappings = &self.plan.tables;
        let mut out: Vec<TableMapping> = mappings
            .iter()
            .map(|mapping| self.turned(mapping))
            .collect::<Result<_, _>>()?;
        for (turned, mapping) in out.iter_mut().zip(mappings) {
            turned.shares_source = sharing(mapping, mappings).count() > 1;
        }
        Ok(out)
    }

    /// A mapping turned around.
    fn turned(&self, mapping: &TableMapping) -> Result<TableMapping, EngineError> {
        match &mapping.back {
            None => turned(mapping, self.ours, self.theirs),
            Some(back) => self.remade(mapping, back),
        }
    }

    /// A mapping whose rows are made by expressions, turned around: the source's rows are made of the target's.
    fn remade(&self, mapping: &TableMapping, back: &Back) -> Result<TableMapping, EngineError> {
        let from = find(self.ours, &mapping.target.name)?;
        let to = find(self.theirs, &mapping.source.name)?;
        let mut columns = Vec::new();
        let mut made = Vec::new();
        for (name, text) in &back.columns {
            let own = to.captured().find(|c| c.name == *name);
            let own = own.ok_or_else(|| gone(&to.name))?;
            let (column, canonical) = self.given_back(mapping, &from, own, text)?;
            made.push(ColumnMapping {
                source: column.name.clone(),
                target: name.clone(),
                canonical,
            });
            columns.push(column);
        }
        let key = match &to.key {
            None => None,
            Some(key) => {
                let places = to.key_columns().into_iter().map(|own| {
                    let place = back.columns.iter().position(|(name, _)| *name == own.name);
                    place.ok_or_else(|| gone(&to.name))
                });
                Some(TableKey {
                    columns: places.collect::<Result<_, _>>()?,
                    order: from.key.as_ref().map_or(KeyOrder::Unordered, |k| k.order),
                    ..key.clone()
                })
            }
        };
        let origin = Origin {
            table: from.clone(),
            filter: taken(mapping, back),
            limits: Some(self.limits(mapping, back, &from)),
            columns: back.columns.iter().map(|(_, text)| text.clone()).collect(),
            meanings: meanings(mapping, &from),
        };
        Ok(TableMapping {
            id: mapping.id,
            source: Table {
                columns,
                key,
                indexes: Vec::new(),
                foreign_keys: Vec::new(),
                checks: Vec::new(),
                definition: None,
                ..from
            },
            target: to,
            columns: made,
            same_shape: false,
            slice: mapping.origin.as_ref().and_then(|o| o.filter.clone()),
            origin: Some(Box::new(origin)),
            back: None,
            shares_source: false,
        })
    }

    /// Whose the rows are that the way back does not take, and what a row that it takes may not be.
    fn limits(&self, mapping: &TableMapping, back: &Back, from: &Table) -> Limits {
        let all = &self.plan.tables;
        let others: Vec<String> = sharing(mapping, all)
            .filter(|m| m.id != mapping.id)
            .filter_map(|m| Some(format!("({})", m.slice.as_ref()?)))
            .collect();
        // a table that was there may have rows that are nobody's here; and so may one that the file says is shared
        let was_there = self.plan.present.contains(&mapping.id) || others.is_empty();
        let theirs = match &mapping.slice {
            Some(slice) if was_there => Some(format!("NOT coalesce(({slice}), FALSE)")),
            _ if others.is_empty() => None,
            _ => Some(others.join(" OR ")),
        };
        let canonical = |name: &str, id: Option<TableId>| {
            let of = sharing(mapping, all).filter(|m| id.is_none_or(|id| m.id == id));
            let mut columns = of.flat_map(|m| &m.columns);
            let known = columns.find(|c| c.target == name);
            known.map_or(Canonical::Exact, |c| c.canonical)
        };
        let constants = back.constants.iter().flatten().map(|(name, value)| Held {
            column: name.clone(),
            canonical: canonical(name, Some(mapping.id)),
            values: vec![value.clone()],
        });
        let empty = others_columns(mapping, all, from).filter_map(|column| {
            Some(Held {
                column: column.name.clone(),
                canonical: canonical(&column.name, None),
                values: empty(column)?,
            })
        });
        Limits {
            theirs,
            held: constants.chain(empty).collect(),
        }
    }

    /// The presented column that gives a column of the source back, and the form in which the two are compared.
    fn given_back(
        &self,
        mapping: &TableMapping,
        from: &Table,
        own: &Column,
        text: &str,
    ) -> Result<(Column, Canonical), EngineError> {
        let refused = |what: String| {
            EngineError::stopped(
                "switch.shape",
                format!(
                    "column {} of {} cannot be given back: {what}",
                    own.name, from.name
                ),
                "Restore the table's shape, and try again",
            )
        };
        let inputs: Vec<Input> = from
            .captured()
            .zip(meanings(mapping, from))
            .map(|(column, logical)| Input {
                logical,
                ..Input::from(column)
            })
            .collect();
        let bound = Expression::parse(text).and_then(|e| e.bind(&inputs));
        let bound = bound.map_err(|e| refused(e.what))?;
        let carried = bound.as_column().and_then(|at| from.captured().nth(at));
        let (engine, column) = match carried {
            Some(column) => (self.engine, column.clone()),
            None => (
                MADE,
                Column {
                    name: own.name.clone(),
                    logical: bound.logical(),
                    declared: String::new(),
                    nullable: own.nullable,
                    default: None,
                    generated: None,
                    identity: None,
                    collation: None,
                },
            ),
        };
        // what was carried there comes back into the column that it came from
        let there = carried.and_then(|c| mapping.columns.iter().find(|m| m.target == c.name));
        let canonical = match there {
            Some(there) => there.canonical,
            // a value that the column does not hold is refused where it is written
            None => self.target.declare(engine, from, own).canonical,
        };
        Ok((column, canonical))
    }
}

/// The rows that the way back takes: of those that belong to the mapping, the ones that it would have moved.
fn taken(mapping: &TableMapping, back: &Back) -> Option<String> {
    let parts = [&back.filter, &mapping.slice];
    let parts: Vec<String> = parts
        .into_iter()
        .flatten()
        .map(|part| format!("({part})"))
        .collect();
    (!parts.is_empty()).then(|| parts.join(" AND "))
}

/// What the target's columns mean: what was written there, whatever the store keeps it as.
fn meanings(mapping: &TableMapping, from: &Table) -> Vec<LogicalType> {
    let written = |name: &str| {
        let at = mapping.columns.iter().position(|c| c.target == name)?;
        mapping.source.captured().nth(at).map(|c| c.logical)
    };
    let columns = from.captured();
    columns
        .map(|c| written(&c.name).unwrap_or(c.logical))
        .collect()
}

/// A mapping whose rows are carried as they are, turned around.
fn turned(
    mapping: &TableMapping,
    ours: &Schema,
    theirs: &Schema,
) -> Result<TableMapping, EngineError> {
    let source = find(ours, &mapping.target.name)?;
    let target = find(theirs, &mapping.source.name)?;
    let columns: Vec<ColumnMapping> = source
        .captured()
        .map(|column| {
            let mapped = mapping.columns.iter().find(|c| c.target == column.name);
            mapped.map_or_else(
                || Err(one_sided(&source.name, &column.name)),
                |mapped| {
                    Ok(ColumnMapping {
                        source: mapped.target.clone(),
                        target: mapped.source.clone(),
                        canonical: mapped.canonical,
                    })
                },
            )
        })
        .collect::<Result<_, _>>()?;
    let in_order = columns.len() == mapping.columns.len()
        && columns
            .iter()
            .zip(&mapping.columns)
            .all(|(a, b)| a.source == b.target);
    if columns.len() != mapping.columns.len() {
        return Err(gone(&source.name));
    }
    Ok(TableMapping {
        id: mapping.id,
        source,
        target,
        columns,
        same_shape: mapping.same_shape && in_order,
        origin: None,
        back: None,
        slice: None,
        shares_source: false,
    })
}

fn find(schema: &Schema, name: &TableName) -> Result<Table, EngineError> {
    let found = schema.tables.iter().find(|t| &t.name == name).cloned();
    found.ok_or_else(|| gone(name))
}

fn gone(name: &TableName) -> EngineError {
    EngineError::stopped(
        "switch.shape",
        format!("table {name} is not as the plan has it: the way back cannot be laid"),
        "Restore the table's shape, and try again",
    )
}

fn one_sided(table: &TableName, column: &str) -> EngineError {
    EngineError::stopped(
        "switch.not_invertible",
        format!(
            "column {column} of {table} has no column on the other side: the way back would lose its values"
        ),
        "Drop the column, or map it, before the switch",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testkit::{Form, table};

    #[test]
    fn a_mapping_is_turned_around_column_by_column() {
        let mut mapping = table(0, Form::Ordered);
        mapping.target.name.name = "other".to_owned();
        mapping.target.columns[1].name = "x".to_owned();
        mapping.columns[1].target = "x".to_owned();
        // the target lists its columns in another order
        mapping.target.columns.swap(1, 2);
        let schema = |table: &Table| Schema {
            tables: vec![table.clone()],
            ..Schema::default()
        };
        let (ours, theirs) = (schema(&mapping.target), schema(&mapping.source));
        let back = turned(&mapping, &ours, &theirs).unwrap();
        assert_eq!(back.source.name.name, "other");
        let names: Vec<(&str, &str)> = back
            .columns
            .iter()
            .map(|c| (c.source.as_str(), c.target.as_str()))
            .collect();
        assert_eq!(names, [("id", "id"), ("b", "b"), ("x", "a")]);
        assert!(!back.same_shape);
        let there = turned(&back, &theirs, &ours).unwrap();
        assert_eq!(there.columns, mapping.columns);
    }

    #[test]
    fn a_column_of_one_side_only_has_no_way_back() {
        let mut mapping = table(0, Form::Ordered);
        let mut ours = mapping.target.clone();
        ours.columns.push(crossfade_model::Column {
            name: "extra".to_owned(),
            ..ours.columns[1].clone()
        });
        mapping.target = ours.clone();
        let schema = |table: Table| Schema {
            tables: vec![table],
            ..Schema::default()
        };
        let all = std::slice::from_ref(&mapping);
        let lossy = lost_columns(&mapping, all, &schema(ours.clone())).unwrap();
        let names: Vec<&str> = lossy.iter().map(|c| c.column.as_str()).collect();
        assert_eq!(names, ["extra"]);
        let refused = turned(&mapping, &schema(ours), &schema(mapping.source.clone()));
        assert_eq!(refused.unwrap_err().code(), "switch.not_invertible");
    }
}
