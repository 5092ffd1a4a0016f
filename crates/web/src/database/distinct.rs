//! The values that a column has, each once, out of an index: what it costs grows with the values, not with the rows.

/// The beginning of a statement, which makes a table `known` of the values that a column has in the rows of a condition,
/// ascending, and a NULL after them. Each step of the recursion is one look into an index, which must begin with what the
/// condition names, and go on with the column.
pub(super) fn known(column: &str, table: &str, condition: &str) -> String {
    format!(
        "WITH RECURSIVE known(value) AS (
             SELECT min({column}) FROM {table} WHERE {condition}
             UNION ALL
             SELECT (SELECT min({column}) FROM {table} WHERE {condition} AND {column} > known.value)
             FROM known WHERE value IS NOT NULL
         )"
    )
}
