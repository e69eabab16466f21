//! The mapped tables as the plan had them, kept in the certificate so that a side can be read again without the
//! migration's file. They hold names, types and definitions, no row's values.

use crossfade_model::{BucketSum, Canonical, TableMapping};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::body::{Body, Layer, Side};
use crate::error::CertificateError;

/// One table's mapping, as JSON: what it looked like when the certificate was made is what was signed, also for a version
/// of crossfade that knows more about tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mapping(Value);

impl Mapping {
    /// Keeps a mapping. The stores' estimates are left out: they are the time's, not the plan's.
    ///
    /// # Errors
    /// A mapping that has no form as JSON.
    pub fn new(mapping: &TableMapping) -> Result<Mapping, CertificateError> {
        let mut still = mapping.clone();
        for side in [&mut still.source, &mut still.target] {
            side.estimated_rows = 0;
            side.estimated_bytes = 0;
        }
        serde_json::to_value(still)
            .map(Mapping)
            .map_err(|e| CertificateError::Broken {
                what: format!("a table's mapping cannot be written: {e}"),
            })
    }

    /// The mapping.
    ///
    /// # Errors
    /// What is kept is no table's mapping.
    pub fn read(&self) -> Result<TableMapping, CertificateError> {
        serde_json::from_value(self.0.clone()).map_err(|e| CertificateError::Inconsistent {
            table: None,
            what: format!("a table's mapping cannot be read: {e}"),
        })
    }
}

/// What must come out when one side of one table is read again, as of the certificate's position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The table's name on the side that is read.
    pub name: String,
    /// The side's names of the columns, in the order in which a row's digest takes them, and their canonical forms.
    pub columns: Vec<(String, Canonical)>,
    /// The whole mapping, for a store that reads by it.
    pub mapping: TableMapping,
    /// The sum of all rows' digests under the certificate's salt.
    pub sum: BucketSum,
}

impl Body {
    /// What must come out when a side is read again, table by table.
    ///
    /// # Errors
    /// The certificate does not cover whole tables, or a mapping cannot be read.
    pub fn readings(&self, side: Side) -> Result<Vec<Reading>, CertificateError> {
        if self.layer != Layer::Full {
            return Err(CertificateError::NotFull {
                layer: self.layer.name(),
            });
        }
        let reading = |(table, mapping): (&crate::TableProof, &Mapping)| {
            let (name, sum) = match side {
                Side::Source => (&table.source_name, table.source),
                Side::Target => (&table.target_name, table.target),
            };
            let columns = table.columns.iter().map(|column| {
                let name = match side {
                    Side::Source => &column.source,
                    Side::Target => &column.target,
                };
                (name.clone(), column.canonical)
            });
            Ok(Reading {
                name: name.clone(),
                columns: columns.collect(),
                mapping: mapping.read()?,
                sum,
            })
        };
        self.tables
            .iter()
            .zip(&self.mappings)
            .map(reading)
            .collect()
    }

    /// The salt's bytes, for [`crossfade_model::Digester`].
    ///
    /// # Errors
    /// The text is no salt.
    pub fn salt_bytes(&self) -> Result<[u8; 32], CertificateError> {
        crossfade_model::hex::decode(&self.salt)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| CertificateError::Inconsistent {
                table: None,
                what: "the salt is not 64 hexadecimal digits".to_owned(),
            })
    }
}

impl Layer {
    /// As it stands in the file.
    pub fn name(self) -> &'static str {
        match self {
            Layer::Full => "full",
            Layer::Sample => "sample",
            Layer::Aggregate => "aggregate",
            Layer::Touched => "touched",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::example::{body, mapping, sum};

    /// With serde_json's feature `preserve_order` somewhere in the build they would not be, and one build could not read the
    /// other's certificates.
    #[test]
    fn fields_are_in_the_order_of_their_names() {
        let text = serde_json::to_string(&Mapping::new(&mapping(0, "orders")).unwrap()).unwrap();
        let at = |name: &str| text.find(&format!("\"{name}\":")).unwrap();
        assert!(text.starts_with("{\"columns\":"), "{text}");
        assert!(
            at("id") < at("same_shape") && at("same_shape") < at("estimated_bytes"),
            "{text}"
        );
        assert!(at("estimated_bytes") < at("estimated_rows"), "{text}");
    }

    #[test]
    fn a_side_can_be_read_again_by_the_certificate_alone() {
        let mut stated = body();
        stated.tables[0].target_name = "public.bestellungen".to_owned();
        let readings = stated.readings(Side::Target).unwrap();
        assert_eq!(readings.len(), 2);
        assert_eq!(readings[0].name, "public.bestellungen");
        assert_eq!(readings[0].sum, sum(500, u64::MAX - 3));
        let columns = [
            ("id".to_owned(), Canonical::Integer),
            ("näme".to_owned(), Canonical::Text),
        ];
        assert_eq!(readings[0].columns, columns);
        let mut whole = mapping(0, "orders");
        assert_eq!(whole.source.estimated_rows, 99);
        for side in [&mut whole.source, &mut whole.target] {
            (side.estimated_rows, side.estimated_bytes) = (0, 0);
        }
        assert_eq!(readings[0].mapping, whole);
        assert_eq!(
            stated.readings(Side::Source).unwrap()[0].name,
            "public.orders"
        );
        assert_eq!(stated.salt_bytes().unwrap(), [7; 32]);
        stated.layer = Layer::Sample;
        assert_eq!(
            stated.readings(Side::Source).unwrap_err().code(),
            "certificate.not_full"
        );
    }
}
