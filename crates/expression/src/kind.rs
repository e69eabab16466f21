//! The types of parts, as far as rules tell them apart.

use crossfade_model::LogicalType;

/// The type of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// NULL itself, which is of any type.
    Null,
    Boolean,
    Integer {
        bits: u8,
    },
    Decimal,
    /// A float as a column has it: compared, never computed with.
    Float {
        bits: u8,
    },
    /// A double that a cast asked for.
    Double,
    Text,
    Bytes,
    Date,
    Time,
    Timestamp,
    Instant,
    Uuid,
    Json,
    /// A column that may hold anything.
    Any,
}

impl Kind {
    /// The widest integer.
    pub(crate) const INTEGER: Kind = Kind::Integer { bits: 64 };

    /// How a column's values are read. What is known by its text form alone is a text.
    pub(crate) fn of(logical: LogicalType) -> Self {
        match logical {
            LogicalType::Boolean => Self::Boolean,
            LogicalType::Integer { bits } => Self::Integer { bits },
            LogicalType::Float { bits } => Self::Float { bits },
            LogicalType::Decimal => Self::Decimal,
            LogicalType::Text | LogicalType::Other => Self::Text,
            LogicalType::Bytes => Self::Bytes,
            LogicalType::Date => Self::Date,
            LogicalType::Time => Self::Time,
            LogicalType::Timestamp => Self::Timestamp,
            LogicalType::TimestampWithZone => Self::Instant,
            LogicalType::Uuid => Self::Uuid,
            LogicalType::Json => Self::Json,
            LogicalType::Any => Self::Any,
        }
    }

    /// The type of results.
    pub(crate) fn logical(self) -> LogicalType {
        match self {
            Self::Null => LogicalType::Other,
            Self::Boolean => LogicalType::Boolean,
            Self::Integer { bits } => LogicalType::Integer { bits },
            Self::Decimal => LogicalType::Decimal,
            Self::Float { .. } | Self::Double => LogicalType::Float { bits: 64 },
            Self::Text => LogicalType::Text,
            Self::Bytes => LogicalType::Bytes,
            Self::Date => LogicalType::Date,
            Self::Time => LogicalType::Time,
            Self::Timestamp => LogicalType::Timestamp,
            Self::Instant => LogicalType::TimestampWithZone,
            Self::Uuid => LogicalType::Uuid,
            Self::Json => LogicalType::Json,
            Self::Any => LogicalType::Any,
        }
    }

    /// As a cast names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Boolean => "boolean",
            Self::Integer { bits: 16 } => "smallint",
            Self::Integer { bits: 32 } => "int",
            Self::Integer { .. } => "bigint",
            Self::Decimal => "decimal",
            Self::Float { .. } => "float",
            Self::Double => "double",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::Instant => "timestamptz",
            Self::Uuid => "uuid",
            Self::Json => "json",
            Self::Any => "any",
        }
    }

    pub(crate) fn is_integer(self) -> bool {
        matches!(self, Self::Integer { .. })
    }

    /// An integer or a decimal.
    pub(crate) fn is_exact(self) -> bool {
        matches!(self, Self::Integer { .. } | Self::Decimal)
    }

    /// A float, asked for or not.
    pub(crate) fn is_float(self) -> bool {
        matches!(self, Self::Float { .. } | Self::Double)
    }
}
