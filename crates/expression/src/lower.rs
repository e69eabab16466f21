//! From the SQL parser's tree to ours: what has no meaning here is refused, with its words.

use sqlparser::ast::{
    BinaryOperator, CeilFloorKind, DataType, DateTimeField, Expr, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, InTarget, TrimWhereField, UnaryOperator, Value,
};

use crate::function::{self, Function, Named, Part};
use crate::syntax::{ExpressionError, Node, Operator, Type};

/// Levels at most. The parser's own bound is near; this one holds for what it nests otherwise.
const DEEPEST: usize = 100;

type Lowered = Result<Node, ExpressionError>;

/// Lowers an expression.
///
/// # Errors
/// What has no meaning here.
pub(crate) fn lower(expression: &Expr, depth: usize) -> Lowered {
    if depth > DEEPEST {
        return Err(ExpressionError::new(
            "the expression is too deep",
            "write a flatter one",
        ));
    }
    let go = |inner: &Expr| lower(inner, depth + 1);
    let boxed = |inner: &Expr| go(inner).map(Box::new);
    let not = |node: Node, negated: bool| match negated {
        true => Node::Not(Box::new(node)),
        false => node,
    };
    Ok(match expression {
        Expr::Identifier(name) => identifier(name)?,
        Expr::Nested(inner) => go(inner)?,
        Expr::Value(value) => literal(&value.value)?,
        Expr::TypedString(typed) => match (&typed.value.value, data_type(&typed.data_type)?) {
            (Value::SingleQuotedString(text), kind) => Node::Typed(kind, text.clone()),
            _ => return Err(no_meaning(expression)),
        },
        Expr::UnaryOp { op, expr } => match op {
            UnaryOperator::Minus => negated(go(expr)?),
            UnaryOperator::Plus => go(expr)?,
            UnaryOperator::Not => Node::Not(boxed(expr)?),
            _ => return Err(no_meaning(expression)),
        },
        Expr::BinaryOp { left, op, right } => {
            Node::Binary(operator(op, expression)?, boxed(left)?, boxed(right)?)
        }
        Expr::IsNull(inner) | Expr::IsUnknown(inner) => Node::IsNull(boxed(inner)?),
        Expr::IsNotNull(inner) | Expr::IsNotUnknown(inner) => {
            not(Node::IsNull(boxed(inner)?), true)
        }
        Expr::IsTrue(inner) => Node::Is(boxed(inner)?, true),
        Expr::IsNotTrue(inner) => not(Node::Is(boxed(inner)?, true), true),
        Expr::IsFalse(inner) => Node::Is(boxed(inner)?, false),
        Expr::IsNotFalse(inner) => not(Node::Is(boxed(inner)?, false), true),
        Expr::IsDistinctFrom(a, b) => Node::Distinct(boxed(a)?, boxed(b)?),
        Expr::IsNotDistinctFrom(a, b) => not(Node::Distinct(boxed(a)?, boxed(b)?), true),
        Expr::In {
            expr,
            target: InTarget::List(list),
            negated,
            global: false,
        } => {
            let list = list.iter().map(go).collect::<Result<_, _>>()?;
            not(Node::In(boxed(expr)?, list), *negated)
        }
        Expr::Between {
            expr,
            negated,
            low,
            high,
        } => {
            let at_least = Node::Binary(Operator::GreaterEqual, boxed(expr)?, boxed(low)?);
            let at_most = Node::Binary(Operator::LessEqual, boxed(expr)?, boxed(high)?);
            let both = Node::Binary(Operator::And, Box::new(at_least), Box::new(at_most));
            not(both, *negated)
        }
        Expr::Like {
            negated,
            any: false,
            expr,
            pattern,
            escape_char,
        } => not(like(go(expr)?, pattern, escape_char.as_deref())?, *negated),
        Expr::Case {
            operand,
            conditions,
            else_result,
            ..
        } => {
            let operand = operand.as_deref().map(go).transpose()?;
            let mut arms = Vec::with_capacity(conditions.len());
            for arm in conditions {
                let condition = go(&arm.condition)?;
                let condition = match &operand {
                    None => condition,
                    Some(operand) => Node::Binary(
                        Operator::Equal,
                        Box::new(operand.clone()),
                        Box::new(condition),
                    ),
                };
                arms.push((condition, go(&arm.result)?));
            }
            let otherwise = match else_result {
                Some(result) => go(result)?,
                None => Node::Null,
            };
            Node::Case {
                arms,
                otherwise: Box::new(otherwise),
            }
        }
        Expr::Cast {
            expr,
            data_type: kind,
            format: None,
            ..
        } => Node::Cast(boxed(expr)?, data_type(kind)?),
        Expr::Extract { field, expr, .. } => match Part::named(&field.to_string()) {
            Some(part) => Node::Call(Function::Part(part), vec![go(expr)?]),
            None => {
                return Err(ExpressionError::new(
                    format!("`{field}` is no part of a date or time that can be extracted"),
                    "extract year, month, day, hour, minute, second or epoch",
                ));
            }
        },
        Expr::Ceil { expr, field } if is_plain(field) => {
            Node::Call(Function::Ceil, vec![go(expr)?])
        }
        Expr::Floor { expr, field } if is_plain(field) => {
            Node::Call(Function::Floor, vec![go(expr)?])
        }
        Expr::Position { expr, r#in } => Node::Call(Function::Position, vec![go(r#in)?, go(expr)?]),
        Expr::Substring {
            expr,
            substring_from: Some(from),
            substring_for,
            ..
        } => {
            let mut arguments = vec![go(expr)?, go(from)?];
            if let Some(length) = substring_for {
                arguments.push(go(length)?);
            }
            Node::Call(Function::Substring, arguments)
        }
        Expr::Trim {
            trim_where,
            trim_what,
            expr,
            trim_characters,
        } => {
            let mut arguments = vec![go(expr)?];
            if let Some(what) = trim_what {
                arguments.push(go(what)?);
            }
            for characters in trim_characters.iter().flatten() {
                arguments.push(go(characters)?);
            }
            let function = match trim_where {
                Some(TrimWhereField::Leading) => Function::Ltrim,
                Some(TrimWhereField::Trailing) => Function::Rtrim,
                Some(TrimWhereField::Both) | None => Function::Trim,
            };
            Node::Call(function, arguments)
        }
        Expr::Function(call) => {
            let name = call.name.to_string();
            let plain =
                call.over.is_none() && call.filter.is_none() && call.within_group.is_empty();
            let arguments = arguments(&call.args);
            match arguments {
                Some(arguments) if plain => {
                    let nodes = arguments.into_iter().map(go).collect::<Result<_, _>>()?;
                    called(&name, nodes)?
                }
                _ => called(&name, Vec::new()).and(Err(no_meaning(expression)))?,
            }
        }
        _ => return Err(no_meaning(expression)),
    })
}

fn no_meaning(expression: &Expr) -> ExpressionError {
    let words: String = expression.to_string().chars().take(60).collect();
    ExpressionError::new(
        format!("`{words}` has no meaning here"),
        "docs/expressions.md lists what an expression may be made of",
    )
}

/// `CEIL(x)` without more: the parser has a word of its own for it.
fn is_plain(field: &CeilFloorKind) -> bool {
    matches!(
        field,
        CeilFloorKind::DateTimeField(DateTimeField::NoDateTime)
    )
}

fn identifier(name: &Ident) -> Lowered {
    let bare = name.value.to_lowercase();
    if name.quote_style.is_none()
        && function::is_undetermined(&bare)
        && bare != "user"
        && bare != "database"
    {
        return Err(undetermined(&name.value));
    }
    match name.quote_style {
        Some('\'') => Ok(Node::Text(name.value.clone())),
        _ => Ok(Node::Column(name.value.clone())),
    }
}

fn undetermined(name: &str) -> ExpressionError {
    ExpressionError::new(
        format!(
            "`{name}` is not determined by the row: the copy, the stream and the proof would each have another value"
        ),
        "use the row's own columns and constants",
    )
}

/// A minus before a number is a part of it.
fn negated(node: Node) -> Node {
    match node {
        Node::Number(text) if !text.starts_with('-') => Node::Number(format!("-{text}")),
        other => Node::Negate(Box::new(other)),
    }
}

fn literal(value: &Value) -> Lowered {
    Ok(match value {
        Value::Number(text, false) => Node::Number(text.to_string()),
        Value::SingleQuotedString(text) => Node::Text(text.clone()),
        Value::HexStringLiteral(text) => match crossfade_model::hex::decode(text) {
            Some(bytes) => Node::Bytes(bytes),
            None => {
                return Err(ExpressionError::new(
                    format!("`{text}` is no row of hexadecimal digits"),
                    "write an even number of digits 0-9 and a-f",
                ));
            }
        },
        Value::Boolean(value) => Node::Boolean(*value),
        Value::Null => Node::Null,
        other => {
            return Err(ExpressionError::new(
                format!("`{other}` is no literal that is known here"),
                "write numbers, 'texts', TRUE, FALSE, NULL, X'…', DATE '…', TIMESTAMP '…'",
            ));
        }
    })
}

fn operator(operator: &BinaryOperator, whole: &Expr) -> Result<Operator, ExpressionError> {
    Ok(match operator {
        BinaryOperator::Plus => Operator::Add,
        BinaryOperator::Minus => Operator::Subtract,
        BinaryOperator::Multiply => Operator::Multiply,
        BinaryOperator::Divide => Operator::Divide,
        BinaryOperator::Modulo => Operator::Remainder,
        BinaryOperator::StringConcat => Operator::Concatenate,
        BinaryOperator::And => Operator::And,
        BinaryOperator::Or => Operator::Or,
        BinaryOperator::Eq => Operator::Equal,
        BinaryOperator::NotEq => Operator::NotEqual,
        BinaryOperator::Lt => Operator::Less,
        BinaryOperator::LtEq => Operator::LessEqual,
        BinaryOperator::Gt => Operator::Greater,
        BinaryOperator::GtEq => Operator::GreaterEqual,
        _ => return Err(no_meaning(whole)),
    })
}

fn like(text: Node, pattern: &Expr, escape: Option<&Expr>) -> Lowered {
    let refused = || {
        ExpressionError::new(
            "the pattern of LIKE and its ESCAPE are literals",
            "write `x LIKE 'a%'`, with a pattern that is the same for every row",
        )
    };
    let Node::Text(pattern) = lower(pattern, 0)? else {
        return Err(refused());
    };
    let escape = match escape.map(|e| lower(e, 0)).transpose()? {
        None => None,
        Some(Node::Text(text)) => {
            let mut characters = text.chars();
            match (characters.next(), characters.next()) {
                (Some(one), None) => Some(one),
                _ => return Err(refused()),
            }
        }
        Some(_) => return Err(refused()),
    };
    Ok(Node::Like {
        text: Box::new(text),
        pattern,
        escape,
    })
}

fn arguments(arguments: &FunctionArguments) -> Option<Vec<&Expr>> {
    match arguments {
        FunctionArguments::None => Some(Vec::new()),
        FunctionArguments::Subquery(_) => None,
        FunctionArguments::List(list)
            if list.duplicate_treatment.is_none() && list.clauses.is_empty() =>
        {
            list.args.iter().map(unnamed).collect()
        }
        FunctionArguments::List(_) => None,
    }
}

fn unnamed(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
        _ => None,
    }
}

fn called(name: &str, arguments: Vec<Node>) -> Lowered {
    match function::named(name) {
        Named::Known(function, least, most) if (least..=most).contains(&arguments.len()) => {
            Ok(Node::Call(function, arguments))
        }
        Named::Known(_, least, most) => Err(ExpressionError::new(
            format!(
                "`{name}` takes {} arguments, not {}",
                range(least, most),
                arguments.len()
            ),
            "docs/expressions.md lists the functions",
        )),
        Named::Undetermined => Err(undetermined(name)),
        Named::Unknown(near) => Err(ExpressionError::new(
            format!("there is no function `{name}`"),
            match near {
                Some(near) => {
                    format!("did you mean {near}? docs/expressions.md lists the functions")
                }
                None => "docs/expressions.md lists the functions".to_owned(),
            },
        )),
    }
}

fn range(least: usize, most: usize) -> String {
    match least == most {
        true => least.to_string(),
        false => format!("{least} to {most}"),
    }
}

/// A type by its usual names in any of the dialects.
fn data_type(kind: &DataType) -> Result<Type, ExpressionError> {
    let text = kind.to_string().to_lowercase();
    let (name, rest) = match text.split_once('(') {
        Some((name, rest)) => (name.trim(), rest),
        None => (text.trim(), ""),
    };
    let (numbers, after) = rest.split_once(')').unwrap_or((rest, ""));
    let numbers: Vec<u32> = numbers
        .split(',')
        .filter_map(|n| n.trim().parse().ok())
        .collect();
    let zone = after.contains("with time zone") || text.ends_with("with time zone");
    let known = match name {
        "bool" | "boolean" => Some(Type::Boolean),
        "smallint" | "int2" => Some(Type::Integer(16)),
        "int" | "integer" | "int4" => Some(Type::Integer(32)),
        "bigint" | "int8" | "signed" | "signed integer" => Some(Type::Integer(64)),
        "decimal" | "numeric" | "dec" => match numbers.as_slice() {
            [] => Some(Type::Decimal(None)),
            [precision] => Some(Type::Decimal(Some((*precision, 0)))),
            [precision, scale, ..] => Some(Type::Decimal(Some((*precision, *scale)))),
        },
        "double" | "double precision" | "float8" => Some(Type::Double),
        "text" | "longtext" => Some(Type::Text(None)),
        "varchar" | "character varying" | "char varying" | "char" | "character" => {
            Some(Type::Text(numbers.first().copied()))
        }
        "bytea" | "blob" | "bytes" | "varbinary" | "binary" => Some(Type::Bytes),
        "date" => Some(Type::Date),
        "time" | "time without time zone" => Some(Type::Time),
        "timestamptz" => Some(Type::Instant),
        "timestamp with time zone" => Some(Type::Instant),
        "timestamp" if zone => Some(Type::Instant),
        "timestamp" | "datetime" | "timestamp without time zone" => Some(Type::Timestamp),
        "uuid" => Some(Type::Uuid),
        "json" | "jsonb" => Some(Type::Json),
        _ => None,
    };
    let bounded = numbers.iter().all(|n| *n <= 100_000);
    known.filter(|_| bounded).ok_or_else(|| {
        ExpressionError::new(
            format!("`{kind}` is no type that a value can be cast to"),
            "cast to boolean, smallint, int, bigint, decimal(p, s), double, text, varchar(n), bytea, date, time, timestamp, timestamptz, uuid \
             or json",
        )
    })
}
